"""Brings the tables of a run's chapters together: ``python -m fmri_audio.pipeline.collect BUILD TABLE RUN…``."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable
from pathlib import Path

from fmri_audio.command import command
from fmri_audio.files import replacing
from fmri_audio.pipeline.plan import Plan, Run


def collect(plan: Plan, runs: Iterable[Run], table: Path) -> int:
    """Write the rows of several runs' tables, in order, into one; a run that wrote none adds none.

    Returns
    -------
    int
        Number of rows.
    """
    header: list[str] | None = None
    rows: list[list[str]] = []
    for run in runs:
        path = plan.results(run)
        if not path.is_file():
            continue
        with open(path, newline="", encoding="utf-8") as stream:
            first, *others = csv.reader(stream)
        if header is not None and first != header:
            raise ValueError(f"{path} has other columns than the tables before it")
        header = first
        rows += others
    with replacing(table) as temporary, open(temporary, "w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, lineterminator="\n").writerows([header, *rows] if header else [])
    return len(rows)


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


@command()
def main(build: Path, table: Path, names: list[str]) -> None:
    """Collect the runs of the given names."""
    plan = Plan.read(build)
    collect(plan, [plan.run(name) for name in names], table)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]))
