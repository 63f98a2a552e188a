"""What the real recognisers hear: in recorded speech, in the play, in noise and in silence."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from fmri_audio.base.settings import project_root
from fmri_audio.sound import audio
from fmri_audio.sound.recognition import (
    Passage,
    Recogniser,
    heard,
    identify_sentence,
    passages,
    sentences_identified,
    word_error_rate,
    word_errors,
)
from fmri_audio.sound.segments import read_segments

STIMULUS = project_root() / "stimulus"


@pytest.fixture(scope="module")
def play() -> tuple[np.ndarray, list[Passage]]:
    """The play's first passages of up to twelve seconds and their sound."""
    table = read_segments(STIMULUS / "segments.tsv")
    spoken = [one for one in passages(table[table["part"] == 1], 0, 160) if one.offset - one.onset < 14]
    sound = audio.read_sound(STIMULUS / "part1.ogg").samples[0][: 160 * audio.SAMPLE_RATE]
    return np.asarray(sound, np.float32), spoken


@pytest.fixture(scope="module")
def noise(play: tuple[np.ndarray, list[Passage]]) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(len(play[0])).astype(np.float32)


def test_recorded_speech_is_read_nearly_without_errors(real: Recogniser, shared_data: Path) -> None:
    folder = shared_data / "speech" / "ljspeech"
    if not (folder / "metadata.csv").is_file():
        pytest.skip(f"needs the recordings in {folder}")
    with (folder / "metadata.csv").open(encoding="utf-8") as source:
        texts = {row[0]: row[2] for row in csv.reader(source, delimiter="|", quoting=csv.QUOTE_NONE)}
    said = wrong = 0.0
    for name in sorted(texts)[:8]:
        sound = audio.read_sound(folder / f"{name}.wav")
        passage = Passage(0, sound.seconds, texts[name])
        (found,) = word_errors(np.asarray(sound.samples[0], np.float32), sound.sample_rate, [passage])
        said, wrong = said + found.said, wrong + found.errors
    assert said > 100 and wrong / said <= 0.10


def test_the_play_is_read_alike_each_time_and_at_each_level(
    real: Recogniser, play: tuple[np.ndarray, list[Passage]]
) -> None:
    sound, spoken = play
    assert word_error_rate(sound, audio.SAMPLE_RATE, spoken) < 0.2
    first, again = (heard(gain * sound, audio.SAMPLE_RATE, spoken[:2]) for gain in (1, 1))
    assert first == again == heard(0.125 * sound, audio.SAMPLE_RATE, spoken[:2])


def test_noise_and_silence_have_no_words(
    real: Recogniser, play: tuple[np.ndarray, list[Passage]], noise: np.ndarray
) -> None:
    _, spoken = play
    assert word_error_rate(noise, audio.SAMPLE_RATE, spoken[:3]) > 0.8
    assert word_error_rate(np.zeros_like(noise), audio.SAMPLE_RATE, spoken) == 1
    assert word_error_rate(noise[:0], audio.SAMPLE_RATE, spoken[:1]) == 1


def test_the_right_sentence_is_heard_in_speech_and_none_in_noise(
    play: tuple[np.ndarray, list[Passage]], noise: np.ndarray
) -> None:
    sound, spoken = play
    found = sentences_identified(sound, audio.SAMPLE_RATE, spoken)
    assert found.right > 0.8 and found.n == len(spoken) and found.chance == 1 / len(spoken)
    masked = sound + 0.5 * float(sound.std()) * noise
    assert sentences_identified(masked, audio.SAMPLE_RATE, spoken).right > 0.5
    assert sentences_identified(noise, audio.SAMPLE_RATE, spoken[:3]).right <= 1 / 3
    assert sentences_identified(np.zeros_like(noise), audio.SAMPLE_RATE, spoken[:3]).right <= 1 / 3


def test_a_sentence_is_heard_whatever_came_before_it(
    play: tuple[np.ndarray, list[Passage]], noise: np.ndarray
) -> None:
    sound, spoken = play
    texts = [one.text for one in spoken]
    last = spoken[-1]
    cut = sound[round(last.onset * audio.SAMPLE_RATE) : round(last.offset * audio.SAMPLE_RATE)]
    assert identify_sentence(cut, audio.SAMPLE_RATE, texts) == len(texts) - 1
    identify_sentence(noise[: len(cut)], audio.SAMPLE_RATE, texts)
    assert identify_sentence(cut, audio.SAMPLE_RATE, texts) == len(texts) - 1


def test_a_sentence_that_begins_another_is_told_from_it(play: tuple[np.ndarray, list[Passage]]) -> None:
    sound, spoken = play
    one = spoken[0]
    cut = sound[round(one.onset * audio.SAMPLE_RATE) : round(one.offset * audio.SAMPLE_RATE)]
    texts = [f"{one.text} {one.text}", one.text, "another sentence"]
    assert identify_sentence(cut, audio.SAMPLE_RATE, texts) == 1


def test_sentences_without_known_words_are_not_heard() -> None:
    sound = np.ones(1600, np.float32)
    assert identify_sentence(sound, 16_000, ["…", "xqzzt"]) is None
    undefined = sentences_identified(sound, 16_000, [Passage(0, 0.1, "only one")])
    assert np.isnan(undefined.right) and np.isnan(undefined.chance)
