"""Arithmetic of what a scan could carry, against closed forms and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from nilearn.glm.first_level import spm_hrf

from fmri_audio.brain.response import canonical_response
from fmri_audio.decoding import limits


def test_bandwidth_of_a_decay_is_known() -> None:
    rate, seconds = 1000.0, 2.0
    kernel = np.exp(-np.arange(0, 40, 1 / rate) / seconds)
    # |H|² = 1 / (1 / τ² + ω²): its integral is τ / 4, its largest value τ².
    assert limits.equivalent_bandwidth(kernel, rate) == pytest.approx(1 / (4 * seconds), rel=2e-3)
    assert limits.independent_per_second(kernel, rate) == pytest.approx(1 / (2 * seconds), rel=2e-3)
    at = 1 / (2 * np.pi * seconds)
    assert limits.passed(kernel, rate, at) == pytest.approx(np.sqrt(0.5), rel=2e-3)
    assert limits.passed(kernel, rate, 0.0) == pytest.approx(1)


def test_an_impulse_passes_everything() -> None:
    kernel = np.eye(1, 64)[0]
    assert limits.independent_per_second(kernel, 10.0) == pytest.approx(10)
    assert limits.passed(kernel, 10.0, 3.3) == pytest.approx(1)


def test_the_response_is_slower_than_the_scanner() -> None:
    kernel = canonical_response(40.0)
    assert 0.08 < limits.independent_per_second(kernel, 40.0) < 0.3
    assert limits.passed(kernel, 40.0, 4.0) < 1e-3


def test_a_kernel_that_ends_before_it_has_died_down_passes_every_frequency() -> None:
    kernels = [spm_hrf(1 / 40, oversampling=1, time_length=seconds) for seconds in (64, 100)]
    died_down = [limits.passed(kernel, 40.0, 4.0) for kernel in kernels]
    assert died_down[0] == pytest.approx(died_down[1], rel=1e-3)
    assert limits.passed(canonical_response(40.0), 40.0, 4.0) > 100 * died_down[0]


def test_bits_of_independent_values() -> None:
    assert limits.channel_bits(80_000, 0.15) == pytest.approx(9379, abs=1)
    assert limits.channel_bits(1, 0.75) == pytest.approx(1)
    assert limits.channel_bits(5, 0.0) == 0
    with pytest.raises(ValueError, match="impossible"):
        limits.channel_bits(5, 1.0)


def test_smooth_noise_leaves_fewer_elements_than_voxels() -> None:
    assert limits.resolved_elements(800, 3, 6) == pytest.approx(100)
    assert limits.resolved_elements(800, 3, 2) == 800


def test_a_bound_under_what_has_been_read_is_none() -> None:
    assert np.isnan(limits.as_upper_bound(4.5, 10.55))
    assert limits.as_upper_bound(15.0, 10.55) == 15.0
    assert limits.as_upper_bound(4.5, float("nan")) == 4.5, "nothing has been read"
