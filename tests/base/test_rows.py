"""Tables of results come back as what they were."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from fmri_audio.base.errors import UserError
from fmri_audio.base.rows import read_rows, write_rows


@dataclass(frozen=True)
class Row:
    name: str
    value: float
    low: float | None
    n: int
    holds: bool


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    rows = [Row("a, b", 0.123456789, None, 3, True), Row("c", 2.0, -0.5, 4, False)]
    write_rows(rows, tmp_path / "t.csv", digits=4)
    assert (tmp_path / "t.csv").read_text().splitlines()[1] == '"a, b",0.1235,,3,True'
    found = read_rows(Row, tmp_path / "t.csv", "make t")
    assert found == [Row("a, b", 0.1235, None, 3, True), rows[1]]


def test_what_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="none.csv: not there; make it with `make t`"):
        read_rows(Row, tmp_path / "none.csv", "make t")
    (tmp_path / "old.csv").write_text("name,value\na,1\n")
    with pytest.raises(UserError, match="old.csv: has no column 'low'; make it anew with `make t`"):
        read_rows(Row, tmp_path / "old.csv", "make t")
