"""The benchmark's front: parts are measured alone or together, and the table is written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from programs.__main__ import main as program
from programs.benchmarks import book, codec, masking, ridge, run, training
from programs.benchmarks.table import Row, write

HEAD = "direction,contender,metric,value,unit,low,high,n,minutes,threads,hardware"


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stand-ins for every part, which note that they were asked."""
    asked: list[str] = []

    def stand_in(name: str, direction: str) -> object:
        def measure(*_: object) -> list[Row]:
            asked.append(name)
            return [Row(direction, "ours", "seconds", 7.0, "s")]

        return measure

    monkeypatch.setattr(codec, "measure_codec", stand_in("codec", "encode"))
    monkeypatch.setattr(masking, "measure", stand_in("masking", "mask .nii"))
    monkeypatch.setattr(training, "measure", stand_in("training", "train full width"))
    monkeypatch.setattr(ridge, "measure", stand_in("ridge", "ridge 80000"))
    monkeypatch.setattr(book, "measure", stand_in("book", "book demo"))
    monkeypatch.setattr(book, "recorded", lambda _: False)
    return asked


def test_nonsense_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, said in (
        (["--minutes", "0"], "give positive numbers"),
        (["--repetitions", "0"], "give positive numbers"),
        (["--only", "masking", "--trs", "5"], "--trs 5: give at least 40"),
        (["--only", "ridge", "--voxels", "5"], "--voxels 5"),
        (["--only", "book", "--edition", "nothere"], "there is no edition 'nothere'"),
    ):
        assert program(["bench", *arguments, "--out", str(tmp_path / "b.csv")]) == 1
        assert said in capsys.readouterr().err
    assert not (tmp_path / "b.csv").exists()


@pytest.mark.parametrize("part", sorted(run.BENCHMARKS))
def test_a_part_is_replaced_and_the_others_keep_their_figures(
    part: str, tmp_path: Path, measured: list[str]
) -> None:
    path = tmp_path / "bench.csv"
    directions = {
        "codec": "decode",
        "masking": "mask .nii.gz",
        "training": "train",
        "ridge": "ridge 4000",
        "book": "book smoke",
    }
    write(path, [Row(one, "ours", "seconds", 1.23456, "s", 1.0, 2.0, 3) for one in directions.values()])
    before = path.read_text().splitlines()
    assert run.main(["--only", part, "--out", str(path)]) == 0
    lines = path.read_text().splitlines()
    assert measured == [part]
    assert lines[:-1] == [line for line in before if not line.startswith(f"{directions[part]},")]
    assert lines[-1].endswith(",ours,seconds,7,s,,,1,0,0,")


def test_all_parts_together_replace_the_table_but_the_times_of_a_book_that_was_not_made(
    tmp_path: Path, measured: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bench.csv"
    write(path, [Row("encode", "gone", "seconds", 1.0, "s"), Row("book demo", "whole", "seconds", 9.0, "s")])
    assert run.main(["--out", str(path)]) == 0
    assert measured == ["codec", "masking", "training", "ridge"]
    assert "book: left out" in capsys.readouterr().out
    assert path.read_text().splitlines()[1:3] == [
        "book demo,whole,seconds,9,s,,,1,0,0,",
        "encode,ours,seconds,7,s,,,1,0,0,",
    ]
    monkeypatch.setattr(book, "recorded", lambda _: True)
    assert run.main(["--out", str(path)]) == 0
    assert "book demo,ours," in path.read_text() and "whole" not in path.read_text()


@pytest.mark.parametrize(("part", "word"), [("codec", "encode"), ("ridge", "ridge 80000")])
@pytest.mark.parametrize("has_gpu", [False, True])
def test_what_another_device_took_stays(
    tmp_path: Path, measured: list[str], monkeypatch: pytest.MonkeyPatch, has_gpu: bool, part: str, word: str
) -> None:
    monkeypatch.setattr(run.torch.cuda, "is_available", lambda: has_gpu)
    path, stays = tmp_path / "bench.csv", word if has_gpu else f"{word} gpu"
    write(path, [Row(direction, "package", "seconds", 1.0, "s") for direction in (word, f"{word} gpu")])
    assert run.main(["--only", part, "--out", str(path)]) == 0
    rows = [line.split(",")[:2] for line in path.read_text().splitlines()[1:]]
    assert [row for row in rows if row[1] == "package"] == [[stays, "package"]] and len(rows) == 2


def test_a_table_with_other_columns_is_found_before_anything_is_measured(
    tmp_path: Path, measured: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bench.csv"
    path.write_text("direction,value\nencode,1\n")
    assert program(["bench", "--only", "masking", "--out", str(path)]) == 1
    assert "other columns" in capsys.readouterr().err
    assert path.read_text() == "direction,value\nencode,1\n" and measured == []


def test_the_published_table_belongs_to_the_parts() -> None:
    """Every row's direction begins with a word of exactly one part."""
    from programs.benchmarks.table import read

    words = [word for words, _ in run.BENCHMARKS.values() for word in words.split("|")]
    assert len(set(words)) == len(words)
    rows = read(Path(__file__).resolve().parents[3] / "results" / "bench.csv")
    assert rows and {row["direction"].split()[0] for row in rows} <= set(words)
