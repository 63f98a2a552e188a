"""``python -m programs bottleneck-speak``: what speech takes when its sounds are written down and a voice reads them.

Every sentence of the play's Kokoro voices becomes phonemes, their durations in frames of 25 ms, and a contour of two
numbers: level and slope of the pitch over the sentence, in semitones. Written so, it is spoken again by one voice that
is nobody's in the play. What it takes is counted as the ideal code length under models of other texts, which an
arithmetic coder reaches to within two bits in all (Witten et al. 1987).

==============  ======================================================================================================
``frequency``   phonemes by how often each occurs
``prior``       phonemes by what came before: contexts of up to four, blended (Witten and Bell 1991)
``durations``   by how long each phoneme lasts elsewhere
``pitch``       level and slope, normal as elsewhere
``onset``       when the sentence begins, after the one before
==============  ======================================================================================================

The sentences are said twice: ``timed``, with all of it, and ``untimed``, phonemes and onset alone, durations and pitch
as the voice likes. It needs the packages of ``stimulus/requirements.txt``, and writes ``spoken.npz`` (a sentence per
array, 16 bits at 24 kHz) and ``spoken.json`` to the work folder, where ``bottleneck-measure`` finds them.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import itertools
import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from fmri_audio.base.errors import UserError
from fmri_audio.base.files import replacing, write_text
from fmri_audio.base.settings import project_root
from programs import kokoro
from programs.codec_training import texts
from programs.kokoro import Prosody

SPOKEN, COUNTED = "spoken.npz", "spoken.json"
"""Files of the work folder."""

ORDER = 4
"""Phonemes of context at most: longer ones foretell less, learnt from so little text (the prose by halves)."""

VOICE = {"jf_gongitsune": 0.5, "jm_kumo": 0.5}
"""Who reads."""

ONSETS = 512
"""Frames after the end of the sentence before, up to 12.8 s, all alike."""

LONGEST = 400
"""Frames of a sound at most."""

LEAD = 0.06
"""Seconds that a sentence's first sound begins after its onset."""

_VOICED = 50.0  # Hz
_PAUSE = 0.5  # s
_OTHERS = 240  # made-up sentences beside the prose, from which sounds are learnt
_SPEAKERS = ({"jf_nezumi": 1.0}, {"jf_gongitsune": 1.0}, {"jf_nezumi": 0.5, "jf_gongitsune": 0.5})


@dataclass(frozen=True)
class Said:
    """A sentence, written down.

    Attributes
    ----------
    sounds : sequence of int
    durations : sequence of int
        Frames, of the silence before, every sound, and the silence after.
    level, slope : int
        Pitch in semitones above 100 Hz at the middle, and semitones per second.
    """

    sounds: Sequence[int]
    durations: Sequence[int]
    level: int
    slope: int

    @classmethod
    def of(cls, sounds: Sequence[int], prosody: Prosody) -> Said:
        """Write down how it is said."""
        level, slope = contour(prosody.pitch)
        return cls(sounds, [int(x) for x in prosody.durations], level, slope)

    def prosody(self, like: Prosody) -> Prosody:
        """How it is said again: pitch on a line where ``like``, of the same durations, is voiced."""
        seconds = _seconds(len(like.pitch))
        line = 100 * 2 ** ((self.level + self.slope * (seconds - seconds.mean())) / 12)
        pitch = np.where(like.pitch > _VOICED, line, like.pitch)
        return Prosody(np.array(self.durations, np.float32), pitch.astype(np.float32))


@dataclass(frozen=True)
class Counted:
    """Bits of a sentence."""

    frequency: float
    prior: float
    durations: float
    pitch: float
    onset: float

    def total(self, *, prior: bool, timed: bool) -> float:
        """Of what is sent."""
        sounds = self.prior if prior else self.frequency
        return sounds + self.onset + (self.durations + self.pitch if timed else 0.0)


def contour(pitch: np.ndarray) -> tuple[int, int]:
    """Level and slope of the voiced part of a course of pitch, in semitones and semitones per second."""
    voiced = pitch > _VOICED
    if voiced.sum() < 2:
        return 0, 0
    seconds = _seconds(len(pitch))
    slope, level = np.polyfit((seconds - seconds.mean())[voiced], 12 * np.log2(pitch[voiced] / 100), 1)
    return round(float(level)), round(float(np.clip(slope, -20, 20)))


def _seconds(n_values: int) -> np.ndarray:
    return np.asarray(np.arange(n_values) / 80)


class Context:
    """A blend of contexts: how probable a symbol is after those before it (Witten and Bell 1991, method C).

    Parameters
    ----------
    n_symbols : int
        A symbol that was never seen shares what is left with all others.
    order : int
        Symbols of context at most; 0: how often each occurs.
    """

    def __init__(self, n_symbols: int, order: int) -> None:
        self.n_symbols, self.order = n_symbols, order
        self._seen: defaultdict[tuple[int, ...], Counter[int]] = defaultdict(Counter)

    def learn(self, sequences: Iterable[Sequence[int]]) -> Context:
        """Count; returns itself."""
        for one in sequences:
            for at, symbol in enumerate(one):
                for length in range(min(at, self.order) + 1):
                    self._seen[tuple(one[at - length : at])][symbol] += 1
        return self

    def probability(self, before: Sequence[int], symbol: int) -> float:
        """Of a symbol, after the symbols before it."""
        found = 1 / self.n_symbols
        for length in range(min(len(before), self.order) + 1):
            seen = self._seen.get(tuple(before[len(before) - length :]))
            if seen is None:
                break
            count, kinds = seen.total(), len(seen)
            found = (seen[symbol] + kinds * found) / (count + kinds)
        return found

    def bits(self, sequence: Sequence[int]) -> float:
        """Ideal code length of a sequence."""
        return sum(
            -math.log2(self.probability(sequence[max(0, at - self.order) : at], symbol))
            for at, symbol in enumerate(sequence)
        )


@dataclass(frozen=True)
class Models:
    """What is known of speech before the play is heard."""

    frequency: Context
    prior: Context
    durations: Mapping[int, Context]
    any_duration: Context
    level: tuple[float, float]
    slope: tuple[float, float]

    @classmethod
    def learn(cls, sentences: Sequence[Said], n_symbols: int) -> Models:
        """From other sentences."""
        spoken = [[*one.sounds, 0] for one in sentences]  # 0 ends a sentence
        lasting: defaultdict[int, list[list[int]]] = defaultdict(list)
        for one in sentences:
            for sound, frames in zip([0, *one.sounds, 0], one.durations, strict=True):
                lasting[sound].append([frames])
        spread = [
            (float(np.mean(values)), max(float(np.std(values)), 0.5))
            for values in ([one.level for one in sentences], [one.slope for one in sentences])
        ]
        every = [frames for several in lasting.values() for frames in several]
        return cls(
            Context(n_symbols, 0).learn(spoken),
            Context(n_symbols, ORDER).learn(spoken),
            {sound: Context(LONGEST, 0).learn(several) for sound, several in lasting.items()},
            Context(LONGEST, 0).learn(every),
            spread[0],
            spread[1],
        )

    def counted(self, one: Said) -> Counted:
        """Bits of a sentence."""
        sounds = [*one.sounds, 0]
        durations = sum(
            self.durations.get(sound, self.any_duration).bits([min(frames, LONGEST - 1)])
            for sound, frames in zip([0, *sounds], one.durations, strict=True)
        )
        pitch = _normal_bits(one.level, *self.level) + _normal_bits(one.slope, *self.slope)
        return Counted(
            self.frequency.bits(sounds), self.prior.bits(sounds), durations, pitch, math.log2(ONSETS)
        )


def _normal_bits(value: int, mean: float, spread: float) -> float:
    """Code length of a whole number under a normal distribution cut into whole numbers."""

    def below(x: float) -> float:
        return 0.5 * (1 + math.erf((x - mean) / spread / math.sqrt(2)))

    return -math.log2(max(below(value + 0.5) - below(value - 0.5), 1e-9))


def elsewhere(seed: int = 0) -> list[Said]:
    """Sentences that are not the play's: the corpus's prose and made-up ones, by voices that are not the play's."""
    rng = np.random.default_rng(seed)
    sentences = [piece for source in texts.prose() for piece in source]
    for _ in range(_OTHERS // 5):
        sentences += texts.passage(rng, 5)
    found = []
    for index, text in enumerate(dict.fromkeys(sentences)):
        sounds = kokoro.tokens(text, "gb" if index % 2 else "us")
        if len(sounds) <= kokoro.MOST_TOKENS:
            voice = _SPEAKERS[index % len(_SPEAKERS)]
            found.append(
                Said.of(sounds, kokoro.predicted(sounds, kokoro.styled(voice, voice, len(sounds)), 1.0))
            )
    return found


def of_the_play(folder: Path) -> dict[str, tuple[Said, float]]:
    """Every sentence of the play's Kokoro voices by part and onset, with its seconds in the play.

    Durations and pitch are those that the play's own voice gives it, at the speed that fits its time.
    """
    cast = yaml.safe_load((folder / "studio" / "cast.yml").read_text(encoding="utf-8"))
    respelled = yaml.safe_load((folder / "script.yml").read_text(encoding="utf-8"))["respelled"]
    roles = {role["name"]: role for role in cast.values() if role["engine"] == "kokoro"}
    found = {}
    with (folder / "segments.tsv").open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
            role = roles.get(row["speaker"])
            if row["kind"] != "speech" or role is None:
                continue
            sounds = kokoro.tokens(_respelled(row["text"], respelled), role["accent"])
            style = kokoro.styled(role["timbre"], role["manner"], len(sounds))
            seconds = float(row["offset"]) - float(row["onset"])
            prosody = kokoro.predicted(sounds, style, _speed(sounds, style, seconds))
            found[key(row["part"], float(row["onset"]))] = (Said.of(sounds, prosody), seconds)
    return found


def _speed(sounds: Sequence[int], style: np.ndarray, seconds: float) -> float:
    """The speed at which a sentence and the pause after it, half a second, fill the time that they have."""
    frames = kokoro.predicted(sounds, style, 1.0).durations[1:-1].sum()
    return float(np.clip(frames / 40 / max(seconds - _PAUSE, 0.5 * seconds), 0.7, 1.5))


def _respelled(text: str, respelled: Mapping[str, str]) -> str:
    return re.sub(
        r"[A-Za-z]+(?:'[a-z]+)?", lambda match: respelled.get(match.group().lower(), match.group()), text
    )


def key(part: object, onset: float) -> str:
    """Name of a sentence of the play."""
    return f"{part}/{onset:.3f}"


def said_again(one: Said, *, timed: bool) -> np.ndarray:
    """A sentence as written, in the one voice, from its first sound on."""
    style = kokoro.styled(VOICE, VOICE, len(one.sounds))
    like = kokoro.predicted(one.sounds, style, 1.0)
    if timed:
        stretched = Prosody(np.array(one.durations, np.float32), _stretched(like, one.durations))
        like = one.prosody(stretched)
    wave = kokoro.speak_as(one.sounds, style, like)
    return wave[int(like.durations[0]) * kokoro.FRAME :]


def _stretched(like: Prosody, durations: Sequence[int]) -> np.ndarray:
    """A course of pitch in other durations, sound by sound, so that what was voiced stays so."""
    edges = np.concatenate([[0], np.cumsum(like.durations)]).astype(int) * 2
    parts = []
    for (a, b), frames in zip(itertools.pairwise(edges), durations, strict=True):
        parts.append(like.pitch[np.linspace(a, max(b - 1, a), 2 * frames).round().astype(int)])
    return np.concatenate(parts)


@dataclass(frozen=True)
class Read:
    """What the work folder holds of it.

    Attributes
    ----------
    waves : mapping of str to array of int16
        By ``timed`` or ``untimed``, and sentence.
    bits : mapping of str to Counted
        By sentence.
    """

    waves: Mapping[str, np.ndarray]
    bits: Mapping[str, Counted]

    @classmethod
    def of(cls, work: Path) -> Read | None:
        """Read it; None where the play was not spoken again."""
        paths = [work / name for name in (SPOKEN, COUNTED)]
        if not all(path.is_file() for path in paths):
            return None
        rows = json.loads(paths[1].read_text(encoding="utf-8"))
        bits = {row["sentence"]: Counted(*(row[one.name] for one in fields(Counted))) for row in rows}
        with np.load(paths[0]) as stored:
            waves = {name: stored[name] for name in stored.files}
        return cls(waves, bits)

    def window(self, how: str, sentences: Sequence[tuple[str, float]], n_samples: int) -> np.ndarray | None:
        """The sentences of a window, each at its second; None where one of them was not spoken again."""
        if not sentences or any(name not in self.bits for name, _ in sentences):
            return None
        wave = np.zeros(n_samples, np.float32)
        for name, onset in sentences:
            first = round((onset + LEAD) * kokoro.SAMPLE_RATE)
            spoken = self.waves[f"{how}/{name}"][: max(0, n_samples - first)]
            wave[first : first + len(spoken)] += spoken / np.float32(32767)
        return wave


def main(words: Sequence[str]) -> None:
    """Write the play down, count it, and let it be spoken again."""
    parser = argparse.ArgumentParser(prog="python -m programs bottleneck-speak", description=__doc__)
    parser.add_argument("--work", type=Path, help="folder of what is measured (default: build/bottleneck)")
    options = parser.parse_args(list(words))
    work = options.work or project_root() / "build" / "bottleneck"
    if not kokoro.is_installed() or not importlib.util.find_spec("onnx"):
        raise UserError(
            "the play is spoken again by Kokoro, which is not installed: install stimulus/requirements.txt"
        )
    work.mkdir(parents=True, exist_ok=True)
    n_symbols = max(kokoro.tables()[0].values()) + 1
    models = Models.learn(elsewhere(), n_symbols)
    waves: dict[str, np.ndarray] = {}
    rows: list[dict[str, Any]] = []
    for name, (one, seconds) in of_the_play(project_root() / "stimulus").items():
        rows.append({"sentence": name, "seconds": seconds, **asdict(models.counted(one))})
        for how in ("timed", "untimed"):
            wave = said_again(one, timed=how == "timed")
            waves[f"{how}/{name}"] = np.round(np.clip(wave, -1, 1) * 32767).astype(np.int16)
    with replacing(work / SPOKEN) as temporary, temporary.open("wb") as out:
        np.savez(out, allow_pickle=False, **waves)
    write_text(work / COUNTED, json.dumps(rows, indent=1))
    seconds = sum(row["seconds"] for row in rows)
    for name in ("frequency", "prior", "durations", "pitch", "onset"):
        print(f"{name:10} {sum(row[name] for row in rows) / seconds:6.1f} bits per second")
    print(f"wrote {work / SPOKEN}: {len(rows)} sentences, {seconds / 60:.1f} minutes")
