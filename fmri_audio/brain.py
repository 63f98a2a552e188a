"""Brains as matrices: a fixed mask, cleaning without leaks, inter-subject correlation, noise ceilings.

A matrix of BOLD is ``[TRs, voxels]`` throughout, float32, one row per volume.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from fractions import Fraction
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
#: Period (s) of the slowest change that is kept; scanner drift is slower, speech and scenes are faster.
HIGH_PASS_SECONDS = 128.0

Block = tuple[int, int]


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

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        template = load_mni152_gm_template(resolution=2)
        onto = resample_img(
            template,
            target_affine=np.asarray(affine, float),
            target_shape=tuple(shape),
            interpolation="continuous",
            force_resample=True,
            copy_header=True,
        )
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


def load_mask(spec: str, affine: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """The mask an edition asks for.

    Parameters
    ----------
    spec : str
        ``auditory``, or the path of a NIfTI mask on the study's own grid.

    Raises
    ------
    UserError
        The file is missing, no image, on another grid, or empty.
    """
    if spec == "auditory":
        mask = auditory_mask(affine, shape)
        if not mask.any():
            raise UserError(
                "study: its volumes hold no auditory cortex; give study.mask the path of a mask of your own"
            )
        return mask
    path = Path(spec).expanduser()
    if not path.is_file():
        raise UserError(f"{path}: the mask does not exist; give study.mask a NIfTI file, or auditory")
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


def clean_blocks(bold: np.ndarray, blocks: Sequence[Block], tr: Fraction) -> np.ndarray:
    """Detrend and high-pass each contiguous block on its own.

    Filtering a whole run at once would carry held-out volumes into training ones; so every block of the
    split is filtered separately (linear trend, then cosines down to a period of 128 s, by
    ``nilearn.signal.clean``) and rows in no block are NaN, so that they cannot be used by accident.

    Parameters
    ----------
    bold : array, shape [TRs, voxels]
    blocks : sequence of (first, last)
        Volumes ``first <= k < last``.
    tr : Fraction
        Seconds per volume.

    Returns
    -------
    array of float32, shape [TRs, voxels]
    """
    from nilearn.signal import clean

    cleaned = np.full(bold.shape, np.nan, np.float32)
    for first, last in blocks:
        if last - first < 3:
            raise UserError(f"a block of {last - first} TRs is too short to be detrended; use more TRs")
        # A block shorter than the period has no slower cosine to remove: its linear trend goes all the same.
        slow = 1 / HIGH_PASS_SECONDS if (last - first) * tr > HIGH_PASS_SECONDS / 2 else None
        cleaned[first:last] = clean(
            np.asarray(bold[first:last], np.float64),
            detrend=True,
            standardize=None,
            filter="cosine" if slow else False,
            high_pass=slow,
            t_r=float(tr),
        )
    return cleaned


def standardise(bold: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Z-score every voxel by its mean and standard deviation over the training TRs alone.

    A voxel that does not vary in training is set to 0: it can tell nothing.

    Parameters
    ----------
    bold : array, shape [TRs, voxels]
    train : array of int
        Rows that the statistics may come from.

    Returns
    -------
    array of float32, shape [TRs, voxels]
    """
    mean = bold[train].mean(axis=0, dtype=np.float64)
    spread = bold[train].std(axis=0, dtype=np.float64)
    scale = np.where(spread > 1e-6 * (1 + np.abs(mean)), 1 / np.where(spread > 0, spread, 1), 0.0)
    return np.asarray((bold - mean) * scale, np.float32)


def correlate(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Pearson correlation of matching columns; NaN where either is constant.

    Parameters
    ----------
    a, b : arrays, shape [n, columns]

    Returns
    -------
    array of float64, shape [columns]
    """
    a = a - a.mean(axis=0, dtype=np.float64)
    b = b - b.mean(axis=0, dtype=np.float64)
    norm = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
    undefined = np.full(a.shape[1], np.nan)
    return np.asarray(np.divide((a * b).sum(axis=0), norm, out=undefined, where=norm > 0))


def leave_one_out_isc(bold: np.ndarray) -> np.ndarray:
    """Inter-subject correlation of each subject with the mean of the others (Nastase et al. 2019).

    Parameters
    ----------
    bold : array, shape [subjects, TRs, voxels]
        Cleaned; each subject is z-scored here, so that none outweighs another in a mean.

    Returns
    -------
    array of float64, shape [subjects, voxels]
    """
    _need_subjects(len(bold))
    z = _z(bold)
    total = z.sum(axis=0)
    return np.stack([correlate(one, (total - one) / (len(z) - 1)) for one in z])


def pairwise_isc(bold: np.ndarray) -> np.ndarray:
    """Correlation of every pair of subjects, shape [pairs, voxels]; ``bold`` is [subjects, TRs, voxels]."""
    _need_subjects(len(bold))
    return np.stack([correlate(bold[i], bold[j]) for i in range(len(bold)) for j in range(i + 1, len(bold))])


def noise_ceiling(bold: np.ndarray) -> np.ndarray:
    r"""The correlation with one subject that a perfect model of the shared response would reach.

    If a share :math:`s` of a voxel's variance is common to all subjects, two subjects correlate
    :math:`\bar\rho = s`, and the common response itself correlates :math:`\sqrt{s}` with one of them. The
    ceiling is therefore :math:`\sqrt{\max(\bar\rho, 0)}`, with :math:`\bar\rho` the mean correlation over
    pairs of subjects.

    Parameters
    ----------
    bold : array, shape [subjects, TRs, voxels]

    Returns
    -------
    array of float64, shape [voxels]
    """
    return np.asarray(np.sqrt(np.clip(pairwise_isc(bold).mean(axis=0), 0.0, None)))


def expected_leave_one_out(share: float, n_subjects: int) -> float:
    r"""Leave-one-out correlation to expect where a share :math:`s` of the variance is common to N subjects.

    The mean of the others has variance :math:`s + (1-s)/(N-1)`, so that
    :math:`r = s / \sqrt{s + (1-s)/(N-1)}`.
    """
    _need_subjects(n_subjects)
    return float(share / np.sqrt(share + (1 - share) / (n_subjects - 1))) if share > 0 else 0.0


def _z(bold: np.ndarray) -> np.ndarray:
    spread = bold.std(axis=1, keepdims=True, dtype=np.float64)
    centred = bold - bold.mean(axis=1, keepdims=True, dtype=np.float64)
    return np.asarray(centred / np.where(spread > 0, spread, np.inf))


def _need_subjects(n: int) -> None:
    if n < 2:
        raise UserError(f"correlation between subjects needs at least 2 of them; the study has {n}")
