"""ESTOI is pystoi's, the same every time, and not fooled by an envelope."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pystoi
import pytest
import scipy.signal

from fmri_audio.sound.metrics.base import METRIC_RATE
from fmri_audio.sound.metrics.estoi import estoi
from fmri_audio.sound.metrics.stoi import stoi


def envelope(sound: np.ndarray) -> np.ndarray:
    low = scipy.signal.butter(4, 20, fs=METRIC_RATE, output="sos")
    return scipy.signal.sosfiltfilt(low, np.abs(sound)).clip(min=0)


def speech_shaped(sound: np.ndarray) -> np.ndarray:
    """Noise with the sound's long-term spectrum and its envelope."""
    phases = np.exp(2j * np.pi * np.random.default_rng(0).random(len(sound) // 2 + 1))
    noise = np.fft.irfft(np.abs(np.fft.rfft(sound)) * phases, len(sound))
    return noise * envelope(sound) / envelope(noise).mean()


def test_noise_with_the_envelope_of_speech_has_half_a_stoi_and_no_estoi(spoken: np.ndarray) -> None:
    fooling = speech_shaped(spoken)
    assert 0.4 < stoi(spoken, fooling) < 0.7
    assert abs(estoi(spoken, fooling)) < 0.12
    assert estoi(spoken, spoken) == pytest.approx(1)


def test_it_is_pystois_and_draws_nothing_from_numpys_generator(spoken: np.ndarray) -> None:
    noisy = spoken + 0.01 * np.random.default_rng(0).standard_normal(len(spoken))
    np.random.seed(3)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    found = estoi(spoken, noisy)
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    theirs = pystoi.stoi(spoken - spoken.mean(), noisy - noisy.mean(), METRIC_RATE, extended=True)
    assert found == pytest.approx(theirs, abs=1e-6)
    assert estoi(spoken, noisy) == found


@pytest.mark.parametrize("seconds", [0.01, 0.1, 0.3])
def test_too_short_has_none(spoken: np.ndarray, seconds: float) -> None:
    sound = spoken[: round(seconds * METRIC_RATE)]
    assert math.isnan(estoi(sound, 0.5 * sound))


def test_long_speech_is_scored_in_pieces(speech: Callable[..., np.ndarray]) -> None:
    sound = speech(40.0, METRIC_RATE).astype(np.float64)
    noisy = sound + 0.005 * np.random.default_rng(0).standard_normal(len(sound))
    half = len(sound) // 2
    alone = [estoi(sound[part], noisy[part]) for part in (slice(half), slice(half, None))]
    assert estoi(sound, noisy) == pytest.approx(np.mean(alone), abs=0.02)
