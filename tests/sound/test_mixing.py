"""From many channels to one: levels, channels that cancel or comb, and the same samples however they are cut."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.signal

from fmri_audio.sound import audio, mixing

RATE = 24_000
Speech = Callable[..., np.ndarray]


def heard(*channels: np.ndarray, layout: mixing.ChannelNames = ()) -> tuple[np.ndarray, list[str]]:
    sound = audio.Sound(np.stack(channels).astype(np.float32), RATE, Path("film.wav"), "", layout)
    return audio.to_mono(sound)


@pytest.mark.parametrize(
    ("source", "target"),
    [(44_100, 24_000), (48_000, 16_000), (16_000, 24_000), (22_050, 16_000), (44_101, 24_000)],
)
def test_resampling_in_blocks_is_that_of_the_whole(source: int, target: int) -> None:
    wave = np.random.default_rng(0).standard_normal(700_001).astype(np.float32)
    common = math.gcd(source, target)
    whole = scipy.signal.resample_poly(wave.astype(np.float64), target // common, source // common)
    blocks = (wave[first : first + 50_000] for first in range(0, len(wave), 50_000))
    got = mixing.gathered(mixing.resampled(blocks, source, target))
    np.testing.assert_array_equal(got, whole.astype(np.float32))


def test_the_mean_of_ordinary_stereo_is_numpys(speech: Speech) -> None:
    left, right = speech(14.0, seed=1), speech(14.0, seed=2)
    wave, steps = heard(left, right)
    np.testing.assert_array_equal(wave, np.stack([left, right]).mean(axis=0))
    assert steps == ["mixed 2 channels to mono (mean)"]


@pytest.mark.parametrize("gain", [1.0, 0.6])
def test_channels_that_cancel_are_not_mixed(speech: Speech, gain: float) -> None:
    left = speech(4.0)
    wave, [step] = heard(left, -gain * left)
    np.testing.assert_array_equal(wave, left)
    assert "took the left channel alone" in step and "cancel" in step and "-1.00" in step


def test_the_louder_of_two_that_cancel_is_taken(speech: Speech) -> None:
    left = speech(4.0)
    wave, [step] = heard(-0.3 * left, left)
    np.testing.assert_array_equal(wave, left)
    assert "took the right channel alone" in step


@pytest.mark.parametrize("delay", [12, -240])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_delayed_copy_is_not_mixed_in(speech: Speech, delay: int, sign: int) -> None:
    first = speech(5.0)
    late = sign * np.pad(first, (abs(delay), 0))[: len(first)]
    wave, [step] = heard(*((first, late) if delay > 0 else (late, first)))
    np.testing.assert_array_equal(wave, first)
    assert f"{abs(delay) / 24:.2f} ms late" in step and "comb" in step
    assert ("left channel alone" if delay > 0 else "right channel alone") in step


def test_a_silent_channel_is_named(speech: Speech) -> None:
    wave, steps = heard(speech(2.0), np.zeros(2 * RATE))
    np.testing.assert_array_equal(wave, speech(2.0) / 2)
    assert steps == ["mixed 2 channels to mono (mean)", "the right channel is silent, which halves the mean"]
    assert heard(np.zeros(RATE), np.zeros(RATE))[1] == ["mixed 2 channels to mono (mean)"]


def test_two_speakers_on_two_sides_are_mixed(speech: Speech) -> None:
    """Different sound in either channel, some of it shared out of phase, is what stereo is made of."""
    one, other = speech(5.0, seed=3), speech(5.0, seed=4)
    _, steps = heard(one - 0.2 * other, other - 0.2 * one)
    assert steps == ["mixed 2 channels to mono (mean)"]


@pytest.mark.parametrize("n_channels", [5, 6, 8])
def test_surround_keeps_the_centres_level(speech: Speech, n_channels: int) -> None:
    channels = np.zeros((n_channels, 2 * RATE))
    channels[2] = speech(2.0)
    wave, [step] = heard(*channels)
    np.testing.assert_array_equal(wave, speech(2.0))
    assert f"mixed {n_channels} channels (FL FR FC" in step and "ITU-R BS.775" in step


def test_every_share_is_that_of_the_recommendation() -> None:
    ones = np.eye(6)
    wave, _ = heard(*ones)
    np.testing.assert_allclose(wave, [0.7071, 0.7071, 1, 0, 0.5, 0.5], atol=1e-4)
    wave, [step] = heard(*np.eye(4), layout=("FL", "FR", "BL", "BR"))
    np.testing.assert_allclose(wave, [0.5, 0.5, 0.3536, 0.3536], atol=1e-4)
    assert "no centre" in step


def test_channels_without_names_are_averaged(speech: Speech) -> None:
    channels = np.stack([speech(1.0, seed=k) for k in range(4)])
    wave, [step] = heard(*channels)
    np.testing.assert_array_equal(wave, channels.mean(axis=0))
    assert step == "mixed 4 channels to mono (mean)"
    cancelled, steps = heard(channels[0], -channels[0], channels[1], -channels[1])
    assert not cancelled.any() and "the channels cancel" in steps[1]
