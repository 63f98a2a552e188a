"""What turning brains onto a shared response buys: every run held out once, and decoded from more and more subjects.

Averaging BOLD and averaging predictions is what a group decoder does without it. A decoder for a newcomer asks for
more: nothing that the newcomer's brain said is known together with the target.

================  ====================================================================================================
``within``        one subject's own decoder
``bold``          one decoder of the subjects' averaged BOLD
``predictions``   the mean of what the subjects' own decoders predict
``shared``        one decoder of the subjects' shared response; of one subject, of its principal components
``bold-new``      a decoder of the others' averaged BOLD, which reads a subject that it was not trained on
``shared-new``    a decoder of the others' shared response, onto which that subject's training BOLD was turned
================  ====================================================================================================
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import pandas as pd

from fmri_audio.base.errors import UserError
from fmri_audio.base.kinds import Block, Matrix
from fmri_audio.decoding.group import (
    Reading,
    averaged_predictions,
    decode_averaged_bold,
    decode_each,
    decode_shared,
    fit_shared_decoder,
)
from fmri_audio.decoding.regression import cleaned_for, prediction_correlation
from fmri_audio.decoding.shared_response import Brains
from fmri_audio.study.facts import Subject
from fmri_audio.study.lag_windows import lagged
from fmri_audio.study.splits import Split, leave_one_run_out

COLUMNS = ("method", "n_subjects", "subject", "run", "r")
"""Of the table: ``subject`` is the one decoded, or the first of a group; ``run`` counts from 1."""

Row = tuple[str, int, Subject, int, float]


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
) -> pd.DataFrame:
    """Hold out every run once, and correlate what is predicted of it with the truth.

    Parameters
    ----------
    bold : mapping of subject to array, shape [TRs, voxels]
        As read; cleaned here for every split. Voxels have to match, for averages.
    target : array, shape [TRs, targets]
        Of the whole stimulus; of each split only training TRs are fitted. BOLD loses here what is slower than 128 s: a
        slow target asks for the same filter, run by run (:func:`fmri_audio.brain.cleaning.clean_blocks`), or else is
        scored for what no volume tells any more.
    runs : sequence of (first, last)
        TRs of each run.
    comparison : Comparison
    tr : Fraction
        Seconds.
    gap : int
        TRs between training and testing; at least :func:`fmri_audio.study.splits.least_gap`.

    Returns
    -------
    DataFrame
        ``COLUMNS``; r is the mean over targets.

    Raises
    ------
    UserError
        There are fewer than two runs, a number of subjects or a newcomer is impossible, or BOLD and target do not
        have the same TRs.
    """
    _check(bold, target, runs, comparison)
    reading = comparison.reading
    splits = leave_one_run_out(runs, gap=gap, lags=reading.lags, shift=reading.shift, tr=tr)
    rows: list[Row] = []
    for run, split in enumerate(splits, 1):
        clean = {subject: cleaned_for(one, split, tr) for subject, one in bold.items()}
        rows += rows_of(clean, target, split, comparison, run)
    return pd.DataFrame(rows, columns=[*COLUMNS])


def rows_of(bold: Brains, target: Matrix, split: Split, comparison: Comparison, run: int) -> list[Row]:
    """Every comparison for one held-out run.

    Parameters
    ----------
    bold : mapping of subject to array, shape [TRs, voxels]
        Cleaned for the split.
    target : array, shape [TRs, targets]
    split : Split
    comparison : Comparison
    run : int
        Its number, for the rows.
    """
    scored = _Scored(bold, target, split, comparison)
    found = [*scored.groups(), *scored.left_out()]
    return [(method, count, subject, run, scored.r(predicted)) for method, count, subject, predicted in found]


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

    def r(self, predicted: Matrix) -> float:
        return prediction_correlation(predicted, self.target[self.split.test])

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
                yield "shared", count, members[0], decode_shared(brains, *common, ks=asked.ks)[0]

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
            decoder = fit_shared_decoder(others, *common, ks=asked.ks).with_subject(subject, own)
            yield "shared-new", len(others), subject, decoder.predict({subject: own}, self.split.test)


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
