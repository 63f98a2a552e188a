"""Dithered quantisation is the channel that it stands for, in noise and in bits."""

from __future__ import annotations

import numpy as np
import pytest

from programs.bottleneck_training.dithered import MOST_OVER, send


@pytest.mark.parametrize("sigma", [0.1, 0.3, 1.0])
def test_noise_is_white_independent_and_as_large_as_asked(sigma: float) -> None:
    code = np.random.default_rng(0).standard_normal((4000, 4))
    noise = send(code, sigma, 1).numbers - code
    assert noise.std() == pytest.approx(sigma, rel=0.02) and abs(noise).max() <= sigma * np.sqrt(3) * 1.001
    assert abs(np.corrcoef(noise.ravel(), code.ravel())[0, 1]) < 0.02
    assert abs(np.corrcoef((noise**2).ravel(), (code**2).ravel())[0, 1]) < 0.02
    assert abs(np.corrcoef(noise[1:, 0], noise[:-1, 0])[0, 1]) < 0.05


@pytest.mark.parametrize("sigma", [0.03, 0.1, 0.3, 1.0])
def test_a_normal_number_takes_what_the_channel_has_and_a_quarter_bit_at_most(sigma: float) -> None:
    code = np.random.default_rng(2).standard_normal((5000, 4))
    each = send(code, sigma, 3).bits / code.size
    channel = 0.5 * np.log2(1 + 1 / sigma**2)
    assert channel - 0.01 < each < channel + MOST_OVER + 0.01
    # The bound is reached where noise is small: there is nothing to gain by clever models of a normal number.
    if sigma <= 0.1:
        assert each > channel + MOST_OVER - 0.02


def test_numbers_that_are_not_normal_cost_more_and_what_cannot_be_coded_is_said() -> None:
    rng = np.random.default_rng(4)
    normal, sparse = rng.standard_normal((5000, 1)), rng.standard_t(3, (5000, 1)) / np.sqrt(3)
    assert send(sparse, 0.1, 0).bits > send(normal, 0.1, 0).bits * 0.97
    with pytest.raises(ValueError, match="too large for steps"):
        send(np.array([[1e6]]), 0.1, 0)


def test_another_dither_is_another_noise() -> None:
    code = np.zeros((50, 2))
    assert np.array_equal(send(code, 0.3, 0).numbers, send(code, 0.3, 0).numbers)
    assert not np.allclose(send(code, 0.3, 0).numbers, send(code, 0.3, 1).numbers)
