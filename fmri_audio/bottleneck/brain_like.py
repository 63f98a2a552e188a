"""What a simulated brain lends a code: how strongly sound drives its voxels, their tuning and their noise.

Simulated voxels also follow what nobody hears. It is no drive by sound, and it is left out of the noise too, which is
the scanner's and the body's alone: as noise it would leave fewer bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fmri_audio.bottleneck.voxels import InSpace, ideal_map, limited
from fmri_audio.simulation.brains import UNHEARD, Simulation
from fmri_audio.simulation.grid import Grid
from fmri_audio.simulation.haemodynamics import above_drift, responses
from fmri_audio.simulation.scanner_noise import FWHM_OF_SIGMA
from fmri_audio.sound.acoustics import FEATURE_RATE

Array = NDArray[np.float64]

_LEAST_PATTERN = 1e-4
"""Variance of a pattern of drive, relative to the strongest, below which it is none of the brain's tuning."""


@dataclass(frozen=True)
class BrainLike:
    """Voxels of auditory cortex as one simulated brain has them, in units in which noise has about variance 1.

    Attributes
    ----------
    deviation : array, shape [V]
        Standard deviation of the drive by sound before the response, from TR to TR.
    tuning : array, shape [V, patterns]
        Orthogonal patterns of the drive, each as long as it is strong.
    covariance : array, shape [V, V]
        Of the noise in space.
    autocorrelation : float
        Of the noise from one TR to the next.
    """

    deviation: Array
    tuning: Array
    covariance: Array
    autocorrelation: float

    @property
    def n_voxels(self) -> int:
        """V."""
        return len(self.deviation)

    @property
    def rank(self) -> int:
        """Patterns that the drive has."""
        return int(self.tuning.shape[1])

    @classmethod
    def of(cls, simulation: Simulation) -> BrainLike:
        """Take them from a simulation's plan; nothing is simulated."""
        population, tr = simulation.sound, simulation.tr
        process = population.process.values
        followed = above_drift(responses(process, simulation.runs, tr), simulation.runs, tr)
        scale = followed.std(
            axis=0
        )  # after the response features have variance 1: so much were they made smaller
        frames = round(FEATURE_RATE * tr)
        n_trs = process.shape[1] // frames
        per_tr = process[:, : n_trs * frames].reshape(len(process), n_trs, frames).mean(2)
        per_tr -= per_tr.mean(axis=1, keepdims=True)
        weights = population.weights * np.sqrt(population.share)
        shares = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 1e-9)
        heard = np.array([family != UNHEARD for family in population.process.families])
        drive = (per_tr.T * shares * heard) @ weights
        _, sizes, patterns = np.linalg.svd(drive / np.sqrt(n_trs), full_matrices=False)
        kept = sizes**2 > _LEAST_PATTERN * sizes[0] ** 2
        like = simulation.voxels.noise
        local = _alike(simulation.grid, like.fwhm_mm)
        size = np.sqrt(population.noise_variance)
        covariance = size[:, None] * size * ((1 - like.common) * local + like.common)
        return cls(
            np.asarray(np.sqrt((drive**2).mean(axis=0))),
            np.asarray((patterns[kept] * sizes[kept, None]).T),
            np.asarray(covariance),
            like.carried(tr),
        )

    def map(self, n_numbers: int, seed: int, *, ideal: bool) -> InSpace:
        """How numbers drive these voxels: by orthogonal patterns, or by the brain's own.

        Parameters
        ----------
        n_numbers : int
        seed : int
        ideal : bool
            A device, and no brain; it needs as many voxels as numbers. Otherwise numbers are mixed at random into the
            patterns of the brain's tuning, of which there may be fewer than numbers.

        Raises
        ------
        ValueError
            More numbers than voxels, of an ideal map.
        """
        if ideal:
            return InSpace(ideal_map(self.n_voxels, n_numbers, self.deviation, seed), self.covariance)
        mixing = np.random.default_rng(seed).standard_normal((max(self.rank, n_numbers),) * 2)
        mixed, _ = np.linalg.qr(mixing)
        return InSpace(limited(self.tuning @ mixed[: self.rank, :n_numbers], self.deviation), self.covariance)


def _alike(grid: Grid, fwhm_mm: float) -> Array:
    """Correlation of noise between auditory voxels, [V, V]: white noise smoothed along each axis of the grid."""
    places = np.argwhere(grid.active[grid.box])
    alike = np.ones((len(places), len(places)))
    for along, mm in zip(places.T, grid.voxel_mm, strict=True):
        n = int(along.max()) + 1
        weights = np.exp(-0.5 * (np.arange(-3 * n, 3 * n + 1) * mm / (fwhm_mm / FWHM_OF_SIGMA)) ** 2)
        by_distance = np.array([weights[d:] @ weights[: len(weights) - d] for d in range(n)]) / (
            weights @ weights
        )
        alike *= by_distance[np.abs(along[:, None] - along)]
    return alike
