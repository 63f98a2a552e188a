"""Drift out and one scale for all voxels, learning from training volumes alone.

Nothing else is removed: motion and other confounds are not regressed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np

from fmri_audio.base.errors import UserError
from fmri_audio.base.kinds import Block

#: Period (s) of the slowest change that is kept; scanner drift is slower, speech and scenes are faster.
HIGH_PASS_SECONDS = 128.0
#: Voxels that are worked on at a time, so that double precision does not take a multiple of the matrix.
VOXELS_AT_ONCE = 2048
_SHORTEST_BLOCK = 3


def clean_blocks(
    bold: np.ndarray, blocks: Sequence[Block], tr: Fraction, high_pass: float | None = HIGH_PASS_SECONDS
) -> np.ndarray:
    """Detrend and high-pass each contiguous block on its own.

    Filtering a whole run at once would carry held-out volumes into training ones; so every block of the
    split is filtered separately (linear trend, then cosines down to a period of 128 s unless told otherwise, by
    ``nilearn.signal.clean``) and rows in no block are NaN, so that they cannot be used by accident.

    Parameters
    ----------
    bold : array, shape [TRs, voxels]
        Rows that are NaN (filler volumes) stay so: what lies before and after them within a block is filtered
        separately, and fewer than 3 volumes between them become NaN too.
    blocks : sequence of (first, last)
        Volumes ``first <= k < last``.
    tr : Fraction
        Seconds per volume.
    high_pass : float, optional
        Longest period that is kept, in seconds; None takes out the trend alone.

    Returns
    -------
    array of float32, shape [TRs, voxels]

    Raises
    ------
    UserError
        A block has fewer than 3 TRs.
    """
    cleaned = np.full(bold.shape, np.nan, np.float32)
    for first, last in blocks:
        if last - first < _SHORTEST_BLOCK:
            raise UserError(f"a block of {last - first} TRs is too short to be detrended; use more TRs")
        for start, stop in _stretches(_finite_rows(bold[first:last]), first):
            for voxels in column_slices(bold.shape[1], VOXELS_AT_ONCE):
                cleaned[start:stop, voxels] = _filtered(bold[start:stop, voxels], tr, high_pass)
    return cleaned


def standardise(bold: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Z-score every voxel by its mean and standard deviation over the training TRs alone.

    A voxel that does not vary in training is set to 0: it can tell nothing.

    Parameters
    ----------
    bold : array, shape [TRs, voxels]
    train : array of int
        Rows that the statistics may come from; of these, rows that are NaN (filler) are left out.

    Returns
    -------
    array of float32, shape [TRs, voxels]

    Raises
    ------
    UserError
        No training row holds data.
    """
    train = train[_finite_rows(bold[train])]
    if not len(train):
        raise UserError("no training volume holds data; use more TRs, or leave this subject out")
    result = np.empty(bold.shape, np.float32)
    for voxels in column_slices(bold.shape[1], VOXELS_AT_ONCE):
        column = np.asarray(bold[:, voxels], np.float64)
        mean, spread = column[train].mean(axis=0), column[train].std(axis=0)
        scale = np.where(spread > 1e-6 * (1 + np.abs(mean)), 1 / np.where(spread > 0, spread, 1), 0.0)
        result[:, voxels] = (column - mean) * scale
    return result


def standardise_by_run(
    bold: np.ndarray, train: np.ndarray, runs: Sequence[Block], unlabelled: Sequence[Block] = ()
) -> np.ndarray:
    """Z-score every voxel run by run, because a scanner's scale changes between runs.

    A run's mean and spread come from its own training TRs. A run that is held out whole has none; it can only be
    standardised by its own volumes, which uses held-out BOLD, though nothing of the sound that was heard. That has to
    be declared: such a run is named in ``unlabelled``.

    Parameters
    ----------
    bold : array, shape [TRs, voxels]
        Cleaned; NaN outside the blocks of the split.
    train : array of int
        Rows that statistics may come from.
    runs : sequence of (first, last)
        Volumes ``first <= k < last``; a row in no run becomes NaN.
    unlabelled : sequence of (first, last)
        Runs without training TRs, as :attr:`fmri_audio.study.splits.Split.runs_without_training` lists them.

    Returns
    -------
    array of float32, shape [TRs, voxels]

    Raises
    ------
    ValueError
        A run without training TRs is not declared, or one with training TRs is declared to have none.
    """
    result = np.full(bold.shape, np.nan, np.float32)
    for run in runs:
        own = train[(train >= run[0]) & (train < run[1])]
        if bool(len(own)) == (tuple(run) in {tuple(declared) for declared in unlabelled}):
            state = "has training TRs but is declared unlabelled" if len(own) else "has no training TRs"
            raise ValueError(
                f"the run of volumes {run[0]} to {run[1] - 1} {state}; declare what it is standardised by"
            )
        result[run[0] : run[1]] = standardise(
            bold[run[0] : run[1]], own - run[0] if len(own) else np.arange(run[1] - run[0])
        )
    return result


def column_slices(n: int, width: int) -> Iterator[slice]:
    """Cut ``n`` columns into slices of ``width``."""
    for first in range(0, n, width):
        yield slice(first, min(first + width, n))


def _finite_rows(bold: np.ndarray) -> np.ndarray:
    """Which rows hold no NaN or infinity, [TRs] of bool."""
    return np.asarray(np.isfinite(bold).all(axis=1))


def _stretches(usable: np.ndarray, offset: int) -> list[Block]:
    """Contiguous stretches of usable rows that are long enough to be detrended."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], usable, [False]])))
    pairs = zip(edges[::2] + offset, edges[1::2] + offset, strict=True)
    return [(int(start), int(stop)) for start, stop in pairs if stop - start >= _SHORTEST_BLOCK]


def _filtered(block: np.ndarray, tr: Fraction, high_pass: float | None) -> np.ndarray:
    """One contiguous block [TRs, voxels] without trend and without what is slower than ``high_pass`` seconds."""
    from nilearn.signal import clean

    # A block shorter than the period has no slower cosine to remove: its linear trend goes all the same.
    slow = 1 / high_pass if high_pass is not None and len(block) * tr > high_pass / 2 else None
    return np.asarray(
        clean(
            np.asarray(block, np.float64),
            detrend=True,
            standardize=None,
            filter="cosine" if slow else False,
            high_pass=slow,
            t_r=float(tr),
        )
    )
