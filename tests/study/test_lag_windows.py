"""Lag windows: which volumes are read, and which cannot be."""

from __future__ import annotations

import numpy as np
import pytest

from fmri_audio.study.lag_windows import lagged


def test_volumes_of_each_lag_stand_side_by_side() -> None:
    bold = np.arange(20.0, dtype=np.float32).reshape(10, 2)
    rows = lagged(bold, np.array([4, 5]), [2, 5], 3)
    assert rows.tolist() == [[6, 7, 12, 13], [8, 9, 14, 15]]
    assert lagged(bold, np.array([4]), [-1], 0).tolist() == [[6, 7]]


def test_volumes_outside_run_or_split_are_refused() -> None:
    bold = np.arange(20.0, dtype=np.float32).reshape(10, 2)
    with pytest.raises(ValueError, match="outside"):
        lagged(bold, np.array([9]), [5], 3)
    with pytest.raises(ValueError, match="no block"):
        lagged(np.full((10, 2), np.nan, np.float32), np.array([4]), [3], 3)
