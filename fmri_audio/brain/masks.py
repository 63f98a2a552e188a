"""Which voxels to use: masks that depend on the grid alone, never on the subjects or data that are loaded."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.affines import apply_affine

from fmri_audio.base.errors import UserError
from fmri_audio.base.files import refuse_unfetched
from fmri_audio.brain.nifti import is_placed, open_nifti, volumes

#: Centres of the two auditory spheres in MNI space (mm): Heschl's gyrus and its surround, left and right.
AUDITORY_CENTRES = ((-54.0, -20.0, 8.0), (54.0, -20.0, 8.0))
AUDITORY_RADIUS = 15.0
#: A voxel belongs to grey matter from this tissue probability on.
GREY_MATTER = 0.3
#: A value this near 0 or the mask's largest, as a share of the latter, differs from it by rounding alone.
ROUNDING = 1e-4
#: Masks that can be asked for by name.
NAMED_MASKS = ("auditory", "grey-matter", "all")
#: Those of them that lie in MNI, so that scans have to say where their voxels are.
MASKS_IN_MNI = NAMED_MASKS[:2]


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


def load_mask(spec: str, affine: np.ndarray, shape: Sequence[int], *, placed: bool = True) -> np.ndarray:
    """The mask an edition asks for.

    Parameters
    ----------
    spec : str
        ``auditory``, ``grey-matter``, ``all``, or the path of a NIfTI mask on the study's own grid: 0 outside, one
        other, positive value inside. Any other file is refused, because a threshold is not for the reader to choose.
        For scans that are matrices it is a ``.npy`` of as many truth values as they have voxels.
    affine : array, shape [4, 4]
    shape : sequence of 3 ints
        The study's grid.
    placed : bool
        Whether the headers of the study's scans say where its voxels lie. Without that no named mask can be placed,
        and a file fits only if its header says as little.

    Returns
    -------
    array of bool, shape [x, y, z]

    Raises
    ------
    UserError
        The file is missing, no image, on another grid, of several volumes, not binary or empty.
    """
    if spec in NAMED_MASKS:
        return _named_mask(spec, affine, shape, placed)
    path = Path(spec).expanduser()
    refuse_unfetched(path)
    if not path.is_file():
        raise UserError(
            f"{path}: the mask does not exist; give study.mask a NIfTI file, auditory or grey-matter"
        )
    if is_matrix_shape(shape) and not placed:
        return _column_mask(path, shape)
    image = open_nifti(path)
    if len(image.shape) < 3 or any(n > 1 for n in image.shape[3:]):
        told = (
            f"{np.prod(image.shape[3:])} volumes"
            if len(image.shape) > 3
            else f"{len(image.shape)} dimensions"
        )
        raise UserError(
            f"{path}: has {told}, a mask is one volume of three dimensions; give one of its volumes"
        )
    if is_placed(image) != placed:
        which = "the mask" if placed else "the study"
        raise UserError(
            f"{path}: neither sform nor qform says where the voxels of {which} are, so they cannot be laid on each "
            "other; copy the sform of the image it was made from"
        )
    if image.shape[:3] != tuple(shape) or not np.allclose(image.affine, affine, atol=1e-3):
        raise UserError(
            f"{path}: the mask lies on another grid than the study's {tuple(shape)}; resample it first"
        )
    [values] = volumes(path, image)
    return _binary(path, values)


def is_matrix_shape(shape: Sequence[int]) -> bool:
    """Whether a grid is that of a matrix [TRs, voxels] (:mod:`fmri_audio.brain.matrices`)."""
    return tuple(shape[1:3]) == (1, 1)


def _column_mask(path: Path, shape: Sequence[int]) -> np.ndarray:
    """A mask of a matrix's columns, from a ``.npy`` file."""
    remedy = f"give a .npy file of {shape[0]} truth values, one per voxel, or all"
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        raise UserError(
            f"{path}: the scans are matrices, and no mask for them is in this file; {remedy}"
        ) from None
    if not isinstance(values, np.ndarray) or values.shape != (shape[0],):
        raise UserError(f"{path}: the mask has another shape than the study's {shape[0]} voxels; {remedy}")
    if values.dtype.kind not in "biuf":
        raise UserError(f"{path}: the mask holds no numbers; {remedy}")
    return _binary(path, values.astype(np.float32)).reshape(tuple(shape))


def _named_mask(spec: str, affine: np.ndarray, shape: Sequence[int], placed: bool) -> np.ndarray:
    if spec == "all":
        return np.ones(tuple(shape), bool)
    if not placed and is_matrix_shape(shape):
        raise UserError(
            f"study.mask: {spec} lies in MNI, and the scans are matrices whose {shape[0]} voxels have no place; set it "
            "to all, or to the path of a .npy file with a truth value per voxel"
        )
    if not placed:
        raise UserError(
            f"study.mask: {spec} lies in MNI, and neither sform nor qform of the scans says where their voxels are; "
            "copy the sform of the images they were made from"
        )
    mask = (auditory_mask if spec == "auditory" else grey_matter_mask)(affine, shape)
    if not mask.any():
        what = "auditory cortex" if spec == "auditory" else "grey matter"
        raise UserError(f"study: its volumes hold no {what}; give study.mask the path of a mask of your own")
    return mask


def _binary(path: Path, values: np.ndarray) -> np.ndarray:
    """Voxels of a mask that are in it; a UserError says what the file is if it is no mask."""
    remedy = "give a mask that is 1 in the voxels to use and 0 elsewhere"
    strange = int((~np.isfinite(values)).sum())
    if strange:
        raise UserError(f"{path}: the mask holds NaN or infinity in {strange} voxels; {remedy}")
    low, high = float(values.min()), float(values.max())
    if low == high == 0:
        raise UserError(f"{path}: the mask is empty; it should be 1 in the voxels to use")
    inside = values > high / 2
    rounding = ROUNDING * high
    if high > 0 and (np.abs(values - np.where(inside, np.float32(high), np.float32(0))) <= rounding).all():
        return np.asarray(inside)
    if (values != np.round(values)).any():
        raise UserError(
            f"{path}: the mask is not binary, its values run from {low:.3g} to {high:.3g} as probabilities or a "
            "resampled mask do; set it to 1 above a threshold such as .5, and to 0 elsewhere"
        )
    if low < 0:
        raise UserError(f"{path}: the mask is not binary, it holds negative values down to {low:g}; {remedy}")
    labels = f"{len(np.unique(values))} labels up to {high:g}"
    raise UserError(f"{path}: the mask is not binary, it holds {labels} as an atlas does; {remedy}")


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
