r"""How many bits about a sound its prediction from a brain carries, beside what a codec spends.

Two lower bounds on the mutual information between true features and held-out predictions. The first takes features
apart into uncorrelated components and counts, for Gaussian ones,

.. math:: I \ge -\tfrac12 \sum_i \log_2 (1 - r_i^2)

with :math:`r_i` the correlation of component i with its prediction (Cover and Thomas 2006, ch. 8): uncorrelated
Gaussian components are independent, so that what is known of each adds up. The second follows from identification by
Fano's inequality. Correlations of few TRs are never 0, so the first is biased upwards; what circular shifts of the
sound give in the same way, where there is nothing to know, is subtracted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fmri_audio.decoding.identification import admissible_shifts, run_of
from fmri_audio.decoding.regression import FoldPrediction
from fmri_audio.study.splits import Split

#: Principal components counted at most: more than a held-out block of TRs can tell apart are only bias.
MOST_COMPONENTS = 16


@dataclass(frozen=True)
class Bits:
    """Information per TR, in bits.

    Attributes
    ----------
    raw : float
        Before the correction.
    null : array, shape [shifts]
        The same with the sound turned round.
    """

    raw: float
    null: NDArray[np.float64]

    @property
    def value(self) -> float:
        """Corrected for bias: it may be below 0 by chance."""
        return self.raw - float(self.null.mean())

    @property
    def p(self) -> float:
        """Share of shifts, the true pairing included, with at least as many bits."""
        return float((1 + (self.null >= self.raw).sum()) / (1 + len(self.null)))


@dataclass(frozen=True)
class _Whitening:
    """Components of features, uncorrelated with each other and from one TR to the next; learnt in training."""

    mean: NDArray[np.float64]
    basis: NDArray[np.float64]
    carry: NDArray[np.float64]

    @classmethod
    def learn(cls, features: NDArray[np.float32], split: Split, most: int) -> _Whitening:
        """Principal components of the training TRs and their autocorrelation from one TR to the next."""
        train = np.asarray(features[split.train], np.float64)
        mean = train.mean(axis=0)
        _, size, vectors = np.linalg.svd(train - mean, full_matrices=False)
        kept = min(most, int((size > 1e-6 * size[0]).sum()))
        basis = vectors[:kept].T / size[:kept] * np.sqrt(len(train))
        blocks = [(np.asarray(features[a:b], np.float64) - mean) @ basis for a, b in split.train_blocks]
        now, before = (
            np.concatenate([block[part] for block in blocks]) for part in (slice(1, None), slice(-1))
        )
        return cls(mean, basis, (now * before).sum(axis=0) / (before**2).sum(axis=0))

    def apply(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """Innovations of the components: what each TR holds that the one before did not foretell, [TRs, components].

        The first row has no TR before it and is only scaled.
        """
        components = (np.asarray(features, np.float64) - self.mean) @ self.basis
        components[1:] -= self.carry * components[:-1]
        return np.asarray(components)


def gaussian_bits(
    folds: Sequence[FoldPrediction],
    features: NDArray[np.float32],
    splits: Sequence[Split],
    runs: Sequence[tuple[int, int]],
    *,
    gap: int,
    most_components: int = MOST_COMPONENTS,
) -> Bits:
    """Bits per TR that one subject's predictions carry about features of the sound, mean over folds.

    Parameters
    ----------
    folds : sequence of FoldPrediction
    features : array, shape [TRs, features]
        True ones, of the whole stimulus.
    splits : sequence of Split
        The folds' own: components, their scale and their autocorrelation are learnt from training TRs.
    runs : sequence of (first, last)
    gap : int
        Shifts are longer, in both directions.
    most_components : int

    Returns
    -------
    Bits
    """
    shifts = np.concatenate([[0], admissible_shifts(runs, gap)])
    found = [
        _fold_bits(
            fold,
            features,
            _Whitening.learn(features, split, most_components),
            run_of(fold.block, runs),
            shifts,
        )
        for fold, split in zip(folds, splits, strict=True)
    ]
    bits = np.mean(found, axis=0)
    return Bits(float(bits[0]), np.asarray(bits[1:]))


def _fold_bits(
    fold: FoldPrediction,
    features: NDArray[np.float32],
    whitening: _Whitening,
    run: tuple[int, int],
    shifts: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Bits per TR of one fold under every shift, [shifts]."""
    predicted = whitening.apply(fold.predicted)[1:]
    true = whitening.apply(features[run[0] : run[1]])
    within = np.arange(fold.block[0] + 1, fold.block[1]) - run[0]
    turned = true[(within + shifts[:, None]) % len(true)]
    a = predicted - predicted.mean(axis=0)
    b = turned - turned.mean(axis=1, keepdims=True)
    norms = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=1))
    r = np.divide((a * b).sum(axis=1), norms, out=np.zeros_like(norms), where=norms > 0)
    # A component that is predicted with the wrong sign is not known: only what agrees counts.
    return np.asarray(-0.5 * np.log2(1 - np.clip(r, 0, 1 - 1e-12) ** 2).sum(axis=1))


def identification_bits(accuracy: float, ways: int) -> float:
    r"""Bits that identifying one of ``ways`` equally likely segments carries at least, by Fano's inequality.

    :math:`\log_2 n - H(e) - e \log_2 (n - 1)` with :math:`e` the share of errors; 0 at chance or below.
    """
    if not 0 <= accuracy <= 1 or ways < 2:
        raise ValueError(f"an accuracy of {accuracy:g} among {ways} is impossible")
    if accuracy <= 1 / ways:
        return 0.0
    error = 1 - accuracy
    doubt = 0.0 if error == 0 else -error * np.log2(error) - accuracy * np.log2(accuracy)
    return float(np.log2(ways) - doubt - error * np.log2(ways - 1))
