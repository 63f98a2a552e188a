"""Masks, cleaning without leaks, correlations between subjects."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fmri_audio import brain
from fmri_audio.errors import UserError

AFFINE = np.array([[-3.0, 0, 0, -15], [0, 3, 0, -45], [0, 0, 3, -15], [0, 0, 0, 1]])
TR = Fraction(3, 2)


def subjects(share: float, n: int = 6, trs: int = 4000, voxels: int = 3, seed: int = 0) -> np.ndarray:
    """BOLD of which a known share is common."""
    rng = np.random.default_rng(seed)
    common = rng.standard_normal((trs, voxels))
    return np.stack([
        np.sqrt(share) * common + np.sqrt(1 - share) * rng.standard_normal((trs, voxels)) for _ in range(n)
    ]) * 7 + 100  # fmt: skip


def test_the_auditory_mask_is_grey_matter_near_heschls_gyrus() -> None:
    mask = brain.auditory_mask(AFFINE, (30, 20, 16))
    grey = brain.grey_matter(AFFINE, (30, 20, 16))
    assert (grey[mask] > brain.GREY_MATTER).all()
    distance = np.linalg.norm(brain.voxel_positions(AFFINE, (30, 20, 16)) - np.array([-54, -20, 8]), axis=-1)
    assert distance[mask].max() <= brain.AUDITORY_RADIUS
    assert mask.sum() > 300


def test_held_out_volumes_leave_training_bit_identical() -> None:
    rng = np.random.default_rng(0)
    bold = (100 + rng.standard_normal((80, 4)).cumsum(axis=0)).astype(np.float32)
    other = bold.copy()
    other[56:] = rng.standard_normal((24, 4)) * 50
    blocks, train = [(0, 48), (56, 80)], np.arange(48)
    first, second = (brain.standardise(brain.clean_blocks(x, blocks, TR), train) for x in (bold, other))
    assert_array_equal(first[:48], second[:48])
    assert not np.allclose(first[56:], second[56:])
    assert np.isnan(first[48:56]).all()


def test_a_filter_over_the_whole_run_would_leak() -> None:
    """The test above can fail: filtering everything at once carries held-out volumes into training."""
    rng = np.random.default_rng(0)
    bold = (100 + rng.standard_normal((80, 4)).cumsum(axis=0)).astype(np.float32)
    other = bold.copy()
    other[56:] += 30
    first, second = (brain.clean_blocks(x, [(0, 80)], TR) for x in (bold, other))
    assert not np.array_equal(first[:48], second[:48])


def test_cleaning_removes_drift_and_keeps_what_is_fast() -> None:
    t = np.arange(240) * 1.5
    fast, drift = np.sin(2 * np.pi * t / 20), 5 * np.cos(2 * np.pi * t / 400) + 0.02 * t
    cleaned = brain.clean_blocks((1000 + fast + drift)[:, None], [(0, 240)], TR)[:, 0]
    assert np.corrcoef(cleaned, fast)[0, 1] > 0.98
    assert cleaned.std() < 1.1 * fast.std()


def test_standardising_uses_training_alone_and_silences_constant_voxels() -> None:
    bold = np.array([[1.0, 5], [3, 5], [100, 7]], np.float32)
    z = brain.standardise(bold, np.array([0, 1]))
    assert_allclose(z[:, 0], [-1, 1, 98])
    assert_array_equal(z[:, 1], 0)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.6])
def test_known_shared_variance_is_recovered(share: float) -> None:
    bold = subjects(share)
    assert_allclose(brain.pairwise_isc(bold).mean(), share, atol=0.03)
    assert_allclose(brain.noise_ceiling(bold).mean(), np.sqrt(share), atol=0.03)
    assert_allclose(brain.leave_one_out_isc(bold).mean(), brain.expected_leave_one_out(share, 6), atol=0.03)


def test_nothing_shared_gives_no_ceiling_and_no_negative_root() -> None:
    bold = subjects(0.0)
    assert abs(brain.leave_one_out_isc(bold).mean()) < 0.03
    assert brain.noise_ceiling(bold).min() >= 0
    assert brain.expected_leave_one_out(0.0, 5) == 0


def test_one_subject_has_no_one_to_correlate_with() -> None:
    with pytest.raises(UserError, match="at least 2"):
        brain.leave_one_out_isc(subjects(0.2, n=1))


def test_correlation_matches_numpy_and_is_undefined_for_constants() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((2, 50, 3))
    b[:, 2] = 4
    expected = [np.corrcoef(a[:, i], b[:, i])[0, 1] for i in range(2)]
    found = brain.correlate(a, b)
    assert_allclose(found[:2], expected)
    assert np.isnan(found[2])


def test_a_block_too_short_to_detrend_is_refused() -> None:
    with pytest.raises(UserError, match="2 TRs is too short"):
        brain.clean_blocks(np.zeros((10, 2)), [(0, 2)], TR)
