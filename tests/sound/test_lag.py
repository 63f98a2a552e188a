"""Lags found at once and block by block are the same."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal

from fmri_audio.sound.lag import _highest, best_lag, find_lag


@pytest.mark.parametrize("seed", range(40))
def test_blocks_find_what_one_transform_finds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, m, block = (int(x) for x in rng.integers([5, 5, 3], [400, 400, 80]))
    one, other = rng.standard_normal(n) + rng.normal(), rng.standard_normal(m) + rng.normal()
    means = one.mean(), other.mean()
    direct = scipy.signal.correlate(other - means[1], one - means[0], method="direct").argmax() - (n - 1)
    assert best_lag(one, other) == best_lag(one, other, at_once=0, block=block) == direct


def test_long_recordings_of_single_precision_keep_their_lag() -> None:
    sound = np.random.default_rng(0).standard_normal(300_000).astype(np.float32)
    assert best_lag(sound[:-70_000], sound[70_000:] + np.float32(3), at_once=0, block=1 << 15) == -70_000


@pytest.mark.parametrize("shape", [0, 7])
def test_what_never_moves_has_no_lag(shape: int) -> None:
    assert best_lag(np.full(shape, 0.5), np.arange(9.0)) == best_lag(np.arange(9.0), np.full(shape, 0.5)) == 0


RATE = 16_000


def voice(seconds: float = 4.0, seed: int = 0) -> np.ndarray:
    """Noise with the level of syllables: what has an envelope and a waveform to align."""
    rng = np.random.default_rng(seed)
    syllables = np.repeat(rng.random(int(seconds * 8)) ** 2, RATE // 8)
    return rng.standard_normal(len(syllables)) * np.convolve(syllables, np.hanning(800) / 400, mode="same")


def test_a_waveform_that_was_kept_has_a_clear_lag() -> None:
    sound = voice()
    late = np.concatenate([np.zeros(321), sound]) + 0.05 * np.random.default_rng(1).standard_normal(
        len(sound) + 321
    )
    found = find_lag(sound, late, RATE)
    assert found.samples == 321 and found.clear and found.rival < 0.3


def test_noise_has_a_lag_that_is_not_clear_and_says_so() -> None:
    sound, noise = voice(), np.random.default_rng(5).standard_normal(4 * RATE)
    found = find_lag(sound, noise, RATE)
    assert not found.clear and found.rival > 0.8
    by_blocks = _highest(sound, noise, RATE // 1000, at_once=0, block=1 << 14)
    assert by_blocks[0] == found.samples and by_blocks[1] == pytest.approx(found.rival, rel=0.05)


@pytest.mark.parametrize("late", [-800, -160, 0, 480, 1600])
def test_an_envelope_gives_the_lag_of_sound_whose_waveform_is_another(late: int) -> None:
    level = np.abs(voice(6.0))
    other = np.random.default_rng(9).standard_normal(len(level)) * np.convolve(
        level, np.ones(160) / 160, mode="same"
    )
    moved = np.roll(other, late)
    found = find_lag(voice(6.0), moved, RATE, "envelope")
    assert abs(found.samples - late) <= 48 and found.clear and found.method == "envelope"


def test_what_is_known_is_taken_and_what_has_no_envelope_is_not_moved() -> None:
    sound = voice()
    assert find_lag(sound, sound[::-1], RATE, "known", 77).samples == 77
    assert find_lag(sound, np.zeros(len(sound)), RATE, "envelope").samples == 0
    assert find_lag(sound[:900], sound[:900], RATE, "envelope").samples == 0  # too short to move by 100 ms
    with pytest.raises(ValueError, match="no way to find a lag is called 'guess'"):
        find_lag(sound, sound, RATE, "guess")
