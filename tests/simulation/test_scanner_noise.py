"""What the scanner adds: measured on long stretches, against what is stated."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fmri_audio.brain import agreement, cleaning
from fmri_audio.simulation import scanner_noise
from fmri_audio.simulation.scanner_noise import Noise
from fmri_audio.study.facts import Run

TR, BOX, MM = Fraction(3, 2), (12, 10, 11), (3.0, 3.0, 3.0)
RUN = Run(name="1", first_tr=0, n_trs=400)
EVERYWHERE = np.ones(BOX, bool)
LIKE = Noise(fwhm_mm=6.0, autocorrelation=0.4, common=0.0, drift_variance=0.5)


def noise_of(
    kept: np.ndarray = EVERYWHERE, run: Run = RUN, tr: Fraction = TR, seed: int = 0, like: Noise = LIKE
) -> np.ndarray:
    return np.concatenate(
        list(scanner_noise.noise_chunks(BOX, kept, MM, run, tr, like, np.random.default_rng(seed)))
    )


@pytest.mark.parametrize("common", [0.02, 0.3])
def test_a_share_of_the_noise_is_the_whole_brain_s(common: float) -> None:
    """The mean over the box has so much more variance than that of noise without a common part."""
    local, both = (noise_of(like=replace(LIKE, common=share), seed=3) for share in (0.0, common))
    whole, without = (float(np.square(one.mean(axis=1)).mean()) for one in (both, local))
    assert_allclose(whole - (1 - common) * without, common, atol=0.05)
    cleaned = cleaning.clean_blocks(both, [(0, RUN.n_trs)], TR)
    assert_allclose((cleaned**2).mean(), 1, atol=0.06)


def test_noise_is_autocorrelated_by_the_time_between_volumes() -> None:
    for tr in (TR, Fraction(3)):
        course = noise_of(tr=tr)
        expected = LIKE.autocorrelation ** (float(tr) / 1.5)
        assert_allclose(agreement.correlate(course[:-1], course[1:]).mean(), expected, atol=0.015)
        assert_allclose(agreement.correlate(course[:-2], course[2:]).mean(), expected**2, atol=0.02)


def test_noise_is_smooth_in_space_by_the_width_stated() -> None:
    volume = noise_of().reshape(-1, *BOX)
    # White noise smoothed with a Gaussian of standard deviation σ correlates exp(−d² / 4σ²) over a distance d.
    sigma = LIKE.fwhm_mm / np.sqrt(8 * np.log(2))
    for apart in (1, 2):
        expected = np.exp(-((apart * MM[0]) ** 2) / (4 * sigma**2))
        for axis in (1, 2, 3):
            inner = np.moveaxis(volume, axis, 1)[:, 3:-3]  # edges are smoothed from one side
            left, right = (part.reshape(len(volume), -1) for part in (inner[:, :-apart], inner[:, apart:]))
            assert_allclose(agreement.correlate(left, right).mean(), expected, atol=0.03)


def test_noise_has_variance_one_after_cleaning_at_edges_too() -> None:
    cleaned = cleaning.clean_blocks(noise_of(), [(0, RUN.n_trs)], TR).reshape(-1, *BOX)
    variance = (cleaned**2).mean(axis=0)
    assert_allclose(variance.mean(), 1, atol=0.015)
    assert_allclose(variance[0].mean(), 1, atol=0.04)
    assert_allclose(variance[5:7, 4:6].mean(), 1, atol=0.06)


def test_which_voxels_are_wanted_and_chunks_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    some, like = np.random.default_rng(1).random(BOX) < 0.2, replace(LIKE, common=0.1)
    whole = noise_of(like=like)
    assert_array_equal(noise_of(some, like=like), whole[:, some.ravel()])
    monkeypatch.setattr(scanner_noise, "_CHUNK_VALUES", 7 * int(np.prod(BOX)))
    assert_allclose(noise_of(like=like), whole, atol=1e-5)


def test_drift_is_slow_smooth_and_of_the_size_stated() -> None:
    runs = [Run(name="1", first_tr=0, n_trs=100), Run(name="2", first_tr=100, n_trs=140)]
    drawn = []
    for seed in range(40):
        course, maps = scanner_noise.drift(
            BOX, MM, runs, TR, LIKE.drift_variance, np.random.default_rng(seed)
        )
        drawn.append(course @ maps.reshape(len(maps), -1))
    drift = np.stack(drawn)
    assert_allclose(drift.var(axis=(0, 1)).mean(), LIKE.drift_variance, rtol=0.15)
    cleaned = cleaning.clean_blocks(drift[0], [(0, 100), (100, 240)], TR)
    assert abs(cleaned).max() < 0.01 * abs(drift[0]).max()
    left, right = drift[:, 50].reshape(-1, *BOX)[:, :-1], drift[:, 50].reshape(-1, *BOX)[:, 1:]
    assert np.corrcoef(left.ravel(), right.ravel())[0, 1] > 0.9


def test_artefacts_begin_at_their_rows_fade_and_end_with_their_run() -> None:
    runs = [Run(name="1", first_tr=0, n_trs=20), Run(name="2", first_tr=20, n_trs=20)]
    jerks = scanner_noise.Artefacts(np.array([5, 18]), np.array([[2.0, 0, 0], [0, 3.0, 0]]))
    course = jerks.course(runs, TR)
    assert not course[:5].any() and not course[20:].any()
    assert_allclose(course[[5, 18]], [[2, 0, 0], [course[18, 0], 3, 0]])
    assert_allclose(
        course[6:9, 0] / course[5:8, 0], np.exp(-1.5 / scanner_noise.ARTEFACT_FADES_SECONDS), rtol=1e-5
    )


def test_heads_jerk_as_often_and_as_much_as_stated() -> None:
    drawn = [scanner_noise.draw_artefacts(1000, TR, np.random.default_rng(seed)) for seed in range(40)]
    per_run = np.mean([len(one.rows) for one in drawn])
    assert_allclose(per_run, 1000 * 1.5 / scanner_noise.ARTEFACT_EVERY_SECONDS, rtol=0.15)
    size = np.linalg.norm(np.concatenate([one.displacement for one in drawn]), axis=1)
    assert_allclose(np.median(size), scanner_noise.ARTEFACT_SD, rtol=0.1)


def test_artefacts_are_largest_at_edges() -> None:
    block = np.zeros((20, 20, 20), np.float32)
    block[5:15, 5:15, 5:15] = 1
    tissue = np.ones(block.shape, bool)
    maps = scanner_noise.artefact_maps(block, tissue).reshape(3, *block.shape)
    assert_allclose((maps**2).sum(axis=0).mean(), 3, rtol=1e-4)
    assert abs(maps[:, 10, 10, 10]).max() < 0.01 < 1 < abs(maps[0, 4:6, 10, 10]).max()
    assert maps[0, 5, 10, 10] > 0 > maps[0, 14, 10, 10]
