"""The tables that a run writes as it goes, one row at a time."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from fmri_audio.base.files import write_text


def append_row(path: Path, row: Mapping[str, float]) -> None:
    """Add a row; the first one brings the names of the columns."""
    fresh = not path.exists()
    with path.open("a", newline="") as stream:
        writer = csv.DictWriter(stream, list(row))
        if fresh:
            writer.writeheader()
        writer.writerow({k: f"{v:.6g}" for k, v in row.items()})


def forget_after(path: Path, step: int) -> None:
    """Drop a table's rows about steps that will be taken again."""
    if path.is_file():
        head, *rows = path.read_text().splitlines(keepends=True)
        write_text(path, head + "".join(row for row in rows if float(row.split(",")[0]) <= step))
