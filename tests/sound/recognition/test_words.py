"""Which words count as wrong, left out and added, and what is undefined."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fmri_audio.base.errors import UserError
from fmri_audio.sound.recognition import (
    NO_RECOGNISER,
    Passage,
    Words,
    heard,
    normalised,
    word_error_rate,
    word_errors,
    words,
)
from tests.sound.recognition.conftest import Hearing

SECOND = np.zeros(16_000, np.float32)
SPOKEN = [Passage(0, 1, "It's a cat!"), Passage(1, 2, "Lost."), Passage(2, 3, "Two words")]


@pytest.mark.parametrize(
    ("one", "another"),
    [
        ("It’s two, Colour!", "it is 2 color"),
        ("eleven forty", "11:40"),
        ("fourteen fifty-five", "1455"),
        ("Six hours and twenty minutes", "6 hours and 20 minutes."),
        ("Um, well — yes", "well yes"),
    ],
)
def test_spelling_is_no_error(one: str, another: str) -> None:
    assert normalised(one) == normalised(another) != ""


@pytest.mark.parametrize("text", ["", "…", " – ?", "[music]"])
def test_what_has_no_words_has_none(text: str) -> None:
    assert normalised(text) == ""


def test_errors_are_counted_passage_by_passage(hearing: Hearing) -> None:
    hearing("It is a dog.", "", "2 words, more")
    found = word_errors(np.zeros(48_000, np.float32), 16_000, SPOKEN)
    assert [dataclasses.astuple(one)[1:] for one in found] == [(4, 1, 0, 0), (1, 0, 1, 0), (2, 0, 0, 1)]
    assert [one.rate for one in found] == [0.25, 1, 0.5]
    assert word_error_rate(np.zeros(48_000, np.float32), 16_000, SPOKEN) == pytest.approx(3 / 7)


def test_rates_are_not_clipped_and_undefined_where_nothing_is_said(hearing: Hearing) -> None:
    hearing("a b c d e")
    assert word_errors(SECOND, 16_000, [Passage(0, 1, "one")])[0].rate == 5
    (silent,) = word_errors(SECOND, 16_000, [Passage(0, 1, "…")])
    assert silent == Words(Passage(0, 1, "…"), 0, 0, 0, 5) and np.isnan(silent.rate)
    assert np.isnan(word_error_rate(SECOND, 16_000, [Passage(0, 1, "…")]))
    hearing()
    assert np.isnan(word_error_rate(SECOND, 16_000, []))


def test_passages_reach_the_recogniser_one_by_one(hearing: Hearing) -> None:
    fake = hearing("one", "two")
    sound = np.linspace(-1, 1, 48_000, dtype=np.float32)
    assert heard(sound, 24_000, [Passage(0, 0.5, ""), Passage(1, 2, "")]) == ["one", "two"]
    assert [len(one) for one in fake.sounds] == [8_000, 16_000]


def test_words_are_undefined_without_a_recogniser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "find_recogniser", lambda: None)
    found = word_errors(np.zeros(48_000, np.float32), 16_000, SPOKEN)
    assert [one.said for one in found] == [4, 1, 2] and all(np.isnan(one.errors) for one in found)
    assert np.isnan(word_error_rate(np.zeros(48_000, np.float32), 16_000, SPOKEN))
    with pytest.raises(UserError) as caught:
        heard(SECOND, 16_000, SPOKEN)
    assert str(caught.value) == NO_RECOGNISER
