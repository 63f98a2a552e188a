"""Held-out speech to measure by: the recordings of the codec's tables, and every plain excerpt of the play."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from fmri_audio.base.kinds import Waveform
from fmri_audio.experiments.ladder import Window
from fmri_audio.experiments.play_excerpts import plain_excerpts
from fmri_audio.sound.audio import SAMPLE_RATE
from fmri_audio.sound.recognition import Passage
from fmri_audio.sound.recognition.words import counted
from programs.bottleneck_training.language import key
from programs.codec_training import evaluation

_UNHEARD = "pico"
"""Engine of the play that no training heard."""

MOST_OF_VOICE = 13
"""Windows of a voice at the most, where not all are measured: a voice speaks in up to 63, and voices are the unit."""


@dataclass(frozen=True)
class Sounds:
    """The windows, their sound at 24 kHz, and what is said in them.

    Attributes
    ----------
    windows : list of Window
    waves : list of array
    passages : list of list of Passage
    sentences : list of list of (str, float)
        Of the play: the sentences of every window as ``bottleneck-speak`` names them, and when each begins in it.
    """

    windows: list[Window]
    waves: list[Waveform]
    passages: list[list[Passage]]
    sentences: list[list[tuple[str, float]]] = field(default_factory=list)

    def part(self, most: int | None) -> Sounds:
        """So many windows, spread over all; None: all."""
        if most is None or most >= len(self.windows):
            return self
        keep = np.unique(np.linspace(0, len(self.windows) - 1, most).round().astype(int)).tolist()
        return Sounds(
            [self.windows[k] for k in keep],
            [self.waves[k] for k in keep],
            [self.passages[k] for k in keep],
            [self.sentences[k] for k in keep] if self.sentences else [],
        )

    @cached_property
    def fewer(self) -> frozenset[str]:
        """Names of at most :data:`MOST_OF_VOICE` windows of every voice, spread over all that it has."""
        of_voice: dict[str, list[str]] = {}
        for one in self.windows:
            of_voice.setdefault(one.voice, []).append(one.window)
        return frozenset(
            names[k]
            for names in of_voice.values()
            for k in np.linspace(0, len(names) - 1, min(MOST_OF_VOICE, len(names))).round().astype(int)
        )

    @property
    def digest(self) -> str:
        """Hash of windows, sounds and texts."""
        listed = [[asdict(one) for one in self.windows], [[asdict(p) for p in ps] for ps in self.passages]]
        return hashlib.sha256(json.dumps(listed).encode()).hexdigest()[:16]


def sounds_of(data: Path | None, root: Path) -> Sounds:
    """All windows: of the recordings in ``data``, if there are any, and of the play."""
    clips: list[tuple[str, str, str, evaluation.Clip, tuple[int, float] | None]] = []
    if data is not None:
        for clip in evaluation.recordings_to_test(data):
            if clip.set != evaluation.MUSIC_SET and clip.passages:
                voice = "ljspeech" if "ljspeech" in clip.set else Path(clip.name).stem[:12]
                clips.append(("recorded", voice, f"{clip.set}/{clip.name}", clip, None))
    clips.extend(play_windows(root / "stimulus"))
    windows, waves, texts = [], [], []
    sentences: list[list[tuple[str, float]]] = []
    for group, voice, passage, clip, begins in clips:
        wave = clip.wave.astype(np.float32)
        spoken = whole(clip.passages)
        said = counted(spoken, "").said
        digest = hashlib.sha256(wave.tobytes()).hexdigest()[:8]
        seconds = round(len(wave) / SAMPLE_RATE, 3)
        windows.append(Window(clip.name, group, voice, passage, seconds, said, digest))
        waves.append(wave)
        texts.append([spoken])
        sentences.append(
            [(key(begins[0], begins[1] + one.onset), one.onset) for one in clip.passages] if begins else []
        )
    return Sounds(windows, waves, texts, sentences)


def whole(passages: Sequence[Passage]) -> Passage:
    """Sentences of a window as one passage: they are read at once."""
    return Passage(passages[0].onset, passages[-1].offset, " ".join(one.text for one in passages))


def play_windows(folder: Path) -> Iterator[tuple[str, str, str, evaluation.Clip, tuple[int, float]]]:
    """Yield group, voice, passage, clip, and part and second where it begins, of every plain excerpt of the play.

    What a voice says until another speaks is one passage.
    """
    for one in plain_excerpts(folder):
        group = "unheard" if one.engine == _UNHEARD else "play"
        clip = evaluation.Clip(group, one.name, one.wave, one.passages)
        yield group, one.speaker, f"turn {one.turn}", clip, (one.part, one.onset)
