"""Sentences in a row: drawn by seed, from beyond the excerpt where there is more."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from fmri_audio.base.settings import StimulusSettings, StudySettings, WordsSettings
from fmri_audio.edition import reel
from fmri_audio.study.stimulus import Stimulus

RATE = 100


def sound_of(n_sentences: int, first: int = 0) -> Stimulus:
    """A sound of one sentence of four words per second, each its own number; every third is unpredictable."""
    numbers = np.arange(first, first + n_sentences)
    table = pd.DataFrame(
        {
            "onset": np.arange(n_sentences) + 0.2,
            "offset": np.arange(n_sentences) + 0.9,
            "kind": "speech",
            "text": [f"this is number n{number}" for number in numbers],
            "speaker": "A",
            "material": ["unpredictable" if number % 3 == 0 else "sentence" for number in numbers],
        }
    )
    wave = np.repeat(numbers + 1, RATE).astype(np.float32)
    runs = [(0, n_sentences)]
    return Stimulus(wave, RATE, Fraction(1), table, "a sound", [], "a table", runs)


def edition(
    count: int, source: str = "play", first_tr: int = 0, n_trs: int = 10, seed: int = 0
) -> SimpleNamespace:
    settings = SimpleNamespace(
        seed=seed,
        tr=Fraction(1),
        words=WordsSettings(count=count, few=min(count, 8)),
        stimulus=StimulusSettings(source=source, first_tr=first_tr, n_trs=n_trs),
        study=StudySettings(),
    )
    return SimpleNamespace(settings=settings, stimulus=sound_of(n_trs, first_tr))


@pytest.fixture(autouse=True)
def play(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reel, "whole_play", lambda tr: sound_of(60))


def numbers(found: reel.Reel) -> list[int]:
    return [int(one.text.split("n")[-1]) for one in found.passages]


def test_sentences_are_drawn_beyond_the_excerpt_and_their_sound_is_theirs() -> None:
    found = reel.reel_of(edition(40, first_tr=5))
    assert not set(numbers(found)) & set(range(5, 15)) and not found.inside
    materials = [one.material for one in found.passages]
    assert (materials.count("sentence"), materials.count("unpredictable")) == (10, 3)
    for one, number in zip(found.passages, numbers(found), strict=True):
        cut = found.waveform[round(one.onset * RATE) : round(one.offset * RATE)]
        assert len(cut) == 70 and (cut == number + 1).all()
        assert found.waveform[round(one.offset * RATE)] == 0


def test_a_seed_draws_the_same_and_another_draws_others() -> None:
    first, same, other = (numbers(reel.reel_of(edition(40, seed=seed))) for seed in (0, 0, 1))
    assert first == same != other and sorted(first) != first


def test_where_there_is_nothing_beyond_the_sentences_lie_inside_and_are_named() -> None:
    found = reel.reel_of(edition(4_000, n_trs=60))
    assert sorted(numbers(found)) == list(range(60))
    spans = {round(window.onset, 1) for window in found.inside}
    assert len(found.inside) == 60 and min(spans) == 0.2


def test_a_recording_is_its_own_source(tmp_path: Path) -> None:
    found = reel.reel_of(edition(12, source=str(tmp_path / "mine.wav")))
    assert set(numbers(found)) <= set(range(10)) and len(found.inside) == len(found.passages)


def test_the_first_sentences_are_a_beginning_of_all() -> None:
    found = reel.reel_of(edition(40))
    few = found.first(8)
    assert few.passages == found.passages[: len(few.passages)]
    assert sum(one.material == "sentence" for one in few.passages) == 2
    np.testing.assert_array_equal(few.waveform, found.waveform[: len(few.waveform)])
    assert few.passages[-1].offset < len(few.waveform) / RATE
    assert len(found.first(10_000).passages) == len(found.passages)


def test_a_recording_without_texts_has_an_empty_reel() -> None:
    run = edition(40, source="mine.wav")
    run.stimulus = Stimulus(
        **{
            **vars(run.stimulus),
            "segments": run.stimulus.segments.drop(columns=["text", "speaker", "material"]),
        }
    )
    found = reel.reel_of(run)
    assert not found.passages and not found.waveform.any() and not found.first(10).passages
