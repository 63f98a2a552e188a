"""Correlation between subjects against naive references, and what is known to be shared."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fmri_audio.base.errors import UserError
from fmri_audio.brain import agreement
from tests.materials import expected_leave_one_out


def subjects(share: float, n: int = 6, trs: int = 4000, voxels: int = 3, seed: int = 0) -> np.ndarray:
    """BOLD of which a known share is common."""
    rng = np.random.default_rng(seed)
    common = rng.standard_normal((trs, voxels))
    return (
        np.stack(
            [
                np.sqrt(share) * common + np.sqrt(1 - share) * rng.standard_normal((trs, voxels))
                for _ in range(n)
            ]
        )
        * 7
        + 100
    )


def naive_leave_one_out(bold: np.ndarray) -> np.ndarray:
    """As the definition says: z-score, average the others, correlate, voxel by voxel."""
    result = np.empty((len(bold), bold.shape[2]))
    for subject, voxel in itertools.product(range(len(bold)), range(bold.shape[2])):
        z = [(one[:, voxel] - one[:, voxel].mean()) / one[:, voxel].std() for one in bold]
        others = np.mean([z[i] for i in range(len(bold)) if i != subject], axis=0)
        result[subject, voxel] = np.corrcoef(z[subject], others)[0, 1]
    return result


def naive_pairwise(bold: np.ndarray) -> np.ndarray:
    return np.array(
        [
            [np.corrcoef(a[:, v], b[:, v])[0, 1] for v in range(bold.shape[2])]
            for a, b in itertools.combinations(bold, 2)
        ]
    )


def test_both_correlations_are_what_their_definitions_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fmri_audio.brain.agreement.VOXELS_AT_ONCE", 3)
    bold = subjects(0.3, n=5, trs=60, voxels=7)
    assert_allclose(agreement.leave_one_out_isc(bold), naive_leave_one_out(bold), rtol=1e-10)
    assert_allclose(agreement.pairwise_isc(list(bold)), naive_pairwise(bold), rtol=1e-10)
    expected = np.sqrt(np.clip(naive_pairwise(bold).mean(axis=0), 0, None))
    assert_allclose(agreement.noise_ceiling(bold), expected, rtol=1e-10)


def test_volumes_that_one_subject_lacks_are_left_out_for_all() -> None:
    bold = subjects(0.3, n=4, trs=60, voxels=5)
    with_filler = bold.copy()
    with_filler[1, -13:] = np.nan
    assert agreement.rows_all_have(with_filler).sum() == 47
    assert_allclose(agreement.leave_one_out_isc(with_filler), naive_leave_one_out(bold[:, :-13]), rtol=1e-10)
    assert_allclose(agreement.pairwise_isc(with_filler), naive_pairwise(bold[:, :-13]), rtol=1e-10)
    with_filler[2, :-13] = np.nan
    with pytest.raises(UserError, match="0 volumes in common"):
        agreement.noise_ceiling(with_filler)


def test_a_voxel_that_one_subject_lacks_is_undefined_for_that_subject_alone() -> None:
    bold = subjects(0.3, n=4, trs=60, voxels=2)
    bold[0, :, 1] = 0.1  # not a number that floats hold exactly
    rest = naive_leave_one_out(bold[1:, :, 1:])
    isc = agreement.leave_one_out_isc(bold)
    assert np.isnan(isc[0, 1]) and np.isfinite(isc[:, 0]).all()
    assert_allclose(isc[1:, 1], rest[:, 0], rtol=1e-10)
    assert np.isnan(agreement.pairwise_isc(bold)[:3, 1]).all()
    assert_allclose(
        agreement.noise_ceiling(bold)[1], np.sqrt(naive_pairwise(bold[1:, :, 1:]).mean()), rtol=1e-10
    )


@pytest.mark.parametrize("share", [0.1, 0.3, 0.6])
def test_known_shared_variance_is_recovered(share: float) -> None:
    bold = subjects(share)
    assert_allclose(agreement.pairwise_isc(bold).mean(), share, atol=0.03)
    assert_allclose(agreement.noise_ceiling(bold).mean(), np.sqrt(share), atol=0.03)
    assert_allclose(agreement.leave_one_out_isc(bold).mean(), expected_leave_one_out(share, 6), atol=0.03)


def test_nothing_shared_gives_no_ceiling_and_no_negative_root() -> None:
    bold = subjects(0.0)
    assert abs(agreement.leave_one_out_isc(bold).mean()) < 0.03
    assert agreement.noise_ceiling(bold).min() >= 0
    assert expected_leave_one_out(0.0, 5) == 0


def test_memory_does_not_grow_with_the_voxels() -> None:
    """Ten times the voxels take little more than the result does."""
    peaks = []
    for voxels in (600, 6000):
        bold = [np.broadcast_to(one, (100, voxels)) for one in subjects(0.3, n=4, trs=100, voxels=1)]
        tracemalloc.start()
        agreement.leave_one_out_isc(bold)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    stacked = 4 * 100 * 6000 * 8
    assert peaks[1] < peaks[0] + 0.25 * stacked


def test_one_subject_has_no_one_to_correlate_with() -> None:
    with pytest.raises(UserError, match="at least 2"):
        agreement.leave_one_out_isc(subjects(0.2, n=1))
    with pytest.raises(UserError, match="differ in volumes"):
        agreement.pairwise_isc([np.zeros((5, 2)), np.zeros((6, 2))])


def test_correlation_matches_numpy_and_is_undefined_for_constants() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((2, 50, 3))
    b[:, 2] = 4
    expected = [np.corrcoef(a[:, i], b[:, i])[0, 1] for i in range(2)]
    found = agreement.correlate(a, b)
    assert_allclose(found[:2], expected)
    assert np.isnan(found[2])
