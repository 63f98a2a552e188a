r"""Which segment was heard? Identification of segments of sound from held-out predictions, and its null.

A stretch of several TRs, cut from held-out predictions, is compared with the true sound of the same moment and with
that of other moments of the same fold. Chance is known by turning the sound against the brain: by every admissible
circular shift within a run, the same for all subjects, because subjects who heard the same film share more than its
sound, so that shifts drawn for each of them would make chance look better behaved than it is. Where a decoder can be
fitted anew under every shift, it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import comb

from fmri_audio.base.errors import UserError
from fmri_audio.base.kinds import Block
from fmri_audio.base.timeline import trs_to_samples, whole_trs
from fmri_audio.decoding.regression import FoldPrediction
from fmri_audio.decoding.turning import Reader

#: Fewest circular shifts with which a p of .01 could be reached; fewer, and nothing is tested.
FEWEST_SHIFTS = 99
#: Fewest segments that are tested; with fewer, each weighs more than a tenth.
FEWEST_SEGMENTS = 10
#: Choices in the many-way task: the segment itself and nine distractors.
WAYS = 10
#: What is quieter counts as silence (mean square).
SILENCE_POWER = 1e-8
#: Two segments are equally loud if their levels differ by no more (dB).
SAME_LEVEL_DB = 6.0


@dataclass(frozen=True)
class SoundFacts:
    """What distractors are matched by.

    Attributes
    ----------
    kind : array of int, shape [TRs]
        Number of the kind of sound (speech, music, …) that fills most of a TR.
    level_db : array, shape [TRs]
        Level of every TR.
    """

    kind: NDArray[np.int64]
    level_db: NDArray[np.float64]

    @classmethod
    def of(
        cls, waveform: NDArray[np.float32], sample_rate: int, tr: Fraction, segments: pd.DataFrame
    ) -> SoundFacts:
        """Look at every TR of a sound.

        Parameters
        ----------
        waveform : array, shape [T]
        sample_rate : int
            In Hz.
        tr : Fraction
            Seconds.
        segments : DataFrame
            ``onset`` and ``offset`` in seconds, and ``kind``; what is in none of them is a kind of its own.
        """
        n_trs = whole_trs(len(waveform), sample_rate, tr)
        edges = [trs_to_samples(k, sample_rate, tr) for k in range(n_trs + 1)]
        power = [float(np.square(waveform[a:b], dtype=np.float64).mean()) for a, b in pairwise(edges)]
        kinds = sorted(segments["kind"].unique())
        filled = np.zeros((len(kinds) + 1, n_trs))
        begin = np.arange(n_trs) * float(tr)
        for onset, offset, kind in segments[["onset", "offset", "kind"]].itertuples(index=False):
            covered = np.minimum(offset, begin + float(tr)) - np.maximum(onset, begin)
            filled[kinds.index(kind)] += np.clip(covered, 0, None)
        filled[-1] = float(tr) - filled[:-1].sum(axis=0)
        return cls(filled.argmax(axis=0), 10 * np.log10(np.maximum(power, SILENCE_POWER)))


@dataclass(frozen=True)
class Trial:
    """The segments of one fold, and where their sound lies under every shift.

    Attributes
    ----------
    starts : array of int, shape [segments]
        First TR of each segment, counted from the fold's first.
    shifts : array of int, shape [shifts]
        Shift 0 comes first.
    columns : array of int, shape [shifts, segments]
        First TR of the sound that is taken for each segment's own, counted from the run's first.
    admissible : array of bool, shape [shifts, segments, segments]
        Which other segments may distract from which.
    """

    starts: NDArray[np.int64]
    shifts: NDArray[np.int64]
    columns: NDArray[np.int64]
    admissible: NDArray[np.bool_]


def effective_number(null: NDArray[np.float64]) -> float:
    r"""How many independent values a series of neighbouring shifts is worth.

    :math:`n / (1 + 2 \sum_k \rho_k)`, the sum up to the first autocorrelation that is not positive (Geyer 1992, as for
    a chain).
    """
    n = len(null)
    x = null - null.mean()
    power = np.abs(np.fft.rfft(x, 2 * n)) ** 2
    acf = np.fft.irfft(power)[:n]
    if acf[0] <= 0:
        return float(n)
    rho = acf[1:] / acf[0]
    stop = int(np.argmax(rho <= 0)) if (rho <= 0).any() else len(rho)
    return float(n / (1 + 2 * rho[:stop].sum()))


@dataclass(frozen=True)
class Identified:
    """How often segments were told from others, and how often with the sound turned round.

    Attributes
    ----------
    per_subject : array, shape [subjects, 1 + shifts]
        Accuracy, mean over folds; the first column is the true pairing.
    chance : float
        One over the number of choices.
    n_segments : int
        Segments that had a distractor, of all folds.
    n_left_out : int
        Segments that had none.
    refitted : bool
        Whether the decoder was fitted anew under every shift; p is approximate where it was not.
    """

    per_subject: NDArray[np.float64]
    chance: float
    n_segments: int
    n_left_out: int
    refitted: bool = False

    @property
    def accuracy(self) -> float:
        """Mean over subjects."""
        return float(self.per_subject[:, 0].mean())

    @property
    def null(self) -> NDArray[np.float64]:
        """Mean over subjects under every shift under which some segment has a distractor, [shifts]."""
        means = self.per_subject[:, 1:].mean(axis=0)
        return np.asarray(means[np.isfinite(means)])

    @property
    def effective_shifts(self) -> float:
        """How many independent shifts the null is worth: those of neighbouring TRs say nearly the same."""
        return effective_number(self.null)

    @property
    def smallest_p(self) -> float:
        """The least p that so many shifts allow."""
        return 1 / (1 + len(self.null))

    @property
    def testable(self) -> bool:
        """Whether there are enough segments, and enough admissible shifts to compare with."""
        return self.n_segments >= FEWEST_SEGMENTS and len(self.null) >= FEWEST_SHIFTS

    @property
    def p(self) -> float:
        """(1 + shifts at least as good) / (1 + shifts); NaN where too little is there to test."""
        if not self.testable:
            return float("nan")
        return float((1 + (self.null >= self.accuracy).sum()) * self.smallest_p)

    @property
    def verdict(self) -> str:
        """In words."""
        n = len(self.null)
        if self.n_segments < FEWEST_SEGMENTS:
            have = f"{self.n_segments or 'no'} segment{'s have' if self.n_segments > 1 else ' has'}"
            return f"not testable: {have} enough distractors, at least {FEWEST_SEGMENTS} are needed"
        if not self.testable:
            return f"not testable: {n} admissible shifts, at least {FEWEST_SHIFTS} are needed"
        return (
            f"{'p =' if self.refitted else 'approximate p'} {self.p:.3f} ({n} shifts, worth "
            f"{self.effective_shifts:.0f} independent ones; smallest attainable {self.smallest_p:.3f})"
        )


def admissible_shifts(runs: Sequence[Block], gap: int) -> NDArray[np.int64]:
    """Shifts (TRs) that turn the sound of every run by more than ``gap`` in either direction.

    Parameters
    ----------
    runs : sequence of (first, last)
        TRs of the stimulus, ``first <= k < last``.
    gap : int
        Longer than the autocorrelation of BOLD and than the lag window.
    """
    shortest = min(last - first for first, last in runs)
    return np.arange(gap + 1, max(gap + 1, shortest - gap))


def trials(
    blocks: Sequence[Block],
    runs: Sequence[Block],
    *,
    n_trs: int,
    gap: int,
    facts: SoundFacts | None = None,
    most_shifts: int | None = None,
) -> list[Trial]:
    """Lay out the segments of every fold under every admissible shift. Depends on the sound alone.

    Distractors come from the same fold and lie more than ``gap`` TRs away; with ``facts`` they are also of the same
    kind and as loud, within 6 dB, so that speech is not told from silence.

    Parameters
    ----------
    blocks : sequence of (first, last)
        Held-out TRs of each fold, each within one run.
    runs : sequence of (first, last)
    n_trs : int
        TRs per segment; segments do not overlap.
    gap : int
        TRs.
    facts : SoundFacts, optional
    most_shifts : int, optional
        Of admissible shifts so many at most, spread evenly: neighbours say nearly the same.

    Raises
    ------
    UserError
        A fold holds fewer than two segments.
    """
    admissible = admissible_shifts(runs, gap)
    if most_shifts is not None and len(admissible) > most_shifts:
        admissible = admissible[np.linspace(0, len(admissible) - 1, most_shifts).round().astype(int)]
    shifts = np.concatenate([[0], admissible])
    return [_trial(block, runs, shifts, n_trs, gap, facts) for block in blocks]


def _trial(
    block: Block,
    runs: Sequence[Block],
    shifts: NDArray[np.int64],
    n_trs: int,
    gap: int,
    facts: SoundFacts | None,
) -> Trial:
    starts = np.arange(0, block[1] - block[0] - n_trs + 1, n_trs)
    if len(starts) < 2:
        raise UserError(
            f"{block[1] - block[0]} held-out TRs hold {len(starts)} segments of {n_trs} TRs; "
            "identification needs at least 2"
        )
    run = run_of(block, runs)
    columns = (block[0] - run[0] + starts + shifts[:, None]) % (run[1] - run[0])
    far = np.abs(starts[:, None] - starts) > n_trs + gap - 1
    admissible = np.broadcast_to(far, (len(shifts), *far.shape)).copy()
    if facts is not None:
        kind, level = (x[columns] for x in _segment_facts(facts, run, n_trs))
        admissible &= kind[:, :, None] == kind[:, None]
        admissible &= np.abs(level[:, :, None] - level[:, None]) <= SAME_LEVEL_DB
    return Trial(starts, shifts, columns, admissible)


def run_of(block: Block, runs: Sequence[Block]) -> Block:
    """The run in which a block lies."""
    return next(run for run in runs if run[0] <= block[0] and block[1] <= run[1])


def _segment_facts(
    facts: SoundFacts, run: Block, n_trs: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Kind (the most frequent) and level (mean power) of the segment that begins at each TR of a run."""
    rows = _circular_windows(run[1] - run[0], n_trs)
    kinds = facts.kind[run[0] : run[1]][rows]
    most = np.array([np.bincount(row).argmax() for row in kinds])
    power = 10 ** (facts.level_db[run[0] : run[1]][rows] / 10)
    return most, 10 * np.log10(power.mean(axis=1))


def _circular_windows(length: int, width: int) -> NDArray[np.int64]:
    """Rows of ``width`` consecutive TRs from each TR of a run on, the end joined to the start."""
    return np.asarray((np.arange(length)[:, None] + np.arange(width)) % length)


def similarity(
    fold: FoldPrediction, features: NDArray[np.float32], run: Block, trial: Trial, n_trs: int
) -> NDArray[np.float64]:
    """Correlate every predicted segment of a fold with the true sound from every TR of its run on.

    Both are standardised by the true features' mean and spread over the fold's training TRs.

    Parameters
    ----------
    fold : FoldPrediction
    features : array, shape [TRs, features]
        True ones, of the whole stimulus.
    run : (first, last)
    trial : Trial
    n_trs : int

    Returns
    -------
    array, shape [segments, TRs of the run]
    """
    predicted = (fold.predicted - fold.mean) / fold.spread
    true = (features[run[0] : run[1]] - fold.mean) / fold.spread
    a = _unit_rows(predicted[trial.starts[:, None] + np.arange(n_trs)])
    b = _unit_rows(true[_circular_windows(len(true), n_trs)])
    return np.asarray(a @ b.T)


def _unit_rows(windows: NDArray[np.floating]) -> NDArray[np.float64]:
    """Windows [n, TRs, features] as rows of mean 0 and length 1; a constant one becomes 0."""
    rows = np.asarray(windows, np.float64).reshape(len(windows), -1)
    rows = rows - rows.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 1e-12))


def pair_accuracy(compared: NDArray[np.float64], admissible: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Share of a fold's pairs won under every shift, mean over segments; a tie counts half, [shifts].

    Parameters
    ----------
    compared : array, shape [shifts, segments, segments]
        Similarity of every predicted segment with the sound that is taken for each segment's own.
    admissible : array of bool, of the same shape
        Of :class:`Trial`.

    Returns
    -------
    array
        NaN where no segment has a distractor.
    """
    won, counts = _won(compared, admissible)
    with np.errstate(invalid="ignore"):
        shares = np.where(counts > 0, won / counts, np.nan)
        return np.asarray(np.nansum(shares, axis=1) / (counts > 0).sum(axis=1))


def many_way_accuracy(
    compared: NDArray[np.float64], admissible: NDArray[np.bool_], ways: int = WAYS
) -> NDArray[np.float64]:
    r"""Share of a fold's segments that would be found among ``ways``, under every shift, [shifts].

    With :math:`n` admissible distractors of which :math:`w` are less similar, a segment is found among itself and
    :math:`m` distractors drawn at random with probability :math:`\binom{w}{m} / \binom{n}{m}`: nothing is drawn.
    Segments with fewer than :math:`m` distractors do not count; NaN where there is no other.
    """
    won, counts = _won(compared, admissible)
    enough = counts >= ways - 1
    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.where(enough, comb(np.floor(won), ways - 1) / comb(counts, ways - 1), np.nan)
        return np.asarray(np.nansum(found, axis=1) / enough.sum(axis=1))


def _won(
    compared: NDArray[np.float64], admissible: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Comparisons won and made by each segment under each shift, both [shifts, segments]."""
    own = np.diagonal(compared, axis1=1, axis2=2)[..., None]
    wins = (own > compared) + 0.5 * (own == compared)
    return (wins * admissible).sum(axis=2), admissible.sum(axis=2)


def identify_segments(
    predictions: Sequence[Sequence[FoldPrediction]],
    features: NDArray[np.float32],
    runs: Sequence[Block],
    layout: Sequence[Trial],
    *,
    n_trs: int,
    ways: int = 2,
) -> Identified:
    """Identify the segments of all folds for all subjects, with the sound in place and under every shift.

    Parameters
    ----------
    predictions : sequence over subjects of sequences over folds
        From :func:`fmri_audio.decoding.regression.predict_folds`.
    features : array, shape [TRs, features]
        True ones of the whole stimulus.
    runs : sequence of (first, last)
    layout : sequence of Trial
        From :func:`trials`, one per fold.
    n_trs : int
        TRs per segment.
    ways : int
        2 for pairs, or how many choices there are.

    Returns
    -------
    Identified
        Scored within folds, then averaged over folds, then over subjects.
    """
    scored = []
    for folds in predictions:
        rows = []
        for fold, trial in zip(folds, layout, strict=True):
            similarities = similarity(fold, features, run_of(fold.block, runs), trial, n_trs)
            compared = similarities[:, trial.columns].swapaxes(0, 1)
            rows.append(_accuracy(compared, trial.admissible, ways))
        scored.append(_mean_over_folds(np.stack(rows)))
    return _identified(scored, layout, ways, refitted=False)


@dataclass(frozen=True)
class Refitted:
    """Segments read by decoders that were fitted anew under every shift, beside the sound; use :meth:`of`.

    The sound of all runs is turned round, in training and held-out time alike, so that the true pairing is one of many
    that differ in little else: a turned sound has a splice, where a run's end meets its beginning, and there is no gap
    across it. Turned round after fitting, the sound has been learned at its true place, which on real noise rejects too
    often (chapter "What real brains give").

    Attributes
    ----------
    compared : list over subjects of lists over folds of arrays, shape [1 + shifts, segments, segments]
        Similarity of every segment read with the sound of every segment.
    """

    compared: list[list[NDArray[np.float64]]]

    @classmethod
    def of(
        cls,
        readers: Sequence[Reader],
        features: NDArray[np.float32],
        runs: Sequence[Block],
        layout: Sequence[Trial],
        *,
        n_trs: int,
    ) -> Refitted:
        """Read everything under every shift.

        Parameters
        ----------
        readers : sequence of Reader
            One per subject; their splits are those of the layout.
        features : array, shape [TRs, features]
            True ones of the whole stimulus.
        runs : sequence of (first, last)
        layout : sequence of Trial
            From :func:`trials`, one per split.
        n_trs : int
            TRs per segment.
        """
        shifts, splits = layout[0].shifts, readers[0].splits
        hats = [np.concatenate(several) for several in zip(*(one.hats for one in readers), strict=True)]
        made = [np.empty((len(readers), *trial.admissible.shape)) for trial in layout]
        for k, shift in enumerate(shifts):
            turned = np.array(features, np.float64)
            for first, last in runs:
                turned[first:last] = np.roll(features[first:last], -shift, axis=0)
            for split, trial, hat, found in zip(splits, layout, hats, made, strict=True):
                train = turned[split.train]
                mean, spread = train.mean(axis=0), np.maximum(train.std(axis=0), 1e-6)
                rows = trial.starts[:, None] + np.arange(n_trs)
                true = _unit_rows(((turned[split.test] - mean) / spread)[rows]).T
                read = (hat @ ((train - mean) / spread)).reshape(len(readers), -1, features.shape[1])
                segments = read[:, rows].reshape(-1, n_trs, features.shape[1])
                found[:, k] = (_unit_rows(segments) @ true).reshape(len(readers), len(rows), len(rows))
        return cls([[fold[i] for fold in made] for i in range(len(readers))])

    def identify(self, layout: Sequence[Trial], ways: int = 2) -> Identified:
        """Identify segments as :func:`identify_segments` does.

        Parameters
        ----------
        layout : sequence of Trial
            With the segments and shifts that were read; what may distract from what can be another.
        ways : int
            2 for pairs, or how many choices there are.
        """
        scored = [
            _mean_over_folds(
                np.stack(
                    [_accuracy(one, trial.admissible, ways) for one, trial in zip(folds, layout, strict=True)]
                )
            )
            for folds in self.compared
        ]
        return _identified(scored, layout, ways, refitted=True)


def _accuracy(compared: NDArray[np.float64], admissible: NDArray[np.bool_], ways: int) -> NDArray[np.float64]:
    """Of a fold under every shift, [shifts]."""
    return pair_accuracy(compared, admissible) if ways == 2 else many_way_accuracy(compared, admissible, ways)


def _identified(
    scored: Sequence[NDArray[np.float64]], layout: Sequence[Trial], ways: int, *, refitted: bool
) -> Identified:
    counts = np.concatenate([trial.admissible[0].sum(axis=1) for trial in layout])
    used = int((counts >= ways - 1).sum())
    return Identified(np.stack(scored), 1 / ways, used, len(counts) - used, refitted)


def _mean_over_folds(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of scores [folds, shifts] over the folds that have one, NaN where none has."""
    defined = np.isfinite(scores).sum(axis=0)
    total = np.nansum(scores, axis=0)
    return np.asarray(np.divide(total, defined, out=np.full(len(total), np.nan), where=defined > 0))


def corrected(comparisons: Mapping[str, Identified]) -> dict[str, float]:
    """Adjust p for several comparisons, so that the chance of any false alarm among them stays at its level.

    By Westfall and Young's (1993) step-down maximum: a shift turns the sound for all comparisons at once, so that
    how they hang together is known and need not be assumed away. Accuracies of each comparison are brought to mean 0
    and variance 1 over all its pairings, the true one among them; the best comparison is held against the best of
    all under every shift, the second against the best of the remaining ones, and so on.

    Parameters
    ----------
    comparisons : mapping
        Name → result. All were turned by the same shifts.

    Returns
    -------
    dict
        In the order given; NaN for a comparison that is not testable, which counts for nothing.

    Raises
    ------
    ValueError
        The comparisons were turned by different shifts.
    """
    adjusted = dict.fromkeys(comparisons, float("nan"))
    tested = [name for name, one in comparisons.items() if one.testable]
    if not tested:
        return adjusted
    if len({comparisons[name].per_subject.shape[1] for name in tested}) > 1:
        raise ValueError("comparisons can be corrected together only if the same shifts turned all of them")
    scores = {name: _standing(comparisons[name].per_subject.mean(axis=0)) for name in tested}
    order = sorted(tested, key=lambda name: -scores[name][0])
    least = 0.0
    for rank, name in enumerate(order):
        best = np.max([scores[other] for other in order[rank:]], axis=0)
        least = max(least, comparisons[name].p, float((best >= scores[name][0]).mean()))
        adjusted[name] = least
    return adjusted


def _standing(accuracies: NDArray[np.float64]) -> NDArray[np.float64]:
    """Accuracies [1 + shifts] in standard deviations from their mean; a shift without one is beaten by all."""
    spread = np.nanstd(accuracies)
    above = accuracies - np.nanmean(accuracies)
    scores = np.divide(above, spread, out=np.zeros_like(above), where=spread > 0)
    return np.asarray(np.where(np.isfinite(accuracies), scores, -np.inf))
