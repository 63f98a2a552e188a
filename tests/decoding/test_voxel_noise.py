"""Voxel noise has the covariance and the strength that it was told."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter

from fmri_audio.base.errors import UserError
from fmri_audio.decoding.voxel_noise import VoxelNoise, voxel_noise

N, V, PHI = 800, 6, 0.5


def brains(n_subjects: int, reliability: np.ndarray) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """A signal, subjects who share it with noise correlated in space and time, and the noise's correlations."""
    rng = np.random.default_rng(0)
    signal = rng.standard_normal((N, V))
    mixing = np.linalg.cholesky(0.6 * np.ones((V, V)) + 0.4 * np.eye(V))
    subjects = []
    for _ in range(n_subjects):
        white = rng.standard_normal((N, V)) @ mixing.T
        noise = lfilter([np.sqrt(1 - PHI**2)], [1, -PHI], white, axis=0)
        subjects.append(np.float32(np.sqrt(reliability) * signal + np.sqrt(1 - reliability) * noise))
    return np.float32(3 * signal), subjects, mixing @ mixing.T


def test_noise_has_the_covariance_of_residuals_and_leaves_each_voxel_its_reliability() -> None:
    reliability = np.linspace(0.1, 0.6, V)
    signal, subjects, correlations = brains(3, reliability)
    noise = voxel_noise(subjects, signal, [(0, N)])
    np.testing.assert_allclose(noise.reliability, reliability, atol=0.1)
    assert noise.autocorrelation == pytest.approx(PHI, abs=0.03)
    drawn = noise.sample(8_000, seed=1)
    np.testing.assert_allclose(np.corrcoef(drawn.T), correlations, atol=0.1)
    later = np.mean([np.corrcoef(drawn[1:, v], drawn[:-1, v])[0, 1] for v in range(V)])
    assert later == pytest.approx(PHI, abs=0.05)
    share = 1 / (1 + drawn.var(axis=0))  # signal has variance 1
    np.testing.assert_allclose(share, noise.reliability, rtol=0.15)


def test_no_direction_is_without_noise_even_where_voxels_outnumber_residuals() -> None:
    rng = np.random.default_rng(0)
    n, voxels, common = 40, 100, 0.5
    signal = np.float32(rng.standard_normal((n, voxels)))
    subjects = [
        np.float32(signal + np.sqrt(common) * shared + np.sqrt(1 - common) * rng.standard_normal((n, voxels)))
        for shared in rng.standard_normal((2, n, 1))
    ]
    noise = voxel_noise(subjects, signal, [(0, n)])
    assert np.linalg.matrix_rank(noise.residuals) < voxels and 0 < noise.shrinkage < 1
    drawn = noise.sample(20_000, seed=1) / noise.deviation
    np.testing.assert_allclose(drawn.std(axis=0), 1, atol=0.05)
    between = np.corrcoef(drawn.T)
    assert np.linalg.eigvalsh(between).min() > 0.1 * noise.shrinkage
    assert between[np.triu_indices(voxels, 1)].mean() == pytest.approx(common, abs=0.15)
    later = np.mean([np.corrcoef(drawn[1:, v], drawn[:-1, v])[0, 1] for v in range(voxels)])
    assert later == pytest.approx(noise.autocorrelation, abs=0.05)


def test_independent_noise_has_the_strength_but_no_covariance() -> None:
    signal, subjects, _ = brains(2, np.full(V, 0.3))
    noise = voxel_noise(subjects, signal, [(0, N)])
    drawn = noise.sample(10_000, seed=1, independent=True)
    np.testing.assert_allclose(drawn.std(axis=0), noise.deviation, rtol=0.05)
    assert np.abs(np.corrcoef(drawn.T) - np.eye(V)).max() < 0.05
    assert abs(np.corrcoef(drawn[1:, 0], drawn[:-1, 0])[0, 1]) < 0.05


def test_the_seed_decides_and_what_is_held_out_does_not() -> None:
    signal, subjects, _ = brains(2, np.full(V, 0.3))
    other = [one.copy() for one in subjects]
    for one in other:
        one[700:] *= -5
    first, second = (voxel_noise(some, signal, [(0, 300), (350, 650)]) for some in (subjects, other))
    np.testing.assert_array_equal(first.sample(50, 3), second.sample(50, 3))
    assert not np.array_equal(first.sample(50, 3), first.sample(50, 4))


def test_a_single_subject_has_no_reliability() -> None:
    signal, subjects, _ = brains(1, np.full(V, 0.3))
    with pytest.raises(UserError, match="at least 2 subjects"):
        voxel_noise(subjects, signal, [(0, N)])


def test_voxels_without_signal_are_nearly_all_noise() -> None:
    noise = VoxelNoise(np.ones((5, 1), np.float32), 0.0, 0.0, np.array([0.01]))
    assert noise.deviation[0] == pytest.approx(np.sqrt(99))
