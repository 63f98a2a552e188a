"""Cleaning and standardising, without leaks."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fmri_audio.base.errors import UserError
from fmri_audio.brain import cleaning

TR = Fraction(3, 2)


def test_held_out_volumes_leave_training_bit_identical() -> None:
    rng = np.random.default_rng(0)
    bold = (100 + rng.standard_normal((80, 4)).cumsum(axis=0)).astype(np.float32)
    other = bold.copy()
    other[56:] = rng.standard_normal((24, 4)) * 50
    blocks, train = [(0, 48), (56, 80)], np.arange(48)
    first, second = (cleaning.standardise(cleaning.clean_blocks(x, blocks, TR), train) for x in (bold, other))
    assert_array_equal(first[:48], second[:48])
    assert not np.allclose(first[56:], second[56:])
    assert np.isnan(first[48:56]).all()


def test_a_filter_over_the_whole_run_would_leak() -> None:
    """The test above can fail: filtering everything at once carries held-out volumes into training."""
    rng = np.random.default_rng(0)
    bold = (100 + rng.standard_normal((80, 4)).cumsum(axis=0)).astype(np.float32)
    other = bold.copy()
    other[56:] += 30
    first, second = (cleaning.clean_blocks(x, [(0, 80)], TR) for x in (bold, other))
    assert not np.array_equal(first[:48], second[:48])


def test_cleaning_removes_drift_and_keeps_what_is_fast() -> None:
    t = np.arange(240) * 1.5
    fast, drift = np.sin(2 * np.pi * t / 20), 5 * np.cos(2 * np.pi * t / 400) + 0.02 * t
    cleaned = cleaning.clean_blocks((1000 + fast + drift)[:, None], [(0, 240)], TR)[:, 0]
    assert np.corrcoef(cleaned, fast)[0, 1] > 0.98
    assert cleaned.std() < 1.1 * fast.std()


def test_standardising_uses_training_alone_and_silences_constant_voxels() -> None:
    bold = np.array([[1.0, 5], [3, 5], [100, 7]], np.float32)
    z = cleaning.standardise(bold, np.array([0, 1]))
    assert_allclose(z[:, 0], [-1, 1, 98])
    assert_array_equal(z[:, 1], 0)


def test_a_block_too_short_to_detrend_is_refused() -> None:
    with pytest.raises(UserError, match="2 TRs is too short"):
        cleaning.clean_blocks(np.zeros((10, 2)), [(0, 2)], TR)


def test_filler_stays_out_and_what_lies_around_it_is_cleaned_apart() -> None:
    bold = (100 + np.random.default_rng(0).standard_normal((80, 4)).cumsum(axis=0)).astype(np.float32)
    gappy = bold.copy()
    gappy[30:35] = np.nan
    gappy[36:40] = np.nan  # the one volume in between is too short to be detrended
    cleaned = cleaning.clean_blocks(gappy, [(0, 80)], TR)
    assert np.isnan(cleaned[30:40]).all()
    assert_array_equal(cleaned[:30], cleaning.clean_blocks(bold, [(0, 30)], TR)[:30])
    assert_array_equal(cleaned[40:], cleaning.clean_blocks(bold, [(40, 80)], TR)[40:])
    z = cleaning.standardise(cleaned, np.arange(20, 50))
    assert_allclose(z[np.r_[20:30, 40:50]].std(axis=0), 1, rtol=1e-5)
    with pytest.raises(UserError, match="no training volume holds data"):
        cleaning.standardise(cleaned, np.arange(30, 40))


def test_voxels_are_cleaned_and_scaled_the_same_whatever_is_done_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bold = np.random.default_rng(0).standard_normal((60, 7)).astype(np.float32)

    def result() -> np.ndarray:
        return cleaning.standardise(cleaning.clean_blocks(bold, [(0, 60)], TR), np.arange(40))

    at_once = result()
    monkeypatch.setattr("fmri_audio.brain.cleaning.VOXELS_AT_ONCE", 3)
    assert_allclose(result(), at_once, atol=1e-6)


def test_every_run_is_standardised_by_its_own_training_trs() -> None:
    rng = np.random.default_rng(0)
    bold = np.concatenate([rng.normal(5, 2, (50, 3)), rng.normal(-9, 30, (40, 3))]).astype(np.float32)
    runs, train = [(0, 50), (50, 90)], np.r_[0:30, 60:90]
    z = cleaning.standardise_by_run(bold, train, runs)
    for rows in (train[:30], train[30:]):
        assert_allclose(z[rows].mean(axis=0), 0, atol=1e-5)
        assert_allclose(z[rows].std(axis=0), 1, rtol=1e-5)
    changed = bold.copy()
    changed[30:60] = 1e3
    assert_array_equal(cleaning.standardise_by_run(changed, train, runs)[train], z[train])
    assert np.isnan(cleaning.standardise_by_run(bold, train[:30], [(0, 50)])[50:]).all()


def test_a_run_held_out_whole_has_to_be_declared() -> None:
    bold = np.random.default_rng(0).normal(5, 2, (90, 3)).astype(np.float32)
    runs = [(0, 50), (50, 90)]
    with pytest.raises(ValueError, match="volumes 50 to 89 has no training TRs; declare"):
        cleaning.standardise_by_run(bold, np.arange(50), runs)
    with pytest.raises(ValueError, match="volumes 0 to 49 has training TRs but is declared"):
        cleaning.standardise_by_run(bold, np.arange(50), runs, runs)
    z = cleaning.standardise_by_run(bold, np.arange(50), runs, [(50, 90)])
    assert_allclose(z[50:].mean(axis=0), 0, atol=1e-5)
    assert_allclose(z[50:].std(axis=0), 1, rtol=1e-5)
