"""Words that a recogniser hears in the embedded play."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fmri_audio.base.settings import project_root
from fmri_audio.sound import audio, recognition
from fmri_audio.sound.recognition import Passage
from fmri_audio.sound.segments import read_segments

STIMULUS = project_root() / "stimulus"


@pytest.fixture(scope="module")
def sentence() -> tuple[np.ndarray, list[Passage]]:
    """A passage of some ten seconds and its sound."""
    table = read_segments(STIMULUS / "segments.tsv")
    spoken = table[(table["part"] == 1) & (table["kind"] == "speech")]
    row = spoken[(spoken["offset"] - spoken["onset"]).between(6, 12)].iloc[0]
    sound = audio.read_sound(STIMULUS / "part1.ogg").samples[0]
    onset, offset = float(row["onset"]), float(row["offset"])
    wave = sound[round(onset * audio.SAMPLE_RATE) : round(offset * audio.SAMPLE_RATE)]
    return np.asarray(wave, np.float32), [Passage(0.0, offset - onset, str(row["text"]))]


def test_speech_is_recognised_and_noise_is_not(sentence: tuple[np.ndarray, list[Passage]]) -> None:
    wave, spoken = sentence
    clean = recognition.word_error_rate(wave, audio.SAMPLE_RATE, spoken)
    assert 0 <= clean < 0.5
    assert recognition.word_error_rate(0.01 * wave, audio.SAMPLE_RATE, spoken) == pytest.approx(
        clean, abs=0.1
    )
    noise = np.random.default_rng(0).standard_normal(len(wave)).astype(np.float32)
    assert recognition.word_error_rate(noise, audio.SAMPLE_RATE, spoken) > 0.8
    assert recognition.word_error_rate(np.zeros_like(wave), audio.SAMPLE_RATE, spoken) >= 0.9


def test_rates_are_those_of_counting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recognition, "_recognise", lambda stretches: ["it's a dog", "", "two words more"])
    spoken = [Passage(0, 1, "It's a cat!"), Passage(1, 2, "Lost."), Passage(2, 3, "Two words")]
    # one substituted, one left out, one added, of six
    assert recognition.word_error_rate(np.zeros(48_000, np.float32), 16_000, spoken) == pytest.approx(3 / 6)
    assert np.isnan(recognition.word_error_rate(np.zeros(16_000, np.float32), 16_000, []))


def test_only_whole_passages_with_words_until_the_time_is_full() -> None:
    table = pd.DataFrame(
        {
            "onset": [0.0, 10, 30, 50, 60],
            "offset": [9.0, 25, 45, 55, 64],
            "kind": ["speech", "speech", "music", "speech", "speech"],
            "text": ["before", "one two", "", "…", "three"],
        }
    )
    found = recognition.passages(table, 5, 70)
    assert found == [Passage(5, 20, "one two"), Passage(55, 59, "three")]
    assert recognition.passages(table, 5, 70, most_seconds=16) == found[:1]
    assert recognition.passages(table, 5, 62) == found[:1]
    assert recognition.passages(table.drop(columns="text"), 0, 70) == []
