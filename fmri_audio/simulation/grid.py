"""Where simulated voxels lie: a box of the release's grid, its tissue, and the regions that follow something."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from fmri_audio.base.errors import UserError
from fmri_audio.brain.masks import AUDITORY_CENTRES, GREY_MATTER, auditory_mask, grey_matter, voxel_positions
from fmri_audio.simulation.scanner_noise import artefact_maps
from fmri_audio.study.layouts.sherlock import RELEASE_AFFINE, RELEASE_SHAPE

#: Grey matter outside the auditory mask starts at this probability; elsewhere the volumes are 0.
TISSUE = 0.2
#: Voxels that follow the pictures of a film lie around the calcarine sulci; where a box does not reach them, a
#: tenth of its grey matter, furthest from auditory cortex, stands in.
VISUAL_CENTRES, VISUAL_RADIUS, VISUAL_SHARE = ((-12.0, -86.0, 2.0), (12.0, -86.0, 2.0)), 15.0, 0.1
_MIN_ACTIVE_VOXELS = 20
_BOTH_HEMISPHERES_VOXELS = 44


@dataclass(frozen=True)
class Grid:
    """A box of voxels and what is in it; all masks are functions of the grid alone.

    Attributes
    ----------
    affine : array, shape [4, 4]
    tissue, active, other : arrays of bool, shape [x, y, z]
        Voxels that are not 0; those that follow the sound (auditory cortex); those that follow pictures.
    artefacts : array, shape [3, tissue voxels]
        What moving the head along x, y, z adds.
    """

    affine: np.ndarray
    tissue: np.ndarray
    active: np.ndarray
    other: np.ndarray
    artefacts: np.ndarray

    @staticmethod
    def of_shape(shape: Sequence[int]) -> Grid:
        """Lay a box of ``shape`` voxels around auditory cortex.

        Raises
        ------
        UserError
            The box holds too little auditory cortex.
        """
        return _grid(tuple(shape))

    @cached_property
    def box(self) -> tuple[slice, ...]:
        """The smallest box that holds all tissue."""
        occupied = np.argwhere(self.tissue)
        return tuple(
            slice(int(a), int(b) + 1) for a, b in zip(occupied.min(axis=0), occupied.max(axis=0), strict=True)
        )

    @property
    def voxel_mm(self) -> tuple[float, ...]:
        """Edges of a voxel."""
        return tuple(np.abs(np.diag(self.affine))[:3])

    def positions(self, mask: np.ndarray) -> np.ndarray:
        """MNI coordinates (mm) of the voxels of a mask, [voxels, 3]."""
        return np.asarray(voxel_positions(self.affine, mask.shape)[mask])


def box_affine(shape: Sequence[int]) -> np.ndarray:
    """Affine of a box of ``shape`` voxels cut from the release's grid around auditory cortex, [4, 4].

    The box keeps the grid's voxel centres. It covers both hemispheres where it spans at least 44 voxels
    along x, and the left one otherwise.
    """
    both = shape[0] >= _BOTH_HEMISPHERES_VOXELS
    centre = np.array([0.0 if both else -54.0, -20.0, 8.0, 1.0])
    middle = np.linalg.solve(RELEASE_AFFINE, centre)[:3]
    first = np.round(middle - np.asarray(shape) / 2).astype(int)
    first = np.clip(first, 0, np.asarray(RELEASE_SHAPE) - np.asarray(shape))
    affine = RELEASE_AFFINE.copy()
    affine[:3, 3] = (RELEASE_AFFINE @ np.append(first, 1.0))[:3]
    return affine


def distance_to(positions: np.ndarray, centres: Sequence[tuple[float, ...]]) -> np.ndarray:
    """Millimetres from positions [..., 3] to the nearest of some centres."""
    return np.asarray(np.min([np.linalg.norm(positions - centre, axis=-1) for centre in centres], axis=0))


@lru_cache(maxsize=4)
def _grid(shape: tuple[int, ...]) -> Grid:
    """Lay a box; remembered, because bringing the template to it takes a second."""
    affine = box_affine(shape)
    grey, active = grey_matter(affine, shape), auditory_mask(affine, shape)
    if active.sum() < _MIN_ACTIVE_VOXELS:
        raise UserError(
            f"a box of {'×'.join(map(str, shape))} voxels holds too little auditory cortex; use a larger one"
        )
    tissue = (grey > TISSUE) | active
    other = _visual_voxels(voxel_positions(affine, shape), (grey > GREY_MATTER) & ~active)
    grid = Grid(affine, tissue, active, other, artefact_maps(grey, tissue))
    for array in (grid.affine, grid.tissue, grid.active, grid.other, grid.artefacts):
        array.setflags(write=False)
    return grid


def _visual_voxels(positions: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Voxels that follow pictures, [x, y, z] of bool, by their MNI coordinates [x, y, z, 3]."""
    visual = candidates & (distance_to(positions, VISUAL_CENTRES) <= VISUAL_RADIUS)
    if visual.sum() >= _MIN_ACTIVE_VOXELS:
        return np.asarray(visual)
    wanted = int(VISUAL_SHARE * candidates.sum())
    away = np.where(candidates, -distance_to(positions, AUDITORY_CENTRES), 0.0)
    furthest = np.argsort(away, axis=None, kind="stable")[:wanted]
    visual = np.zeros(candidates.size, bool)
    visual[furthest] = True
    return visual.reshape(candidates.shape)
