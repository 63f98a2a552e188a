"""Word errors beyond the original's, and how sure they are."""

from __future__ import annotations

import numpy as np
import pytest

from fmri_audio.sound.recognition import FEWEST_WORDS, Passage, Words, beyond_original


def read(errors: list[float], said: int = 10, **named: str) -> list[Words]:
    """Readings of as many passages, with these numbers of substituted words."""
    return [Words(Passage(i, i + 1, "text", **named), said, wrong, 0, 0) for i, wrong in enumerate(errors)]


def test_the_originals_errors_are_taken_off() -> None:
    original = read([1, 0, 2, 1])
    assert beyond_original(original, original, seed=0).value == 0
    found = beyond_original(read([3, 1, 2, 0]), original, seed=0)
    assert found.value == pytest.approx(2 / 40) and found.said == 40
    assert found.low < found.value < found.high
    assert beyond_original(read([0, 0, 0, 0]), original, seed=0).value < 0
    assert beyond_original(read([40, 40, 40, 40]), original, seed=0).value > 1


def test_the_interval_is_the_one_of_the_seed() -> None:
    rng = np.random.default_rng(0)
    sound, original = (read(list(rng.poisson(mean, 60))) for mean in (3, 1))
    one, same, other = (beyond_original(sound, original, seed) for seed in (1, 1, 2))
    assert one == same != other
    assert one.low == pytest.approx(other.low, abs=0.02)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for seed in range(200):
        sound, original = (read(list(rng.poisson(mean, 60))) for mean in (3, 1))
        found = beyond_original(sound, original, seed, draws=500)
        held += found.low <= 0.2 <= found.high
    assert 0.88 < held / 200 <= 1


def test_sentences_of_one_passage_and_voice_are_drawn_together() -> None:
    alone = beyond_original(read([8, 0] * 20), read([0] * 40), seed=0)
    halves = [read([8] * 20, part_of="bad"), read([0] * 20, part_of="good")]
    together = beyond_original([*halves[0], *halves[1]], [*read([0] * 20, part_of="bad"), *halves[1]], seed=0)
    assert together.value == alone.value
    assert together.low == 0 and together.high == pytest.approx(0.8) and alone.high - alone.low < 0.4
    voices = [read([8] * 20, part_of="text", voice="one"), read([0] * 20, part_of="text", voice="two")]
    apart = beyond_original(
        [*voices[0], *voices[1]], [*read([0] * 20, part_of="text", voice="one"), *voices[1]], seed=0
    )
    assert (apart.low, apart.high) == (together.low, together.high)


def test_what_is_undefined_stays_so() -> None:
    assert np.isnan(beyond_original([], [], seed=0).value)
    assert np.isnan(beyond_original(read([3, 3], said=0), read([0, 0], said=0), seed=0).value)
    one = beyond_original(read([3]), read([1]), seed=0)
    assert one.value == pytest.approx(0.2) and np.isnan(one.low) and np.isnan(one.high)
    unread = beyond_original(read([np.nan, np.nan]), read([np.nan, np.nan]), seed=0)
    assert np.isnan([unread.value, unread.low, unread.high]).all() and unread.said == 20


def test_few_words_decide_nothing() -> None:
    half = FEWEST_WORDS // 2
    assert beyond_original(read([1, 1], half), read([0, 0], half), seed=0).decides
    assert not beyond_original(read([1, 1], half - 1), read([0, 0], half - 1), seed=0).decides


def test_other_passages_are_no_pair() -> None:
    with pytest.raises(ValueError, match="same passages"):
        beyond_original(read([1, 2]), read([1]), seed=0)
