"""What is told of the words of a sound, material by material."""

from __future__ import annotations

import numpy as np
import pytest

from fmri_audio.sound.recognition import UNPREDICTABLE, Passage, Words, word_score, word_scores

STORY = [Passage(k, k + 1, "ten words", "Nora", str(k)) for k in range(4)]
CODE = [Passage(9, 10, "ten others", "Nora", "code", UNPREDICTABLE)]


def read(*errors: tuple[int, int, int]) -> list[Words]:
    return [Words(one, 10, *wrong) for one, wrong in zip([*STORY, *CODE], errors, strict=False)]


ORIGINAL = read((1, 0, 0), (0, 0, 0), (0, 0, 0), (0, 0, 0), (2, 0, 0))


def test_errors_are_told_apart_by_kind_and_beside_the_original() -> None:
    found = word_score(read((3, 1, 0), (0, 0, 2), (0, 0, 0), (0, 0, 0), (10, 0, 30)), ORIGINAL, seed=0)
    assert (found.substitutions, found.deletions, found.insertions) == (0.075, 0.025, 0.05)
    assert found.wrong == pytest.approx(0.15) and found.beyond.value == pytest.approx(0.125)
    assert found.beyond.low <= 0.125 <= found.beyond.high and found.beyond.said == 40
    assert not found.beyond.decides


def test_unpredictable_sentences_are_scored_apart_and_nothing_is_clipped() -> None:
    found = word_score(read(*[(0, 0, 0)] * 4, (10, 0, 30)), ORIGINAL, 0, UNPREDICTABLE)
    assert found.wrong == 4 and found.beyond.value == pytest.approx(3.8) and found.beyond.said == 10


def test_a_sound_of_which_a_part_was_read_is_beside_that_part_of_the_original() -> None:
    found = word_scores({"all": ORIGINAL, "part": read((2, 0, 0), (0, 0, 0))}, ORIGINAL, seed=0)
    assert found["all"].beyond.value == 0 and found["part"].beyond.value == 0.05
    assert (found["all"].beyond.said, found["part"].beyond.said) == (40, 20)


def test_a_recogniser_that_mishears_the_original_judges_nothing() -> None:
    bad = read(*[(5, 0, 0)] * 4)
    found = word_score(bad, bad, seed=0)
    assert np.isnan([found.wrong, found.substitutions, found.beyond.value]).all() and found.beyond.said == 40
    assert np.isnan(word_score([], [], seed=0).beyond.value)
