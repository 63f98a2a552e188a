"""Noise that is like speech in all but its words."""

from __future__ import annotations

import numpy as np
from scipy.signal import welch

from fmri_audio.sound.noises import speech_modulated, speech_shaped

RATE = 8_000


def bursts(seconds: float = 4.0) -> np.ndarray:
    """Low noise that is there every second half second."""
    count = round(seconds * RATE)
    noise = np.convolve(np.random.default_rng(0).standard_normal(count), np.ones(8) / 8, mode="same")
    return (noise * ((np.arange(count) // (RATE // 2)) % 2 == 0)).astype(np.float32)


def level(wave: np.ndarray) -> np.ndarray:
    return np.sqrt(np.square(wave.reshape(-1, RATE // 20)).mean(axis=1))


def test_the_long_term_spectrum_is_the_sounds_own_and_the_waveform_is_not() -> None:
    sound = bursts()
    noise = speech_shaped(sound, seed=1)
    own, made = (welch(wave, RATE, nperseg=256)[1] for wave in (sound, noise))
    assert np.abs(10 * np.log10(made / own))[:64].max() < 3
    assert abs(np.corrcoef(sound, noise)[0, 1]) < 0.1
    assert abs(np.corrcoef(level(sound), level(noise))[0, 1]) < 0.5
    np.testing.assert_array_equal(noise, speech_shaped(sound, seed=1))


def test_the_level_goes_with_the_sounds() -> None:
    sound = bursts()
    noise = speech_modulated(sound, RATE, seed=1)
    assert np.corrcoef(level(sound), level(noise))[0, 1] > 0.95
    assert abs(np.corrcoef(sound, noise)[0, 1]) < 0.1


def test_silence_stays_silence() -> None:
    assert not speech_modulated(np.zeros(RATE, np.float32), RATE, seed=0).any()
