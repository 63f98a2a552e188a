"""Blocks, gaps and lags."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from fmri_audio.base.errors import UserError
from fmri_audio.study.splits import (
    Split,
    contiguous_split,
    cross_validation_folds,
    k_fold,
    least_gap,
    leave_one_run_out,
    usable_block,
)

TR = Fraction(3, 2)


def assert_no_volume_serves_both_sides(split: Split, lags: list[int], shift: int) -> None:
    """What either side reads and answers is apart, lies within its block, and blocks lie within runs."""
    reads = [{int(k) + lag - shift for k in trs for lag in lags} for trs in (split.train, split.test)]
    assert not reads[0] & reads[1]
    rows = {int(k) for first, last in split.bold_train for k in range(first, last)}
    assert reads[0] <= rows
    assert reads[1] <= set(range(*split.bold_test))
    assert not rows & set(range(*split.bold_test))
    for first, last in split.bold_blocks:
        assert any(run[0] <= first and last <= run[1] for run in split.runs)


@pytest.mark.parametrize("lags", [[2, 3, 4, 5], [0], [-2, 1], [4, 6]])
@pytest.mark.parametrize("runs", [[(0, 120)], [(0, 60), (60, 120)]])
def test_no_volume_serves_training_and_testing(lags: list[int], runs: list[tuple[int, int]]) -> None:
    split = contiguous_split(runs, test_fraction=0.25, gap=14, lags=lags, shift=3, tr=TR)
    assert_no_volume_serves_both_sides(split, lags, 3)
    assert split.test[0] - split.train[-1] > 14
    assert split.declarations == []


def test_blocks_stay_within_runs() -> None:
    split = contiguous_split([(0, 60), (60, 120)], test_fraction=0.2, gap=12, lags=[2, 5], shift=3, tr=TR)
    for first, last in (*split.bold_train, split.bold_test):
        assert first // 60 == (last - 1) // 60
    assert len(split.train_blocks) == 2


def test_lags_count_in_stimulus_time() -> None:
    assert usable_block(0, 100, [2, 3, 4, 5], 3) == (1, 98)
    assert usable_block(0, 100, [3], 3) == (0, 100)
    assert usable_block(0, 100, [-1], 0) == (1, 100)


def test_the_gap_holds_the_lag_window_and_the_response() -> None:
    assert least_gap([2, 3, 4, 5], TR) == 12, "the gap of the editions"
    assert least_gap([0], Fraction(2)) == 7
    message = (
        r"training.gap_trs: 11 is shorter than the lag window of 4 TRs and the response of 8 TRs \(12 s\)"
    )
    for split in (
        lambda gap: contiguous_split([(0, 100)], test_fraction=0.2, gap=gap, lags=[2, 5], shift=3, tr=TR),
        lambda gap: k_fold([(0, 100)], 3, gap=gap, lags=[2, 5], shift=3, tr=TR),
        lambda gap: leave_one_run_out([(0, 50), (50, 100)], gap=gap, lags=[2, 5], shift=3, tr=TR),
    ):
        split(12)
        with pytest.raises(UserError, match=message):
            split(11)


def test_impossible_splits_are_refused() -> None:
    arguments = {"gap": 14, "lags": [2, 5], "shift": 3, "tr": TR}
    with pytest.raises(UserError, match=r"too little.*training.test_fraction"):
        contiguous_split([(0, 20)], test_fraction=0.2, **arguments)
    with pytest.raises(UserError, match=r"too little.*other than 6 folds"):
        k_fold([(0, 20)], 6, **arguments)
    with pytest.raises(UserError, match="2 folds are too few for 3 runs"):
        k_fold([(0, 60), (60, 120), (120, 180)], 2, **arguments)
    with pytest.raises(UserError, match="at least 2 runs; there are 1"):
        leave_one_run_out([(0, 100)], **arguments)
    with pytest.raises(UserError, match="use longer runs"):
        leave_one_run_out([(0, 100), (100, 104)], **arguments)


@pytest.mark.parametrize("lags", [[2, 3, 4, 5], [-2, 1]])
@pytest.mark.parametrize("runs", [[(0, 200)], [(0, 120), (120, 300)], [(0, 50), (50, 350)]])
def test_folds_hold_out_every_usable_tr_once_with_gaps_on_both_sides(
    lags: list[int], runs: list[tuple[int, int]]
) -> None:
    splits = k_fold(runs, 5, gap=12, lags=lags, shift=3, tr=TR)
    usable = [usable_block(*run, lags, 3) for run in runs]
    held_out = np.concatenate([split.test for split in splits])
    assert held_out.tolist() == [k for block in usable for k in range(*block)]
    for split in splits:
        assert_no_volume_serves_both_sides(split, lags, 3)
        run = next(run for run in runs if run[0] <= split.test[0] < run[1])
        beside = split.train[(split.train >= run[0]) & (split.train < run[1])]
        assert not len(beside) or np.abs(beside[:, None] - split.test).min() > 12
    middle = splits[2]
    assert middle.train[0] < middle.test[0] and middle.train[-1] > middle.test[-1]
    lengths = [len(split.test) for split in splits]
    assert max(lengths) <= 2 * min(lengths)


def test_a_run_held_out_whole_is_declared() -> None:
    splits = leave_one_run_out([(0, 60), (60, 140)], gap=12, lags=[2, 5], shift=3, tr=TR)
    assert [split.test_block for split in splits] == [(1, 58), (61, 138)]
    for split in splits:
        assert_no_volume_serves_both_sides(split, [2, 5], 3)
    assert splits[0].runs_without_training == ((0, 60),)
    assert splits[1].train_blocks == ((1, 58),)
    assert len(splits[1].declarations) == 1
    assert "run of TRs 61 to 140" in splits[1].declarations[0] and "its own BOLD" in splits[1].declarations[0]
    # So is one of which too little is left beside the held-out block to train on.
    greedy = contiguous_split([(0, 100), (100, 140)], test_fraction=0.2, gap=12, lags=[2, 5], shift=3, tr=TR)
    assert greedy.runs_without_training == ((100, 140),)


def test_folds_keep_their_distance_and_cover_all() -> None:
    trs = np.arange(10, 90)
    folds = cross_validation_folds(trs, 4, 6)
    assert sorted(np.concatenate([validate for _, validate in folds])) == list(range(80))
    for fit, validate in folds:
        assert np.abs(trs[fit][:, None] - trs[validate]).min() > 6
    short = cross_validation_folds(np.arange(16), 4, 12)
    assert all(len(fit) >= 8 for fit, _ in short)
