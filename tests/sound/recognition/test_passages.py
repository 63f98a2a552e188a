"""Which stretches of speech are recognised, and how they are cut out."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fmri_audio.sound.recognition import SENTENCE, UNPREDICTABLE, Passage, passages
from fmri_audio.sound.recognition.passages import stretches

TABLE = pd.DataFrame(
    {
        "onset": [0.0, 10, 30, 50, 56, 60],
        "offset": [9.0, 25, 45, 55, 57, 64],
        "kind": ["speech", "speech", "music", "speech", "speech", "speech"],
        "text": ["before", "one two", "", "…", None, "three"],
    }
)


def test_only_whole_passages_with_words_until_the_time_is_full() -> None:
    found = passages(TABLE, 5, 70)
    assert found == [Passage(5, 20, "one two", part_of="1"), Passage(55, 59, "three", part_of="3")]
    assert passages(TABLE, 5, 70, most_seconds=16) == found[:1]
    assert passages(TABLE, 5, 62) == found[:1]
    assert passages(TABLE.drop(columns="text"), 0, 70) == []


def test_who_speaks_is_kept() -> None:
    named = TABLE.assign(speaker=["Nora", "Gordon", None, "Nora", "Nora", None])
    assert [one.voice for one in passages(named, 5, 70)] == ["Gordon", ""]


def test_sentences_of_one_passage_are_known_by_it() -> None:
    table = pd.DataFrame(
        {
            "onset": [0.0, 3, 6, 12, 15],
            "offset": [3.0, 5, 9, 14, 17],
            "kind": "speech",
            "text": ["a", "b", "c", "d", "e"],
            "speaker": ["Nora", "Nora", "Nora", "Nora", "Hale"],
            "material": ["sentence", "unpredictable", None, "", "sentence"],
        }
    )
    found = passages(table, 0, 20)
    assert [one.part_of for one in found] == ["1", "1", "1", "2", "3"]
    assert [one.part_of for one in passages(table, 5, 20)] == ["1", "2", "3"], "whatever was left out"
    assert [one.material for one in found][:3] == [SENTENCE, UNPREDICTABLE, SENTENCE]
    assert {one.material for one in passages(table.drop(columns="material"), 0, 20)} == {SENTENCE}


def test_stretches_have_16_khz_and_one_peak() -> None:
    sound = np.sin(np.arange(96_000) / 20).astype(np.float32) * np.repeat([0.01, 0.9], 48_000)
    quiet, loud, behind = stretches(sound, 48_000, [Passage(0, 1, ""), Passage(1, 2, ""), Passage(3, 4, "")])
    assert len(quiet) == len(loud) == 16_000 and len(behind) == 0
    assert np.abs(quiet).max() == np.abs(loud).max() == np.float32(0.5)
    (silent,) = stretches(np.zeros(48_000, np.float32), 48_000, [Passage(0, 1, "")])
    assert not silent.any()
