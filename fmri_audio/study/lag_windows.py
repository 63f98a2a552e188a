"""Lag windows: the volumes that a decoder reads for a TR of sound."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def lagged(bold: np.ndarray, trs: np.ndarray, lags: Sequence[int], shift: int) -> np.ndarray:
    """Return the decoder's input: for every TR the volumes of its lag window side by side.

    Parameters
    ----------
    bold : array, shape [TRs, voxels]
        NaN where there is nothing to read: outside the blocks of the split.
    trs : array of int
        TRs of the stimulus.
    lags : sequence of int
        In TRs of stimulus time; negative ones are allowed.
    shift : int
        TRs by which the study is already shifted: lag ``l`` of TR ``k`` is volume ``k + l - shift``.

    Returns
    -------
    array of float32, shape [len(trs), lags × voxels]

    Raises
    ------
    ValueError
        A volume lies outside the run or in no block of the split.
    """
    rows = np.asarray(trs)[:, None] + np.asarray(list(lags)) - shift
    if rows.size and (rows.min() < 0 or rows.max() >= len(bold)):
        raise ValueError(f"lags {list(lags)} read volumes outside the run")
    picked = bold[rows].reshape(len(rows), -1)
    if not np.isfinite(picked).all():
        raise ValueError("the lag window reads volumes that belong to no block of the split")
    return np.asarray(picked, np.float32)
