"""Maps of a brain: values per voxel on slices of the template and on the cortical surface, by nilearn."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import nibabel as nib
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

HEMISPHERES = ("left", "right")
ROW_INCHES = 1.7


@dataclass(frozen=True)
class Map:
    """One row of a figure.

    Attributes
    ----------
    values : array, shape [voxels]
        In the order of the mask; NaN where there is none.
    title : str
    label : str
        Of the colour bar.
    top : float
        Value at which colours end; they begin at 0.
    """

    values: NDArray[np.floating]
    title: str
    label: str
    top: float


def brain_maps(
    maps: Sequence[Map], mask: NDArray[np.bool_], affine: NDArray[np.float64], slices_mm: Sequence[float]
) -> Figure:
    """Draw maps, one below the other: axial slices of the MNI152 template, then both hemispheres from the side.

    Parameters
    ----------
    maps : sequence of Map
    mask : array of bool, shape [x, y, z]
        Voxels that the maps' values belong to.
    affine : array, shape [4, 4]
        Voxel indices to MNI millimetres.
    slices_mm : sequence of float
        Heights of the slices.

    Returns
    -------
    Figure
    """
    figure = plt.figure(figsize=(7.2, ROW_INCHES * len(maps)))
    grid = figure.add_gridspec(len(maps), 4, width_ratios=[2.4, 1.3, 1.3, 0.06], wspace=0.02, hspace=0.35)
    meshes = _meshes()
    for row, one in enumerate(maps):
        image = nib.Nifti1Image(volume(one.values, mask), affine)
        axis = figure.add_subplot(grid[row, 0])
        _draw_slices(image, one, slices_mm, axis)
        axis.set_title(one.title, loc="left", fontsize=9)
        within = nib.Nifti1Image(
            (mask & np.isfinite(volume(one.values, mask, np.nan))).astype(np.uint8), affine
        )
        for column, side in enumerate(HEMISPHERES, start=1):
            _draw_surface(
                image, within, one, side, meshes, figure.add_subplot(grid[row, column], projection="3d")
            )
        bar = figure.colorbar(
            ScalarMappable(Normalize(0, one.top), "viridis"),
            cax=figure.add_subplot(grid[row, 3]),
            label=one.label,
        )
        bar.ax.tick_params(labelsize=7)
    return figure


def voxel_profiles(maps: Sequence[Map]) -> Figure:
    """Draw values over voxels, one map below the other, where nothing says at which place a voxel lies.

    Parameters
    ----------
    maps : sequence of Map

    Returns
    -------
    Figure
    """
    figure, axes = plt.subplots(len(maps), figsize=(7.2, ROW_INCHES * len(maps)), squeeze=False)
    for one, axis in zip(maps, axes[:, 0], strict=True):
        axis.plot(np.arange(1, len(one.values) + 1), one.values, ".", markersize=2)
        axis.set_title(one.title, loc="left", fontsize=9)
        axis.set_xlabel("voxel")
        axis.set_ylabel(one.label)
    figure.tight_layout()
    return figure


def volume(
    values: NDArray[np.floating], mask: NDArray[np.bool_], outside: float = 0.0
) -> NDArray[np.float32]:
    """Values [voxels] put back into their places [x, y, z]; NaN becomes ``outside``."""
    filled = np.full(mask.shape, outside, np.float32)
    filled[mask] = np.nan_to_num(np.asarray(values, np.float32), nan=outside)
    return filled


def _meshes() -> Any:
    """Fsaverage5, which comes with nilearn."""
    from nilearn.datasets import fetch_surf_fsaverage

    return fetch_surf_fsaverage("fsaverage5")


def _draw_slices(image: nib.Nifti1Image, one: Map, slices_mm: Sequence[float], axis: Any) -> None:
    from nilearn.plotting import plot_stat_map

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plot_stat_map(
            image,
            display_mode="z",
            cut_coords=list(slices_mm),
            axes=axis,
            colorbar=False,
            cmap="viridis",
            vmin=0,
            vmax=one.top,
            threshold=one.top / 1000,
            draw_cross=False,
            black_bg=False,
            resampling_interpolation="nearest",
        )


def _draw_surface(
    image: nib.Nifti1Image, within: nib.Nifti1Image, one: Map, side: str, meshes: Any, axis: Any
) -> None:
    """Values within the mask, averaged along the way from white matter to the pial surface, on the inflated mesh."""
    from nilearn.plotting import plot_surf_stat_map
    from nilearn.surface import vol_to_surf

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # most of the surface lies outside the mask: means of nothing
        texture = vol_to_surf(
            image, meshes[f"pial_{side}"], inner_mesh=meshes[f"white_{side}"], mask_img=within
        )
        plot_surf_stat_map(
            meshes[f"infl_{side}"],
            np.nan_to_num(texture),
            hemi=side,
            view="lateral",
            bg_map=meshes[f"sulc_{side}"],
            axes=axis,
            colorbar=False,
            cmap="viridis",
            vmin=0,
            vmax=one.top,
            threshold=one.top / 1000,
        )
    axis.set_box_aspect(None, zoom=1.6)
