"""Blocks, gaps and lags."""

from __future__ import annotations

import numpy as np
import pytest

from fmri_audio.errors import UserError
from fmri_audio.study.splits import contiguous_split, cross_validation_folds, usable_block


@pytest.mark.parametrize("lags", [[2, 3, 4, 5], [0], [-2, 1], [4, 6]])
@pytest.mark.parametrize("runs", [[(0, 120)], [(0, 60), (60, 120)]])
def test_no_volume_serves_training_and_testing(lags: list[int], runs: list[tuple[int, int]]) -> None:
    shift = 3
    split = contiguous_split(runs, test_fraction=0.25, gap=10, lags=lags, shift=shift)
    reads = [{int(k) + lag - shift for k in trs for lag in lags} for trs in (split.train, split.test)]
    assert not reads[0] & reads[1]
    assert split.test[0] - split.train[-1] > 10
    rows = {int(k) for first, last in split.bold_train for k in range(first, last)}
    assert reads[0] <= rows <= set(range(120))
    assert reads[1] <= set(range(*split.bold_test)) <= set(range(120))
    assert not rows & set(range(*split.bold_test))


def test_blocks_stay_within_runs() -> None:
    split = contiguous_split([(0, 60), (60, 120)], test_fraction=0.2, gap=8, lags=[2, 5], shift=3)
    for first, last in (*split.bold_train, split.bold_test):
        assert first // 60 == (last - 1) // 60
    assert len(split.train_blocks) == 2


def test_lags_count_in_stimulus_time() -> None:
    assert usable_block(0, 100, [2, 3, 4, 5], 3) == (1, 98)
    assert usable_block(0, 100, [3], 3) == (0, 100)
    assert usable_block(0, 100, [-1], 0) == (1, 100)


def test_impossible_splits_are_refused() -> None:
    with pytest.raises(UserError, match=r"training.gap_trs: 3 is shorter than the lag window of 4"):
        contiguous_split([(0, 100)], test_fraction=0.2, gap=3, lags=[2, 5], shift=3)
    with pytest.raises(UserError, match="too little"):
        contiguous_split([(0, 20)], test_fraction=0.2, gap=14, lags=[2, 5], shift=3)


def test_folds_keep_their_distance_and_cover_all() -> None:
    trs = np.arange(10, 90)
    folds = cross_validation_folds(trs, 4, 6)
    assert sorted(np.concatenate([validate for _, validate in folds])) == list(range(80))
    for fit, validate in folds:
        assert np.abs(trs[fit][:, None] - trs[validate]).min() > 6
    short = cross_validation_folds(np.arange(16), 4, 12)
    assert all(len(fit) >= 8 for fit, _ in short)
