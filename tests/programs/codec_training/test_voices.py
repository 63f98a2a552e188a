"""The corpus's voices: those that are here, each with its own program and words."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from programs import kokoro
from programs.codec_training import voices
from programs.codec_training.voices import Voice

RNG = np.random.default_rng


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], str]]:
    """What programs are called with, and told; they write a tenth of a second of sound."""
    called: list[tuple[list[str], str]] = []

    def run(command: list[str], input: bytes, **_: object) -> SimpleNamespace:
        called.append((command, input.decode()))
        sound = next(word for word in command if word.endswith(".wav"))
        soundfile.write(sound, np.full((1600, 2), [0.1, 0.3]), 16_000)
        return SimpleNamespace()

    monkeypatch.setattr(voices.subprocess, "run", run)
    return called


def test_nothing_is_found_where_nothing_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(kokoro, "is_installed", lambda: False)
    assert voices.natural() == voices.older() == []


def test_kokoro_takes_two_turns_of_three_among_natural_voices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kokoro, "is_installed", lambda: True)
    monkeypatch.setattr(shutil, "which", lambda name: name == "hibari" or None)
    assert [voice.program for voice in voices.natural()] == ["kokoro", "kokoro", "hibari"]


def test_festival_s_voices_are_those_of_languages_that_read_made_up_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("english/kal/festvox/a.scm", "russian/nsh/festvox/a.scm", "hindi/x/festvox/a.scm", "us/y/z"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    monkeypatch.setattr(voices, "_FESTIVAL_ROOT", tmp_path)
    monkeypatch.setattr(shutil, "which", lambda name: name == "text2wave" or None)
    assert voices.older() == [Voice("festival", "kal", "english"), Voice("festival", "nsh", "cyrillic")]


@pytest.mark.parametrize(
    ("voice", "begins"),
    [
        (Voice("hibari", "heart"), ["hibari", "-", "--voice", "heart"]),
        (Voice("flite", "slt"), ["flite", "-voice", "slt", "-t"]),
        (Voice("festival", "kal"), ["text2wave", "-eval", "(voice_kal)"]),
        (Voice("espeak-ng", "en-us"), ["espeak-ng", "-v", "en-us"]),
    ],
)
def test_a_program_is_told_what_to_say(
    commands: list[tuple[list[str], str]], voice: Voice, begins: list[str]
) -> None:
    samples, rate = voices.speak(voice, RNG(0), 2)
    [(command, told)] = commands
    assert command[: len(begins)] == begins
    text = told or command[command.index("-t") + 1]
    assert len(text.split()) > 5 and text.isascii()
    assert rate == 16_000 and samples == pytest.approx(np.full(1600, 0.2), abs=1e-3)


def test_voices_of_other_scripts_read_words_that_mean_nothing(commands: list[tuple[list[str], str]]) -> None:
    voices.speak(Voice("festival", "nsh", "cyrillic"), RNG(0), 2)
    voices.speak(Voice("espeak-ng", "de", "latin"), RNG(0), 2)
    (_, cyrillic), (_, latin) = commands
    assert not cyrillic.isascii() and latin.isascii()


def test_kokoro_speaks_by_mixtures_of_the_corpus_s_base_voices(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[dict[str, float], dict[str, float], str, float]] = []
    monkeypatch.setattr(kokoro, "speak", lambda text, *how: asked.append(how) or np.full(len(text), 0.1))
    samples, rate = voices.speak(Voice("kokoro", "x and y"), RNG(3), 3)
    assert rate == 24_000 and samples.dtype == np.float32 and len(samples) > 30
    assert len(asked) >= 3 and all(how == asked[0] for how in asked), "one voice for a paragraph"
    for weights in asked[0][:2]:
        assert set(weights) == set(voices.KOKORO_VOICES) and sum(weights.values()) == pytest.approx(1)
    drawn = []
    for seed in range(40):
        voices.speak(Voice("kokoro", ""), RNG(seed), 1)
        drawn.append(asked[-1][0][voices.KOKORO_VOICES[0]])
    assert voices.SHARES[0] <= min(drawn) < 0 and 1 < max(drawn) <= voices.SHARES[1]
    assert {how[2] for how in asked} == {"us", "gb"}
