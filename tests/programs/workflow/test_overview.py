"""The README's picture and sentence: the same numbers as the abstract's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from fmri_audio.base import results
from fmri_audio.base.results import Record
from fmri_audio.experiments import ladder_answer
from programs.workflow import overview, publish

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    codec = {"codec": "demo-1", "arm": "roundtrip", "condition": "none", "control": "none"}
    codec |= {"segment": "speech", "unit": "1"}
    rows = [
        Record(metric="stoi", value=0.7, representation="encodec-codes", bandwidth_kbps=6.0, n=3, **codec),
        Record(metric="stoi", value=0.8, representation="encodec-codes", bandwidth_kbps=6.0, n=8, **codec),
        Record(metric="pesq_wb", value=1.6, representation="encodec-codes", bandwidth_kbps=6.0, n=8, **codec),
        Record(metric="stoi", value=0.6, representation="mel-quantised", bandwidth_kbps=6.0, n=8, **codec),
        Record(metric="estoi", value=0.75, representation="encodec-codes", bandwidth_kbps=6.0, n=8, **codec),
        Record(metric="stoi", value=0.3, **{**codec, "control": "noise", "codec": None}),
        Record(metric="stoi", value=0.5, **{**codec, "control": "modulated-noise", "codec": None}),
        Record(metric="estoi", value=-0.03, **{**codec, "control": "modulated-noise", "codec": None}),
    ]
    path = tmp_path / "metrics.csv"
    results.write(path, rows)
    return path


def test_of_two_measurements_the_one_with_more_windows_counts(table: Path) -> None:
    shown = overview.read(table)
    assert shown.codec.loc[6.0, "stoi"] == 0.8
    assert shown.checkpoint == "demo-1"
    assert shown.floor == {"stoi": 0.5, "estoi": -0.03}
    said = " ".join(publish.result_sentence(table).split())
    assert "1.60 / 0.80 / 0.75 at 6 kbps" in said and "a STOI of 0.50 and an ESTOI of -0.03" in said
    assert said.endswith(ladder_answer.said())


def test_the_picture_is_small(tmp_path: Path) -> None:
    overview.draw(tmp_path / "overview.png")
    assert (tmp_path / "overview.png").stat().st_size < 80_000
    assert Image.open(tmp_path / "overview.png").width > 600


def test_the_readme_and_the_abstract_say_the_same() -> None:
    cited = json.loads((ROOT / "results" / "demo" / "glued" / "01-introduction.json").read_text())
    shown = overview.read(ROOT / "results" / "demo" / "metrics.csv")
    for metric in ("stoi", "pesq_wb"):
        assert shown.codec.loc[cited["kbps"], metric] == pytest.approx(cited[f"codec_{metric}"], rel=1e-4)
