"""Masks: fixed by the grid, named or one's own, and on their way to nilearn's plots and back."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nilearn.maskers import NiftiMasker
from numpy.testing import assert_array_equal

from fmri_audio import brain
from fmri_audio.errors import UserError
from fmri_audio.study.reader import RELEASE_AFFINE, RELEASE_SHAPE

AFFINE = np.array([[-3.0, 0, 0, -15], [0, 3, 0, -45], [0, 0, 3, -15], [0, 0, 0, 1]])
SHAPE = (30, 20, 16)


@pytest.fixture(scope="module")
def auditory() -> np.ndarray:
    return brain.auditory_mask(AFFINE, SHAPE)


def test_the_auditory_mask_is_grey_matter_near_heschls_gyrus(auditory: np.ndarray) -> None:
    grey = brain.grey_matter(AFFINE, SHAPE)
    assert (grey[auditory] > brain.GREY_MATTER).all()
    distance = np.linalg.norm(brain.voxel_positions(AFFINE, SHAPE) - np.array([-54, -20, 8]), axis=-1)
    assert distance[auditory].max() <= brain.AUDITORY_RADIUS
    assert auditory.sum() > 300
    assert_array_equal(brain.load_mask("grey-matter", AFFINE, SHAPE), grey > brain.GREY_MATTER)


def test_on_the_releases_grid_it_has_its_size_on_both_sides() -> None:
    mask = brain.load_mask("auditory", RELEASE_AFFINE, RELEASE_SHAPE)
    assert 500 <= mask.sum() <= 3000
    x = brain.voxel_positions(RELEASE_AFFINE, RELEASE_SHAPE)[mask][:, 0]
    assert 0.4 < (x < 0).mean() < 0.6


def test_nowhere_near_the_brain_there_is_no_mask() -> None:
    away = AFFINE.copy()
    away[:3, 3] += 500
    for spec, what in (("auditory", "auditory cortex"), ("grey-matter", "grey matter")):
        with pytest.raises(UserError, match=f"hold no {what}"):
            brain.load_mask(spec, away, (4, 4, 4))


def test_values_become_images_and_come_back_in_the_same_order(auditory: np.ndarray, tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal((2, auditory.sum()))
    image = brain.unmask(values, auditory, AFFINE)
    assert image.shape == (*SHAPE, 2)
    assert_array_equal(image.get_fdata()[auditory].T, values)
    assert (image.get_fdata()[~auditory] == 0).all()
    masker = NiftiMasker(brain.mask_image(auditory, AFFINE), standardize=None).fit()
    assert_array_equal(masker.transform(image), values.astype(masker.transform(image).dtype))
    # A mask that was written is a mask of one's own.
    nib.save(brain.mask_image(auditory, AFFINE), tmp_path / "own.nii.gz")
    assert_array_equal(brain.load_mask(str(tmp_path / "own.nii.gz"), AFFINE, SHAPE), auditory)
