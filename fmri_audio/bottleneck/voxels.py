r"""Numbers through voxels and the haemodynamic response, with noise, and read again as well as they can be.

A TR's numbers :math:`x_t` drive voxels by a map A, voxels answer through the response h, and noise is added that is
correlated in space and in time:

.. math:: y_t = \sum_m h_m A x_{t-m} + e_t, \qquad \operatorname{cov}(e) = k\, \Sigma_{space} \otimes \Sigma_{time}

Power is limited where a brain limits it, before the response: every voxel's drive has the variance that it is given.
BOLD is never rescaled.

Numbers of mean 0 and variance 1 that are independent make this a linear Gaussian model, whose posterior is known. A
singular value decomposition in space, of noise-whitened A, and one in time, of the noise-whitened response over a whole
run, take it apart into channels of one number each; the posterior mean is the best linear reader of the whole run, and
no window of lags has to be chosen. Mutual information is the sum of the channels' (Cover and Thomas 2006, ch. 9).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from fmri_audio.brain.response import response_weights

AFTER_SECONDS = 20.0
"""Volumes are taken until so long after the last TR: what is later of its response hardly counts."""

Array = NDArray[np.float64]


def ar_whitening(n: int, autocorrelation: float) -> Array:
    """Matrix [n, n] that makes noise of order 1 with an autocorrelation white, of variance 1."""
    left = np.eye(n) - autocorrelation * np.eye(n, k=-1)
    left[1:] /= math.sqrt(1 - autocorrelation**2)
    return left


@dataclass(frozen=True)
class InTime:
    """The response over one run, which starts from rest and is measured until some time after its end.

    Attributes
    ----------
    forward : array, shape [volumes, TRs]
        Volumes of activity; a volume is taken at the middle of a TR.
    whitening : array, shape [volumes, volumes]
        Makes the noise white.
    """

    forward: Array
    whitening: Array

    @classmethod
    def of(
        cls, n_trs: int, tr: Fraction, autocorrelation: float = 0.0, after: float = AFTER_SECONDS
    ) -> InTime:
        """Make one of ``n_trs`` TRs.

        Parameters
        ----------
        n_trs : int
        tr : Fraction
            Seconds.
        autocorrelation : float
            Of the noise, from one TR to the next.
        after : float
            Seconds after the last TR until which volumes are taken.
        """
        weights = response_weights(tr)
        n_volumes = n_trs + math.ceil(after / float(tr))
        column = np.zeros(n_volumes)
        column[: min(len(weights), n_volumes)] = weights[:n_volumes]
        forward = scipy.linalg.toeplitz(column, np.zeros(n_trs))
        return cls(forward, ar_whitening(n_volumes, autocorrelation))

    @property
    def n_trs(self) -> int:
        """TRs of the run."""
        return int(self.forward.shape[1])

    @cached_property
    def decomposed(self) -> tuple[Array, Array, Array]:
        """Singular vectors and values of the whitened response: left [volumes, TRs], values, right [TRs, TRs]."""
        left, values, right = np.linalg.svd(self.whitening @ self.forward, full_matrices=False)
        return left, values, right.T

    @cached_property
    def condition(self) -> float:
        """Largest over smallest amplitude that the response gives a course of activity."""
        values = np.linalg.svd(self.forward, compute_uv=False)
        return float(values[0] / values[-1])

    def inverse(self, volumes: Array) -> Array:
        """Activity [TRs, n] of noise-free volumes [volumes, n], by least squares over the whole run."""
        return np.asarray(np.linalg.lstsq(self.forward, volumes, rcond=None)[0])


@dataclass(frozen=True)
class InSpace:
    """A map from numbers to voxels, and the noise of voxels.

    Attributes
    ----------
    weights : array, shape [V, N]
        Drive of each voxel by each number, in units of the noise's standard deviation where noise has variance 1.
    covariance : array, shape [V, V]
        Of the noise.
    """

    weights: Array
    covariance: Array

    @cached_property
    def decomposed(self) -> tuple[Array, Array, Array]:
        """Whitened left vectors, values, and right vectors: [V, n], [n], [N, n], with n = min(V, N).

        The first take a volume to the channels' observations, whose noise is white.
        """
        values, vectors = np.linalg.eigh(self.covariance)
        whitening = vectors / np.sqrt(np.maximum(values, 1e-9 * values[-1])) @ vectors.T
        left, gains, right = np.linalg.svd(whitening @ self.weights, full_matrices=False)
        return whitening.T @ left, gains, right.T


def ideal_map(n_voxels: int, n_numbers: int, deviation: Array, seed: int) -> Array:
    """Map [V, N] whose numbers drive orthogonal patterns of voxels: a device, and no brain.

    Parameters
    ----------
    n_voxels, n_numbers : int
        V is at least N.
    deviation : array, shape [V]
        Standard deviation of every voxel's drive; the pattern's own differences come on top.
    seed : int

    Raises
    ------
    ValueError
        More numbers than voxels.
    """
    if n_numbers > n_voxels:
        raise ValueError(
            f"{n_numbers} numbers do not pass {n_voxels} voxels: at most as many as there are voxels do"
        )
    patterns, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((n_voxels, n_numbers)))
    return np.asarray(patterns * math.sqrt(n_voxels / n_numbers) * deviation[:, None])


def limited(patterns: Array, deviation: Array) -> Array:
    """Scale patterns [V, N], row by row, so that numbers of variance 1 give each voxel's drive its deviation [V]."""
    size = np.linalg.norm(patterns, axis=1, keepdims=True)
    return np.asarray(patterns / np.maximum(size, 1e-12) * deviation[:, None])


@dataclass(frozen=True)
class Channel:
    """Numbers per TR through voxels over one run.

    Attributes
    ----------
    space : InSpace
    time : InTime
    """

    space: InSpace
    time: InTime

    def send(self, numbers: Array) -> Array:
        """Noise-free volumes [volumes, V] of numbers [TRs, N]."""
        return np.asarray(self.time.forward @ numbers @ self.space.weights.T)

    def noise(self, k: float, rng: np.random.Generator) -> Array:
        """Noise [volumes, V] of k times the variance."""
        n = len(self.time.forward)
        white = rng.standard_normal((n, len(self.space.covariance)))
        values, vectors = np.linalg.eigh(self.space.covariance)
        spread = white * np.sqrt(np.maximum(values, 0)) @ vectors.T
        return np.asarray(
            math.sqrt(k) * scipy.linalg.solve_triangular(self.time.whitening, spread, lower=True)
        )

    def read_exactly(self, volumes: Array) -> Array:
        """Numbers [TRs, N] of noise-free volumes [volumes, V]: the linear inverse in time and space.

        Raises
        ------
        ValueError
            There are more numbers than voxels, or than patterns that differ.
        """
        rank = int(np.linalg.matrix_rank(self.space.weights))
        n_voxels, n_numbers = self.space.weights.shape
        if rank < n_numbers:
            raise ValueError(f"{n_numbers} numbers per TR do not pass {rank} patterns of {n_voxels} voxels")
        return self.time.inverse(volumes) @ np.linalg.pinv(self.space.weights).T

    def posterior(self, volumes: Array, k: float) -> tuple[Array, Array]:
        """Means and reliabilities of numbers, [TRs, N] each, given volumes [volumes, V] with k times the noise.

        Reliability is 1 − posterior variance of numbers whose prior variance is 1.
        """
        back, gains, patterns = self.space.decomposed
        left, values, courses = self.time.decomposed
        observed = left.T @ (self.time.whitening @ volumes @ back)  # [TRs, channels], noise of variance k
        gain = values[:, None] * gains / math.sqrt(k)
        mean = courses @ (gain / (1 + gain**2) * observed / math.sqrt(k)) @ patterns.T
        share = gain**2 / (1 + gain**2)
        reliability = courses**2 @ share @ (patterns**2).T
        return np.asarray(mean), np.asarray(reliability)

    def passed(self, numbers: Array, k: float, rng: np.random.Generator) -> tuple[Array, Array]:
        """Means and reliabilities of numbers [TRs, N] that were sent in k times the noise; k = 0: all, exactly.

        Raises
        ------
        ValueError
            Without noise, more numbers than patterns.
        """
        volumes = self.send(numbers)
        if not k:
            return self.read_exactly(volumes), np.ones_like(numbers)
        return self.posterior(volumes + self.noise(k, rng), k)

    def bits(self, k: float) -> float:
        """Bits per TR that volumes with k times the noise tell of independent numbers of variance 1."""
        gain = self.time.decomposed[1][:, None] * self.space.decomposed[1] / math.sqrt(k)
        return float(0.5 * np.log2(1 + gain**2).sum() / self.time.n_trs)

    def usable(self, k: float) -> int:
        """Directions of a run's numbers, in space and time, whose signal is at least as large as the noise."""
        gain = self.time.decomposed[1][:, None] * self.space.decomposed[1] / math.sqrt(k)
        return int((gain >= 1).sum())


def capacity(covariance: Array, deviation: Array, time: InTime, k: float) -> float:
    """Upper bound in bits per TR on what voxels of limited drive can tell, whatever drives them (water-filling).

    Power before the response is limited in sum over voxels; it is spread over patterns in space and courses in time as
    serves best, which no code has to do.

    Parameters
    ----------
    covariance : array, shape [V, V]
        Of the noise.
    deviation : array, shape [V]
        Standard deviation of every voxel's drive.
    time : InTime
    k : float
        Times the noise's variance.
    """
    inverse_noise = 1 / np.maximum(np.linalg.eigvalsh(covariance), 1e-12)
    gains = np.multiply.outer(time.decomposed[1] ** 2, inverse_noise).ravel() / k
    total = float(np.square(deviation).sum()) * time.n_trs
    return water_filling(gains, total) / time.n_trs


def water_filling(gains: Array, power: float) -> float:
    """Bits of parallel Gaussian channels, ½ log₂(1 + gain · p) each, with the power best divided among them.

    Parameters
    ----------
    gains : array, shape [n]
        Signal to noise of each channel at a power of 1.
    power : float
        Of all together.
    """
    floor = np.sort(1 / np.maximum(gains, 1e-300))
    filled = np.cumsum(floor)
    n = np.arange(1, len(floor) + 1)
    level = (power + filled) / n  # water level were the first n channels used
    used = int(n[level > floor][-1])
    return float(0.5 * np.log2(level[used - 1] / floor[:used]).sum())
