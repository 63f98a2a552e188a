"""What brains share: inter-subject correlation and the noise ceiling that it sets.

All of it follows from one matrix per voxel, the correlations between subjects, which is computed a few hundred
voxels at a time: 17 subjects of 3,000 voxels and 1,976 TRs need no more memory than a few of their own matrices.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fmri_audio.base.errors import UserError
from fmri_audio.brain.cleaning import column_slices

#: Voxels whose time courses of all subjects are in memory at a time, in double precision.
VOXELS_AT_ONCE = 512
_FEWEST_ROWS = 3

Subjects = Sequence[np.ndarray] | np.ndarray


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


def rows_all_have(bold: Subjects) -> np.ndarray:
    """Volumes that no subject lacks, [TRs] of bool.

    Correlations between subjects are taken over these alone. The other way, every pair over what the two have, would
    compare pairs over different moments of the film, and some moments are shared more than others.

    Raises
    ------
    UserError
        The subjects differ in volumes or voxels, or have fewer than 3 volumes in common.
    """
    if len({one.shape for one in bold}) > 1:
        raise UserError(
            "subjects differ in volumes or voxels; mask all with one mask and cut all to the same TRs"
        )
    common = np.ones(bold[0].shape[0], bool)
    for one in bold:
        common &= np.isfinite(one).all(axis=1)
    if common.sum() < _FEWEST_ROWS:
        raise UserError(
            f"the subjects have {int(common.sum())} volumes in common, correlation needs at least {_FEWEST_ROWS}; "
            "leave out the one that lacks most"
        )
    return common


def subject_correlations(bold: Subjects) -> np.ndarray:
    """Correlation of every subject with every other, per voxel.

    Parameters
    ----------
    bold : array, shape [subjects, TRs, voxels], or sequence of arrays [TRs, voxels]
        Cleaned; they may be memory-mapped. Volumes that a subject lacks (NaN) are left out for all
        (:func:`rows_all_have`).

    Returns
    -------
    array of float64, shape [subjects, subjects, voxels]
        1 on the diagonal; 0 in the rows and columns of a subject whose voxel is constant, its diagonal included.

    Raises
    ------
    UserError
        Fewer than two subjects, or too few volumes in common.
    """
    need_subjects(len(bold))
    rows = np.flatnonzero(rows_all_have(bold))
    n_voxels = bold[0].shape[1]
    result = np.empty((len(bold), len(bold), n_voxels))
    for voxels in column_slices(n_voxels, VOXELS_AT_ONCE):
        z = np.stack([_unit_columns(one[:, voxels][rows]) for one in bold]).transpose(2, 0, 1)
        result[:, :, voxels] = (z @ z.swapaxes(1, 2)).transpose(1, 2, 0)
    return result


def leave_one_out_isc(bold: Subjects) -> np.ndarray:
    r"""Inter-subject correlation of each subject with the mean of the others (Nastase et al. 2019).

    With :math:`R` the correlations between subjects, z-scored so that none outweighs another in a mean, it is
    :math:`\sum_{j \ne i} R_{ij} / \sqrt{\sum_{j \ne i} \sum_{k \ne i} R_{jk}}`.

    Parameters
    ----------
    bold : array, shape [subjects, TRs, voxels], or sequence of arrays [TRs, voxels]
        As for :func:`subject_correlations`.

    Returns
    -------
    array of float64, shape [subjects, voxels]
        NaN where the subject's voxel, or all others', is constant.
    """
    between = subject_correlations(bold)
    own = np.diagonal(between).T
    with_all = between.sum(axis=1)
    others = between.sum(axis=(0, 1)) - 2 * with_all + own
    undefined = np.full(own.shape, np.nan)
    defined = (own > 0) & (others > 1e-9)
    return np.asarray(np.divide(with_all - own, np.sqrt(np.abs(others)), out=undefined, where=defined))


def pairwise_isc(bold: Subjects) -> np.ndarray:
    """Correlation of every pair of subjects, [pairs, voxels], pairs in the order of ``itertools.combinations``.

    NaN where the voxel of either is constant. ``bold`` as for :func:`subject_correlations`.
    """
    between = subject_correlations(bold)
    first, second = np.triu_indices(len(between), 1)
    defined = np.diagonal(between).T > 0
    return np.asarray(np.where(defined[first] & defined[second], between[first, second], np.nan))


def noise_ceiling(bold: Subjects) -> np.ndarray:
    r"""The correlation with one subject that a perfect model of the shared response would reach.

    If a share :math:`s` of a voxel's variance is common to all subjects, two subjects correlate
    :math:`\bar\rho = s`, and the common response itself correlates :math:`\sqrt{s}` with one of them. The
    ceiling is therefore :math:`\sqrt{\max(\bar\rho, 0)}`, with :math:`\bar\rho` the mean correlation over
    those pairs of subjects for which it is defined.

    Parameters
    ----------
    bold : array, shape [subjects, TRs, voxels], or sequence of arrays [TRs, voxels]
        As for :func:`subject_correlations`.

    Returns
    -------
    array of float64, shape [voxels]
        NaN where no pair is defined.
    """
    pairs = pairwise_isc(bold)
    n_defined = np.isfinite(pairs).sum(axis=0)
    undefined = np.full(pairs.shape[1], np.nan)
    mean = np.divide(np.nansum(pairs, axis=0), n_defined, out=undefined, where=n_defined > 0)
    return np.asarray(np.sqrt(np.clip(mean, 0.0, None)))


def _unit_columns(bold: np.ndarray) -> np.ndarray:
    """Columns of mean 0 and length 1, float64; a constant one becomes 0."""
    column = np.asarray(bold, np.float64)
    centred = column - column.mean(axis=0)
    length = np.linalg.norm(centred, axis=0)
    # What rounding leaves of a constant is not variation.
    varies = length > 1e-12 * np.sqrt(len(column)) * (1 + np.abs(column).max(axis=0))
    return np.asarray(np.divide(centred, length, out=np.zeros_like(centred), where=varies))


def need_subjects(n: int) -> None:
    """Raise a UserError unless there are two subjects to compare."""
    if n < 2:
        raise UserError(f"correlation between subjects needs at least 2 of them; the study has {n}")
