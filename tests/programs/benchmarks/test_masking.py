"""The masking benchmark at a size that takes seconds."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from fmri_audio.base.errors import UserError
from fmri_audio.study.reader import Study
from programs.__main__ import main as program
from programs.benchmarks import masking
from programs.benchmarks.table import write

SHAPE = (30, 50, 40)


def test_both_ways_are_timed_and_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masking, "SUFFIXES", (".nii.gz",))
    said: list[str] = []
    write(tmp_path / "bench.csv", masking.measure(60, 1, said.append, SHAPE))
    table = pd.read_csv(tmp_path / "bench.csv")
    assert set(table["direction"]) == {"mask .nii.gz"} <= set(masking.DIRECTIONS)
    assert (table["minutes"] == 1.5).all() and table["hardware"].str.len().gt(0).all()
    wide = table.pivot_table(index="contender", columns="metric", values="value")
    assert set(wide.index) == set(masking.CONTENDERS)
    assert wide.loc["nilearn", "least_correlation"] > 0.999
    np.testing.assert_allclose(wide["times_ours"], wide["seconds"] / wide.loc["ours", "seconds"], rtol=1e-2)
    np.testing.assert_allclose(
        wide["megabytes_per_second"], 4 * 60_000 * 60 / 1e6 / wide["seconds"], rtol=1e-2
    )
    assert (wide["peak_megabytes"] > 0).all() and (wide["peak_megabytes"] < wide["process_megabytes"]).all()
    assert any("mask .nii.gz nilearn: " in line for line in said)


def test_the_scan_is_a_study_with_two_runs_and_noise_in_grey_matter(tmp_path: Path) -> None:
    masking.write_study(tmp_path / "study", ".nii", 80, SHAPE)
    study = Study.open(tmp_path / "study")
    assert [(run.first_tr, run.last_tr) for run in study.runs] == [(0, 38), (38, 80)]
    mask = study.mask()
    bold = study.bold(1, mask)
    assert (
        mask.sum() > 100
        and bold.mean() == pytest.approx(1000, abs=1)
        and bold.std() == pytest.approx(10, rel=0.05)
    )
    z = masking.mask_by_us(tmp_path / "study")
    np.testing.assert_allclose(z[:38].std(axis=0), 1, rtol=1e-5)


def test_without_room_nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masking.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    monkeypatch.setattr(masking, "write_study", lambda *_: pytest.fail("there was no room"))
    with pytest.raises(UserError, match="are needed for the scan; set TMPDIR"):
        masking.measure(60, 1, print, SHAPE)


def test_a_contender_that_fails_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert program(["bench-masking", "ours", str(tmp_path / "nowhere")]) == 1
    assert "nowhere: there is no such folder" in capsys.readouterr().err
