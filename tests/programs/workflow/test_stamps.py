"""Stamps: what is read of them, and what they are compared by."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fmri_audio.base.errors import UserError
from fmri_audio.base.files import write_if_changed
from programs.workflow.collect import collect
from programs.workflow.plan import Chapter, Plan
from programs.workflow.stamps import Stamp

WHOLE = {"made_from": ["1a  code"], "inputs": {}, "files": {"a.csv": "2b", "a.ipynb": "3c"}}


def test_stamp_is_what_was_written(tmp_path: Path) -> None:
    (tmp_path / "stamp").write_text(json.dumps(WHOLE))
    assert Stamp.read(tmp_path / "stamp") == Stamp(**WHOLE)
    assert Stamp.read(tmp_path / "none") is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"3",
        b"\xff\xfe",
        b"{}",
        json.dumps({**WHOLE, "files": []}).encode(),
        json.dumps({**WHOLE, "made_from": "1a"}).encode(),
        json.dumps({**WHOLE, "more": 1}).encode(),
    ],
)
def test_damaged_stamp_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "stamp").write_bytes(content)
    assert Stamp.read(tmp_path / "stamp") is None


@pytest.mark.parametrize(
    ("path", "ours"),
    [
        ("audio/a.flac", True),
        ("../cache/a.npz", True),
        ("../demo.yml", False),
        ("/etc/a", False),
        ("audio/../../../a", False),
        ("..", False),
        ("../cache/../a", False),
    ],
)
def test_stamp_that_leads_out_of_the_build_folder_is_none(tmp_path: Path, path: str, ours: bool) -> None:
    (tmp_path / "stamp").write_text(json.dumps({**WHOLE, "files": {path: "2b"}}))
    assert (Stamp.read(tmp_path / "stamp") is not None) == ours


def test_notebooks_count_for_pages_and_not_for_chapters() -> None:
    stamp = Stamp(**WHOLE)
    other = Stamp(**{**WHOLE, "files": {"a.csv": "2b", "a.ipynb": "4d"}})
    assert stamp.meaning(pages=False) == other.meaning(pages=False)
    assert stamp.meaning(pages=True) != other.meaning(pages=True)
    assert stamp.meaning(pages=False) != Stamp(**{**WHOLE, "files": {"a.csv": "5e"}}).meaning(pages=False)


def test_file_that_is_no_text_is_written_anew(tmp_path: Path) -> None:
    (tmp_path / "edition.yml").write_bytes(b"\xff\xfe")
    assert write_if_changed(tmp_path / "edition.yml", "edition: demo\n")
    assert not write_if_changed(tmp_path / "edition.yml", "edition: demo\n")


@pytest.mark.parametrize("content", [b"\xff\xfe", b"edition: [", b"", b"- demo"])
def test_damaged_edition_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "edition.yml").write_bytes(content)
    with pytest.raises(UserError, match=r"edition\.yml is missing or damaged: start with make book"):
        Plan.read(tmp_path)


@pytest.mark.parametrize("content", [None, b"", b"metric,value\nstoi", b"\xff\xfe"])
def test_table_that_is_missing_or_cut_off_is_named(tmp_path: Path, content: bytes | None) -> None:
    chapters = (Chapter("a", table=True), Chapter("b", table=True), Chapter("c"))
    plan = Plan(tmp_path, {"edition": "demo", "bandwidths": [6.0], "main_bandwidth": 6.0}, chapters)
    (tmp_path / "results").mkdir()
    for name in ("a", "b"):
        (tmp_path / "results" / f"{name}.csv").write_text("metric,value\nstoi,0.5\n")
    assert collect(plan, plan.runs, tmp_path / "all.csv") == 2
    (tmp_path / "results" / "b.csv").unlink()
    if content is not None:
        (tmp_path / "results" / "b.csv").write_bytes(content)
    with pytest.raises(UserError, match=r"b\.csv is missing or damaged"):
        collect(plan, plan.runs, tmp_path / "all.csv")
