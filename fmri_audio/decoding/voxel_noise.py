"""Noise of voxels: what measured BOLD has beside what a model predicts, with its covariance in space and time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter
from sklearn.covariance import ledoit_wolf_shrinkage

from fmri_audio.base.errors import UserError
from fmri_audio.base.kinds import Matrix
from fmri_audio.brain.agreement import pairwise_isc

#: Reliabilities are kept between these: at 0 noise would be infinite, at 1 there would be none.
RELIABILITY_RANGE = (0.01, 0.99)


@dataclass(frozen=True)
class VoxelNoise:
    r"""Gaussian noise for units of variance 1, as training residuals say that it is.

    Space and time are taken as separable. In space, noise has the residuals' correlations, shrunk towards none by as
    much as their number asks for (Ledoit & Wolf 2004): fewer residuals than voxels would leave directions without any
    noise. In time, it is autoregressive of order 1 with the residuals' mean lag-1 correlation; and its variance in
    voxel *v* is :math:`(1 - \rho_v) / \rho_v`, so that signal has a share :math:`\rho_v` of the sum.

    Attributes
    ----------
    residuals : array, shape [TRs, V]
        Standardised per voxel.
    autocorrelation : float
        At a lag of one TR.
    shrinkage : float
        Share of the variance that is independent between voxels, beside what residuals have in common.
    reliability : array, shape [V]
        Signal's share of the variance, from training alone.
    """

    residuals: Matrix
    autocorrelation: float
    shrinkage: float
    reliability: NDArray[np.float64]

    @property
    def deviation(self) -> NDArray[np.float64]:
        """Standard deviation of the noise per voxel, [V]."""
        return np.asarray(np.sqrt((1 - self.reliability) / self.reliability))

    def sample(self, n_trs: int, seed: int, *, independent: bool = False) -> Matrix:
        """Draw noise [n_trs, V]; ``independent`` leaves both covariances out, which no brain does.

        Linear combinations of the residuals with independent weights have the residuals' covariance exactly, without
        a matrix of voxels by voxels; noise of every voxel's own is added as shrinkage asks.
        """
        rng = np.random.default_rng(seed)
        if independent:
            drawn = rng.standard_normal((n_trs, len(self.reliability)))
        else:
            n, n_voxels = self.residuals.shape
            common = self._in_time(rng, n_trs, n) @ self.residuals / np.sqrt(n)
            own = self._in_time(rng, n_trs, n_voxels)
            drawn = np.sqrt(1 - self.shrinkage) * common + np.sqrt(self.shrinkage) * own
        return np.asarray(drawn * self.deviation, np.float32)

    def _in_time(self, rng: np.random.Generator, n_trs: int, columns: int) -> NDArray[np.float64]:
        """Independent autoregressive series of variance 1, [n_trs, columns]."""
        phi = self.autocorrelation
        start, later = rng.standard_normal((1, columns)), rng.standard_normal((n_trs, columns))
        return np.asarray(lfilter([np.sqrt(1 - phi**2)], [1.0, -phi], later, axis=0, zi=phi * start)[0])


def voxel_noise(bold: Sequence[Matrix], predicted: Matrix, blocks: Sequence[tuple[int, int]]) -> VoxelNoise:
    """Fit voxel noise to single subjects' training BOLD.

    What a model predicts is taken out of each subject's BOLD by least squares per voxel, so that its scale does not
    matter. Reliability is the mean correlation between two subjects.

    Parameters
    ----------
    bold : sequence of arrays, shape [volumes, V]
        One per subject, standardised on training.
    predicted : array, shape [volumes, V]
        By the bottleneck.
    blocks : sequence of (first, last)
        Training volumes; nothing else is read.

    Raises
    ------
    UserError
        There is a single subject: reliability needs two.
    """
    if len(bold) < 2:
        raise UserError(
            "study: voxel noise needs the reliability of voxels, and that needs at least 2 subjects"
        )
    rows = np.concatenate([np.arange(*block) for block in blocks])
    signal = _standardised(predicted[rows])
    subjects = [_standardised(one[rows]) for one in bold]
    parts = [one - signal * (one * signal).mean(axis=0) for one in subjects]
    residuals = np.concatenate([_standardised(part) for part in parts])
    inside = np.flatnonzero(np.diff(np.tile(rows, len(bold))) == 1)
    phi = float(np.mean(residuals[inside] * residuals[inside + 1]))
    reliability = np.clip(pairwise_isc(np.stack(subjects)).mean(axis=0), *RELIABILITY_RANGE)
    return VoxelNoise(
        np.asarray(residuals, np.float32),
        float(np.clip(phi, 0.0, 0.99)),
        float(ledoit_wolf_shrinkage(residuals)),
        reliability,
    )


def _standardised(values: NDArray[np.floating]) -> NDArray[np.float64]:
    centred = np.asarray(values, np.float64) - values.mean(axis=0)
    return np.asarray(centred / np.maximum(centred.std(axis=0), 1e-12))
