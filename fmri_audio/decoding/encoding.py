"""From sound to BOLD: how much of a voxel which kind of feature predicts, by banded ridge regression.

Ridge regression gives all features one penalty, so that a kind of many columns (a spectrogram) crowds out one of few
(the envelope). Banded ridge (Nunez-Elizalde et al. 2019; Dupré la Tour et al. 2022) gives every kind its own, chosen
per voxel, and its prediction is a sum whose parts can be scored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fmri_audio.base.errors import UserError
from fmri_audio.base.kinds import Matrix
from fmri_audio.brain.agreement import correlate
from fmri_audio.brain.solver import solver
from fmri_audio.decoding.regression import ALPHAS
from fmri_audio.study.splits import Split, cross_validation_folds

#: Delays (TRs of stimulus time) over which a voxel may answer a sound: 1.5 to 9 s for TRs of 1.5 s.
DELAYS = (1, 2, 3, 4, 5, 6)
#: Ways of weighing the kinds of features against each other that are tried for every voxel.
N_MIXTURES = 20


@dataclass(frozen=True)
class Encoded:
    """What features of a sound predict of one subject's held-out BOLD.

    Attributes
    ----------
    correlation : array, shape [voxels]
        Of held-out volumes with the prediction from all kinds together.
    parts : dict
        Kind → array [voxels]: its additive share of that correlation; the shares of all kinds add up to it.
    """

    correlation: NDArray[np.float64]
    parts: dict[str, NDArray[np.float64]]


def delayed(
    features: Matrix, volumes: NDArray[np.int64], delays: Sequence[int], shift: int, run: tuple[int, int]
) -> Matrix:
    """Features that a volume may answer, side by side: a finite impulse response.

    Parameters
    ----------
    features : array, shape [TRs, features]
        One row per TR of the stimulus.
    volumes : array of int, shape [n]
        Of one run, in TRs of the stimulus used.
    delays : sequence of int
        TRs from the sound to the volume that answers it, in stimulus time.
    shift : int
        TRs by which the study is already shifted: volume k answers the sound of TR ``k + shift - delay``.
    run : (first, last)
        Before and after it there is silence: zeros.

    Returns
    -------
    array of float32, shape [n, delays × features]
    """
    rows = volumes[:, None] + shift - np.asarray(delays)
    inside = (rows >= run[0]) & (rows < run[1])
    picked = np.where(inside[..., None], features[np.clip(rows, 0, len(features) - 1)], 0)
    return np.asarray(picked.reshape(len(volumes), len(delays) * features.shape[1]), np.float32)


def banded_ridge(
    kinds: Mapping[str, Matrix],
    bold: Matrix,
    split: Split,
    runs: Sequence[tuple[int, int]],
    *,
    shift: int,
    n_folds: int,
    seed: int,
    delays: Sequence[int] = DELAYS,
    n_mixtures: int | None = None,
) -> Encoded:
    """Predict held-out BOLD from several kinds of features, each with a penalty of its own in every voxel.

    Features are standardised by the sound of the training TRs. Penalties are chosen by contiguous folds within
    training (himalaya's ``MultipleKernelRidgeCV``, random search on the simplex), on a GPU where there is one.

    Parameters
    ----------
    kinds : mapping
        Name of a kind of feature → array [TRs, features] of the whole stimulus.
    bold : array, shape [TRs, voxels]
        One subject's, cleaned and standardised for the split.
    split : Split
    runs : sequence of (first, last)
        TRs of each run.
    shift : int
        TRs by which the study is already shifted.
    n_folds, seed : int
        Folds within training; of the random search.
    delays : sequence of int
        In TRs of stimulus time.
    n_mixtures : int, optional
        Mixtures of kinds that the random search tries; ``N_MIXTURES`` unless given.

    Returns
    -------
    Encoded

    Raises
    ------
    UserError
        There are no features, or too few training volumes for so many folds.
    """
    from himalaya.kernel_ridge import MultipleKernelRidgeCV
    from himalaya.scoring import correlation_score_split

    if not kinds:
        raise UserError("banded ridge needs at least one kind of features")
    train, test = split.bold_train_rows, np.arange(*split.bold_test)
    if len(train) < 4 * n_folds:
        raise UserError(
            f"training.cv_folds: {n_folds} folds need at least {4 * n_folds} training volumes, there are {len(train)}"
        )
    standardised = [_standardised(one, split.train) for one in kinds.values()]
    designs = [[_design(one, rows, delays, shift, runs) for one in standardised] for rows in (train, test)]
    kernels = [np.stack([a @ b.T for a, b in zip(rows, designs[0], strict=True)]) for rows in designs]
    model = MultipleKernelRidgeCV(
        kernels="precomputed",
        solver="random_search",
        cv=cross_validation_folds(train, n_folds, split.gap),
        solver_params={"n_iter": n_mixtures or N_MIXTURES, "alphas": ALPHAS, "progress_bar": False},
        random_state=seed,
    )
    target, true = (np.asarray(bold[rows], np.float64) for rows in (train, test))
    with solver() as backend:
        model.fit(*(backend.asarray(one) for one in (kernels[0], target - target.mean(axis=0))))
        found = model.predict(backend.asarray(kernels[1]), split=True)
        shares = correlation_score_split(backend.asarray(true - true.mean(axis=0)), found)
        parts, scores = (np.asarray(backend.to_numpy(one)) for one in (found, shares))
    return Encoded(correlate(true, parts.sum(axis=0)), dict(zip(kinds, scores, strict=True)))


def _standardised(features: Matrix, train: NDArray[np.int64]) -> Matrix:
    """Features with mean 0 and variance 1 over the training TRs; a constant one becomes 0."""
    mean, spread = features[train].mean(axis=0), features[train].std(axis=0)
    scale = np.divide(1, spread, out=np.zeros_like(spread), where=spread > 1e-9)
    return np.asarray((features - mean) * scale, np.float32)


def _design(
    features: Matrix,
    volumes: NDArray[np.int64],
    delays: Sequence[int],
    shift: int,
    runs: Sequence[tuple[int, int]],
) -> NDArray[np.float64]:
    """Delayed features of volumes of several runs, [volumes, delays × features]."""
    rows = [
        delayed(features, volumes[(volumes >= run[0]) & (volumes < run[1])], delays, shift, run)
        for run in runs
    ]
    return np.concatenate(rows).astype(np.float64)
