"""Line spectral frequencies: what they are by definition, and what they do not depend on."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import scipy.linalg
import scipy.signal
from numpy.testing import assert_allclose

from fmri_audio.sound import line_spectra
from fmri_audio.sound.line_spectra import ORDER, RATE

TR = Fraction(3, 2)
TR_SAMPLES = int(TR * RATE)


def coloured(n_trs: int, seed: int = 0) -> np.ndarray:
    """Noise through another resonance in every TR, at the analysis' rate."""
    rng = np.random.default_rng(seed)
    parts = [
        scipy.signal.lfilter(
            [1], [1, -1.8 * np.cos(rng.uniform(0.3, 2.5)), 0.81], rng.standard_normal(TR_SAMPLES)
        )
        for _ in range(n_trs)
    ]
    return np.asarray(0.05 * np.concatenate(parts), np.float32)


def stable_predictors(n: int, seed: int = 0) -> np.ndarray:
    """Minimum-phase polynomials, from poles within the unit circle."""
    rng = np.random.default_rng(seed)
    poles = rng.uniform(0.3, 0.98, (n, ORDER // 2)) * np.exp(1j * rng.uniform(0.1, 3.0, (n, ORDER // 2)))
    return np.stack([np.poly(np.concatenate([row, row.conj()])).real for row in poles])


def test_predictors_solve_the_normal_equations() -> None:
    signal = np.random.default_rng(0).standard_normal((6, 200))
    r = np.stack([np.correlate(row, row, "full")[199 : 200 + ORDER] for row in signal])
    expected = [np.concatenate([[1], -scipy.linalg.solve_toeplitz(row[:-1], row[1:])]) for row in r]
    assert_allclose(line_spectra.predictors_of(r), expected, atol=1e-10)


def test_frequencies_are_where_both_polynomials_vanish_and_take_turns() -> None:
    a = stable_predictors(20)
    found = line_spectra.frequencies_of(a)
    assert found.shape == (20, ORDER) and (np.diff(found, axis=1) > 0).all()
    assert found.min() > 0 and found.max() < np.pi
    padded = np.pad(a, ((0, 0), (0, 1)))
    at = np.exp(-1j * found[..., None] * np.arange(ORDER + 2))
    p, q = (np.abs((at * (padded + sign * padded[:, ::-1])[:, None]).sum(axis=-1)) for sign in (1, -1))
    assert_allclose(p[:, 0::2], 0, atol=1e-6)
    assert_allclose(q[:, 1::2], 0, atol=1e-6)
    assert p[:, 1::2].min() > 1e-5  # no root of the other one


def test_a_resonance_lies_between_two_close_frequencies() -> None:
    hz = 1000
    a = [1, -2 * 0.98 * np.cos(2 * np.pi * hz / RATE), 0.98**2]
    sound = scipy.signal.lfilter([1], a, np.random.default_rng(0).standard_normal(2 * TR_SAMPLES))
    for row in line_spectra.line_spectra(sound, RATE, TR):
        above = int(np.searchsorted(row, hz))
        assert row[above - 1] < hz < row[above] and row[above] - row[above - 1] < 100
        assert row[above] - row[above - 1] == np.diff(row).min()


def test_level_does_not_matter_and_silence_is_spread_evenly() -> None:
    sound = coloured(4)
    loud, quiet = (line_spectra.line_spectra(gain * sound, RATE, TR) for gain in (1.0, 1e-3))
    assert loud.shape == (4, ORDER)
    assert_allclose(quiet, loud, rtol=1e-4)
    even = RATE / 2 * np.arange(1, ORDER + 1) / (ORDER + 1)
    silent = np.concatenate([sound[:TR_SAMPLES], np.zeros(TR_SAMPLES, np.float32)])
    assert_allclose(line_spectra.line_spectra(silent, RATE, TR)[1], even, rtol=1e-4)
    assert_allclose(line_spectra.line_spectra(np.zeros(TR_SAMPLES), RATE, TR)[0], even, rtol=1e-4)


def test_a_block_of_trs_is_as_in_the_whole_sound() -> None:
    whole = coloured(6)
    whole[: TR_SAMPLES // 2] *= 0.1  # the loudest moment is in the block
    block = line_spectra.line_spectra(whole[2 * TR_SAMPLES : 5 * TR_SAMPLES], RATE, TR)
    assert_allclose(block, line_spectra.line_spectra(whole, RATE, TR)[2:5], rtol=1e-3)


def test_trs_may_be_of_any_length_but_not_shorter_than_a_frame() -> None:
    odd = Fraction(2, 7)
    sound = coloured(2)[: round(9 * odd * RATE)]
    assert line_spectra.line_spectra(sound, RATE, odd).shape == (9, ORDER)
    assert line_spectra.line_spectra(np.repeat(sound, 3), 3 * RATE, odd).shape == (9, ORDER)
    with pytest.raises(ValueError, match="shorter than a frame"):
        line_spectra.line_spectra(sound, RATE, Fraction(1, 50))
