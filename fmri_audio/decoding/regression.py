"""From BOLD back to the bottleneck: ridge regression, and which held-out segment it fits best."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmri_audio.base.errors import UserError
from fmri_audio.base.kinds import Matrix
from fmri_audio.brain.agreement import correlate
from fmri_audio.brain.cleaning import HIGH_PASS_SECONDS, clean_blocks, standardise_by_run
from fmri_audio.brain.solver import solver
from fmri_audio.study.facts import Subject
from fmri_audio.study.lag_windows import lagged
from fmri_audio.study.masked import masked_bold
from fmri_audio.study.reader import Study
from fmri_audio.study.splits import Split, cross_validation_folds

#: Ridge penalties that cross-validation chooses from, for standardised predictors.
ALPHAS = np.logspace(1, 7, 13)

#: Features whose products are summed at a time.
_SLICE = 8192


@dataclass(frozen=True)
class Ridge:
    """A fitted ridge regression; use :func:`fit_ridge`.

    Attributes
    ----------
    predictors : array, shape [training TRs, features]
        That it was fitted on.
    dual : array, shape [training TRs, targets]
        Weight of every training TR; ``predictors.T @ dual`` are those of the features.
    mean : array, shape [targets]
        Of the targets over training TRs.
    alphas : array, shape [targets]
        Penalty chosen for each target.
    """

    predictors: Matrix
    dual: NDArray[np.float64]
    mean: NDArray[np.float64]
    alphas: NDArray[np.float64]

    def predict(self, predictors: Matrix) -> Matrix:
        """Predictions [TRs, targets] from predictors [TRs, features] standardised as in training."""
        with solver() as backend:
            weighed = products(predictors, self.predictors, backend) @ backend.asarray(self.dual)
            return np.asarray(backend.to_numpy(weighed) + self.mean, np.float32)

    @property
    def without_brain(self) -> Matrix:
        """What is predicted from no brain at all: the targets' mean over training TRs, [1, targets]."""
        return np.asarray(self.mean[None], np.float32)


@dataclass(frozen=True)
class Identification:
    """How often a predicted segment is closer to its own sound than to another.

    Attributes
    ----------
    accuracy : float
        Share of pairs won; chance is .5.
    per_segment : array, shape [segments]
        Of those that have a distractor.
    n_pairs : int
        Ordered pairs of a segment and a distractor.
    """

    accuracy: float
    per_segment: NDArray[np.float64]
    n_pairs: int

    @property
    def n_segments(self) -> int:
        """Segments that have a distractor."""
        return len(self.per_segment)


def brain_of(
    study: Study,
    subject: Subject,
    mask: NDArray[np.bool_],
    split: Split,
    rows: NDArray[np.int64] | None = None,
    cache: Path | None = None,
) -> Matrix:
    """BOLD of one subject, ready for decoding.

    Every block of the split is detrended and filtered on its own, and every voxel standardised run by run by the
    training blocks alone; rows outside the blocks are NaN. A run without training
    blocks is standardised by its own BOLD, which the split declares (``split.declarations``).

    Parameters
    ----------
    study : Study
    subject : int or str
    mask : array of bool, shape [x, y, z]
    split : Split
        In TRs of the stimulus.
    rows : array of int, shape [TRs], optional
        Volume of the study that belongs to every TR of the stimulus; unless given, all of them in their order.
    cache : Path, optional
        Folder of masked matrices (:func:`fmri_audio.study.masked.masked_bold`); without it the scan is read.

    Returns
    -------
    array of float32, shape [TRs, voxels]

    Raises
    ------
    UserError
        There are fewer volumes than the split needs, or some of them are filler.
    """
    whole = study.bold(subject, mask) if cache is None else masked_bold(study, subject, mask, cache)
    bold = whole if rows is None else whole[rows]
    if split.bold_test[1] > len(bold):
        raise UserError(
            f"{study.folder}: {len(bold)} volumes are used, the stimulus needs {split.bold_test[1]}"
        )
    if not np.isfinite(bold).all():
        raise UserError(
            f"{study.path(subject)}: some of the TRs used are filler, the same volume over and over; declare it under "
            "fillers in study.yml, or choose other TRs with study.trs"
        )
    return cleaned_for(bold, split, study.tr)


def cleaned_for(
    bold: Matrix, split: Split, tr: Fraction, high_pass: float | None = HIGH_PASS_SECONDS
) -> Matrix:
    """Filter every block of a split on its own, and standardise run by run by training volumes alone.

    Parameters
    ----------
    bold : array, shape [TRs, voxels]
        As read, one row per TR of the stimulus; filler volumes are NaN.
    split : Split
    tr : Fraction
        Seconds.
    high_pass : float, optional
        Longest period (s) that is kept; None takes out the trend alone.

    Returns
    -------
    array of float32, shape [TRs, voxels]
        NaN outside the blocks.
    """
    blocks = clean_blocks(bold, split.bold_blocks, tr, high_pass)
    return standardise_by_run(blocks, split.bold_train_rows, split.runs, split.runs_without_training)


def fit_ridge(
    predictors: Matrix,
    targets: Matrix,
    trs: NDArray[np.int64],
    *,
    n_folds: int,
    gap: int,
    alphas: Sequence[float] | NDArray[np.float64] = ALPHAS,
) -> Ridge:
    """Ridge regression with the penalty of every target chosen by cross-validation within training.

    There are fewer TRs than voxels, as a rule, and the dual form is solved (himalaya's ``KernelRidgeCV``, Dupré la
    Tour et al. 2022), on a kernel that is computed once: with the predictors themselves it would check and copy them
    again and again, which costs more than the solution. Of fewer predictors, such as parcels, the primal form
    (``RidgeCV``) is the same and cheaper. Folds are contiguous with a gap, so that neighbouring TRs do not serve both
    sides. Where there is a GPU, all is computed there.

    Parameters
    ----------
    predictors : array, shape [TRs, features]
        Standardised on training TRs.
    targets : array, shape [TRs, targets]
    trs : array of int, shape [TRs]
        Which TRs the rows are, ascending: folds and gaps are counted in time.
    n_folds, gap : int
    alphas : sequence of float

    Raises
    ------
    UserError
        There are too few training TRs for so many folds.
    """
    from himalaya.kernel_ridge import KernelRidgeCV
    from himalaya.ridge import RidgeCV

    if len(trs) < 4 * n_folds:
        raise UserError(
            f"training.cv_folds: {n_folds} folds need at least {4 * n_folds} training TRs, there are {len(trs)}"
        )
    targets64 = np.asarray(targets, np.float64)
    mean = targets64.mean(axis=0)
    folds = cross_validation_folds(trs, n_folds, gap)
    predictors = np.asarray(predictors, np.float32)
    penalties = np.asarray(alphas, np.float64)
    with solver() as backend:
        centred = backend.asarray(targets64 - mean)
        if predictors.shape[1] < len(trs):
            primal = RidgeCV(alphas=penalties, cv=folds)
            given = backend.asarray(predictors, dtype="float64")
            primal.fit(given, centred)
            best = primal.best_alphas_
            # The weight of a TR is what is left of its target, over the penalty.
            dual = (centred - given @ primal.coef_) / best
        else:
            model = KernelRidgeCV(alphas=penalties, kernel="precomputed", cv=folds, warn=False)
            model.fit(products(predictors, predictors, backend), centred)
            dual, best = model.dual_coef_, model.best_alphas_
        weights, chosen = (np.asarray(backend.to_numpy(values), np.float64) for values in (dual, best))
    return Ridge(predictors, weights, mean, chosen)


def products(a: Matrix, b: Matrix, backend: ModuleType) -> Any:
    """Inner products of rows of ``a`` [n, features] with rows of ``b`` [m, features], in double precision, [n, m].

    Summed over slices of the features, so that no copy of either in double precision is made. It is an array of the
    backend and lies where that computes.
    """
    total = backend.zeros((len(a), len(b)), dtype="float64")
    for first in range(0, a.shape[1], _SLICE):
        part = slice(first, first + _SLICE)
        x, y = (backend.asarray(one[:, part], dtype="float64") for one in (a, b))
        total += x @ y.T
    return total


def decode_units(
    bold: Matrix, units: Matrix, split: Split, *, lags: Sequence[int], shift: int, n_folds: int
) -> tuple[Matrix, Ridge]:
    """Units of the held-out TRs, predicted from one subject's BOLD.

    Parameters
    ----------
    bold : array, shape [TRs, voxels]
        From :func:`brain_of`.
    units : array, shape [TRs, V]
        What the sound's own bottleneck holds; only training TRs are read.
    split : Split
    lags : sequence of int
        In TRs of stimulus time.
    shift : int
        TRs by which the study is already shifted.
    n_folds : int

    Returns
    -------
    predicted : array of float32, shape [held-out TRs, V]
    ridge : Ridge
    """
    predictors = lagged(bold, split.train, lags, shift)
    ridge = fit_ridge(predictors, units[split.train], split.train, n_folds=n_folds, gap=split.gap)
    return ridge.predict(lagged(bold, split.test, lags, shift)), ridge


@dataclass(frozen=True)
class FoldPrediction:
    """What was predicted for the held-out block of one fold.

    Attributes
    ----------
    block : (first, last)
        TRs of the stimulus.
    predicted : array, shape [TRs of the block, features]
    mean, spread : arrays, shape [features]
        Of the true features over the fold's training TRs.
    alphas : array, shape [features]
        Penalty chosen within training.
    """

    block: tuple[int, int]
    predicted: Matrix
    mean: NDArray[np.float64]
    spread: NDArray[np.float64]
    alphas: NDArray[np.float64]


def predict_folds(
    bold_of: Callable[[Split], Matrix],
    features: Matrix,
    splits: Sequence[Split],
    *,
    lags: Sequence[int],
    shift: int,
    n_folds: int,
) -> list[FoldPrediction]:
    """Predict features of the sound from one subject's BOLD, every held-out block by a model of the others.

    Parameters
    ----------
    bold_of : callable
        The subject's BOLD [TRs, voxels], cleaned and standardised for a split, as :func:`brain_of` returns it.
    features : array, shape [TRs, features]
        Of the whole stimulus; of each fold only training TRs are read.
    splits : sequence of Split
    lags, shift, n_folds
        As in :func:`decode_units`.

    Returns
    -------
    list of FoldPrediction
    """
    folds = []
    for split in splits:
        predicted, ridge = decode_units(
            bold_of(split), features, split, lags=lags, shift=shift, n_folds=n_folds
        )
        train = np.asarray(features[split.train], np.float64)
        spread = np.maximum(train.std(axis=0), 1e-6)
        folds.append(FoldPrediction(split.test_block, predicted, train.mean(axis=0), spread, ridge.alphas))
    return folds


def segments_of(values: Matrix, n_trs: int) -> NDArray[np.float64]:
    """Cut consecutive TRs [TRs, features] into non-overlapping segments, [segments, n_trs × features]."""
    count = len(values) // n_trs
    return np.asarray(values[: count * n_trs], np.float64).reshape(count, -1)


def identify(predicted: Matrix, true: Matrix, n_trs: int, gap: int = 0) -> Identification:
    """Pairwise identification of segments.

    For every segment i and every other segment j of the same block that lies more than a gap away: does the prediction
    for i correlate more with the truth of i than with the truth of j? A tie counts half.

    Parameters
    ----------
    predicted, true : arrays, shape [TRs, features]
        Consecutive held-out TRs, centred on the training mean.
    n_trs : int
        TRs per segment.
    gap : int
        TRs that lie between a segment and its distractors at least.

    Raises
    ------
    UserError
        No segment has a distractor.
    """
    a, b = segments_of(predicted, n_trs), segments_of(true, n_trs)
    starts = n_trs * np.arange(len(a))
    far = np.abs(starts[:, None] - starts) >= n_trs + gap
    if not far.any():
        apart = f" and {gap} TRs between them" if gap else ""
        raise UserError(
            f"{len(predicted)} held-out TRs hold {len(a)} segments of {n_trs} TRs; "
            f"identification needs at least 2{apart}"
        )
    similarity = _rows_correlated(a, b)
    own = np.diag(similarity)[:, None]
    won = (own > similarity) + 0.5 * (own == similarity)
    some = far.any(axis=1)
    per_segment = (won * far)[some].sum(axis=1) / far[some].sum(axis=1)
    return Identification(float(per_segment.mean()), per_segment, int(far.sum()))


def prediction_correlation(predicted: Matrix, true: Matrix) -> float:
    """Mean over columns of the correlation between predicted and true values; constant columns are left out."""
    return float(np.nanmean(correlate(predicted, true)))


def brain_to_brain(bold: Sequence[Matrix], split: Split, n_trs: int) -> list[Identification]:
    """Ceiling for identification: each subject's held-out BOLD identified from the mean of the others'.

    What the other brains cannot tell apart, no model of the shared response can. Distractors lie further away than the
    split's gap.

    Parameters
    ----------
    bold : sequence of arrays, shape [TRs, voxels]
        One per subject, from :func:`brain_of`.
    split : Split
    n_trs : int
        TRs per segment.

    Returns
    -------
    list of Identification
        One per subject; empty where the block is too short for any segment to have a distractor.
    """
    if len(bold) < 2:
        raise UserError("a ceiling between brains needs at least 2 subjects")
    rows = np.arange(*split.bold_test)
    if len(rows) // n_trs < 2 + -(-split.gap // n_trs):
        return []
    held_out = np.stack([one[rows] for one in bold])
    total = held_out.sum(axis=0)
    return [identify((total - one) / (len(bold) - 1), one, n_trs, split.gap) for one in held_out]


def _rows_correlated(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correlation of every row of ``a`` with every row of ``b``; a constant row correlates 0 with all."""
    a = a - a.mean(axis=1, keepdims=True)
    b = b - b.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(a, axis=1)[:, None] * np.linalg.norm(b, axis=1)[None]
    return np.asarray(np.divide(a @ b.T, norms, out=np.zeros_like(norms), where=norms > 1e-12))
