"""Noise has the spectrum, the envelope and the level that it is asked for, and nothing else of a sound."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal

from fmri_audio.sound import noises

RATE = 16_000


@pytest.fixture(scope="module")
def tilted() -> np.ndarray:
    """Eight seconds of noise that falls by 6 dB an octave above 500 Hz, four times a second on and off."""
    t = np.arange(8 * RATE) / RATE
    low = scipy.signal.butter(1, 500, fs=RATE, output="sos")
    noise = scipy.signal.sosfilt(low, np.random.default_rng(0).standard_normal(len(t)))
    return (noise * (0.55 + 0.45 * np.sin(2 * np.pi * 4 * t))).astype(np.float32)


def level_db(power: np.ndarray, low: float, high: float) -> float:
    frequencies = np.linspace(0, RATE / 2, len(power))
    return 10 * np.log10(power[(frequencies >= low) & (frequencies < high)].mean())


@pytest.mark.parametrize("modulated", [False, True])
def test_its_spectrum_is_that_of_the_sound_at_its_level(tilted: np.ndarray, modulated: bool) -> None:
    spectrum, generator = noises.long_term_spectrum([tilted], RATE), np.random.default_rng(1)
    noise = (
        noises.modulated_noise(tilted, RATE, spectrum, generator)
        if modulated
        else noises.shaped_noise(tilted, spectrum, generator)
    )
    assert noise.dtype == np.float32 and noise.shape == tilted.shape
    assert noise.std() == pytest.approx(tilted.std(), rel=1e-2)
    own = noises.long_term_spectrum([noise], RATE)
    for low in (125, 250, 500, 1000, 2000, 4000):
        assert level_db(own, low, 2 * low) == pytest.approx(level_db(spectrum, low, 2 * low), abs=0.7)
    assert level_db(own, 4000, 7000) < level_db(own, 250, 500) - 15, "it is far from white"


def test_only_one_of_them_has_the_envelope_and_neither_has_the_sound(tilted: np.ndarray) -> None:
    spectrum = noises.long_term_spectrum([tilted], RATE)
    made = [
        noises.shaped_noise(tilted, spectrum, np.random.default_rng(1)),
        noises.modulated_noise(tilted, RATE, spectrum, np.random.default_rng(1)),
    ]
    course = noises.envelope(tilted, RATE)
    steady, moving = (np.corrcoef(course, noises.envelope(one, RATE))[0, 1] for one in made)
    assert abs(steady) < 0.15 and moving > 0.8
    assert all(abs(np.corrcoef(tilted, one)[0, 1]) < 0.05 for one in made)


def test_an_envelope_is_smooth_and_follows_syllables() -> None:
    t = np.arange(4 * RATE) / RATE
    truth = 1 + 0.8 * np.sin(2 * np.pi * 3 * t)
    found = noises.envelope(truth * np.sin(2 * np.pi * 1000 * t), RATE)
    assert (found >= 0).all()
    assert found[RATE:-RATE] == pytest.approx(2 / np.pi * truth[RATE:-RATE], rel=0.03)


def test_a_spectrum_is_the_mean_over_sounds_by_their_length() -> None:
    t = np.arange(2 * RATE) / RATE
    tone = np.sin(2 * np.pi * 1000 * t)
    one = noises.long_term_spectrum([tone], RATE)
    assert one.argmax() * RATE / 2 / (len(one) - 1) == pytest.approx(1000, abs=40)
    both = noises.long_term_spectrum([tone, np.zeros(6 * RATE)], RATE)
    assert both == pytest.approx(one / 4)
    assert np.isfinite(noises.long_term_spectrum([tone[:100]], RATE)).all(), "shorter than what is averaged"


def test_silence_makes_silence_and_a_seed_makes_the_same(tilted: np.ndarray) -> None:
    silence = np.zeros(RATE, np.float32)
    nothing = noises.long_term_spectrum([silence], RATE)
    assert not noises.shaped_noise(silence, nothing, np.random.default_rng(0)).any()
    assert not noises.modulated_noise(silence, RATE, nothing, np.random.default_rng(0)).any()
    spectrum = noises.long_term_spectrum([tilted], RATE)
    one, same, other = (
        noises.shaped_noise(tilted, spectrum, np.random.default_rng(seed)) for seed in (0, 0, 1)
    )
    assert np.array_equal(one, same) and not np.array_equal(one, other)
