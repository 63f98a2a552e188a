"""Tidy tables: the columns of the design, written whole, read back equal."""

from __future__ import annotations

import dataclasses
import math
import re
from pathlib import Path

import pandas as pd
import pytest

from fmri_audio.base import results
from fmri_audio.base.results import COLUMNS, Record


def test_columns_are_the_fields_of_a_record() -> None:
    assert sorted(COLUMNS) == sorted(field.name for field in dataclasses.fields(Record))
    assert COLUMNS[:6] == ("edition", "study", "codec", "representation", "arm", "bandwidth_kbps")
    assert COLUMNS[14:21] == ("metric", "value", "ci_low", "ci_high", "n", "unit", "hardware")
    assert COLUMNS[21:] == ("decoder", "noise", "material")


def test_tables_read_back_as_written(tmp_path: Path) -> None:
    path = tmp_path / "new" / "table.csv"
    results.write(
        path,
        [
            Record(
                metric="pesq_wb", value=2.64, unit="MOS-LQO", bandwidth_kbps=6.0, seed=3, codec="demo-1, a"
            ),
            Record(metric="stoi", value=math.nan, unit="1", control="random", subject="s01"),
        ],
    )
    first, second = path.read_text().splitlines()[1:]
    assert first == ',,"demo-1, a",,,6,,,,,,,,3,pesq_wb,2.64,,,,MOS-LQO,,,,'
    assert ",stoi,nan,,,,1,,,," in second
    table = results.read(path)
    assert tuple(table.columns) == COLUMNS
    assert table["value"].iloc[0] == 2.64 and pd.isna(table["value"].iloc[1])
    assert table["control"].iloc[1] == "random" and pd.isna(table["control"].iloc[0])
    assert [entry.name for entry in path.parent.iterdir()] == ["table.csv"], "no temporary file is left"


def test_several_tables_are_joined_in_order(tmp_path: Path) -> None:
    for name in "ab":
        results.write(tmp_path / f"{name}.csv", [Record(metric=name, value=1.0, unit="1")])
    assert results.read([tmp_path / "b.csv", tmp_path / "a.csv"])["metric"].tolist() == ["b", "a"]
    assert results.read([]).empty and tuple(results.read([]).columns) == COLUMNS


def test_tables_of_before_there_were_more_columns_are_read(tmp_path: Path) -> None:
    results.write(tmp_path / "new.csv", [Record(metric="new", value=1.0, unit="1", decoder="own")])
    (tmp_path / "old.csv").write_text(",".join(COLUMNS[:21]) + "\n" + "demo,,,,,,,,,,,,,,old,2,,,,1,\n")
    table = results.read([tmp_path / "old.csv", tmp_path / "new.csv"])
    assert tuple(table.columns) == COLUMNS and table["value"].tolist() == [2.0, 1.0]
    assert table["decoder"].isna().tolist() == [True, False]
    assert table.dtypes.equals(results.read(tmp_path / "new.csv").dtypes)


def test_noise_is_written_with_its_level_and_kind() -> None:
    assert [results.noise_of(level) for level in (0, 0.25, 1)] == [
        "none",
        "covarying x 0.25",
        "covarying x 1",
    ]
    assert results.noise_of(1, independent=True) == "independent x 1"


def test_other_tables_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=re.escape("not a results table")):
        results.read(tmp_path / "x.csv")


def test_a_table_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    results.write(path, [Record(metric="m", value=1.0, unit="1")])
    before = path.read_text()
    with pytest.raises(TypeError, match="truth values"):
        results.write(path, [Record(metric="m", value=True, unit="1")])
    assert path.read_text() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["t.csv"]


def test_fill_sets_only_what_is_empty() -> None:
    filled = results.fill(Record(metric="m", value=1.0, unit="1", seed=0), edition="demo", seed=5)
    assert (filled.edition, filled.seed) == ("demo", 0)


def test_hardware_names_what_computes() -> None:
    assert re.fullmatch(r"CPU, \d+ cores?|.+", results.hardware())
