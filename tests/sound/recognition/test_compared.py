"""Words of a recording against a transcript, or against what is read in the reference."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from fmri_audio.base.errors import UserError
from fmri_audio.sound.recognition import NO_RECOGNISER, Recogniser, compared
from fmri_audio.sound.recognition.compared import READING, TRANSCRIPT, compare_words, read_transcript

RATE = 16_000


@dataclass(frozen=True)
class Listener(Recogniser):
    """Hears one prepared text after the other, and keeps the sounds it was given."""

    texts: Iterator[str] = field(default_factory=lambda: iter(()))
    sounds: list[np.ndarray] = field(default_factory=list)

    def transcribe(self, sounds: Sequence[np.ndarray]) -> list[str]:
        self.sounds.extend(sounds)
        return [next(self.texts) for _ in sounds]


Listening = Callable[..., Listener]


@pytest.fixture
def listening(monkeypatch: pytest.MonkeyPatch) -> Listening:
    """Have the recogniser hear these texts, first in the reference, then in the degraded recording."""

    def listen(*texts: str) -> Listener:
        listener = Listener("fake", "MIT", "a test", "0" * 64, Path(), iter(texts))
        monkeypatch.setattr(compared, "find_recogniser", lambda: listener)
        return listener

    return listen


@pytest.fixture(scope="module")
def said(speech: Callable) -> np.ndarray:
    """Six seconds that are like speech."""
    return np.asarray(speech(6, RATE))


def test_errors_of_the_reference_are_taken_off(said: np.ndarray, listening: Listening) -> None:
    listening("cats dogs mice larks ELKS", "cats hogs rice larks")
    found = compare_words(said, 0.5 * said, RATE, "Cats, dogs, mice, larks, eels!")
    assert found.wrong == pytest.approx((3 - 1) / 5) and found.said == 5
    assert found.reference == TRANSCRIPT and found.recogniser is not None and found.undefined == {}


def test_without_a_transcript_what_is_read_in_the_reference_is_right(
    said: np.ndarray, listening: Listening
) -> None:
    listening("cats dogs mice larks", "cats mice larks ox")
    found = compare_words(said, said, RATE)
    assert found.wrong == pytest.approx(2 / 4) and found.said == 4 and found.reference == READING
    one = found.as_json()
    assert list(one) == ["words_wrong", "words_reference", "words_said", "recogniser"]
    assert one["recogniser"] == {"name": "fake", "licence": "MIT", "source": "a test", "sha256": "0" * 64}


@pytest.mark.parametrize(
    ("heard", "wrong"), [("cats and dogs and mice and larks", 6.0), ("cats", 0.0), ("", 1.0)]
)
def test_the_share_is_never_clipped(said: np.ndarray, listening: Listening, heard: str, wrong: float) -> None:
    listening("cats", heard)
    assert compare_words(said, said, RATE, "cats").wrong == wrong


def test_a_recording_that_is_read_better_is_below_nought(said: np.ndarray, listening: Listening) -> None:
    listening("cats dogs rice", "cats dogs mice")
    assert compare_words(said, said, RATE, "cats dogs mice").wrong == pytest.approx(-1 / 3)


def test_long_sound_is_read_in_pieces_that_lose_nothing(speech: Callable, listening: Listening) -> None:
    sound = speech(70, RATE) + np.float32(0.25)
    listener = listening("cats dogs", "mice", "larks eels rats", "cats dogs", "mice", "larks oxen rats")
    found = compare_words(sound, 2 * sound, RATE)
    reference, degraded = listener.sounds[:3], listener.sounds[3:]
    assert found.said == 6 and found.wrong == pytest.approx(1 / 6), "put together before words are counted"
    assert sum(map(len, reference)) == len(sound) and max(map(len, reference)) <= 30 * RATE
    assert [len(one) for one in reference] == [len(one) for one in degraded]
    for one, other in zip(reference, degraded, strict=True):
        assert np.abs(one).max() == pytest.approx(0.5, abs=0.01) and abs(one.mean()) < 1e-3
        assert one == pytest.approx(other, abs=1e-3), "loudness is not what is asked"


def test_silence_has_lost_every_word_and_nobody_is_asked(said: np.ndarray, listening: Listening) -> None:
    listener = listening("cats dogs")
    found = compare_words(said, np.full_like(said, 0.1), RATE, "cats dogs")
    assert found.wrong == 1 and len(listener.sounds) == 1


def test_without_a_recogniser_words_are_undefined(said: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compared, "find_recogniser", lambda: None)
    found = compare_words(said, said, RATE, "cats")
    assert set(found.as_json().values()) == {None} and set(found.undefined.values()) == {NO_RECOGNISER}
    assert list(found.undefined) == list(found.as_json())


def test_what_has_no_speech_is_not_read(said: np.ndarray, music: Callable, listening: Listening) -> None:
    listener = listening("thank you", "thank you")
    why = {
        "the two sounds do not overlap": said[:0],
        "the reference is silent": np.zeros_like(said),
        "less than a tenth of the reference is speech": music(6, RATE),
    }
    for reason, reference in why.items():
        found = compare_words(reference, reference, RATE)
        assert np.isnan(found.wrong) and found.undefined["words_wrong"] == reason
    assert not listener.sounds
    assert compare_words(music(6, RATE), said, RATE, "thank you").wrong == 0, (
        "a transcript says that it is speech"
    )


@pytest.mark.parametrize(
    ("read", "transcript", "why"),
    [
        ("cats dogs hens elks", "cats dogs mice larks", "gets 50% of the reference's own words wrong"),
        ("", None, "no word is read in the reference"),
        ("cats", "…", "the transcript has no words"),
    ],
)
def test_a_recogniser_that_cannot_judge_says_so(
    said: np.ndarray, listening: Listening, read: str, transcript: str | None, why: str
) -> None:
    listening(read)
    found = compare_words(said, said, RATE, transcript)
    assert np.isnan(found.wrong) and why in found.why
    assert list(found.undefined) == ["words_wrong"] and found.as_json()["words_wrong"] is None


def test_a_transcript_is_plain_text(tmp_path: Path) -> None:
    file = tmp_path / "said.txt"
    file.write_bytes("\ufeffÉtienne said:\r\n\t“No.”\n".encode())
    assert read_transcript(file) == "Étienne said:\r\n\t“No.”\n"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "does not exist"),
        (b"", "has no words"),
        (b" \n...\n", "has no words"),
        ("Ça".encode("latin-1"), "no text in UTF-8"),
        ("words".encode("utf-16"), "no text in UTF-8"),
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", "no plain text"),
        (b"a " * (1 << 20), "is longer than"),
    ],
)
def test_what_is_no_transcript_is_one_sentence(tmp_path: Path, content: bytes | None, why: str) -> None:
    file = tmp_path / "said.txt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_transcript(file)
    assert why in str(caught.value) and str(file) in str(caught.value) and "\n" not in str(caught.value)


def test_a_folder_is_no_transcript(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        read_transcript(tmp_path)


def test_noise_takes_words_from_real_speech(real: Recogniser, spoken: np.ndarray) -> None:
    noise = np.random.default_rng(0).standard_normal(len(spoken)) * spoken.std()
    assert compare_words(spoken, 0.1 * spoken, RATE).wrong == 0, "loudness is not what is asked"
    assert compare_words(spoken, noise, RATE).wrong > 0.8
