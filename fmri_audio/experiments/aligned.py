"""What turning brains onto a shared response buys: every run held out once, and decoded from more and more subjects.

Averaging BOLD and averaging predictions is what a group decoder does without it. A decoder for a newcomer asks for
more: nothing that the newcomer's brain said is known together with the target.

================  ====================================================================================================
``within``        one subject's own decoder
``bold``          one decoder of the subjects' averaged BOLD
``components``    one decoder of the principal components of the subjects' averaged BOLD, as many as is best in training
``predictions``   the mean of what the subjects' own decoders predict
``shared``        one decoder of the subjects' shared response; of one subject, of its principal components
``bold-new``      a decoder of the others' averaged BOLD, which reads a subject that it was not trained on
``shared-new``    a decoder of the others' shared response, onto which that subject's training BOLD was turned
================  ====================================================================================================

``python -m programs aligned FOLDER`` compares them on the level of a measured study, both sides without what takes
longer than 128 s, and writes ``results/aligned.csv``. Beside every figure stands what the same gives with the level of
every run turned round (``null``).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from scipy.stats import t

from fmri_audio.base.command import processes
from fmri_audio.base.errors import UserError
from fmri_audio.base.files import check_writable
from fmri_audio.base.fingerprint import fingerprint
from fmri_audio.base.kinds import Block, Matrix
from fmri_audio.base.rows import read_rows, write_rows
from fmri_audio.base.settings import project_root
from fmri_audio.brain.agreement import correlate
from fmri_audio.brain.cleaning import clean_blocks
from fmri_audio.decoding.group import (
    Reading,
    averaged_bold,
    averaged_predictions,
    decode_averaged_bold,
    decode_each,
    fit_shared_decoders,
)
from fmri_audio.decoding.regression import cleaned_for
from fmri_audio.decoding.series import PIPELINE_FILE, Pipeline
from fmri_audio.decoding.shared_response import Brains
from fmri_audio.experiments.real_brains import recorded
from fmri_audio.study.facts import Subject
from fmri_audio.study.lag_windows import lagged
from fmri_audio.study.reader import Study
from fmri_audio.study.splits import Split, least_gap, leave_one_run_out

COLUMNS = ("method", "n_subjects", "subject", "run", "target", "r")
"""Of the table: ``subject`` is the one decoded, or the first of a group; ``run`` counts from 1, ``target`` from 0."""

Row = tuple[str, int, Subject, int, int, float]


@dataclass(frozen=True)
class Comparison:
    """What is compared, and how it is fitted.

    Attributes
    ----------
    reading : Reading
    ks : sequence of int
        Features of the shared response to choose from within training.
    counts : sequence of int
        Numbers of subjects that are decoded together.
    n_groups : int
        Groups of each size; each begins with another subject and takes those that follow, round the circle.
    newcomers : sequence of subjects
        Who is left out of training and decoded all the same.
    """

    reading: Reading
    ks: Sequence[int]
    counts: Sequence[int]
    n_groups: int = 1
    newcomers: Sequence[Subject] = ()


def aligned(
    bold: Brains,
    target: Matrix,
    runs: Sequence[Block],
    comparison: Comparison,
    *,
    tr: Fraction,
    gap: int,
    jobs: int = 1,
) -> pd.DataFrame:
    """Hold out every run once, and correlate what is predicted of it with the truth.

    Parameters
    ----------
    bold : mapping of subject to array, shape [TRs, voxels]
        As read; cleaned here for every split. Voxels have to match, for averages.
    target : array, shape [TRs, targets]
        Of the whole stimulus, each decoded as if it were alone; of each split only training TRs are fitted. BOLD
        loses here what is slower than 128 s: a slow target asks for the same filter, run by run
        (:func:`fmri_audio.brain.cleaning.clean_blocks`), or else is scored for what no volume tells any more.
    runs : sequence of (first, last)
        TRs of each run.
    comparison : Comparison
    tr : Fraction
        Seconds.
    gap : int
        TRs between training and testing; at least :func:`fmri_audio.study.splits.least_gap`.
    jobs : int
        Processes, which hold out a run each.

    Returns
    -------
    DataFrame
        ``COLUMNS``

    Raises
    ------
    UserError
        There are fewer than two runs, a number of subjects or a newcomer is impossible, or BOLD and target do not
        have the same TRs.
    """
    _check(bold, target, runs, comparison)
    reading = comparison.reading
    splits = leave_one_run_out(runs, gap=gap, lags=reading.lags, shift=reading.shift, tr=tr)
    several = Parallel(n_jobs=jobs)(
        delayed(rows_of)(bold, target, split, comparison, tr, run) for run, split in enumerate(splits, 1)
    )
    return pd.DataFrame([row for rows in several for row in rows], columns=[*COLUMNS])


def rows_of(
    bold: Brains, target: Matrix, split: Split, comparison: Comparison, tr: Fraction, run: int
) -> list[Row]:
    """Every comparison for one held-out run.

    Parameters
    ----------
    bold : mapping of subject to array, shape [TRs, voxels]
        As read.
    target : array, shape [TRs, targets]
    split : Split
    comparison : Comparison
    tr : Fraction
        Seconds.
    run : int
        Its number, for the rows.
    """
    clean = {subject: cleaned_for(one, split, tr) for subject, one in bold.items()}
    scored = _Scored(clean, target, split, comparison)
    found = [*scored.groups(), *scored.left_out()]
    return [
        (method, count, subject, run, column, float(r))
        for method, count, subject, predicted in found
        for column, r in enumerate(correlate(predicted, target[split.test]))
    ]


def groups(subjects: Sequence[Subject], count: int, n_groups: int) -> list[list[Subject]]:
    """Groups of so many subjects, round the circle, their beginnings spread evenly; all subjects make one group."""
    n, wanted = len(subjects), 1 if count == len(subjects) else min(n_groups, len(subjects))
    starts = [i * n // wanted for i in range(wanted)]
    return [[subjects[(start + i) % n] for i in range(count)] for start in starts]


Predicted = tuple[str, int, Subject, Matrix]


@dataclass(frozen=True)
class _Scored:
    """One held-out run: what every method predicts of it, and how well."""

    bold: Brains
    target: Matrix
    split: Split
    comparison: Comparison

    def groups(self) -> Iterator[Predicted]:
        """Subjects alone, and groups of them."""
        asked, common = self.comparison, (self.target, self.split, self.comparison.reading)
        alone = {subject: one for subject, (one, _) in decode_each(self.bold, *common).items()}
        for subject, predicted in alone.items():
            yield "within", 1, subject, predicted
        for count in asked.counts:
            for members in groups([*self.bold], count, asked.n_groups):
                brains = {subject: self.bold[subject] for subject in members}
                mean = averaged_predictions([alone[subject] for subject in members])
                yield "predictions", count, members[0], mean
                # The average of one subject is that subject.
                one = mean if count == 1 else decode_averaged_bold(brains, *common)[0]
                yield "bold", count, members[0], one
                average = {members[0]: averaged_bold(brains, self.split)}
                yield "components", count, members[0], self.shared(average)
                yield "shared", count, members[0], self.shared(brains)

    def left_out(self) -> Iterator[Predicted]:
        """Subjects on whom no decoder was trained."""
        asked, reading = self.comparison, self.comparison.reading
        common = (self.target, self.split, reading)
        for subject in asked.newcomers:
            others = {name: one for name, one in self.bold.items() if name != subject}
            own = self.bold[subject]
            _, ridge = decode_averaged_bold(others, *common)
            read = lagged(own, self.split.test, reading.lags, reading.shift)
            yield "bold-new", len(others), subject, ridge.predict(read)
            yield "shared-new", len(others), subject, self.shared(others, {subject: own})

    def shared(self, bold: Brains, newcomer: Brains | None = None) -> Matrix:
        """What decoders of some subjects' shared response predict of them, or of a newcomer turned onto it."""
        asked, found = self.comparison, []
        for decoder in fit_shared_decoders(bold, self.target, self.split, asked.reading, ks=asked.ks):
            for subject, own in (newcomer or {}).items():
                decoder = decoder.with_subject(subject, own)
            found.append(decoder.predict(newcomer or bold, self.split.test))
        return np.hstack(found)


# -- the table ------------------------------------------------------------------------------------------------

TABLE = Path("results/aligned.csv")
KS, N_FOLDS, GROUP_SIZES, N_GROUPS = (40, 160), 3, (3,), 3
#: The level of every run is turned round by these shares of it, for chance.
TURNS = tuple(k / 10 for k in range(1, 10))
AGAINST = {"components": "bold", "predictions": "bold", "shared": "components", "shared-new": "bold-new"}
"""What a method is compared with, run by run: the shared response with what it is without any turning."""


@dataclass(frozen=True)
class AlignedRow:
    """One method and number of subjects.

    Attributes
    ----------
    method : str
    n_subjects : int
        Whose brains the decoder was made of.
    r, low, high : float
        Correlation with the held-out level, mean over groups and runs, with a 95 % interval over runs.
    null, null_low, null_high : float
        The same with the level turned round, mean over turns, and the lowest and highest of them.
    less : str
        The method that it is compared with; empty where there is none.
    difference, difference_low, difference_high : float, optional
        By how much it is better, with a 95 % interval over runs.
    n_groups, n_runs : int
    made_by : str
        Hash of code and libraries.
    """

    method: str
    n_subjects: int
    r: float
    low: float
    high: float
    null: float
    null_low: float
    null_high: float
    less: str
    difference: float | None
    difference_low: float | None
    difference_high: float | None
    n_groups: int
    n_runs: int
    made_by: str


def summarised(found: pd.DataFrame, null: pd.DataFrame, made_by: str) -> list[AlignedRow]:
    """Average groups within runs, then over runs.

    Parameters
    ----------
    found, null : DataFrame
        Of :func:`aligned`, with the level in its place and turned round.
    made_by : str
    """
    rows = []
    for method, count in dict.fromkeys(zip(found["method"], found["n_subjects"], strict=True)):
        values = _by_run(found, method, count)
        mean, low, high = _with_interval(values)
        less = AGAINST.get(method, "") if count > 1 else ""
        difference, difference_low, difference_high = (
            _with_interval(values - _by_run(found, less, count)) if less else (None, None, None)
        )
        same = (null["method"] == method) & (null["n_subjects"] == count)
        groups_of = found[(found["method"] == method) & (found["n_subjects"] == count)]["subject"].nunique()
        turns = null[same].groupby("target")["r"].mean()
        rows.append(
            AlignedRow(
                method,
                int(count),
                mean,
                low,
                high,
                float(turns.mean()),
                float(turns.min()),
                float(turns.max()),
                less,
                difference,
                difference_low,
                difference_high,
                groups_of,
                len(values),
                made_by,
            )
        )
    return rows


def _by_run(found: pd.DataFrame, method: str, count: int) -> pd.Series:
    own = found[(found["method"] == method) & (found["n_subjects"] == count)]
    return own.groupby("run")["r"].mean()


def _with_interval(values: pd.Series) -> tuple[float, float, float]:
    mean = float(values.mean())
    half = float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return mean, mean - half, mean + half


def turned_level(level: Matrix, runs: Sequence[Block], share: float) -> Matrix:
    """The level [TRs, 1] of every run turned round by a share of it."""
    turned = np.array(level)
    for first, last in runs:
        turned[first:last] = np.roll(level[first:last], round(share * (last - first)), axis=0)
    return turned


def read(path: Path | None = None) -> list[AlignedRow]:
    """Read the table of the project, or another one.

    Raises
    ------
    UserError
        It is not there.
    """
    return read_rows(AlignedRow, path or project_root() / TABLE, "make aligned")


def made_by() -> str:
    """Hash of the code and libraries behind the table."""
    return fingerprint("fmri_audio.experiments.aligned")[:16]


def main(words: Sequence[str]) -> int:
    """Make the table and print it; return the exit status."""
    parser = argparse.ArgumentParser("aligned", description=str(__doc__).split("\n\n")[0])
    parser.add_argument("folder", type=Path, help="study of parcels, see make data STUDY=studyforrest")
    parser.add_argument("--pipeline", type=Path, default=project_root() / PIPELINE_FILE)
    parser.add_argument("--jobs", type=processes, default=1, help="processes")
    parser.add_argument("--out", type=Path, default=project_root() / TABLE)
    asked = parser.parse_args(words)
    check_writable(asked.out)
    pipeline, study = Pipeline.read(asked.pipeline), Study.open(asked.folder)
    held_back = [one for one in study.subjects if str(one) not in map(str, pipeline.fixed_on)]
    what = recorded(study, pipeline, ("level",), held_back)
    lags = pipeline.lags(what.tr)
    level = clean_blocks(what.heard["level"][:, None].astype(np.float32), what.runs, what.tr)
    everybody, columns = len(what.bold), next(iter(what.bold.values())).shape[1]
    sizes = (*(count for count in GROUP_SIZES if count < everybody), everybody)
    ks = sorted({min(k, columns) for k in KS})
    asking = Comparison(Reading(lags, what.shift, N_FOLDS), ks, sizes, N_GROUPS, held_back)
    print(f"{everybody} subjects, {len(what.runs)} runs, once and with {len(TURNS)} turns", file=sys.stderr)
    targets = np.hstack([level, *(turned_level(level, what.runs, share) for share in TURNS)])
    found = aligned(
        what.bold, targets, what.runs, asking, tr=what.tr, gap=least_gap(lags, what.tr), jobs=asked.jobs
    )
    rows = summarised(found[found["target"] == 0], found[found["target"] > 0], made_by())
    write_rows(rows, asked.out, digits=4)
    for row in rows:
        versus = "" if row.difference is None else f", {row.difference:+.3f} against {row.less}"
        print(f"{row.method:12} {row.n_subjects:2} {row.r:.3f} ({row.low:.3f} to {row.high:.3f}){versus}")
    return 0


def _check(bold: Brains, target: Matrix, runs: Sequence[Block], comparison: Comparison) -> None:
    n_trs = max(last for _, last in runs) if runs else 0
    short = [f"subject {subject}" for subject, one in bold.items() if len(one) < n_trs]
    short += ["the target"] if len(target) < n_trs else []
    if short:
        raise UserError(
            f"{', '.join(short)}: fewer than the {n_trs} TRs of the runs; cut the runs, or give more"
        )
    wrong = [count for count in comparison.counts if not 1 <= count <= len(bold)]
    if wrong:
        raise UserError(
            f"groups of {wrong[0]} of {len(bold)} subjects are impossible; ask for 1 to {len(bold)}"
        )
    unknown = [subject for subject in comparison.newcomers if subject not in bold]
    if unknown:
        raise UserError(
            f"subject {unknown[0]} has no BOLD and cannot be decoded; name one of {', '.join(map(str, bold))}"
        )
    if comparison.newcomers and len(bold) < 2:
        raise UserError("a newcomer is decoded by others; give at least 2 subjects")
