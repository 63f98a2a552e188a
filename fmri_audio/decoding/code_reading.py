"""Numbers of a code read from measured BOLD: what a decoder of sound is given, with how far each can be trusted.

Voxels owe a code nothing: they follow what they follow, and a ridge regression makes the best of it. A way back to
sound that is told the reliability of every number (:mod:`fmri_audio.bottleneck.nested`) needs predictions that shrink
as a posterior mean does. Predictions within training give both: the gain by which a prediction has to be multiplied,
and the share of a number's variance that it then explains. Nothing held out takes part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial

import numpy as np

from fmri_audio.base.kinds import Block, Matrix
from fmri_audio.brain.cleaning import clean_blocks, standardise_by_run
from fmri_audio.decoding.regression import fit_ridge
from fmri_audio.study.lag_windows import lagged
from fmri_audio.study.splits import Split, cross_validation_folds, k_fold, least_gap

Brain = Callable[[Split], Matrix]


@dataclass(frozen=True)
class CodeRead:
    """What a brain, or several, give of a code over a whole stimulus, every TR held out once.

    Attributes
    ----------
    mean : array, shape [TRs, N]
        Posterior means; 0 where no held-out block reaches.
    reliability : array, shape [TRs, N]
        Share of a number's variance that is known, as training says; the same for all TRs of a fold.
    chosen : list of sequence of int
        Lag window of every fold.
    """

    mean: Matrix
    reliability: Matrix
    chosen: list[Sequence[int]] = field(default_factory=list)


def read_code(
    brains: Sequence[Brain],
    numbers: Matrix,
    runs: Sequence[Block],
    *,
    tr: Fraction,
    windows: Sequence[Sequence[int]],
    shift: int,
    n_folds: int,
    inner_folds: int = 4,
) -> CodeRead:
    """Read numbers from the averaged BOLD of subjects, by ridge regression over a lag window, in contiguous folds.

    In every fold, the window is the one by which training knows most of its own numbers, each predicted by a regression
    on others.

    Parameters
    ----------
    brains : sequence of callables
        One per subject: takes a split, returns BOLD cleaned for it, [volumes, voxels] (:func:`as_measured`, or
        :func:`fmri_audio.decoding.regression.brain_of`).
    numbers : array, shape [TRs, N]
        Of mean 0 and variance 1; of a held-out block nothing is read.
    runs : sequence of (first, last)
    tr : Fraction
        Seconds.
    windows : sequence of sequences of int
        Lags to choose from, in TRs of stimulus time.
    shift : int
        TRs by which the study is already shifted.
    n_folds, inner_folds : int
        Held-out blocks, and folds within training.
    """
    found = CodeRead(np.zeros(numbers.shape, np.float32), np.zeros(numbers.shape, np.float32))
    all_lags = sorted({lag for window in windows for lag in window})
    for split in k_fold(runs, n_folds, gap=least_gap(all_lags, tr), lags=all_lags, shift=shift, tr=tr):
        together, true = np.mean([one(split) for one in brains], axis=0), numbers[split.train]
        fits = []
        for lags in windows:
            train = lagged(together, split.train, lags, shift)
            fits.append((*calibrated(_within_training(train, true, split, inner_folds), true), lags))
        gain, known, lags = max(fits, key=lambda fit: float(fit[1].mean()))
        train = lagged(together, split.train, lags, shift)
        ridge = fit_ridge(train, true, split.train, n_folds=inner_folds, gap=split.gap)
        predicted = ridge.predict(lagged(together, split.test, lags, shift)) - ridge.without_brain
        found.mean[split.test] = predicted * gain
        found.reliability[split.test] = known
        found.chosen.append(lags)
    return found


def calibrated(predicted: Matrix, true: Matrix) -> tuple[Matrix, Matrix]:
    """Gain that makes predictions posterior means, and the share of variance that these explain, [N] each.

    Parameters
    ----------
    predicted, true : arrays, shape [TRs, N]
        Predictions for TRs that they were not fitted on.
    """
    x, y = (np.asarray(values - values.mean(axis=0), np.float64) for values in (predicted, true))
    together, power = (x * y).mean(axis=0), np.square(x).mean(axis=0)
    # A prediction of the wrong sign is not known, and one that has shrunk to almost nothing is not made large again.
    gain = np.clip(np.divide(together, power, out=np.zeros_like(power), where=power > 1e-12), 0, 1)
    spread = np.maximum(np.square(y).mean(axis=0), 1e-12)
    known = np.clip((2 * gain * together - gain**2 * power) / spread, 0, 1)
    return np.asarray(gain, np.float32), np.asarray(known, np.float32)


def as_measured(bold: Matrix, tr: Fraction) -> Brain:
    """A brain of BOLD [volumes, voxels] as it was measured: cleaned and standardised within each block of a split."""
    return partial(_cleaned, bold, tr)


def _cleaned(bold: Matrix, tr: Fraction, split: Split) -> Matrix:
    blocks = clean_blocks(bold, split.bold_blocks, tr)
    return standardise_by_run(blocks, split.bold_train_rows, split.runs, split.runs_without_training)


def _within_training(predictors: Matrix, numbers: Matrix, split: Split, n_folds: int) -> Matrix:
    """Predictions for training TRs, each by a regression on the others that keeps its distance, [TRs, N]."""
    predicted = np.zeros(numbers.shape, np.float32)
    for fit, held in cross_validation_folds(split.train, n_folds, split.gap):
        ridge = fit_ridge(predictors[fit], numbers[fit], split.train[fit], n_folds=n_folds, gap=split.gap)
        predicted[held] = ridge.predict(predictors[held]) - ridge.without_brain
    return predicted
