"""What a scanner adds to brains: noise correlated in time and space, drift, and artefacts of motion.

Amounts are in standard deviations of the noise. Everything is made for the box of voxels that holds the brain's
tissue, a few volumes at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
from scipy.linalg import toeplitz
from scipy.ndimage import gaussian_filter

from fmri_audio.simulation.haemodynamics import drift_basis
from fmri_audio.study.facts import Run

#: How many courses drift has, and its smoothness in space (mm).
N_DRIFTS, DRIFT_FWHM_MM = 3, 20.0
#: The head jerks about once in three minutes. What that adds is largest at edges of tissue, has this standard
#: deviation over tissue (as median, and with this spread of its logarithm) and fades with this time constant.
ARTEFACT_EVERY_SECONDS, ARTEFACT_SD, ARTEFACT_SPREAD, ARTEFACT_FADES_SECONDS = 180.0, 2.0, 0.3, 4.5
#: A Gaussian is so many standard deviations wide at half its height.
FWHM_OF_SIGMA = float(np.sqrt(8 * np.log(2)))
_CHUNK_VALUES = 2_000_000


@dataclass(frozen=True)
class Noise:
    """What a voxel's noise is like.

    Attributes
    ----------
    fwhm_mm : float
        Its smoothness in space.
    autocorrelation : float
        From one moment to another 1.5 s later.
    common : float
        Share of its variance that a subject's whole brain has in common.
    drift_variance : float
        Variance of the drift in a run long enough for all its courses, where the noise has 1.
    """

    fwhm_mm: float
    autocorrelation: float
    common: float
    drift_variance: float

    def carried(self, tr: Fraction) -> float:
        """Autocorrelation from one volume to the next."""
        return float(self.autocorrelation ** float(tr / Fraction(3, 2)))


@dataclass(frozen=True)
class Artefacts:
    """Jerks of one subject's head.

    Attributes
    ----------
    rows : array of int, shape [jerks]
        Volume of the joined file at which each happens.
    displacement : array, shape [jerks, 3]
        How much of the artefact pattern along x, y, z each brings.
    """

    rows: np.ndarray
    displacement: np.ndarray

    def course(self, runs: Sequence[Run], tr: Fraction) -> np.ndarray:
        """How much of the pattern along each axis is in every volume, [TRs, 3]; nothing outlasts its run."""
        course = np.zeros((runs[-1].last_tr, 3), np.float32)
        for row, displacement in zip(self.rows, self.displacement, strict=True):
            last = next(run.last_tr for run in runs if row < run.last_tr)
            seconds = np.arange(last - row) * float(tr)
            course[row:last] += np.exp(-seconds / ARTEFACT_FADES_SECONDS)[:, None] * displacement
        return course


def draw_artefacts(n_trs: int, tr: Fraction, rng: np.random.Generator) -> Artefacts:
    """Draw when and how the head jerks: independently in every volume, in a random direction."""
    rows = np.flatnonzero(rng.random(n_trs) < min(1.0, float(tr) / ARTEFACT_EVERY_SECONDS))
    direction = rng.standard_normal((len(rows), 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    return Artefacts(rows, direction * ARTEFACT_SD * rng.lognormal(0.0, ARTEFACT_SPREAD, (len(rows), 1)))


def artefact_maps(grey: np.ndarray, tissue: np.ndarray) -> np.ndarray:
    """What moving the head along x, y, z does to each voxel of tissue, [3, voxels].

    The image changes by its gradient times the displacement, so mostly at edges. Scaled so that a displacement
    of 1 in a random direction has variance 1 over tissue.
    """
    gradient = np.stack(np.gradient(gaussian_filter(grey, 1.0)))[:, tissue]
    return np.asarray(gradient / np.sqrt((gradient**2).sum(axis=0).mean() / 3), np.float32)


def noise_chunks(
    box: Sequence[int],
    kept: np.ndarray,
    voxel_mm: Sequence[float],
    run: Run,
    tr: Fraction,
    like: Noise,
    rng: np.random.Generator,
) -> Iterator[np.ndarray]:
    """Yield the noise of a run, some volumes at a time, [volumes, kept voxels], float32.

    White noise, smoothed along x, y and z in turn, and one white number for the whole box drive a first-order
    autoregression in time. Its variance is 1 in every voxel once drift has been taken out.

    Parameters
    ----------
    box : 3 ints
        Voxels for which noise is drawn.
    kept : array of bool, shape ``box``
        Voxels whose noise is wanted; which ones makes no difference to their noise.
    voxel_mm : 3 floats
    run : Run
    tr : Fraction
        Seconds.
    like : Noise
    rng : Generator
    """
    along = _kernels(box, voxel_mm, like.fwhm_mm)
    carry = np.float32(like.carried(tr))
    scale = np.float32(1 / np.sqrt(kept_by_cleaning(run.n_trs, tr, like.autocorrelation)))
    local, common = scale * np.sqrt(np.float32(1 - like.common)), scale * np.sqrt(np.float32(like.common))
    per_chunk = max(1, _CHUNK_VALUES // int(np.prod(box)))
    shared = common * rng.standard_normal((run.n_trs, 1), dtype=np.float32)
    last: np.ndarray | None = None
    for first in range(0, run.n_trs, per_chunk):
        n = min(per_chunk, run.n_trs - first)
        white = rng.standard_normal((n, *box), dtype=np.float32)
        noise = local * _smoothed(white, along)[:, kept]
        noise += shared[first : first + n]
        for k in range(n):
            if last is not None:
                noise[k] = carry * last + np.sqrt(1 - carry**2) * noise[k]
            last = noise[k]
        yield noise


@lru_cache(maxsize=16)
def kept_by_cleaning(n_trs: int, tr: Fraction, autocorrelation: float) -> float:
    r"""Share of the autoregressive noise's variance that taking out the drift leaves.

    With the noise's correlations :math:`\Sigma` and an orthonormal basis :math:`Q` of what is taken out,
    :math:`1 - \operatorname{tr}(Q^\top \Sigma Q) / n`. The autocorrelation is that of :class:`Noise`.
    """
    basis = drift_basis(n_trs, tr)
    if basis.shape[1] >= n_trs:  # of so short a run nothing is left; its noise keeps its size
        return 1.0
    return float(
        1
        - np.sum(basis * (toeplitz(autocorrelation ** (float(tr) / 1.5 * np.arange(n_trs))) @ basis)) / n_trs
    )


def drift(
    box: Sequence[int],
    voxel_mm: Sequence[float],
    runs: Sequence[Run],
    tr: Fraction,
    variance: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a subject's drift, in amounts that differ between runs and vary smoothly over the brain.

    Its courses are the first that cleaning takes out: a trend, and cosines slower than 128 s if the run is long
    enough for them.

    Returns
    -------
    course : array, shape [TRs, courses]
    maps : array, shape [courses, x, y, z]
    """
    course = np.zeros((runs[-1].last_tr, N_DRIFTS), np.float32)
    for run in runs:
        slow = np.sqrt(run.n_trs) * drift_basis(run.n_trs, tr)[:, 1 : 1 + N_DRIFTS]
        course[run.first_tr : run.last_tr, : slow.shape[1]] = slow * rng.standard_normal(slow.shape[1])
    white = rng.standard_normal((N_DRIFTS, *box), dtype=np.float32)
    maps = _smoothed(white, _kernels(box, voxel_mm, DRIFT_FWHM_MM))
    return course, np.asarray(np.sqrt(variance / N_DRIFTS) * maps, np.float32)


def _kernels(box: Sequence[int], voxel_mm: Sequence[float], fwhm_mm: float) -> list[np.ndarray]:
    """One smoothing matrix per axis."""
    return [smoothing(n, fwhm_mm / FWHM_OF_SIGMA / mm) for n, mm in zip(box, voxel_mm, strict=True)]


@lru_cache(maxsize=64)
def smoothing(n: int, sigma: float) -> np.ndarray:
    """Matrix [n, n] that smooths white noise by a Gaussian and keeps its variance, at the edges too."""
    distance = np.arange(n)[:, None] - np.arange(n)
    weights = np.exp(-0.5 * (distance / sigma) ** 2)
    return np.asarray(weights / np.linalg.norm(weights, axis=1, keepdims=True), np.float32)


def _smoothed(volumes: np.ndarray, along: Sequence[np.ndarray]) -> np.ndarray:
    """Smooth volumes [n, x, y, z] along each axis in turn."""
    n, x, y, z = volumes.shape
    smoothed = volumes.reshape(-1, z) @ along[2].T
    smoothed = along[1] @ smoothed.reshape(n, x, y, z)
    return np.asarray((along[0] @ smoothed.reshape(n, x, y * z)).reshape(n, x, y, z))
