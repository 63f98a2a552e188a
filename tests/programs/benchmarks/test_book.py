"""The table of where the book's time goes is taken from what the pipeline noted."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from fmri_audio.base.errors import UserError
from fmri_audio.base.files import to_json, write_text
from programs.benchmarks import book
from programs.workflow.times import Step, Times, from_nothing, noting, times_file


def test_shares_are_of_the_steps_sum(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book, "project_root", lambda: tmp_path)
    steps = (Step("encoding", 30.0, 50.0), Step("07-evaluation", 90.0, 80.0))
    times = Times(steps, 100.0, 2, 4, 6.0, "CPU, 4 cores")
    assert not book.recorded("demo")
    with pytest.raises(
        UserError, match=r"build/demo/times\.json does not exist: .* make clean, then make book EDITION=demo"
    ):
        book.measure("demo")
    write_text(times_file(tmp_path / "build" / "demo"), to_json(asdict(times)))
    assert book.recorded("demo")
    rows = book.measure("demo")
    found = {(row.contender, row.metric): row.value for row in rows}
    assert found["encoding", "share"] == 0.25 and found["07-evaluation", "share"] == 0.75
    assert found["whole", "seconds"] == 100 and found["whole", "processor_seconds"] == 130
    assert found["whole", "jobs"] == 2
    assert {(row.direction, row.hardware, row.threads, row.minutes) for row in rows} == {
        ("book demo", "CPU, 4 cores", 4, 6.0)
    }


def test_an_edition_is_from_nothing_only_without_results_and_cache(tmp_path: Path) -> None:
    build = tmp_path / "demo"
    assert from_nothing(build)
    build.mkdir()
    (build / ".lock").touch()
    (tmp_path / "cache").mkdir()
    assert from_nothing(build)
    (tmp_path / "cache" / "encoding-1.npz").touch()
    assert not from_nothing(build)
    (tmp_path / "cache" / "encoding-1.npz").unlink()
    (build / "models").mkdir()
    assert not from_nothing(build)


def test_what_fails_is_not_noted(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), noting(tmp_path, "one"):
        _ = 1 / 0
    assert not list(tmp_path.rglob("*.json"))
    with noting(tmp_path, "one"):
        pass
    assert (tmp_path / "times" / "one.json").is_file()
