"""How the play is measured."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import soundfile

from fmri_audio.sound.recognition import words
from tests.sound.recognition.conftest import Fake

SAMPLE_RATE = 24_000
TABLE = """part onset offset kind speaker text background material
{part} 0.0 0.5 speech Nora {said} hum sentence
{part} 0.5 1.0 speech Tom Pour_thunder. phone unpredictable
{part} 1.0 1.5 music - theme - -
"""


@pytest.fixture
def play(tmp_path: Path) -> Path:
    """A play of two parts, each of two sentences and a tune."""
    tone = 0.1 * np.sin(np.arange(round(1.5 * SAMPLE_RATE)) / 8)
    lines = []
    for part, said in (("1", "It_is_two."), ("2", "It_is_three.")):
        soundfile.write(tmp_path / f"part{part}.ogg", tone, SAMPLE_RATE, format="OGG", subtype="OPUS")
        lines += TABLE.format(part=part, said=said).splitlines()[int(part == "2") :]
    cells = [[cell.replace("_", " ").strip("-") for cell in line.split(" ")] for line in lines]
    (tmp_path / "segments.tsv").write_text("".join("\t".join(row) + "\n" for row in cells))
    return tmp_path


def test_words_heard_wrongly_are_counted_per_material_voice_and_path(
    render: ModuleType, play: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from check import recognise

    fake = Fake("fake", "MIT", "a test", "0" * 64, Path(), ("It's 2.", "Pour, wonder!"))
    monkeypatch.setattr(words, "find_recogniser", lambda: fake)
    recognise(play, listed=True)
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert len(fake.sounds) == 4
    assert lines == [
        "Nora: it is 3 | it is 2",
        "sentence all 6 words, wrong 0.167",
        "sentence Nora 6 words, wrong 0.167",
        "unpredictable all 4 words, wrong 0.500",
        "unpredictable Tom phone 4 words, wrong 0.500",
    ]


def test_levels_are_given_per_voice_path_and_kind(
    render: ModuleType, play: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from check import measure

    measure(play)
    lines = [line.split("  ") for line in capsys.readouterr().out.splitlines()[1:]]
    assert [line[0] for line in lines] == ["music", "speech Nora", "speech Tom phone"]
    assert all(float(" ".join(line).removeprefix(line[0]).split()[0]) == 1.0 for line in lines), "seconds"


def test_a_voice_is_judged_by_some_takes_at_a_time(
    render: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import check

    take = SimpleNamespace(samples=np.ones(SAMPLE_RATE))
    box = SimpleNamespace(
        cast={"nora": SimpleNamespace(name="Nora")},
        takes=lambda speaker, cue: [("", take, 0.0)] * cue[speaker],
    )
    script = {"parts": [{"scenes": [{"cues": [{"nora": 3}, {"music": "theme"}, {"nora": 6}]}]}]}
    monkeypatch.setattr(render, "script_of", lambda folder: script)
    monkeypatch.setattr(render, "company", lambda script, cache: box)
    monkeypatch.setattr(check, "dnsmos_ovrl", lambda samples: len(samples) / 16_000)
    check.opinions(tmp_path)
    assert capsys.readouterr().out.split() == ["Nora", "9", "takes,", "DNSMOS", "4.50"]
