"""Which voxels to use: masks that depend on the grid alone, never on the subjects or data that are loaded."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.affines import apply_affine
from nibabel.filebasedimages import ImageFileError

from fmri_audio.errors import UserError

#: Centres of the two auditory spheres in MNI space (mm): Heschl's gyrus and its surround, left and right.
AUDITORY_CENTRES = ((-54.0, -20.0, 8.0), (54.0, -20.0, 8.0))
AUDITORY_RADIUS = 15.0
#: A voxel belongs to grey matter from this tissue probability on.
GREY_MATTER = 0.3
#: Masks that can be asked for by name.
NAMED_MASKS = ("auditory", "grey-matter")


def grey_matter(affine: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Grey-matter probability of nilearn's bundled MNI152 template, on a study's own grid.

    Parameters
    ----------
    affine : array, shape [4, 4]
        Voxel indices to MNI millimetres.
    shape : sequence of 3 ints
        Voxels along x, y, z.

    Returns
    -------
    array of float32, shape [x, y, z]
        0 to 1.
    """
    from nilearn.datasets import load_mni152_gm_template
    from nilearn.image import resample_img
    from nilearn.image.resampling import BoundingBoxError

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        template = load_mni152_gm_template(resolution=2)
        try:
            onto = resample_img(
                template,
                target_affine=np.asarray(affine, float),
                target_shape=tuple(shape),
                interpolation="continuous",
                force_resample=True,
                copy_header=True,
            )
        except BoundingBoxError:
            # The grid lies wholly outside the brain.
            return np.zeros(tuple(shape), np.float32)
    return np.asarray(np.clip(onto.get_fdata(dtype=np.float32), 0.0, 1.0))


def voxel_positions(affine: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """MNI coordinates in mm of every voxel centre, shape [x, y, z, 3]."""
    indices = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1)
    return np.asarray(apply_affine(affine, indices))


def auditory_mask(affine: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Auditory cortex: two spheres cut with the template's grey matter.

    The mask is a function of the grid alone, never of the subjects or data loaded; on the 3 mm grid of the
    Sherlock release it holds between 500 and 3,000 voxels.

    Returns
    -------
    array of bool, shape [x, y, z]
    """
    positions = voxel_positions(affine, shape)
    near = np.zeros(tuple(shape), bool)
    for centre in AUDITORY_CENTRES:
        near |= np.linalg.norm(positions - np.asarray(centre), axis=-1) <= AUDITORY_RADIUS
    return near & (grey_matter(affine, shape) > GREY_MATTER)


def grey_matter_mask(affine: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Every voxel that is grey matter in nilearn's MNI152 template, [x, y, z] of bool; a function of the grid alone."""
    return grey_matter(affine, shape) > GREY_MATTER


def load_mask(spec: str, affine: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """The mask an edition asks for.

    Parameters
    ----------
    spec : str
        ``auditory``, ``grey-matter``, or the path of a NIfTI mask on the study's own grid.
    affine : array, shape [4, 4]
    shape : sequence of 3 ints
        The study's grid.

    Returns
    -------
    array of bool, shape [x, y, z]

    Raises
    ------
    UserError
        The file is missing, no image, on another grid, or empty.
    """
    if spec in NAMED_MASKS:
        mask = (auditory_mask if spec == "auditory" else grey_matter_mask)(affine, shape)
        if not mask.any():
            what = "auditory cortex" if spec == "auditory" else "grey matter"
            raise UserError(
                f"study: its volumes hold no {what}; give study.mask the path of a mask of your own"
            )
        return mask
    path = Path(spec).expanduser()
    if not path.is_file():
        raise UserError(f"{path}: the mask does not exist; give study.mask a NIfTI file, auditory or grey-matter")
    try:
        image = nib.load(path)
        values = np.asarray(image.dataobj)  # type: ignore[attr-defined]
    except (ImageFileError, OSError, EOFError) as error:
        raise UserError(f"{path}: the mask cannot be read as NIfTI ({error})") from None
    if values.shape != tuple(shape) or not np.allclose(image.affine, affine, atol=1e-3):  # type: ignore[attr-defined]
        raise UserError(
            f"{path}: the mask lies on another grid than the study's {tuple(shape)}; resample it first"
        )
    if not values.any():
        raise UserError(f"{path}: the mask is empty; it should be 1 in the voxels to use")
    return np.asarray(values > 0)


def mask_image(mask: np.ndarray, affine: np.ndarray) -> nib.Nifti1Image:
    """A mask [x, y, z] as the image that nilearn plots and masks with."""
    return nib.Nifti1Image(np.asarray(mask, np.uint8), np.asarray(affine, float))


def unmask(values: np.ndarray, mask: np.ndarray, affine: np.ndarray) -> nib.Nifti1Image:
    """Values of the mask's voxels as an image, 0 elsewhere (``nilearn.masking.unmask``).

    Parameters
    ----------
    values : array, shape [voxels] or [maps, voxels]
    mask : array of bool, shape [x, y, z]
    affine : array, shape [4, 4]

    Returns
    -------
    Nifti1Image
        Of shape [x, y, z], or [x, y, z, maps].
    """
    from nilearn.masking import unmask as nilearn_unmask

    image: nib.Nifti1Image = nilearn_unmask(np.asarray(values), mask_image(mask, affine))
    return image
