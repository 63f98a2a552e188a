"""Readings are made once, and again when anything that decides them is another."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fmri_audio.edition import readings
from fmri_audio.sound.recognition import Passage, SentencesIdentified, Words

SPOKEN = [Passage(0.0, 1.0, "one two", "A", "1"), Passage(1.0, 2.0, "three four", "A", "1")]
SOUND = np.ones(200, np.float32)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How often a recogniser was asked; it errs once in every passage."""
    found: list[str] = []

    def word_errors(sound: np.ndarray, rate: int, spoken: list[Passage]) -> list[Words]:
        found.append("words")
        return [Words(one, 2, 1.0, 0.0, 0.0) for one in spoken]

    def sentences_identified(*_: object) -> SentencesIdentified:
        return SentencesIdentified(0.5, 2, 0.5)

    monkeypatch.setattr(readings.recognition, "word_errors", word_errors)
    monkeypatch.setattr(readings.recognition, "sentences_identified", sentences_identified)
    monkeypatch.setattr(readings, "find_recogniser", lambda: SimpleNamespace(sha256="a"))
    return found


def test_the_same_sound_is_read_once(asked: list[str], tmp_path: Path) -> None:
    first, second = (readings.read(SOUND, 100, SPOKEN, tmp_path) for _ in range(2))
    assert asked == ["words"] and first == second
    assert [one.errors for one in second.words] == [1, 1] and second.identified.right == 0.5


def test_two_that_want_the_same_at_a_time_read_it_once(
    asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = readings.recognition.word_errors

    def slowly(*arguments: Any) -> list[Words]:
        time.sleep(0.2)
        return quick(*arguments)

    monkeypatch.setattr(readings.recognition, "word_errors", slowly)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: readings.read(SOUND, 100, SPOKEN, tmp_path), range(2)))
    assert asked == ["words"] and found[0] == found[1]


def test_another_sound_passage_or_recogniser_is_read_anew(
    asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings.read(SOUND, 100, SPOKEN, tmp_path)
    readings.read(0.5 * SOUND, 100, SPOKEN, tmp_path)
    readings.read(SOUND, 100, SPOKEN[:1] * 2, tmp_path)
    monkeypatch.setattr(readings, "find_recogniser", lambda: SimpleNamespace(sha256="b"))
    readings.read(SOUND, 100, SPOKEN, tmp_path)
    assert len(asked) == 4


def test_what_was_changed_by_hand_is_read_anew(asked: list[str], tmp_path: Path) -> None:
    readings.read(SOUND, 100, SPOKEN, tmp_path)
    [path] = tmp_path.glob("*.json")
    path.write_text(path.read_text().replace("1.0", "0.0"))
    assert readings.read(SOUND, 100, SPOKEN, tmp_path).words[0].errors == 1
    assert len(asked) == 2


def test_without_a_recogniser_nothing_is_kept(
    asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readings, "find_recogniser", lambda: None)
    readings.read(SOUND, 100, SPOKEN, tmp_path)
    assert [one.suffix for one in tmp_path.iterdir()] == [".lock"]
