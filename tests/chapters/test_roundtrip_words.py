"""Every way of chapters 2 and 3 is heard at the reel's sentences, and written down as what it is."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fmri_audio.base.settings import WordsSettings
from fmri_audio.chapters import encodec, problem, roundtrip_words, spoken
from fmri_audio.chapters.roundtrip import equal_mel, plain_mel
from fmri_audio.chapters.spoken import Spoken
from fmri_audio.codec.checkpoints import Checkpoint
from fmri_audio.edition.readings import Reading
from fmri_audio.edition.reel import Reel
from fmri_audio.sound.recognition import Passage, SentencesIdentified, Words
from tests.chapters.editions import RATE, toy_edition

PASSAGES = [Passage(0.1, 0.9, "one two", "A", "0"), Passage(1.1, 1.9, "three four", "A", "1")]


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, np.ndarray]]:
    """Number of passages and waveform of every sound that is read."""
    found: list[tuple[int, np.ndarray]] = []

    def read(sound: np.ndarray, rate: int, passages: list[Passage], folder: object) -> Reading:
        found.append((len(passages), sound))
        words = [Words(one, 2, 0.0, 0.0, 0.0) for one in passages]
        return Reading(words, SentencesIdentified(1.0, len(words), 0.5))

    monkeypatch.setattr(spoken, "read", read)
    return found


@pytest.fixture
def run(
    speech: Callable[..., np.ndarray], tiny_checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> Any:
    sound = speech(2)
    edition = toy_edition(
        sound,
        checkpoint=tiny_checkpoint,
        decoder=None,
        decoded=sound,
        cache="here",
        material="play",
        n_codebooks=4,
        encoding=SimpleNamespace(latents=np.zeros((128, 150), np.float32)),
    )
    edition.settings.words = WordsSettings(count=4, few=2)
    edition.settings.main_bandwidth = 6.0
    monkeypatch.setattr(roundtrip_words, "reel_of", lambda run: Reel(sound, RATE, PASSAGES, []))
    monkeypatch.setattr(roundtrip_words, "vocoders", lambda run: {})
    return edition


def written(records: list[Any]) -> pd.DataFrame:
    rows = pd.DataFrame([vars(one) for one in records])
    return rows[rows["metric"] == "words_wrong"].reset_index(drop=True)


def test_what_decides_is_read_in_full_and_the_rest_in_part(
    run: Any, heard: list[tuple[int, np.ndarray]], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = lambda mel, wave, code: {"true": wave * code, "griffin-lim": -wave * code}  # noqa: E731
    monkeypatch.setattr(roundtrip_words.problem, "squeezed", made)
    found, records = roundtrip_words.of_problem(run, {838: 0.5, 62: 0.1})  # type: ignore[dict-item]
    full = [name for name, one in found.readings.items() if len(one.words) == 2]
    assert full == [
        "original",
        "mel magnitude, Griffin-Lim phase",
        "linear code of 838 numbers per TR",
        "EnCodec at 6 kbps",
        "mel + Griffin-Lim at 6 kbps",
    ]
    brief = [name for name in found.readings if name not in full]
    assert brief == [
        "mel magnitude, own phase",
        "own magnitude, Griffin-Lim phase",
        "32 mel bands",
        "1 iterations",
        "linear code of 838 numbers per TR, own phase",
        "linear code of 62 numbers per TR",
    ]
    assert all(len(sound) < 1.5 * RATE for n, sound in heard if n == 1)
    rows = written(records)
    codes = rows[rows["units"].notna()]
    assert codes[["units", "control", "condition"]].values.tolist() == [
        [838, "none", "noise-free"],
        [838, "own-phase", "noise-free"],
        [62, "none", "noise-free"],
    ]
    assert rows["control"].tolist()[0] == "original"
    coded = rows[rows["representation"] == "encodec-codes"]
    assert (coded["codec"].item(), coded["bandwidth_kbps"].item()) == (run.checkpoint.id, 6.0)
    assert "mel[n_fft=1024,hop_length=360,n_mels=32,n_iter=2]" in set(rows["representation"])


def test_every_bandwidth_hears_the_same_floors(run: Any, heard: list[tuple[int, np.ndarray]]) -> None:
    found, records = roundtrip_words.of_codec(run, *encodec.names(run))
    floors = list(spoken.FLOORS.values())
    coded, equal, plain = encodec.names(run)
    assert list(found.readings) == ["original", coded, equal, plain, *floors]
    own = found.readings["original"]
    assert all(len(one.words) == len(own.words) for one in found.readings.values())
    rows = written(records)
    assert rows["control"].tolist()[-4:] == list(spoken.FLOORS)
    sounds = [sound for _, sound in heard]
    assert all(not np.allclose(sounds[0], other) for other in sounds[4:])
    before = len(heard)
    run.bandwidth = 1.5
    again, _ = roundtrip_words.of_codec(run, *encodec.names(run))
    assert list(again.readings) == ["original", *encodec.names(run), *floors]
    others = [sound for _, sound in heard[before:]]
    for one, other in zip(sounds[3:], others[3:], strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(sounds[1], others[1])


def counted(monkeypatch: pytest.MonkeyPatch, names: list[str]) -> Spoken:
    monkeypatch.setattr(spoken, "find_recogniser", lambda: SimpleNamespace(name="W", licence="MIT"))

    def reading(wrong: int) -> Reading:
        return Reading(
            [Words(one, 2, wrong, 0, 0) for one in PASSAGES], SentencesIdentified(1 - wrong / 9, 2, 0.5)
        )

    return Spoken({"original": reading(0)} | {name: reading(k) for k, name in enumerate(names)}, 0)


def test_sentences_cite_the_words(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [
        "mel magnitude, Griffin-Lim phase",
        "linear code of 838 numbers per TR",
        *roundtrip_words.equal_names(run),
    ]
    said = problem.words_said(counted(monkeypatch, names), {838: None, 62: None}, run)  # type: ignore[dict-item]
    assert said["words_behind"] == (
        "Behind 838 numbers per TR, 0.50 (0.50 to 0.50) of the words are wrong beyond the original's."
    )
    assert "1.00 (1.00 to 1.00) after EnCodec at 6 kbps and 1.50" in str(said["words_said"])
    assert "rank correlation of 1.00" in str(said["words_said"])
    told = encodec.words_said(counted(monkeypatch, list(encodec.names(run))), run)
    assert told.startswith("At 6 kbps 0.00 (0.00 to 0.00) of the words are wrong after EnCodec")


def test_why_words_are_undefined_is_said_instead(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    unheard = counted(monkeypatch, ["one"])
    monkeypatch.setattr(spoken, "find_recogniser", lambda: None)
    assert encodec.words_said(unheard, run) == unheard.why_undefined != ""
    assert problem.words_said(unheard, {838: None}, run)["words_behind"] == unheard.why_undefined  # type: ignore[dict-item]


def test_a_spectrogram_of_equal_bits_is_written_down_at_the_codecs_bandwidth(
    run: Any, heard: list[tuple[int, np.ndarray]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own bit rate is what a split into bands, frames and bits comes to: near that, and not the same."""
    equal, plain = equal_mel(run), plain_mel(run)
    assert equal.bits_per_second / 1000 != run.bandwidth
    monkeypatch.setattr(
        roundtrip_words, "vocoders", lambda run: {"plain, vocoded": plain, "equal, vocoded": equal}
    )
    rows = written(roundtrip_words.of_codec(run, *encodec.names(run))[1])
    quantised = rows[rows["representation"] == "mel-quantised"]
    assert quantised["bandwidth_kbps"].tolist() == [6.0, 6.0]
    assert rows[rows["representation"] == "mel"]["bandwidth_kbps"].nunique() == 1
