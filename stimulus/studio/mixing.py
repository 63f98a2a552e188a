"""Puts lines, effects, music and rooms of one part on a single 24 kHz track and keeps the timetable while doing so."""

from __future__ import annotations

import hashlib
import pickle
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyloudnorm
from scipy.signal import butter, fftconvolve, sosfilt

from . import ambience, music
from .spoken import Spoken, Word, spoken_forms
from .voices import SAMPLE_RATE, Role, say

SPEECH_LUFS = -23.0
MUSIC_LUFS = -24.0
PEAK_CEILING = 10 ** (-1.5 / 20)
# A pause up to this long belongs to the speech before it; a longer one is a segment of its own.
LONGEST_BREATH = 0.8
# Room tone louder than this is heard as ambience, softer as silence.
AUDIBLE_LUFS = -50.0
TR = 1.5

SENTENCE, UNPREDICTABLE = "sentence", "unpredictable"
"""Materials of speech: a sentence of the story, or one that no listener could guess."""

# Reverberation time in seconds and level of the reverberation in dB relative to the direct sound.
ROOMS = {
    "studio": (0.22, -21.0),
    "kitchen": (0.38, -20.0),
    "wheelhouse": (0.18, -19.0),
    "tower": (1.1, -15.0),
    "boat": (0.06, -30.0),
    "quay": (0.12, -26.0),
    "hall": (0.6, -18.0),
}
# Band in Hz, level in dB relative to a voice in the room, and noise in dB relative to the speech (None: none).
PATHS: dict[str, tuple[float, float, float, float | None]] = {
    "room": (70, 11_900, 0.0, None),
    "phone": (280, 3600, -1.0, None),
    "radio": (250, 4200, -1.0, -31.0),
    "faint": (350, 3200, -4.0, -17.0),
}


@dataclass
class Segment:
    """A row of the timetable; times in seconds within the part."""

    onset: float
    offset: float
    kind: str
    speaker: str = ""
    text: str = ""
    background: str = ""
    material: str = ""


@dataclass
class Line:
    """A spoken line, and each of its sentences with its onset in seconds from the line's start."""

    spoken: Spoken
    sentences: list[tuple[str, float]]


@dataclass
class Track:
    """A part as it grows: the sound so far, where the next cue begins, and the timetable."""

    samples: np.ndarray = field(default_factory=lambda: np.zeros(SAMPLE_RATE * 1200))
    position: int = 0
    segments: list[Segment] = field(default_factory=list)
    words: list[tuple[Word, str]] = field(default_factory=list)
    anchors: dict[str, float] = field(default_factory=dict)

    def add(self, sound: np.ndarray, start: int) -> None:
        """Mix a sound in at a sample position; what would lie before the part's start is cut."""
        if start < 0:
            sound, start = sound[-start:], 0
        end = start + len(sound)
        if end > len(self.samples):
            self.samples = np.concatenate([self.samples, np.zeros(end - len(self.samples) + SAMPLE_RATE)])
        self.samples[start:end] += sound

    @property
    def now(self) -> float:
        """The next cue's time in seconds."""
        return self.position / SAMPLE_RATE


def loudness(samples: np.ndarray) -> float:
    """Integrated loudness in LUFS (ITU-R BS.1770-4); sounds under 0.4 s are padded to one block."""
    block = int(0.4 * SAMPLE_RATE)
    padded = np.pad(samples, (0, max(0, block + 1 - len(samples))))
    return float(pyloudnorm.Meter(SAMPLE_RATE).integrated_loudness(padded))


def at_loudness(samples: np.ndarray, lufs: float, ceiling: float = PEAK_CEILING) -> np.ndarray:
    """Scale to a loudness, or less where the peak would pass the ceiling."""
    scaled = samples * 10 ** ((lufs - loudness(samples)) / 20)
    return scaled * min(1.0, ceiling / np.abs(scaled).max())


def generator(*name: object) -> np.random.Generator:
    """A random generator that depends only on the name of the thing it is for."""
    digest = hashlib.sha256("/".join(map(str, name)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))


def soft_limit(samples: np.ndarray, knee: float = 0.4, ceiling: float = 0.65) -> np.ndarray:
    """Bend the few samples above `knee` smoothly toward `ceiling`; the deep voices have sharp glottal peaks."""
    size, room = np.abs(samples), ceiling - knee
    return np.where(size > knee, np.sign(samples) * (knee + room * np.tanh((size - knee) / room)), samples)


def room_response(room: str) -> np.ndarray:
    """A room's impulse response without the direct sound: early reflections, then a tail of noise."""
    seconds, level = ROOMS[room]
    rng = generator("room", room)
    n = int((seconds + 0.05) * SAMPLE_RATE)
    t = np.arange(n) / SAMPLE_RATE
    tail = sosfilt(
        butter(1, [150, 5000], "bandpass", fs=SAMPLE_RATE, output="sos"),
        rng.normal(size=n) * 10 ** (-3 * t / seconds),
    )
    tail[: int(0.012 * SAMPLE_RATE)] = 0
    for delay in rng.uniform(0.004, 0.02, 5):
        tail[int(delay * SAMPLE_RATE)] += rng.choice([-1, 1]) * np.abs(tail).max()
    return tail * 10 ** (level / 20) / np.sqrt((tail**2).sum())


def sentences(text: str) -> list[str]:
    """A line's sentences."""
    return [s for s in re.split(r"(?<=[.?!])\s+", " ".join(text.split())) if s]


class Voicebox:
    """Speaks sentences, keeping each on disk so that a second rendering need not synthesise again."""

    def __init__(self, cast: dict[str, Role], respelled: dict[str, str], cache: Path | None) -> None:
        self.cast = cast
        self.respelled = respelled
        self.cache = cache

    def sentence(self, speaker: str, text: str, rate: float) -> Spoken:
        """One sentence; see `voices.say`."""
        respelled = {word: self.respelled[word] for word in spoken_forms(text) if word in self.respelled}
        wanted = (text, self.cast[speaker], rate, respelled)
        if self.cache is None:
            return say(*wanted)
        key = hashlib.sha256(repr((wanted, _speaking_code())).encode()).hexdigest()[:24]
        path = self.cache / f"{key}.pickle"
        if not path.exists():
            self.cache.mkdir(parents=True, exist_ok=True)
            path.write_bytes(pickle.dumps(say(*wanted)))
        return pickle.loads(path.read_bytes())

    def takes(self, speaker: str, cue: dict[str, Any]) -> Iterator[tuple[str, Spoken, float]]:
        """A line's sentences: text, take, and seconds of breath before it; each a little faster or slower."""
        rng = generator("line", speaker, cue[speaker])
        for index, text in enumerate(sentences(cue[speaker])):
            breath = float(rng.uniform(0.26, 0.46)) if index else 0.0
            rate = cue.get("rate", 1.0) * float(np.round(rng.uniform(0.97, 1.03), 3))
            yield text, self.sentence(speaker, text, rate), breath

    def line(self, speaker: str, cue: dict[str, Any]) -> Line:
        """A line: its sentences, equally loud, with breaths between them."""
        pieces, words, said, at = [], [], [], 0.0
        for text, spoken, breath in self.takes(speaker, cue):
            pieces.append(np.zeros(int(breath * SAMPLE_RATE)))
            at += len(pieces[-1]) / SAMPLE_RATE
            pieces.append(at_loudness(spoken.samples, SPEECH_LUFS))
            words += [Word(w.text, w.onset + at, w.offset + at) for w in spoken.words]
            said.append((text, at))
            at += len(pieces[-1]) / SAMPLE_RATE
        return Line(Spoken(np.concatenate(pieces), SAMPLE_RATE, words), said)


def _speaking_code() -> list[str]:
    """The text of the modules that make a sentence."""
    return [
        Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
        for name in ("voices", "kokoro", "align", "spoken")
    ]


def through(samples: np.ndarray, path: str, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """A voice as it arrives by a path; returns the sound and by how many samples it begins earlier (the opened key)."""
    low, high, level, noise = PATHS[path]
    order = 2 if path == "room" else 4
    out = sosfilt(butter(order, low, "highpass", fs=SAMPLE_RATE, output="sos"), samples)
    if path == "room":
        return soft_limit(out), 0
    out = sosfilt(butter(order, high, "lowpass", fs=SAMPLE_RATE, output="sos"), out)
    out = at_loudness(np.tanh(4 * out) / 4, SPEECH_LUFS + level)
    if noise is None:
        return out, 0
    lead, tail = int(0.16 * SAMPLE_RATE), int(0.22 * SAMPLE_RATE)
    out = np.pad(out, (lead, tail))
    hiss = ambience.band(rng.normal(size=len(out)), low, high, 2) * ambience.drifting(
        len(out), rng, 0.4, 0.6, 1.0
    )
    hiss = at_loudness(hiss, SPEECH_LUFS + level + noise)
    squelch = ambience.band(rng.normal(size=tail), 500, 5000, 1) * np.minimum(
        1, np.arange(tail)[::-1] / (0.6 * tail)
    )
    out += hiss
    out[-tail:] += 0.012 * squelch
    return out, lead


def speak(
    track: Track, box: Voicebox, speaker: str, cue: dict[str, Any], room: str, background: str, follows: bool
) -> None:
    """Add one line, a row for each of its sentences, and the pause after it (`follows`: the next cue is speech)."""
    line = box.line(speaker, cue)
    spoken = line.spoken
    rng = generator("via", speaker, cue[speaker])
    path = cue.get("via", "room")
    sound, lead = through(spoken.samples, path, rng)
    wet = fftconvolve(sound, room_response(room)) * (1.0 if path == "room" else 0.6)
    start = track.position
    track.add(sound, start - lead)
    track.add(wet, start - lead)
    track.words += [(Word(w.text, w.onset + track.now, w.offset + track.now), speaker) for w in spoken.words]
    onset, end = track.now, track.now + len(spoken.samples) / SAMPLE_RATE
    gap = cue.get("pause", float(rng.uniform(0.42, 0.68)))
    if lead:
        gap = max(gap, 0.5)
    notes = [background] if background else []
    if path != "room":
        notes.append(path if PATHS[path][3] is None else f"{path} noise {PATHS[path][3]:.0f} dB")
    joined = follows and gap <= LONGEST_BREATH
    stop = end + gap if joined else end
    material = UNPREDICTABLE if cue.get(UNPREDICTABLE) else SENTENCE
    edges = [*(onset + at for _, at in line.sentences), stop]
    for (text, _), begin, finish in zip(line.sentences, edges[:-1], edges[1:], strict=True):
        track.segments.append(Segment(begin, finish, "speech", speaker, text, "; ".join(notes), material))
    track.position = round((end + gap) * SAMPLE_RATE)
    if not joined:
        quiet(track, stop, end + gap, background)


def quiet(track: Track, onset: float, offset: float, background: str) -> None:
    """A row for a pause; the bed's loudness decides later whether it is silence or ambience."""
    if offset > onset:
        track.segments.append(Segment(onset, offset, "silence", "", "", background))


def bed_spans(start: int, end: int, holes: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """What remains of a scene for its bed when the music cues are cut out."""
    edges = [start, *(edge for hole in holes for edge in hole), end]
    return [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a > SAMPLE_RATE]


def play_scene(track: Track, box: Voicebox, scene: dict[str, Any], name: str) -> None:
    """Add one scene: its cues in order, then its bed and the music under it."""
    start, holes = track.position, []
    bed, level = scene.get("bed", ""), scene.get("bed_level", -44)
    background = f"{bed} {level:.0f} dB" if bed else ""
    first_line = None
    for index, cue in enumerate(scene["cues"]):
        key = next(iter(cue))
        following = next(iter(scene["cues"][index + 1])) if index + 1 < len(scene["cues"]) else ""
        onset = track.now
        if key == "pause":
            track.position += round(cue["pause"] * SAMPLE_RATE)
            quiet(track, onset, track.now, background)
        elif key in ("sound", "music"):
            add_effect(track, key, cue, (name, index), background if key == "sound" else "")
            if key == "music":
                holes.append((round(onset * SAMPLE_RATE), track.position))
        else:
            first_line = track.position if first_line is None else first_line
            speak(track, box, key, cue, scene["room"], background, following in box.cast)
    if bed:
        for a, b in bed_spans(start, track.position, holes):
            sound = ambience.EFFECTS[bed][0](b - a, generator("bed", name, a))
            fade = min(SAMPLE_RATE, (b - a) // 4)
            sound = at_loudness(sound, SPEECH_LUFS + level)
            sound[:fade] *= np.linspace(0, 1, fade)
            sound[-fade:] *= np.linspace(1, 0, fade)
            track.add(sound, a)
        if SPEECH_LUFS + level > AUDIBLE_LUFS:
            for row in track.segments:
                if row.kind == "silence" and row.background == background:
                    row.kind, row.text = "ambience", bed.replace("_", " ")
    if "under" in scene and first_line is not None:
        put_under(track, scene, name, first_line)


def put_under(track: Track, scene: dict[str, Any], name: str, first_line: int) -> None:
    """Music under a scene's first lines, at `under_level` dB relative to speech; the rows it touches say so."""
    level = scene.get("under_level", -22)
    seconds = min(scene.get("under_seconds", 40), (track.position - first_line) / SAMPLE_RATE)
    track.add(
        at_loudness(music.cue(scene["under"], seconds, generator("under", name)), SPEECH_LUFS + level),
        first_line,
    )
    a, b = first_line / SAMPLE_RATE, first_line / SAMPLE_RATE + seconds
    for row in track.segments:
        if row.offset > a and row.onset < b:
            row.background = "; ".join(filter(None, [row.background, f"music {level:.0f} dB"]))


def add_effect(
    track: Track, kind: str, cue: dict[str, Any], seed: tuple[object, ...], background: str
) -> None:
    """Add a sound effect or a music cue on its own, with short fades at both ends, and its row."""
    rng = generator(kind, *seed)
    if kind == "music":
        name = cue["music"]
        seconds = cue.get("seconds", music.length(name) + 2.0)
        sound = at_loudness(music.cue(name, seconds, rng), MUSIC_LUFS)
    else:
        name, seconds = cue["sound"], cue["seconds"]
        effect, lufs = ambience.EFFECTS[name]
        sound = at_loudness(
            effect(round(seconds * SAMPLE_RATE), rng), lufs + cue.get("level", 0.0), 10 ** (-9 / 20)
        )
        fade = int(min(0.4, seconds / 8) * SAMPLE_RATE)
        sound[:fade] *= np.linspace(0, 1, fade)
        sound[-fade:] *= np.linspace(1, 0, fade)
    if "heard" in cue:
        wait_for(track, cue["heard"], background)
    onset = track.now
    if "anchor" in cue:
        track.anchors[cue["anchor"]] = onset + ambience.HEARD_AFTER
    track.add(sound, track.position)
    track.position += len(sound)
    row = Segment(
        onset, track.now, "music" if kind == "music" else "ambience", "", name.replace("_", " "), background
    )
    track.segments.append(row)
    gap = cue.get("pause", 0.5)
    quiet(track, track.now, track.now + gap, background)
    track.position += round(gap * SAMPLE_RATE)


def wait_for(track: Track, moment: tuple[str, float], background: str) -> None:
    """Move on, in silence, so that the next sound is heard the given number of seconds after an anchor.

    Raises
    ------
    ValueError
        When that moment has already passed.
    """
    anchor, seconds = moment
    start = track.anchors[anchor] + seconds - ambience.HEARD_AFTER
    if start < track.now:
        raise ValueError(f"{seconds} s after {anchor} has passed by {track.now - start:.2f} s")
    quiet(track, track.now, start, background)
    track.position = round(start * SAMPLE_RATE)


def merge(segments: list[Segment]) -> list[Segment]:
    """Join neighbouring silences, or neighbouring rows of the same bed."""
    rows: list[Segment] = []
    for row in segments:
        last = rows[-1] if rows else None
        if last and row.kind == last.kind and row.kind in ("silence", "ambience") and row.text == last.text:
            last.offset = row.offset
            if row.background != last.background:
                last.background = last.background or row.background
        else:
            rows.append(row)
    return rows


def render_part(part: dict[str, Any], box: Voicebox, number: int) -> Track:
    """One part, padded with silence to a whole number of TRs, at -23 LUFS over all of it.

    Raises
    ------
    ValueError
        When the mix would clip.
    """
    track = Track()
    track.position = SAMPLE_RATE
    quiet(track, 0.0, 1.0, "")
    for index, scene in enumerate(part["scenes"]):
        play_scene(track, box, scene, f"{number}/{index}")
    tail = track.now
    length = np.ceil((tail + 2.0) / TR) * TR
    quiet(track, tail, length, "")
    samples = track.samples[: round(length * SAMPLE_RATE)]
    samples = samples + 10 ** (-72 / 20) * ambience.pink(len(samples), generator("tone", number))
    gain = 10 ** ((SPEECH_LUFS - loudness(samples)) / 20)
    samples = samples * gain
    if np.abs(samples).max() > PEAK_CEILING:
        raise ValueError(f"part {number} peaks at {np.abs(samples).max():.2f}, above {PEAK_CEILING:.2f}")
    track.samples = samples
    track.segments = merge(track.segments)
    return track
