"""Masks: fixed by the grid, named or one's own, and on their way to nilearn's plots and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from nilearn.maskers import NiftiMasker
from numpy.testing import assert_array_equal

from fmri_audio.base.errors import UserError
from fmri_audio.brain import masks
from fmri_audio.study.layouts.sherlock import RELEASE_AFFINE, RELEASE_SHAPE

AFFINE = np.array([[-3.0, 0, 0, -15], [0, 3, 0, -45], [0, 0, 3, -15], [0, 0, 0, 1]])
SHAPE = (30, 20, 16)


@pytest.fixture(scope="module")
def auditory() -> np.ndarray:
    return masks.auditory_mask(AFFINE, SHAPE)


def test_the_auditory_mask_is_grey_matter_near_heschls_gyrus(auditory: np.ndarray) -> None:
    grey = masks.grey_matter(AFFINE, SHAPE)
    assert (grey[auditory] > masks.GREY_MATTER).all()
    distance = np.linalg.norm(masks.voxel_positions(AFFINE, SHAPE) - np.array([-54, -20, 8]), axis=-1)
    assert distance[auditory].max() <= masks.AUDITORY_RADIUS
    assert auditory.sum() > 300
    assert_array_equal(masks.load_mask("grey-matter", AFFINE, SHAPE), grey > masks.GREY_MATTER)


@pytest.fixture(scope="module")
def released() -> np.ndarray:
    return masks.load_mask("auditory", RELEASE_AFFINE, RELEASE_SHAPE)


def test_on_the_releases_grid_it_has_its_size_on_both_sides(released: np.ndarray) -> None:
    mask = released
    assert mask.sum() == 844
    x = masks.voxel_positions(RELEASE_AFFINE, RELEASE_SHAPE)[mask][:, 0]
    assert 0.4 < (x < 0).mean() < 0.6


def test_nowhere_near_the_brain_there_is_no_mask() -> None:
    away = AFFINE.copy()
    away[:3, 3] += 500
    for spec, what in (("auditory", "auditory cortex"), ("grey-matter", "grey matter")):
        with pytest.raises(UserError, match=f"hold no {what}"):
            masks.load_mask(spec, away, (4, 4, 4))


def test_values_become_images_and_come_back_in_the_same_order(auditory: np.ndarray, tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal((2, auditory.sum()))
    image = masks.unmask(values, auditory, AFFINE)
    assert image.shape == (*SHAPE, 2)
    assert_array_equal(image.get_fdata()[auditory].T, values)
    assert (image.get_fdata()[~auditory] == 0).all()
    masker = NiftiMasker(masks.mask_image(auditory, AFFINE), standardize=None).fit()
    assert_array_equal(masker.transform(image), values.astype(masker.transform(image).dtype))
    # A mask that was written is a mask of one's own.
    nib.save(masks.mask_image(auditory, AFFINE), tmp_path / "own.nii.gz")
    assert_array_equal(masks.load_mask(str(tmp_path / "own.nii.gz"), AFFINE, SHAPE), auditory)


BOX = (6, 5, 4)


def own_mask(path: Path, values: Any, affine: np.ndarray = AFFINE) -> str:
    nib.Nifti1Image(np.asarray(values), affine).to_filename(path / "own.nii.gz")
    return str(path / "own.nii.gz")


def pattern(inside: float = 1, outside: float = 0, dtype: str = "f4") -> np.ndarray:
    values = np.full(BOX, outside, dtype)
    values[1:4, 2:, ::2] = inside
    return values


@pytest.mark.parametrize(
    "values",
    [
        pattern(dtype="u1"),
        pattern(255, dtype="u1"),
        pattern(3, dtype="i2"),
        pattern(0.5),
        pattern(1 + 1e-6, -1e-7),
        pattern(dtype="f8")[..., None, None],
    ],
)
def test_a_mask_has_two_values(values: np.ndarray, tmp_path: Path) -> None:
    mask = masks.load_mask(own_mask(tmp_path, values), AFFINE, BOX)
    assert mask.dtype == bool
    assert_array_equal(mask, pattern() == 1)
    assert_array_equal(
        masks.load_mask(own_mask(tmp_path, np.ones(BOX, "u1")), AFFINE, BOX), np.ones(BOX, bool)
    )


def test_a_mask_that_is_scaled_is_scaled_back(tmp_path: Path) -> None:
    image = nib.Nifti1Image(pattern(255, dtype="u1"), AFFINE)
    image.header.set_slope_inter(1 / 255, 0)
    raw = bytearray(image.to_bytes())
    raw[112:116] = np.float32(
        1 / 255
    ).tobytes()  # scl_slope, which nibabel leaves out where it need not scale
    (tmp_path / "own.nii").write_bytes(raw)
    assert_array_equal(masks.load_mask(str(tmp_path / "own.nii"), AFFINE, BOX), pattern() == 1)
    raw[116:120] = np.float32(-1).tobytes()  # an intercept that makes 0 and 1 of it −1 and 0
    (tmp_path / "own.nii").write_bytes(raw)
    with pytest.raises(UserError, match="negative values down to -1"):
        masks.load_mask(str(tmp_path / "own.nii"), AFFINE, BOX)


RAMP = np.linspace(0, 1, int(np.prod(BOX)), dtype="f4").reshape(BOX)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.zeros(BOX, "u1"), "the mask is empty"),
        (np.full(BOX, -1, "i2"), "negative values down to -1"),
        (pattern(1, -1), "negative values down to -1"),
        (pattern(np.nan), "NaN or infinity in 18 voxels"),
        (pattern(np.inf), "NaN or infinity in 18 voxels"),
        (
            RAMP,
            "run from 0 to 1 as probabilities or a resampled mask do; set it to 1 above a threshold such as .5",
        ),
        (1.6 * RAMP - 0.3, "not binary, its values run from -0.3 to 1.3 as"),
        (pattern(1, 0.2), "run from 0.2 to 1 as probabilities"),
        (np.round(RAMP * 45).astype("u1"), "not binary, it holds 46 labels up to 45 as an atlas does"),
        (pattern(2, 1), "holds 2 labels up to 2"),
        (np.stack([pattern()] * 3, axis=-1), "has 3 volumes, a mask is one volume"),
        (pattern()[0], "has 2 dimensions, a mask is one volume"),
        (pattern()[1:], "lies on another grid than the study's"),
        (pattern(dtype="c8"), "complex64"),
        (np.zeros(BOX, [("R", "u1"), ("G", "u1"), ("B", "u1")]), "RGB"),
    ],
)
def test_what_is_no_mask_is_refused_by_name(values: np.ndarray, said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"own.nii.gz: .*{said}"):
        masks.load_mask(own_mask(tmp_path, values), AFFINE, BOX)


def test_masks_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist; give study.mask a NIfTI file"):
        masks.load_mask(str(tmp_path / "own.nii.gz"), AFFINE, BOX)
    (tmp_path / "own.nii.gz").symlink_to("../.git/annex/objects/a/b/MD5E-s1--0/MD5E-s1--0.nii.gz")
    with pytest.raises(UserError, match="own.nii.gz: its content has not been fetched"):
        masks.load_mask(str(tmp_path / "own.nii.gz"), AFFINE, BOX)


def test_without_a_place_in_space_only_a_mask_of_the_same_kind_fits(tmp_path: Path) -> None:
    image = nib.Nifti1Image(pattern(dtype="u1"), AFFINE)
    image.set_sform(None, code=0)
    image.set_qform(None, code=0)
    image.to_filename(tmp_path / "nowhere.nii")
    nowhere, guess = str(tmp_path / "nowhere.nii"), nib.load(tmp_path / "nowhere.nii").affine
    assert_array_equal(masks.load_mask(nowhere, guess, BOX, placed=False), pattern() == 1)
    with pytest.raises(UserError, match="neither sform nor qform says where the voxels of the mask are"):
        masks.load_mask(nowhere, guess, BOX)
    with pytest.raises(UserError, match="neither sform nor qform says where the voxels of the study are"):
        masks.load_mask(own_mask(tmp_path, pattern(), guess), guess, BOX, placed=False)
    for name in masks.MASKS_IN_MNI:
        with pytest.raises(UserError, match=f"{name} lies in MNI, and neither sform nor qform"):
            masks.load_mask(name, guess, BOX, placed=False)


def test_masks_that_were_resampled_are_not_taken_for_masks(shared_data: Path, released: np.ndarray) -> None:
    folder = shared_data / "cases" / "mask-resampled"
    with pytest.raises(
        UserError, match="continuous.nii.gz: the mask is not binary, its values run from -0.306 to 1.3"
    ):
        masks.load_mask(str(folder / "mask_continuous.nii.gz"), RELEASE_AFFINE, RELEASE_SHAPE)
    with pytest.raises(
        UserError, match="atlas_labels.nii.gz: the mask is not binary, it holds 2 labels up to 45"
    ):
        masks.load_mask(str(folder / "atlas_labels.nii.gz"), RELEASE_AFFINE, RELEASE_SHAPE)
    one = masks.load_mask(str(folder / "mask_4d.nii.gz"), RELEASE_AFFINE, RELEASE_SHAPE)
    assert_array_equal(one, released)  # the auditory mask, made elsewhere


def test_a_published_mask_is_read(shared_data: Path) -> None:
    path = shared_data / "masks" / "brainiak_a1plus_2mm.nii.gz"
    image = nib.load(path)
    mask = masks.load_mask(str(path), image.affine, image.shape)  # type: ignore[attr-defined]
    assert_array_equal(mask, np.asarray(image.dataobj) > 0)  # type: ignore[attr-defined]


def test_all_voxels_need_no_place_and_names_in_mni_do() -> None:
    assert masks.load_mask("all", np.eye(4), (5, 1, 1), placed=False).sum() == 5
    with pytest.raises(UserError, match="the scans are matrices whose 5 voxels have no place; set it to all"):
        masks.load_mask("grey-matter", np.eye(4), (5, 1, 1), placed=False)
