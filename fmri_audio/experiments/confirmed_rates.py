"""Rates of false alarms that miss the level in the calibration, each simulated again with seeds of its own.

Of several rates some miss by chance. Which are simulated again, how often and by what rule they are judged is
``config/analyses/calibration.yml``, written before. ``make confirm-rates`` writes ``results/confirmed-rates.csv``:
a row for each rate that missed, and no table where all hold.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import joblib
from pydantic import Field, ValidationError

from fmri_audio.base import command
from fmri_audio.base.documents import load_yaml
from fmri_audio.base.errors import UserError
from fmri_audio.base.files import check_writable
from fmri_audio.base.rows import read_rows, write_rows
from fmri_audio.base.settings import PositiveInt, Section, project_root
from fmri_audio.experiments import calibration
from fmri_audio.experiments.calibration import CalibrationRow, Heard

TABLE = Path("results") / "confirmed-rates.csv"
SETTINGS = Path("config") / "analyses" / "calibration.yml"
MODULE = "fmri_audio.experiments.confirmed_rates"


class Rule(Section):
    """What ``config/analyses/calibration.yml`` says.

    Attributes
    ----------
    studies : int
        Simulated anew for every rate that missed.
    first_seed : int
    limit : float
        What the upper end of their 99 % interval may not exceed.
    """

    studies: PositiveInt
    first_seed: PositiveInt
    limit: float = Field(gt=0, lt=1)

    @classmethod
    def read(cls, path: Path | None = None) -> Rule:
        """Read it; a :class:`UserError` names the key that is wrong."""
        path = path or project_root() / SETTINGS
        try:
            return cls.model_validate(load_yaml(path))
        except ValidationError as error:
            first = error.errors()[0]
            raise UserError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def missed(rows: Sequence[CalibrationRow]) -> list[CalibrationRow]:
    """Find the rates of a calibration whose own interval does not hold the level."""
    return [row for row in single_rates(rows) if not row.holds]


def single_rates(rows: Sequence[CalibrationRow]) -> list[CalibrationRow]:
    """Find the rates of false alarms of one model of a voxel and one number of subjects."""
    return [
        row
        for row in rows
        if row.quantity == "rejection_rate"
        and row.variant.startswith("null")
        and row.voxels != calibration.TOGETHER
    ]


def key(row: CalibrationRow) -> tuple[str, str, str, int]:
    """Which figure a row is."""
    return row.variant, row.quantity, row.voxels, row.subjects


def confirmed(
    rows: Sequence[CalibrationRow], rule: Rule, play: Heard, jobs: int, say: Callable[[str], None]
) -> list[CalibrationRow]:
    """Simulate again what missed.

    Parameters
    ----------
    rows : sequence of CalibrationRow
        Of a calibration.
    rule : Rule
    play : Heard
        The whole play.
    jobs : int
        Processes. They change nothing but the time.
    say : callable
        Takes one line of progress.
    """
    made_by = calibration.decided_by(MODULE)
    opening = play.excerpt(0, calibration.N_TRS)
    found = []
    for row in missed(rows):
        say(f"{row.variant}, {row.voxels}, {row.subjects} subjects again: {rule.studies} studies")
        one = row.variant == "null-one-excerpt"
        study = calibration.identify_once if one else calibration.identify_drawn
        studies = joblib.Parallel(n_jobs=jobs)(
            joblib.delayed(study)(
                opening if one else play,
                "null" if one else row.variant,
                rule.first_seed + k,
                row.voxels,
                row.subjects,
            )
            for k in range(rule.studies)
        )
        found.append(judged(row, sum(one.p <= calibration.ALPHA for one in studies), rule, made_by))
    return found


def judged(row: CalibrationRow, hits: int, rule: Rule, made_by: str) -> CalibrationRow:
    """Hold the studies that were simulated again to the rule."""
    low, high = calibration.exact_interval(hits, rule.studies)
    return CalibrationRow(
        row.variant,
        row.quantity,
        hits / rule.studies,
        low,
        high,
        rule.studies,
        f"the interval holds {calibration.ALPHA:g} and ends by {rule.limit:g}",
        low <= calibration.ALPHA <= high <= rule.limit,
        rule.first_seed,
        made_by,
        row.voxels,
        row.subjects,
    )


def read(path: Path | None = None) -> list[CalibrationRow]:
    """Read the table of the project, or another one; without a table nothing had to be confirmed."""
    path = path or project_root() / TABLE
    return read_rows(CalibrationRow, path, "make confirm-rates") if path.exists() else []


def main(words: Sequence[str]) -> int:
    """Make the table from the calibration's and print it; return 1 where a rate misses again."""
    parser = argparse.ArgumentParser("make confirm-rates", description=str(__doc__).split("\n\n")[0])
    parser.add_argument("--table", type=Path, default=project_root() / calibration.TABLE)
    parser.add_argument("--jobs", type=command.processes, default=2, help="processes")
    parser.add_argument("--out", type=Path, default=project_root() / TABLE)
    asked = parser.parse_args(words)
    check_writable(asked.out)
    rows, rule = calibration.read(asked.table), Rule.read()
    if not missed(rows):
        asked.out.unlink(missing_ok=True)
        print("every rate of false alarms holds the level: nothing to confirm")
        return 0
    found = confirmed(
        rows,
        rule,
        Heard.of(calibration.whole_play()),
        asked.jobs,
        lambda line: print(line, file=sys.stderr, flush=True),
    )
    write_rows(found, asked.out)
    for row in found:
        print(
            f"{row.variant} {row.voxels} {row.subjects} {row.value:.3f} ({row.ci_low:.3f} to {row.ci_high:.3f}): "
            f"{row.expected}, {'yes' if row.holds else 'NO'}"
        )
    return 0 if all(row.holds for row in found) else 1
