"""Which TRs are used: skipped ones, ranges as the field counts them, filler that is recognised, volumes in order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fmri_audio.base.errors import UserError
from fmri_audio.study.facts import Run
from fmri_audio.study.layouts.sherlock import RELEASE
from fmri_audio.study.reader import Study, trailing_filler

from . import made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return made.write_study(tmp_path / "study", [made.noise(made.N_TRS, seed) for seed in (1, 2)])


def mask() -> np.ndarray:
    """The voxel that counts the volumes, and a few beside it."""
    chosen = np.zeros(made.SHAPE, bool)
    chosen[0, 0, :4] = True
    return chosen


def counted(bold: np.ndarray) -> np.ndarray:
    """Which volumes of the file these rows are."""
    return np.round((bold[:, 0] - 1000) * 10).astype(int)


def test_the_release_leaves_the_cartoon_out_of_both_runs() -> None:
    assert [block for _, block in RELEASE.kept()] == [(26, 946), (972, 1976)]
    assert RELEASE.shift_trs == 3 and RELEASE.n_trs == 1976
    assert [block for _, block in RELEASE.kept([27, 946])] == [(26, 946)]  # the brief's 920
    assert [block for _, block in RELEASE.kept([1, 950])] == [(26, 946)]  # 947 to 950 are cartoon
    assert [block for _, block in RELEASE.kept([100, 1000])] == [(99, 946), (972, 1000)]


@pytest.mark.parametrize(
    ("trs", "said"),
    [([27, 1977], "TRs 1 to 1976"), ([0, 5], "TRs 1 to 1976"), ([947, 960], "skips at the start")],
)
def test_a_range_outside_the_runs_is_one_sentence(trs: list[int], said: str) -> None:
    with pytest.raises(UserError, match=rf"study\.trs: .*{said}.*; give"):
        RELEASE.kept(trs)


def test_rows_are_the_volumes_in_the_order_of_the_stimulus(folder: Path) -> None:
    study = Study.open(folder)
    assert study.kept() == [(5, 61), (66, 121)]
    rows = study.rows([10, 70])
    assert rows.tolist() == [*range(9, 61), *range(66, 70)]
    assert counted(study.bold(2, mask())[rows]).tolist() == rows.tolist()


def test_filler_is_recognised_where_nobody_declared_it(tmp_path: Path) -> None:
    data = made.noise(made.N_TRS, 1)
    data[..., -8:] = data[..., -8:-7]
    study = Study.open(made.write_study(tmp_path / "s", [data, made.noise(made.N_TRS, 2)]))
    bold = study.bold(1, mask())
    assert np.isnan(bold[-8:]).all() and np.isfinite(bold[:-8]).all()
    assert np.isfinite(study.bold(2, mask())).all()


def test_of_declared_filler_the_last_real_volume_may_be_the_first_that_repeats(tmp_path: Path) -> None:
    data = made.noise(made.N_TRS, 1)
    data[..., -8:] = data[..., -8:-7]
    fillers = [{"subject": 1, "first_tr": made.N_TRS - 7, "n_trs": 7}]
    study = Study.open(made.write_study(tmp_path / "s", [data, made.noise(made.N_TRS, 2)], fillers=fillers))
    assert np.isnan(study.bold(1, mask())).all(axis=1).sum() == 7
    assert study.with_data_at(study.rows()).subjects == [2]
    assert study.with_data_at(study.rows([1, 100])).subjects == [1, 2]


@pytest.mark.parametrize(
    ("values", "blocks"),
    [
        ("aaabbb", [(3, 6)]),
        ("abcdee", []),
        ("abcddd", [(3, 6)]),
        ("dddddd", [(0, 3), (3, 6)]),
        ("abbbcd", []),
    ],
)
def test_filler_is_the_end_of_a_run_that_repeats_itself(values: str, blocks: list[tuple[int, int]]) -> None:
    runs = [Run(name="1", first_tr=0, n_trs=3), Run(name="2", first_tr=3, n_trs=3)]
    repeats = np.array([k > 0 and values[k] == values[k - 1] for k in range(6)])
    one_run = [Run(name="1", first_tr=0, n_trs=6)]
    assert trailing_filler(repeats, runs if values == "dddddd" else one_run) == blocks


def test_a_run_cannot_skip_itself_away(folder: Path) -> None:
    text = (folder / "study.yml").read_text().replace("skip_trs: 5", "skip_trs: 61", 1)
    (folder / "study.yml").write_text(text)
    with pytest.raises(UserError, match=r"study\.yml: runs: run 1 skips 61 of its 61 TRs"):
        Study.open(folder)


def test_a_study_that_declares_no_shift_is_refused(folder: Path) -> None:
    (folder / "study.yml").write_text((folder / "study.yml").read_text().replace("shift_trs: 3\n", ""))
    with pytest.raises(UserError, match=r"study\.yml: shift_trs"):
        Study.open(folder)


def test_labels_and_negative_shifts_are_allowed(tmp_path: Path) -> None:
    folder = made.write_study(tmp_path / "s", [made.noise(made.N_TRS, 1)], subjects=["1"], shift_trs=-2)
    study = Study.open(folder)
    assert study.subjects == ["1"] and study.shift == -2
    assert counted(study.bold("1", mask()))[-1] == made.N_TRS - 1
