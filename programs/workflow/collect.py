"""Brings the tables of the chapters together: ``python -m programs collect BUILD metrics|sweep``."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from fmri_audio.base.errors import UserError
from fmri_audio.base.files import replacing
from programs.workflow.plan import NotebookRun, Plan
from programs.workflow.stamps import Stamps


def collect(plan: Plan, runs: Iterable[NotebookRun], table: Path) -> int:
    """Write the rows of several runs' tables, in order, into one; a run whose chapter has none adds none.

    Returns
    -------
    int
        Number of rows.

    Raises
    ------
    UserError
        A table is missing or damaged, or has other columns than those before it.
    """
    header: list[str] | None = None
    rows: list[list[str]] = []
    for path in (plan.results(run) for run in runs if run.chapter.table):
        first, others = _read(path)
        if header not in (None, first):
            raise UserError(
                f"{path} has other columns than the tables before it: remove it and run make book again"
            )
        header = first
        rows += others
    with replacing(table) as temporary, open(temporary, "w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, lineterminator="\n").writerows([header, *rows] if header else [])
    return len(rows)


def _read(path: Path) -> tuple[list[str], list[list[str]]]:
    """Return a table's header and its rows."""
    try:
        with open(path, newline="", encoding="utf-8") as stream:
            header, *rows = csv.reader(stream)
    except (FileNotFoundError, ValueError, csv.Error):
        header, rows = [], []
    if not header or any(len(row) != len(header) for row in rows):
        raise UserError(f"{path} is missing or damaged: run make book again, which makes it anew")
    return header, rows


def summary(table: Path) -> str:
    """Return a table of results as text: metrics as columns, one line per representation, arm and bandwidth.

    Rows about parts of the sound, single subjects or folds are averaged.
    """
    import pandas as pd

    frame = pd.read_csv(table)
    if frame.empty:
        return "no results"
    keys = ["bandwidth_kbps", "representation", "arm", "condition", "control"]
    keys = [key for key in keys if key in frame and frame[key].notna().any()]
    wide = frame.pivot_table(index=keys, columns="metric", values="value", aggfunc="mean", dropna=False)
    wide = wide.dropna(how="all").dropna(axis="columns", how="all")
    return str(wide.round(3).to_string(na_rep="", max_rows=None))


def main(words: Sequence[str]) -> None:
    """Write the table of the given name and its stamp."""
    build, name = Path(words[0]), words[1]
    plan = Plan.read(build)
    stamps = Stamps(plan)
    begun = stamps.begun(name)
    collect(plan, plan.collected(name), plan.table(name))
    stamps.write(name, begun)
