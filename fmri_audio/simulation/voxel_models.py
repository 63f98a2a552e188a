"""What simulated voxels are like: three models of a voxel that give the same regions.

Parcels of real brains say how much listeners share in a region. They do not say how that is spread over its voxels,
and how many bits a brain gives depends on it. So there are three models, each brought to the regions of real listeners
by ``python -m programs matched-brains`` (see :mod:`fmri_audio.experiments.matched_brains`), and what rests on simulated
brains is given for all three.

``smooth``
    Neighbouring voxels follow the same features, and their noise is smooth as well.
``fine``
    Most of what a voxel shares with the same voxel of other brains is tuned independently of its neighbours, and noise
    is hardly smooth. Regions average most of it away.
``between``
    Half of each.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fmri_audio.base.settings import Voxels
from fmri_audio.simulation.scanner_noise import FWHM_OF_SIGMA, Noise


@dataclass(frozen=True)
class VoxelModel:
    """What parcels do not identify, and what was fitted to them given that.

    Attributes
    ----------
    smooth : float
        Share of the shared response's variance, but for what follows the level, whose tuning is smooth in space; the
        rest is each voxel's own.
    tuning_fwhm_mm : float
        How smooth.
    strength : float
        Mean share of an auditory voxel's variance that all subjects have in common.
    unheard : float
        Share of that which the features do not explain. It was fitted to what level and words leave of what real
        listeners share, the only things that are known of their film; other features may explain some of it.
    level : float
        Share of the rest that follows how loud the sound is; families of features divide what remains.
    noise : Noise
    """

    smooth: float
    tuning_fwhm_mm: float
    strength: float
    unheard: float
    level: float
    noise: Noise


#: ``smooth``, ``tuning_fwhm_mm`` and the noise's ``fwhm_mm`` were chosen beforehand; all else is fitted.
VOXEL_MODELS: dict[Voxels, VoxelModel] = {
    "smooth": VoxelModel(1.0, 20.0, 0.0773, 0.422, 0.593, Noise(8.0, 0.433, 0.0446, 0.0356)),
    "between": VoxelModel(0.5, 14.0, 0.0918, 0.602, 0.368, Noise(6.0, 0.416, 0.0254, 0.0196)),
    "fine": VoxelModel(0.2, 8.0, 0.155, 0.77, 0.105, Noise(4.0, 0.356, 0.00968, 0.00659)),
}


def smooth_fields(
    positions: NDArray[np.float64], fwhm_mm: float, n: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Gaussian random fields at some positions, of variance 1 everywhere, [n, positions].

    White noise at the positions, averaged with Gaussian weights.
    """
    square = (positions**2).sum(axis=1)
    distance = np.maximum(square[:, None] + square - 2 * positions @ positions.T, 0)
    weights = np.exp(-0.5 * distance / (fwhm_mm / FWHM_OF_SIGMA) ** 2)
    weights /= np.linalg.norm(weights, axis=0)
    return np.asarray(rng.standard_normal((n, len(positions))) @ weights)
