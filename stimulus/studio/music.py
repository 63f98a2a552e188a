"""The play's music: cues written here as notes, played by FluidSynth with the FluidR3 GM soundfont (Debian packages).

A cue is a melody over chords: every bar names its chord, and the accompaniment pattern spells it. Melodies are
strings of ``note:beats`` (``-`` is a rest); no cue reuses another's melody, and none repeats its own.
"""

from __future__ import annotations

import struct
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from .voices import SAMPLE_RATE

SOUNDFONT = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")
TICKS = 480
PIANO, CELESTA, VIBES, HARP, STRINGS, SLOW_STRINGS, CELLO, BASS = 0, 8, 11, 46, 48, 49, 42, 32
GLASS_PAD, WARM_PAD, OBOE, CLARINET, FLUTE, HORN, ACCORDION, GUITAR, CHOIR, MUSIC_BOX = (
    92,
    89,
    68,
    71,
    73,
    60,
    21,
    24,
    52,
    10,
)

Note = tuple[float, float, int, int]  # onset in beats, length in beats, MIDI pitch, velocity

_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_CHORDS = {
    "": (0, 4, 7),
    "m": (0, 3, 7),
    "7": (0, 4, 7, 10),
    "m7": (0, 3, 7, 10),
    "M7": (0, 4, 7, 11),
    "sus": (0, 5, 7),
    "9": (0, 4, 7, 14),
    "m9": (0, 3, 7, 14),
    "dim": (0, 3, 6),
    "6": (0, 4, 7, 9),
}


def pitch(name: str) -> int:
    """MIDI number of a note such as ``F#4``."""
    step = _STEPS[name[0]] + name.count("#") - name.count("b")
    return 12 * (int(name[-1]) + 1) + step


def chord(name: str, octave: int) -> list[int]:
    """MIDI numbers of a chord such as ``Bbm7`` with its root in the given octave."""
    root, kind = (name[:2], name[2:]) if len(name) > 1 and name[1] in "#b" else (name[:1], name[1:])
    base = pitch(f"{root}{octave}")
    return [base + step for step in _CHORDS[kind]]


@dataclass(frozen=True)
class Voice:
    """One instrument's part: General MIDI program, its notes, and a pan from 0 to 127 (kept for the room it gives)."""

    program: int
    notes: list[Note]


def melody(text: str, velocity: int, rng: np.random.Generator, start: float = 0.0) -> list[Note]:
    """Notes of a melody string, with the small unevenness of a hand."""
    notes, beat = [], start
    for token in text.split():
        name, beats = token.split(":")
        if name != "-":
            lean = rng.normal(0, 0.012)
            notes.append(
                (max(0.0, beat + lean), float(beats) * 0.96, pitch(name), int(velocity + rng.integers(-8, 9)))
            )
        beat += float(beats)
    return notes


def accompany(
    bars: str, pattern: str, beats: int, octave: int, velocity: int, rng: np.random.Generator
) -> list[Note]:
    """Chords bar by bar as `pattern`: ``hold``, ``broken`` (an arpeggio), ``waltz``, ``pulse`` or ``bass``."""
    notes: list[Note] = []
    for index, name in enumerate(bars.split()):
        tones, start = chord(name, octave), index * beats
        if pattern == "hold":
            notes += [(start, beats * 1.02, tone, velocity) for tone in tones]
        elif pattern == "bass":
            notes.append((start, beats * 0.95, tones[0], velocity))
        elif pattern == "pulse":
            notes += [
                (start + k / 2, 0.4, tones[0] if k % 4 == 0 else tones[2], velocity - 10 * (k % 2))
                for k in range(2 * beats)
            ]
        elif pattern == "waltz":
            notes.append((start, 0.9, tones[0] - 12, velocity + 6))
            notes += [(start + k, 0.7, tone, velocity - 8) for k in range(1, beats) for tone in tones[1:]]
        else:
            order = tones + [tones[0] + 12, tones[1] + 12]
            walk = [0, 2, 3, len(order) - 1, 1, 2] if index % 2 else [0, 1, 2, len(order) - 2, 2, 1]
            for k in range(2 * beats):
                step = walk[k % len(walk)] if rng.uniform() < 0.85 else int(rng.integers(len(order)))
                notes.append((start + k / 2, 1.4, order[step], int(velocity + rng.integers(-9, 6))))
    return notes


def midi(voices: list[Voice], tempo: float) -> bytes:
    """A type-1 MIDI file."""

    def quantity(value: int) -> bytes:
        out = [value & 0x7F]
        while value := value >> 7:
            out.append(0x80 | (value & 0x7F))
        return bytes(reversed(out))

    tracks = [b"\x00\xff\x51\x03" + int(60e6 / tempo).to_bytes(3, "big") + b"\x00\xff\x2f\x00"]
    for channel, voice in enumerate(voices):
        events = [(0, 0, bytes([0xC0 | channel, voice.program]))]
        for onset, length, key, velocity in voice.notes:
            events.append(
                (int(onset * TICKS), 2, bytes([0x90 | channel, key, int(np.clip(velocity, 1, 127))]))
            )
            events.append((int((onset + length) * TICKS), 1, bytes([0x80 | channel, key, 0])))
        events.sort(key=lambda event: event[:2])
        data, now = b"", 0
        for tick, _, message in events:
            data += quantity(tick - now) + message
            now = tick
        tracks.append(data + b"\x00\xff\x2f\x00")
    header = b"MThd" + struct.pack(">IHHH", 6, 1, len(tracks), TICKS)
    return header + b"".join(b"MTrk" + struct.pack(">I", len(track)) + track for track in tracks)


def play(voices: list[Voice], tempo: float) -> np.ndarray:
    """Render voices with FluidSynth at 24 kHz and mix to mono."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "cue.mid", Path(folder) / "cue.wav"
        source.write_bytes(midi(voices, tempo))
        command = [
            "fluidsynth",
            "-ni",
            "-q",
            "-g",
            "0.5",
            "-r",
            str(SAMPLE_RATE),
            "-o",
            "synth.cpu-cores=1",
            "-O",
            "float",
            "-F",
            str(target),
        ]
        subprocess.run([*command, str(SOUNDFONT), str(source)], check=True, capture_output=True)
        samples, _ = soundfile.read(target, dtype="float64")
    return samples.mean(axis=1)


@dataclass(frozen=True)
class Cue:
    """A composed cue: lead melody, and layers of accompaniment as (program, pattern, octave, velocity)."""

    tempo: float
    beats: int
    bars: str
    lead: int
    tune: str
    layers: tuple[tuple[int, str, int, int], ...]
    second: tuple[int, str] | None = None


# fmt: off
CUES: dict[str, Cue] = {
    "theme": Cue(
        84, 3, "Dm Bb F C Gm7 Dm A7 Dm Bb C", PIANO,
        "A4:2 D5:1 F5:2 E5:1 C5:2 A4:1 G4:3 Bb4:1 D5:1 G5:1 F5:2 D5:1 E5:1 C#5:1 A4:1 D5:3 F5:1.5 "
        "E5:1.5 D5:1 C5:2",
        ((HARP, "broken", 3, 52), (SLOW_STRINGS, "hold", 3, 46), (CELLO, "bass", 2, 58)),
        (OBOE, "-:15 -:3 A5:2 G5:1 F5:3 D5:2 F5:1 G5:3"),
    ),
    "drift": Cue(
        66, 4, "Gm9 EbM7 BbM7 Fsus", VIBES,
        "D5:1.5 F5:0.5 A5:2 G5:3 -:0.5 Bb5:0.5 A5:1 F5:1 D5:2 C5:1.5 G5:2.5",
        ((WARM_PAD, "hold", 3, 50), (PIANO, "broken", 3, 40)),
    ),
    "bridge_angus": Cue(
        92, 3, "Am G F C Dm Em Am", CLARINET,
        "E5:1 C5:0.5 D5:0.5 E5:1 D5:1.5 B4:1.5 C5:1 A4:1 F4:1 G4:2 E4:1 F4:1 A4:1 D5:1 E5:1 G5:1 B4:1 "
        "A4:3",
        ((GUITAR, "waltz", 3, 62), (ACCORDION, "hold", 4, 34)),
    ),
    "bridge_tom": Cue(
        104, 4, "Dm7 G Dm7 C Bb", HORN,
        "D4:1 A4:1.5 G4:0.5 F4:1 G4:2 B4:2 C5:1.5 A4:0.5 F4:1 D4:1 E4:3 G4:1 F4:1 D4:3",
        ((BASS, "pulse", 2, 72), (STRINGS, "hold", 3, 44), (PIANO, "broken", 4, 42)),
    ),
    "underscore_clock": Cue(
        72, 4, "Em9 CM7 Am7 Bsus Em9 G6 F#dim B7 Em9 Am7 D9 GM7", CELESTA,
        "B5:2 -:2 E5:1 G5:1 -:2 A5:3 -:1 F#5:1 -:3 D5:2 G5:2 -:1 E5:3 -:4 D#5:1 F#5:1 -:2 G5:2 "
        "B5:1 -:1 C6:1 A5:1 -:2 F#5:2 E5:2 D5:4",
        ((GLASS_PAD, "hold", 3, 40), (CELLO, "bass", 2, 46)),
    ),
    "cliffhanger": Cue(
        96, 4, "Cm Ab Fm7 G7 Cm Db Fm G7 Cm", STRINGS,
        "C5:1 D5:1 Eb5:2 C5:1.5 Eb5:0.5 Ab5:2 G5:1 F5:1 Eb5:1 C5:1 D5:2 B4:2 Eb5:1 G5:1 C6:2 "
        "Db6:1.5 C6:0.5 Ab5:2 F5:1 Ab5:1 C6:1 F5:1 B5:2 G5:2 C5:4",
        ((STRINGS, "pulse", 3, 60), (CELLO, "bass", 2, 76), (PIANO, "broken", 3, 48)),
        (HORN, "-:16 G4:2 C5:2 F4:3 Ab4:1 C5:4 D5:2 G4:2 C5:4"),
    ),
    "overture": Cue(
        88, 3, "Bm G D A Em7 F#m G A Bm", CELLO,
        "F#3:1 B3:1 D4:1 G4:2 B3:1 A3:1 D4:1 F#4:1 E4:3 G4:1 B4:2 A4:1 C#5:1 F#4:1 D4:1 B4:1 G4:1 "
        "C#4:2 E4:1 B3:3",
        ((PIANO, "broken", 3, 50), (SLOW_STRINGS, "hold", 4, 40)),
        (FLUTE, "-:12 -:1 D6:1 B5:1 C#6:2 A5:1 G5:3 E5:1 A5:2 F#5:3"),
    ),
    "climb": Cue(
        112, 4, "Fm Fm7 Db Eb Ab Bbm C7", HARP,
        "F4:0.5 Ab4:0.5 C5:1 F5:1 Eb5:1 G5:1 Ab5:1 F5:2 Db5:1 F5:1 Ab5:1 Bb5:1 G5:1 Eb5:1 Bb4:2 "
        "C5:1 Eb5:1 Ab5:2 Bb5:1 Db6:1 F5:2 E5:2 C6:2",
        ((STRINGS, "pulse", 3, 54), (BASS, "bass", 2, 70), (CHOIR, "hold", 4, 36)),
    ),
    "search": Cue(
        76, 4, "Am9 FM7 Dm7 E7 Am", FLUTE,
        "-:1 E5:1 A5:1 B5:1 C6:2 A5:2 F5:1.5 E5:0.5 D5:1 A5:1 G#5:2 B5:1 E5:1 A5:4",
        ((GLASS_PAD, "hold", 3, 44), (VIBES, "broken", 4, 38), (CELLO, "bass", 2, 54)),
    ),
    "underscore_fog": Cue(
        60, 4, "Dsus Bbsus Gm9 Asus Dm9 FM7 Em7 A7 Bb6 C9 Gm7 Dm", WARM_PAD,
        "A4:3 -:1 F4:2 D4:2 G4:4 E4:2 -:2 F4:3 A4:1 C5:2 -:2 B4:3 -:1 C#5:2 E4:2 D5:4 Bb4:2 G4:2 "
        "F4:3 -:1 D4:4",
        ((SLOW_STRINGS, "hold", 3, 40), (HARP, "bass", 3, 42)),
    ),
    "found": Cue(
        100, 4, "D A Bm F#m G D Em7 A D", OBOE,
        "F#5:1 A5:1 D6:2 C#6:1 E5:1 A5:2 B5:1.5 F#5:0.5 D5:2 C#5:1 F#5:1 A5:2 B5:1 G5:1 D5:1 B4:1 "
        "A4:1 D5:1 F#5:2 G5:1 B5:1 E5:2 C#5:2 A5:2 D5:4",
        ((PIANO, "broken", 3, 56), (STRINGS, "hold", 3, 48), (BASS, "bass", 2, 66)),
        (HORN, "-:16 D4:2 G4:2 F#4:4 G4:1 B4:1 E4:2 A4:4 F#4:4"),
    ),
    "dawn": Cue(
        70, 3, "G D Em Bm C G Am7", MUSIC_BOX,
        "D6:1 B5:1 G5:1 A5:2 F#5:1 G5:1 E5:1 B5:1 D6:2 -:1 E6:1 C6:1 G5:1 B5:2 D5:1 A5:1 C6:2",
        ((GUITAR, "broken", 3, 52), (WARM_PAD, "hold", 3, 42)),
    ),
    "closing": Cue(
        80, 3, "D Bm G A F#m Bm Em A7 D G A D", PIANO,
        "A4:1 D5:1 F#5:1 E5:1.5 D5:1.5 B4:1 D5:1 G5:1 A5:3 C#6:1 A5:1 F#5:1 D5:2 F#5:1 G5:1 B5:1 "
        "E5:1 C#5:1.5 E5:1.5 F#5:2 A4:1 B4:1 D5:1 G5:1 E5:1 C#5:1 A4:1 D5:3",
        ((HARP, "broken", 3, 50), (SLOW_STRINGS, "hold", 3, 50), (CELLO, "bass", 2, 60)),
        (CLARINET, "-:12 A4:3 F#4:2 B4:1 G4:3 -:1 G4:2 A4:3 B4:3 C#5:3 D5:3"),
    ),
}
# fmt: on


def cue(name: str, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """One cue, mono at 24 kHz, exactly `seconds` long, with its last two seconds faded.

    Raises
    ------
    KeyError
        For a cue that is not composed.
    """
    score = CUES[name]
    voices = [Voice(score.lead, melody(score.tune, 84, rng))]
    if score.second is not None:
        voices.append(Voice(score.second[0], melody(score.second[1], 66, rng)))
    for program, pattern, octave, velocity in score.layers:
        voices.append(Voice(program, accompany(score.bars, pattern, score.beats, octave, velocity, rng)))
    samples = play(voices, score.tempo)
    n = int(seconds * SAMPLE_RATE)
    out = np.zeros(n)
    out[: min(n, len(samples))] = samples[:n]
    fade = int(min(2.0, seconds / 4) * SAMPLE_RATE)
    out[-fade:] *= np.linspace(1, 0, fade) ** 1.5
    return out


def length(name: str) -> float:
    """Seconds a cue takes as written, without its last note's tail."""
    score = CUES[name]
    return len(score.bars.split()) * score.beats * 60 / score.tempo
