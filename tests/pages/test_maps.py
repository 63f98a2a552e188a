"""Values per voxel, drawn where they belong."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np

from fmri_audio.brain import masks
from fmri_audio.pages import maps
from fmri_audio.study.layouts.sherlock import RELEASE_AFFINE, RELEASE_SHAPE


def test_values_go_back_to_their_voxels() -> None:
    mask = np.zeros((3, 2, 2), bool)
    mask[0, 1, 0] = mask[2, 0, 1] = True
    filled = maps.volume(np.array([np.nan, 2.0]), mask)
    assert filled.sum() == filled[2, 0, 1] == 2
    assert np.isnan(maps.volume(np.array([1.0, 2.0]), mask, np.nan)).sum() == 10


def test_auditory_cortex_is_drawn_on_both_hemispheres() -> None:
    mask = masks.auditory_mask(RELEASE_AFFINE, RELEASE_SHAPE)
    one = maps.Map(np.ones(int(mask.sum())), "mask", "part of it", 1.0)
    figure = maps.brain_maps([one], mask, RELEASE_AFFINE, [8.0])
    try:
        assert figure.axes[0].get_title(loc="left") == "mask"
        surfaces = [axis for axis in figure.axes if hasattr(axis, "get_zlim")]
        assert len(surfaces) == 2
        for axis in surfaces:
            coloured = axis.collections[0].get_facecolor()
            bright = (coloured[:, 0] > 0.9) & (coloured[:, 2] < 0.3)  # viridis ends in yellow
            assert 0.002 < bright.mean() < 0.1
    finally:
        plt.close(figure)


def test_values_without_a_place_are_drawn_over_voxels() -> None:
    rows = [maps.Map(np.arange(5.0), title, "correlation", 1.0) for title in ("one", "two")]
    figure = maps.voxel_profiles(rows)
    try:
        assert [axis.get_title(loc="left") for axis in figure.axes] == ["one", "two"]
        assert figure.axes[1].lines[0].get_xydata().tolist() == [[k + 1, k] for k in range(5)]
    finally:
        plt.close(figure)
