"""Tables of results: one dataclass per row, written whole or not at all, and read back as what they were."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar

from fmri_audio.base.errors import UserError
from fmri_audio.base.files import replacing

Row = TypeVar("Row")


def write_rows(rows: Sequence[Any], path: Path, digits: int = 6) -> None:
    """Write rows of one dataclass as a table.

    Parameters
    ----------
    rows : sequence of a dataclass
        At least one.
    path : Path
    digits : int
        That count, of numbers that are not whole.
    """
    with replacing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as stream:
        table = csv.DictWriter(stream, [field.name for field in fields(rows[0])], lineterminator="\n")
        table.writeheader()
        for row in rows:
            table.writerow({name: _shown(value, digits) for name, value in asdict(row).items()})


def read_rows(kind: type[Row], path: Path, made_by: str) -> list[Row]:
    """Read a table.

    Parameters
    ----------
    kind : dataclass
        Of a row; its fields are text, whether something is so, or numbers, which may be empty where None is allowed.
    path : Path
    made_by : str
        The command that makes the table, for the sentence.

    Raises
    ------
    UserError
        The table is not there, or not of this kind.
    """
    if not path.is_file():
        raise UserError(f"{path}: not there; make it with `{made_by}`")
    with open(path, newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    named = fields(kind)  # type: ignore[arg-type]
    try:
        return [kind(**{one.name: _value(row[one.name], str(one.type)) for one in named}) for row in rows]
    except KeyError as missing:
        raise UserError(f"{path}: has no column {missing}; make it anew with `{made_by}`") from None


def _shown(value: object, digits: int) -> object:
    if value is None:
        return ""
    return f"{value:.{digits}g}" if isinstance(value, float) else value


def _value(text: str, kind: str) -> object:
    if "None" in kind and not text:
        return None
    name = kind.split(" | ")[0]
    if name == "bool":
        return text == "True"
    return int(text) if name == "int" else float(text) if name == "float" else text
