"""Acoustic features: each family answers the sound it is made for."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fmri_audio.base.errors import UserError
from fmri_audio.base.settings import FAMILIES
from fmri_audio.sound.acoustics import FEATURE_RATE, Features, acoustic_features, check_families
from tests.study.conftest import SAMPLE_RATE


def features_of(sound: np.ndarray, sample_rate: int = SAMPLE_RATE) -> Features:
    return acoustic_features(np.asarray(sound, np.float32), sample_rate)


def steady(features: Features) -> dict[str, float]:
    """Mean of every feature, the sound's first and last half second apart."""
    middle = features.values[:, FEATURE_RATE // 2 : -FEATURE_RATE // 2].mean(axis=1)
    return dict(zip(features.names, middle.tolist(), strict=True))


def ripple(rate: float, scale: float, seconds: float = 4.0) -> np.ndarray:
    """Noise whose spectral envelope drifts: ``rate`` Hz, ``scale`` cycles per octave (Chi et al. 2005)."""
    rng = np.random.default_rng(0)
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    tones = [
        (1 + 0.9 * np.sin(2 * np.pi * (rate * t + scale * x)))
        * np.sin(2 * np.pi * 80 * 2**x * t + rng.uniform(0, 6))
        for x in np.arange(0, 6.6, 1 / 30)
    ]
    return np.asarray(0.005 * sum(tones))


def tone(hertz: float, seconds: float = 1.0, harmonics: int = 1) -> np.ndarray:
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return np.asarray(0.1 * sum(np.sin(2 * np.pi * k * hertz * t) for k in range(1, harmonics + 1)))


def test_features_are_zero_in_silence_and_tell_frequencies_apart() -> None:
    silence = np.zeros(SAMPLE_RATE)
    features = features_of(np.concatenate([tone(200), tone(4000), silence, silence]))
    bands = features.only(["bands"]).values
    low, high = (bands[:, 10 + i * FEATURE_RATE : 30 + i * FEATURE_RATE].mean(axis=1) for i in range(2))
    # 200 Hz and 4 kHz are 1.32 and 5.64 of the 6.64 octaves above 80 Hz.
    assert (low.argmax(), high.argmax()) == (int(16 * 1.32 / 6.64), int(16 * 5.64 / 6.64))
    # Modulation filters ring for a second after the sound.
    assert_allclose(features.only(["bands", "envelope", "pitch"]).values[:, 90:150], 0, atol=1e-9)
    modulation = features.only(["modulation"]).values
    assert (modulation[:, 140:].max(axis=1) < 0.01 * modulation.max(axis=1)).all()


@pytest.mark.parametrize(("rate", "scale"), [(2.0, 0.5), (4.0, 0.25), (8.0, 1.0), (-4.0, 0.5)])
def test_a_moving_ripple_excites_the_modulation_it_has(rate: float, scale: float) -> None:
    found = steady(features_of(ripple(rate, scale)).only(["modulation"]))
    assert max(found, key=found.get) == f"modulation {abs(rate):g} Hz {scale:g} c/oct"  # type: ignore[arg-type]


def test_steady_sound_is_not_modulated() -> None:
    moving, still = (
        features_of(sound).only(["modulation"]).values[:, 2 * FEATURE_RATE : 3 * FEATURE_RATE].sum()
        for sound in (ripple(4, 0.5, 5.0), tone(440, 5.0, harmonics=8))
    )
    assert still < 0.03 * moving


def test_pitch_is_that_of_the_harmonics_and_noise_has_little() -> None:
    low, high = (steady(features_of(tone(f0, 2.0, harmonics=8))) for f0 in (110, 220))
    assert low["periodicity"] > 0.95 and high["periodicity"] > 0.95
    assert abs(high["pitch height"] - low["pitch height"] - 1) < 0.08
    assert abs(low["pitch height"] - np.log2(110 / 70)) < 0.08
    noise = steady(features_of(0.1 * np.random.default_rng(0).standard_normal(2 * SAMPLE_RATE)))
    assert noise["periodicity"] < 0.5


def test_level_follows_loudness_in_decibels_and_onsets_mark_beginnings() -> None:
    rng = np.random.default_rng(0)
    loud = 0.1 * rng.standard_normal(2 * SAMPLE_RATE)
    features = features_of(np.concatenate([loud / 10, loud]))
    level, onset = (features.values[features.names.index(name)] for name in ("level", "onset"))
    assert_allclose(level[100:150].mean() - level[20:60].mean(), 20, atol=0.5)
    assert abs(int(onset[20:].argmax()) + 20 - 2 * FEATURE_RATE) <= 1


def test_features_depend_little_on_the_sample_rate() -> None:
    sound = ripple(4, 0.5, 3.0)
    once, half = features_of(sound), features_of(sound[::2], SAMPLE_RATE // 2)
    level = once.names.index("level")
    assert once.values.shape == half.values.shape
    assert abs(once.values[level, 20:100] - half.values[level, 20:100]).mean() < 3


def test_families_are_all_there_and_chosen_by_name() -> None:
    features = features_of(ripple(4, 0.5, 2.0))
    assert tuple(dict.fromkeys(features.families)) == FAMILIES
    assert [features.families.count(family) for family in FAMILIES] == [16, 2, 9, 2]
    assert features.names[16] == "level"
    assert features.only(["pitch"]).names == ["periodicity", "pitch height"]


@pytest.mark.parametrize("families", [[], ["bands", "bands"], ["latents"]])
def test_families_that_are_none_are_refused(families: list[str]) -> None:
    with pytest.raises(UserError, match="^features: .*bands, envelope, modulation, pitch$"):
        check_families(families)
