"""The table of real brains on a small tree: groups are kept apart, every quantity is there, what is played fits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fmri_audio.base.errors import UserError
from fmri_audio.decoding.series import Pipeline
from fmri_audio.experiments import real_brains, study_decoding
from fmri_audio.study.reader import Study
from programs.__main__ import main as program
from tests.study.forrest import SUBJECTS, forrest

PIPELINE = "columns: 3\nfolds: 3\nfixed_on: ['01']\nlog10_alphas: [1, 4, 4]\n"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return forrest(tmp_path_factory.mktemp("forrest"))


@pytest.fixture(scope="module")
def small() -> pytest.MonkeyPatch:
    """Short segments and excerpts, and few groups, for runs of three minutes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(real_brains, "SEGMENT_SECONDS", (6, 12))
        patch.setattr(real_brains, "DRAWS", 2)
        yield patch


@pytest.fixture(scope="module")
def written(tree: Path, small: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out")
    (out / "pipeline.yml").write_text(PIPELINE)
    words = ["real-brains", str(tree), "--pipeline", str(out / "pipeline.yml"), "--out", str(out)]
    assert program([*words, "--excerpt", "2:20"]) == 0
    return out


def test_what_was_planted_is_found_in_those_held_back(written: Path) -> None:
    rows = real_brains.read(written / real_brains.TABLE)
    found = {
        (r.target, r.arm): r
        for r in rows
        if (r.quantity, r.detail, r.group) == ("r", "as it is", "held back")
        and r.n_runs == 2
        and r.p is not None
    }
    for target in ("level", "words"):
        one, every = found[target, "within"], found[target, "averaged"]
        assert one.value > 0.5 and every.value >= one.value - 0.02 and every.n_subjects == 2
        assert one.runs_low <= one.value <= one.runs_high and one.value > (one.null_high or 1)
        assert (
            one.p is not None
            and one.n_shifts
            and one.effective_shifts
            and one.effective_shifts < one.n_shifts
        )


def test_every_quantity_is_there_and_groups_are_apart(written: Path) -> None:
    rows = real_brains.read(written / real_brains.TABLE)
    assert {r.quantity for r in rows} == {"r", "partial r", "identified", "bits per TR"}
    assert {r.group for r in rows} == {"held back", "fixed on", "everybody"}
    assert {r.n_subjects for r in rows if r.group == "everybody"} == {1, 2, 3}
    assert {r.n_runs for r in rows if r.arm == "within" and r.group == "held back"} == {1, 2}
    account = json.loads((written / real_brains.ACCOUNT).read_text())
    assert account["held back"] == ["02", "05"] and account["pipeline"]["fixed_on"] == ["01"]
    assert len(account["files"]) == 3 * 3 + 3 + 1 and all(len(h) == 64 for h in account["files"].values())


def test_subjects_on_whom_it_was_fixed_change_nothing_of_those_held_back(
    tree: Path, small: pytest.MonkeyPatch
) -> None:
    pipeline = Pipeline(columns=3, folds=3, fixed_on=["01"])
    what = real_brains.recorded(Study.open(tree), pipeline)
    quiet = lambda _: None  # noqa: E731
    before = real_brains.decode_all(what, pipeline, [["02", "05"]], quiet)
    what.bold["01"] *= -3
    after = real_brains.decode_all(what, pipeline, [["02", "05"]], quiet)
    for target in ("level", "words"):
        for one in ("02", "05"):
            assert np.array_equal(before.across[target][one], after.across[target][one], equal_nan=True)


def test_what_is_played_is_the_film_and_what_is_decoded_of_it(written: Path) -> None:
    lines = (written / real_brains.EXCERPT).read_text().splitlines()
    assert lines[0] == "seconds,level,tr_level,one_brain,all_brains,no_brain"
    table = np.array([[float(cell) for cell in line.split(",")] for line in lines[1:]])
    assert len(table) == round(real_brains.EXCERPT_SECONDS / real_brains.FRAME_SECONDS)
    assert np.ptp(table[:, 5]) == 0 and table[:, 2].std() > 0
    fine, coarse = 10 ** (table[:, 1] / 10), 10 ** (table[:, 2] / 10)
    assert fine.reshape(-1, 50).mean(axis=1) == pytest.approx(coarse[::50], rel=0.05)
    assert np.corrcoef(table[:, 2], table[:, 4])[0, 1] > 0.4


def test_noise_gives_nothing(tmp_path: Path) -> None:
    tree = forrest(tmp_path, follow=0.0, seed=5)
    found = study_decoding.decode_study(Study.open(tree), "level", Pipeline(columns=3, folds=3))
    assert abs(found.score.mean) < 0.25 and found.score.p is not None and found.score.p > 0.01


def test_one_command_prints_what_a_study_gives(
    tree: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from fmri_audio.cli import main

    (tmp_path / "p.yml").write_text(PIPELINE)
    words = ["study", "decode", str(tree), "--target", "words", "--pipeline", str(tmp_path / "p.yml")]
    assert main([*words, "--json", "--subjects", "02", "05"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert set(said["r"]) == {"02", "05"} and said["mean"] > 0.5 and said["effective_shifts"] < said["shifts"]
    assert main(words) == 0
    text = capsys.readouterr().out
    assert "mean r = " in text and "independent ones" in text and "chosen on 01" in text
    assert all(f"subject {one}" in text for one in SUBJECTS)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--subjects", "77"], "there is no subject 77"),
        (["--pipeline", "gone.yml"], "gone.yml"),
    ],
)
def test_what_cannot_be_decoded_is_one_sentence(
    tree: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    from fmri_audio.cli import main

    assert main(["study", "decode", str(tree), "--target", "level", *words]) == 1
    assert said in capsys.readouterr().err


def test_a_run_that_is_not_there_is_one_sentence(tree: Path) -> None:
    with pytest.raises(UserError, match="there is no run 9"):
        real_brains.recorded(Study.open(tree), Pipeline(runs=["9"]))
