"""Scaling: how many subjects and how many minutes of sound a score needs.

``make scaling`` simulates studies of brains that are matched to the regions of real ones, as
:mod:`fmri_audio.experiments.calibration` does and through the same pipeline, over a grid of subjects and minutes, with
each model of a voxel. Each study hears an excerpt of the embedded play that
its seed draws, in one scan. The subjects of a smaller study are the first of a larger one with the same seed and
sound, so that what subjects buy is compared within studies.

Two decoders are scored, because subjects help them in different ways.

``single``
    Every subject's own: what the book's primary comparison is about. Scores are means over subjects; more of them make
    the mean more certain, not higher.
``group``
    The mean of all subjects' predictions: noise that differs between brains averages out, what one brain's
    training missed does not.

The play is the limit: sound is never repeated, because a moment that was heard in training is no longer held out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import joblib
import numpy as np
from numpy.typing import NDArray

from fmri_audio.base import command
from fmri_audio.base.errors import UserError
from fmri_audio.base.files import check_writable
from fmri_audio.base.kinds import Matrix
from fmri_audio.base.rows import write_rows
from fmri_audio.base.settings import VOXELS, Voxels, project_root
from fmri_audio.decoding.identification import (
    FEWEST_SHIFTS,
    WAYS,
    Identified,
    admissible_shifts,
)
from fmri_audio.decoding.regression import prediction_correlation
from fmri_audio.decoding.turning import Reader
from fmri_audio.experiments import calibration
from fmri_audio.experiments.calibration import ALPHA, GAP, TR, Heard

SUBJECTS = (1, 3, 9, 17)
#: Minutes of sound → studies. Long ones cost more and vary less; of 20 studies that all reject, the interval of the
#: power reaches down to .83.
STUDIES = {6: 60, 12: 30, 23: 20}
#: Auditory cortex on both sides, as a real study has it.
SHAPE = (48, 20, 16)
CONFIDENCE = 0.95
TABLE = Path("results") / "scaling.csv"


@dataclass(frozen=True)
class Cell:
    """One figure of the grid: ``value`` with its 95 % interval over ``n`` studies.

    ``segments`` is how many segments a study identified, on average.
    """

    minutes: int
    subjects: int
    decoder: str
    quantity: str
    value: float
    ci_low: float
    ci_high: float
    n: int
    segments: float
    seed: int
    made_by: str
    voxels: str = "between"


@dataclass(frozen=True)
class Score:
    """What one decoder reached in one study.

    Attributes
    ----------
    pairwise, ten_way : float
        Identification, as in the book's evaluation.
    correlation : float
        Of predicted with true latents over held-out TRs: mean over channels, folds and subjects.
    rejected : bool
        Whether the joint circular-shift test of ``pairwise`` has p ≤ .05.
    pairs, tens : int
        Segments that had enough distractors.
    """

    pairwise: float
    ten_way: float
    correlation: float
    rejected: bool
    pairs: int
    tens: int


def trs_of(minutes: int) -> int:
    """Whole TRs that fit into so many minutes."""
    return int(minutes * 60 / TR)


def study(
    play: Heard, minutes: int, seed: int, subjects: Sequence[int] = SUBJECTS, voxels: Voxels = "between"
) -> dict[tuple[str, int], Score]:
    """Simulate one study and score its decoders for every number of subjects.

    Parameters
    ----------
    play : Heard
        What excerpts are drawn from.
    minutes : int
    seed : int
    subjects : sequence of int
        Numbers of subjects, the first of the largest number each.
    voxels : str
        Model of a voxel.

    Returns
    -------
    dict
        (decoder, number of subjects) → Score.
    """
    sound = play.drawn_excerpt(trs_of(minutes), seed)
    readers = calibration.read_subjects(sound, "matched", seed, max(subjects), voxels, shape=SHAPE)
    alone = _Scored.of(sound, readers)
    scores = {}
    for count in subjects:
        scores["single", count] = alone.first(count)
        scores["group", count] = _Scored.of(sound, [Reader.mean(readers[:count])]).first(1)
    return scores


@dataclass(frozen=True)
class _Scored:
    """Identification and correlation of several subjects, of which the first few can be taken.

    Segments are identified as the evaluation does it: matched pairs, and ten of any kind.
    """

    pairs: Identified
    tens: Identified
    correlations: NDArray[np.float64]

    @classmethod
    def of(cls, sound: Heard, readers: Sequence[Reader]) -> _Scored:
        """Score readers, one per subject."""
        read = calibration.read_all(sound, readers)
        return cls(
            read.identify(sound.layout()),
            read.identify(sound.layout(matched=False), WAYS),
            np.array([_correlation(reader, sound.decoded) for reader in readers]),
        )

    def first(self, count: int) -> Score:
        """Mean over the first subjects, tested jointly."""
        pairs, tens = (replace(one, per_subject=one.per_subject[:count]) for one in (self.pairs, self.tens))
        return Score(
            pairs.accuracy,
            tens.accuracy,
            float(self.correlations[:count].mean()),
            bool(pairs.p <= ALPHA),
            pairs.n_segments,
            tens.n_segments,
        )


def _correlation(reader: Reader, true: Matrix) -> float:
    """Of what is read with what was heard in held-out blocks, mean over channels and folds."""
    read = reader.read(np.asarray(true, np.float64))
    return float(
        np.mean(
            [
                prediction_correlation(np.asarray(one, np.float32), true[split.test])
                for one, split in zip(read, reader.splits, strict=True)
            ]
        )
    )


def cells(
    scores: Sequence[Mapping[tuple[str, int], Score]],
    minutes: int,
    seed: int,
    made_by: str,
    voxels: str = "between",
) -> list[Cell]:
    """Summarise the studies of one length.

    Means have Student's interval, the power has Clopper and Pearson's.
    """
    rows = []
    for decoder, count in scores[0]:
        found = [one[decoder, count] for one in scores]
        where = (minutes, count, decoder)
        for quantity, segments in (("pairwise", "pairs"), ("ten_way", "tens"), ("correlation", "pairs")):
            values = np.array([getattr(one, quantity) for one in found])
            used = float(np.mean([getattr(one, segments) for one in found]))
            low, high = calibration.mean_interval(values, CONFIDENCE)
            rows.append(
                Cell(
                    *where, quantity, float(values.mean()), low, high, len(found), used, seed, made_by, voxels
                )
            )
        hits = sum(one.rejected for one in found)
        low, high = calibration.exact_interval(hits, len(found), CONFIDENCE)
        rows.append(
            Cell(
                *where,
                "power",
                hits / len(found),
                low,
                high,
                len(found),
                rows[-1].segments,
                seed,
                made_by,
                voxels,
            )
        )
    return rows


def check(minutes: int, play: Heard) -> None:
    """Refuse lengths that cannot be simulated.

    Raises
    ------
    UserError
        Longer than the play, or too short for the test.
    """
    longest, needed = play.n_trs * float(TR) / 60, trs_of(minutes)
    if needed > play.n_trs:
        raise UserError(
            f"{minutes} min: the embedded play lasts {longest:.1f} min, and sound is not repeated; ask for less"
        )
    shifts = len(admissible_shifts([(0, needed)], GAP))
    if shifts < FEWEST_SHIFTS:
        raise UserError(
            f"{minutes} min: {shifts} admissible shifts, at least {FEWEST_SHIFTS} are needed to test; ask for more"
        )


def scale(
    play: Heard,
    studies: Mapping[int, int],
    seed: int,
    jobs: int,
    say: Callable[[str], None],
    subjects: Sequence[int] = SUBJECTS,
) -> list[Cell]:
    """Make the table.

    Parameters
    ----------
    play : Heard
    studies : mapping
        Minutes → number of studies, at least 2.
    seed : int
        Of the first study of each length; the others count on from it.
    jobs : int
        Processes. They change nothing but the time, and less than one in the sixth decimal: numbers are added up in
        another order where a process has another number of threads.
    say : callable
        Takes one line of progress.
    subjects : sequence of int

    Raises
    ------
    UserError
        A length is impossible, or has too few studies for an interval.
    """
    for minutes, count in studies.items():
        check(minutes, play)
        if count < 2:
            raise UserError(f"{minutes} min: {count} studies give no interval; ask for at least 2")
    made_by, run = calibration.decided_by("fmri_audio.experiments.scaling"), joblib.Parallel(n_jobs=jobs)
    rows: list[Cell] = []
    for voxels in VOXELS:
        for minutes, count in studies.items():
            say(f"{voxels}, {minutes} min: {count} studies of up to {max(subjects)} subjects")
            found = run(
                joblib.delayed(study)(play, minutes, seed + i, subjects, voxels) for i in range(count)
            )
            rows += cells(found, minutes, seed, made_by, voxels)
    return rows


def main(words: Sequence[str]) -> int:
    """Make the table and print it; return the exit status."""
    parser = argparse.ArgumentParser("make scaling", description=str(__doc__).split("\n\n")[0])
    parser.add_argument("--seed", type=command.seed, default=0)
    parser.add_argument("--jobs", type=command.processes, default=2, help="processes")
    parser.add_argument(
        "--minutes", type=command.whole(1, 24 * 60), nargs="+", help="lengths in place of the grid's"
    )
    parser.add_argument(
        "--studies", type=command.repetitions, help="studies of each length in place of the grid's"
    )
    parser.add_argument("--out", type=Path, default=project_root() / TABLE)
    asked = parser.parse_args(words)
    lengths = asked.minutes or list(STUDIES)
    studies = {one: asked.studies or STUDIES.get(one, min(STUDIES.values())) for one in lengths}
    check_writable(asked.out)
    play = Heard.of(calibration.whole_play())
    rows = scale(play, studies, asked.seed, asked.jobs, lambda line: print(line, file=sys.stderr, flush=True))
    write_rows(rows, asked.out)
    for row in rows:
        print(
            f"{row.voxels:8} {row.minutes:3} min {row.subjects:3} subjects {row.decoder:6} {row.quantity:11} "
            f"{row.value:.3f} ({row.ci_low:.3f} to {row.ci_high:.3f}), n {row.n}"
        )
    return 0
