r"""One number per TR (how loud the sound was, how many words were said) decoded from held-out runs, and its statistics.

Every run is held out once. What is chosen (the columns that are read, the penalty) is chosen within the other runs. The
pipeline is a file of ``config/``, fixed on some subjects before the others are looked at.

Correlations are taken within runs. What chance gives is seen by turning the sound of every held-out run round, by the
same shift for all subjects and runs. A p asks for more: the sound of all runs is turned round and the decoder fitted
anew. Because sound and predictions are slow, shifts are not independent, and how many independent ones they are worth
(:func:`effective_number`) is said beside every p.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial as partial_call
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator
from scipy.fft import dct, idct

from fmri_audio.base.documents import load_yaml
from fmri_audio.base.errors import UserError
from fmri_audio.base.kinds import Block, Matrix
from fmri_audio.base.settings import ExactSeconds, PositiveInt, Section
from fmri_audio.decoding.identification import effective_number
from fmri_audio.decoding.regression import cleaned_for, fit_ridge
from fmri_audio.decoding.turning import Reader, p_value, shifts_of, turned_round
from fmri_audio.study.facts import Subject
from fmri_audio.study.lag_windows import lagged
from fmri_audio.study.splits import Split, least_gap, leave_one_run_out

Series = NDArray[np.float64]

PIPELINE_FILE = "config/analyses/real-brains.yml"


class Pipeline(Section):
    """How a series is decoded; see ``config/analyses/real-brains.yml``, which says what it was fixed on.

    Attributes
    ----------
    first_lag_seconds, last_lag_seconds : seconds
        The volumes that are read for a TR begin between these times after it begins.
    high_pass_seconds : float, optional
        Longest period of BOLD that is kept; without it only the linear trend goes.
    columns : int
        Parcels or voxels that are read: those whose BOLD correlates most with the target at any lag, in training.
    folds : int
        Of the cross-validation of the penalty within training.
    log10_alphas : (first, last, number)
        Penalties.
    fixed_on : list
        Subjects on whom all this was chosen.
    runs : list of str, optional
        Runs that are used; all of them unless given.
    """

    first_lag_seconds: ExactSeconds = Fraction(2)
    last_lag_seconds: ExactSeconds = Fraction(8)
    high_pass_seconds: float | None = Field(None, gt=4)
    columns: PositiveInt = 60
    folds: int = Field(6, ge=2, le=100)
    log10_alphas: list[float] = Field([1.0, 6.0, 11], min_length=3, max_length=3)
    fixed_on: list[PositiveInt | str] = Field(default_factory=list)
    runs: list[str] | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Pipeline:
        if self.first_lag_seconds > self.last_lag_seconds:
            raise ValueError("last_lag_seconds: should not come before first_lag_seconds")
        return self

    @classmethod
    def read(cls, path: Path) -> Pipeline:
        """Read one from a file; a :class:`UserError` names the key that is wrong."""
        try:
            return cls.model_validate(load_yaml(path))
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(map(str, first["loc"])) or "the file"
            raise UserError(f"{path}: {key}: {first['msg'].removeprefix('Value error, ')}") from None

    def lags(self, tr: Fraction) -> list[int]:
        """The lags in TRs.

        Raises
        ------
        UserError
            No volume begins between the two.
        """
        first, last = math.ceil(self.first_lag_seconds / tr), math.floor(self.last_lag_seconds / tr)
        if first > last:
            raise UserError(
                f"lags: with a TR of {float(tr):g} s no volume begins {float(self.first_lag_seconds):g} to "
                f"{float(self.last_lag_seconds):g} s after a TR; widen them"
            )
        return list(range(first, last + 1))

    @property
    def alphas(self) -> Series:
        """Penalties of ridge regression."""
        first, last, number = self.log10_alphas
        return np.logspace(first, last, round(number))

    def splits(self, runs: Sequence[Block], tr: Fraction, shift: int) -> list[Split]:
        """Every run held out once."""
        lags = self.lags(tr)
        return leave_one_run_out(runs, gap=least_gap(lags, tr), lags=lags, shift=shift, tr=tr)


@dataclass(frozen=True)
class Recorded:
    """What is decoded from: BOLD of some subjects and what they heard, on one clock.

    Attributes
    ----------
    bold : mapping of subject to array [TRs, columns]
        As read.
    heard : mapping of target to array [TRs]
    runs : list of (first, last)
    names : list of str
        Of the runs.
    tr : Fraction
        Seconds.
    shift : int
        TRs by which the volumes were already moved back.
    """

    bold: dict[Subject, Matrix]
    heard: dict[str, Series]
    runs: list[Block]
    names: list[str]
    tr: Fraction
    shift: int

    @property
    def subjects(self) -> list[Subject]:
        """Whose BOLD there is."""
        return list(self.bold)


def strongest(
    bold: Matrix, target: Series, split: Split, lags: Sequence[int], shift: int, n: int
) -> NDArray[np.int64]:
    """Columns whose training BOLD correlates most with the target, at any of the lags and in either direction, [n].

    Parameters
    ----------
    bold : array, shape [TRs, columns]
        Standardised for the split.
    target : array, shape [TRs]
    split : Split
    lags : sequence of int
    shift : int
    n : int
        Or all of them where there are fewer.
    """
    train = split.train
    y = target[train] - target[train].mean()
    found = [np.abs(lagged(bold, train, [lag], shift).T @ y) for lag in lags]
    order = np.argsort(-np.max(found, axis=0), kind="stable")
    return np.sort(order[:n])


def decode(
    bold: Matrix,
    target: Series,
    splits: Sequence[Split],
    pipeline: Pipeline,
    tr: Fraction,
    shift: int,
    *,
    tested: Matrix | None = None,
) -> Series:
    """Predict a target in every held-out block from one brain, or from several that were averaged.

    Parameters
    ----------
    bold : array, shape [TRs, columns]
        As read.
    target : array, shape [TRs]
        Of each split only training TRs are read.
    splits : sequence of Split
    pipeline : Pipeline
    tr : Fraction
        Seconds.
    shift : int
    tested : array, shape [TRs, columns], optional
        BOLD of another brain with the same columns, which is read in held-out blocks in place of the first.

    Returns
    -------
    array, shape [TRs]
        NaN where nothing is held out: at the edges of runs that the lags reach beyond.
    """
    lags = pipeline.lags(tr)
    predicted = np.full(len(target), np.nan)
    for split in splits:
        own = cleaned_for(bold, split, tr, pipeline.high_pass_seconds)
        other = own if tested is None else cleaned_for(tested, split, tr, pipeline.high_pass_seconds)
        columns = strongest(own, target, split, lags, shift, pipeline.columns)
        train = lagged(own[:, columns], split.train, lags, shift)
        ridge = fit_ridge(
            train,
            target[split.train][:, None],
            split.train,
            n_folds=pipeline.folds,
            gap=split.gap,
            alphas=pipeline.alphas,
        )
        predicted[split.test] = ridge.predict(lagged(other[:, columns], split.test, lags, shift))[:, 0]
    return predicted


def without_brain(target: Series, splits: Sequence[Split]) -> Series:
    """What is predicted of held-out blocks from no brain: the mean over training TRs, [TRs]."""
    predicted = np.full(len(target), np.nan)
    for split in splits:
        predicted[split.test] = target[split.train].mean()
    return predicted


# -- what is compared ------------------------------------------------------------------------------------------

Prepare = Callable[[Series], Series]
"""What is done to a block of predicted and of true values alike before they are compared, [TRs] → [TRs]."""


def as_it_is(block: Series) -> Series:
    """Leave a block as it is."""
    return block


def band(tr: Fraction, shortest: float, longest: float) -> Prepare:
    """Keep what takes from ``shortest`` to ``longest`` seconds per period, by the cosine transform of a block.

    A cosine of index k has a period of 2 n TR / k; one that takes exactly ``longest`` belongs to the band, one of
    ``shortest`` to the next.
    """

    def keep(block: Series) -> Series:
        seconds = 2 * len(block) * float(tr) / np.maximum(np.arange(len(block)), 1e-12)
        kept = (seconds > shortest) & (seconds <= longest)
        kept[0] = False
        return np.asarray(idct(np.where(kept, dct(block, norm="ortho"), 0.0), norm="ortho"))

    return keep


def high_pass(tr: Fraction, longest: float = 128.0) -> Prepare:
    """Leave out the trend and what takes longer than so many seconds."""
    pass_band = band(tr, 0.0, longest)

    def keep(block: Series) -> Series:
        moment = np.linspace(-1, 1, len(block))
        centred = block - block.mean()
        return pass_band(centred - moment * (centred @ moment) / (moment @ moment))

    return keep


def shifted_correlations(predicted: Series, true: Series, prepare: Prepare = as_it_is) -> Series:
    """Correlate a block with the truth turned round by every number of TRs, [shifts]; the first is the true pairing.

    Zero where either does not vary.
    """
    a, b = (_unit(prepare(np.asarray(x, np.float64))) for x in (predicted, true))
    return np.asarray(np.fft.irfft(np.fft.rfft(a) * np.conj(np.fft.rfft(b)), len(a)))[-np.arange(len(a))]


def _unit(x: Series) -> Series:
    x = x - x.mean()
    norm = np.linalg.norm(x)
    return x / norm if norm > 1e-12 else np.zeros_like(x)


def partial(of: Series, given: Series, between: Series | float) -> Series:
    """Correlation of a prediction with one thing, given another that goes with it.

    ``of`` and ``given`` are its correlations with the two, ``between`` is theirs.
    """
    least = np.sqrt(np.clip((1 - given**2) * (1 - np.square(between)), 1e-12, None))
    return np.asarray((of - given * between) / least)


@dataclass(frozen=True)
class Score:
    """A correlation within runs, and what chance makes of it.

    Attributes
    ----------
    per_subject_run : array, shape [subjects, runs]
    null : array, shape [shifts]
        Means over subjects and runs with the sound turned round after fitting.
    anew : array, shape [1 + shifts], optional
        Of decoders that were fitted anew under every shift (:func:`fitted_anew`): what p rests on.
    """

    per_subject_run: Series
    null: Series
    anew: Series | None = None

    @property
    def mean(self) -> float:
        """Over subjects and runs."""
        return float(self.per_subject_run.mean())

    @property
    def effective_shifts(self) -> float:
        """How many independent shifts the null is worth, of decoders fitted anew where there are any."""
        return effective_number(self.null if self.anew is None else self.anew[1:])

    @property
    def p(self) -> float | None:
        """Share of shifts that are at least as good, the true pairing counted among them.

        None without decoders that were fitted anew: turned round after fitting, slow sound is found in noise too often.
        """
        return None if self.anew is None else p_value(self.anew[1:], float(self.anew[0]))


def readers(
    bold: Sequence[Matrix], splits: Sequence[Split], pipeline: Pipeline, tr: Fraction, shift: int
) -> list[Reader]:
    """How every brain reads whatever was heard, from all its columns."""
    lags = pipeline.lags(tr)
    return [
        Reader.of(
            partial_call(cleaned_by, one, tr, pipeline.high_pass_seconds), splits, lags=lags, shift=shift
        )
        for one in bold
    ]


def cleaned_by(bold: Matrix, tr: Fraction, high_pass_seconds: float | None, split: Split) -> Matrix:
    """BOLD as read, prepared for a split."""
    return cleaned_for(bold, split, tr, high_pass_seconds)


def fitted_anew(several: Sequence[Reader], true: Series, runs: Sequence[Block], gap: int) -> Series:
    """Correlate held-out runs with what decoders read that were fitted anew for the sound under every shift.

    Parameters
    ----------
    several : sequence of Reader
        One per subject; of the mean of all, :meth:`~fmri_audio.decoding.turning.Reader.mean` of them.
    true : array, shape [TRs]
    runs : sequence of (first, last)
    gap : int
        Shifts nearer than so many TRs, from either side, are no chance.

    Returns
    -------
    array, shape [1 + shifts]
        Mean over subjects and runs; the true pairing comes first.
    """
    shifts = np.concatenate([[0], shifts_of(runs, gap)])
    sounds = turned_round(np.asarray(true, np.float64), runs, shifts)
    return np.asarray(np.mean([one.correlations(sounds) for one in several], axis=(0, 1)))


def score(
    predicted: Sequence[Series],
    true: Series,
    blocks: Sequence[Block],
    gap: int,
    prepare: Prepare = as_it_is,
    given: Series | None = None,
    anew: Series | None = None,
) -> Score:
    """Correlate predictions of several subjects with the truth, run by run, and with the truth turned round.

    Parameters
    ----------
    predicted : sequence of arrays, shape [TRs]
        One per subject.
    true : array, shape [TRs]
    blocks : sequence of (first, last)
        Held-out blocks.
    gap : int
        Shifts nearer than so many TRs, from either side, are no chance.
    prepare : callable
        Such as :func:`band`.
    given : array, shape [TRs], optional
        Something else that was heard: the correlation is then the partial one, with that held constant.
    anew : array, optional
        From :func:`fitted_anew`, for p.

    Raises
    ------
    UserError
        A block is shorter than twice the gap.
    """
    shortest = min(last - first for first, last in blocks)
    shifts = np.arange(gap + 1, shortest - gap)
    if not len(shifts):
        raise UserError(
            f"a held-out block of {shortest} TRs has no shift further than {gap} TRs; use longer runs"
        )
    rows = np.empty((len(predicted), len(blocks), 1 + len(shifts)))
    for j, (first, last) in enumerate(blocks):
        within = slice(first, last)
        for i, one in enumerate(predicted):
            turned = shifted_correlations(one[within], true[within], prepare)
            if given is not None:
                other = shifted_correlations(one[within], given[within], prepare)
                between = shifted_correlations(true[within], given[within], prepare)[0]
                turned = partial(turned, other, between)
            rows[i, j] = turned[np.concatenate([[0], shifts])]
    return Score(rows[:, :, 0], rows[:, :, 1:].mean(axis=(0, 1)), anew)


def shared_bits(
    predicted: Series, true: Series, blocks: Sequence[Block], tr: Fraction, gap: int
) -> tuple[float, float]:
    r"""Estimate of the bits per TR that prediction and truth share, and the same by chance.

    Of jointly Gaussian series :math:`-\frac{1}{2} \sum_b n_b \log_2(1 - r_b^2) / n` over octaves of modulation, with
    :math:`r_b` the correlation of all runs within one and :math:`n_b` its cosines. It is an estimate of what these two
    series share and bounds nothing: other decoders may find more, and another sound may have more to find.

    Returns
    -------
    bits, by_chance : float
        The second is the mean over shifts.
    """
    bands = octaves(tr)
    total = 0.0
    for shortest, longest in bands:
        keep = band(tr, shortest, longest)
        found = score([predicted], true, blocks, gap, keep)
        n = np.array([_cosines(last - first, tr, shortest, longest) for first, last in blocks])
        weights = n / max(1, n.sum())
        r = np.concatenate([[float(found.per_subject_run[0] @ weights)], found.null])
        total = total - 0.5 * n.sum() * np.log2(1 - np.clip(r, 0, 1 - 1e-9) ** 2)
    per_tr = np.asarray(total) / sum(last - first for first, last in blocks)
    return float(per_tr[0]), float(per_tr[1:].mean())


def octaves(tr: Fraction, longest: float = 512.0) -> list[tuple[float, float]]:
    """Bands of modulation an octave wide, in seconds per period, the fastest first, down from twice the TR."""
    edges = [2 * float(tr)]
    while edges[-1] < longest:
        edges.append(2 * edges[-1])
    return [(a if k else 0.0, b) for k, (a, b) in enumerate(pairwise(edges))]


def _cosines(n: int, tr: Fraction, shortest: float, longest: float) -> int:
    seconds = 2 * n * float(tr) / np.maximum(np.arange(n), 1e-12)
    return int(((seconds > shortest) & (seconds <= longest))[1:].sum())


def interval(
    values: Series, level: float = 0.95, seed: int = 0, draws: int = 4000, statistic: Any = np.mean
) -> tuple[float, float]:
    """Bootstrap interval of a mean over what is resampled: runs, or subjects."""
    values = np.asarray(values, np.float64)
    rng = np.random.default_rng(seed)
    picked = values[rng.integers(len(values), size=(draws, len(values)))]
    low, high = np.quantile(statistic(picked, axis=1), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def identified(
    predicted: Sequence[Series],
    true: Series,
    blocks: Sequence[Block],
    n_trs: int,
    gap: int,
    distance: int,
) -> Score:
    """Tell segments of held-out blocks from one another by their contour, after their own mean.

    A prediction wins if it correlates more with its own segment than with another of the block that begins at least
    ``distance`` TRs later or earlier; a tie counts half. Distractors are not matched in level: a contour is compared
    after its own mean, so that loud is not told from soft.

    Parameters
    ----------
    predicted, true, blocks, gap
        As for :func:`score`.
    n_trs : int
        TRs per segment; segments do not overlap.
    distance : int
        TRs.

    Returns
    -------
    Score
        Shares of comparisons won; .5 by chance.

    Raises
    ------
    UserError
        A block is too short for its segments to have distractors, or to be turned round.
    """
    shortest = min(last - first for first, last in blocks)
    shifts = np.concatenate([[0], np.arange(gap + 1, shortest - gap)])
    if len(shifts) < 2 or shortest < n_trs + max(distance, n_trs):
        raise UserError(
            f"a held-out block of {shortest} TRs is too short for segments of {n_trs} TRs; use longer runs"
        )
    rows = np.empty((len(predicted), len(blocks), len(shifts)))
    for j, (first, last) in enumerate(blocks):
        n = last - first
        starts = np.arange(0, n - n_trs + 1, n_trs)
        windows = (np.arange(n)[:, None] + np.arange(n_trs)) % n
        contours = _unit_rows(np.asarray(true[first:last])[windows])
        far = np.abs(starts[:, None] - starts) >= max(distance, n_trs)
        for i, one in enumerate(predicted):
            own = _unit_rows(np.asarray(one[first:last])[windows[starts]])
            alike = own @ contours.T
            for k, shift in enumerate(shifts):
                compared = alike[:, (starts + shift) % n]
                right = np.diag(compared)[:, None]
                won = (right > compared) + 0.5 * (right == compared)
                some = far.any(axis=1)
                rows[i, j, k] = np.mean((won * far)[some].sum(axis=1) / far[some].sum(axis=1))
    return Score(rows[:, :, 0], rows[:, :, 1:].mean(axis=(0, 1)))


def _unit_rows(rows: Series) -> Series:
    rows = rows - rows.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 1e-12))
