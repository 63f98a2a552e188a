"""Sounds computed from nothing: vowels, tones, chords, noises, impacts, silence, and MIDI pieces for fluidsynth."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import lfilter

from fmri_audio.sound.audio import SAMPLE_RATE

_SOUND_FONTS = (Path("/usr/share/sounds/sf2/FluidR3_GM.sf2"), Path("/usr/share/sounds/sf2/default-GM.sf2"))


def voiced(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """A singing or murmuring throat: jittered harmonics or breath through moving formants."""
    pieces: list[np.ndarray] = []
    while sum(len(piece) for piece in pieces) < seconds * SAMPLE_RATE:
        n = int(rng.uniform(0.08, 0.5) * SAMPLE_RATE)
        t = np.arange(n) / SAMPLE_RATE
        pitch = rng.uniform(75, 400) * 2 ** (
            rng.uniform(-0.4, 0.4) * t / t[-1] + 0.02 * np.sin(2 * np.pi * 5.5 * t)
        )
        phase = np.cumsum(pitch) / SAMPLE_RATE
        pulses = np.diff(np.floor(phase), prepend=0.0) + 0.003 * rng.standard_normal(n)
        breath = rng.standard_normal(n) * rng.uniform(0.01, 0.3)
        source = lfilter([1.0], [1.0, -rng.uniform(0.6, 0.97)], pulses) if rng.random() < 0.75 else breath
        for centre in np.sort(
            rng.uniform([250, 800, 1800, 2900, 4500, 7000], [900, 2300, 3200, 4200, 6500, 10500])
        ):
            source = _resonate(source, centre, rng.uniform(50, 300))
        pieces.append(_unit(source) * rng.uniform(0.2, 1.0) * np.minimum(1, np.minimum(t, t[::-1]) / 0.02))
        pieces.append(np.zeros(int(rng.exponential(0.04) * SAMPLE_RATE)))
    return np.concatenate(pieces)[: int(seconds * SAMPLE_RATE)]


def chords(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """Overlapping additive tones with decays, vibrato and random spectra."""
    out = np.zeros(int(seconds * SAMPLE_RATE))
    for start in np.arange(0, seconds, rng.uniform(0.1, 0.6)):
        first = int(start * SAMPLE_RATE)
        n = min(len(out) - first, int(rng.uniform(0.2, 2.0) * SAMPLE_RATE))
        t = np.arange(n) / SAMPLE_RATE
        for _ in range(rng.integers(1, 4)):
            pitch = 440 * 2 ** (rng.integers(-36, 37) / 12)
            slope, decay = rng.uniform(0.4, 2.0), rng.uniform(0.5, 12)
            for harmonic in range(1, min(24, int(11_500 / pitch)) + 1):
                swing = 1 + 0.004 * rng.random() * np.sin(2 * np.pi * rng.uniform(4, 7) * t)
                tone = np.sin(
                    2 * np.pi * np.cumsum(pitch * harmonic * swing) / SAMPLE_RATE + rng.uniform(0, 6.28)
                )
                out[first : first + n] += (
                    tone * harmonic**-slope * np.exp(-decay * t) * np.minimum(1, t / 0.004)
                )
    return _unit(out)


def noises(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """Coloured noise with a slow or fast envelope: wind, hiss, surf, applause."""
    n = int(seconds * SAMPLE_RATE)
    spectrum = np.fft.rfft(rng.standard_normal(n))
    frequency = np.fft.rfftfreq(n, 1 / SAMPLE_RATE) + 20
    spectrum *= frequency ** -rng.uniform(-0.3, 1.2)
    if rng.random() < 0.5:
        centre, width = rng.uniform(200, 9000), rng.uniform(0.2, 1.5)
        spectrum *= np.exp(-(np.log2(frequency / centre) ** 2) / (2 * width**2))
    rate = 10 ** rng.uniform(-0.5, 1.5)
    knots = rng.uniform(0.0, 1.0, int(seconds * rate) + 3) ** 2
    envelope = np.interp(np.arange(n) / SAMPLE_RATE * rate, np.arange(len(knots)), knots)
    return _unit(np.fft.irfft(spectrum, n) * (0.05 + envelope))


def impacts(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """Drum-like hits, clicks and bells: decaying modes and noise bursts."""
    out = np.zeros(int(seconds * SAMPLE_RATE))
    for first in np.sort(rng.integers(0, len(out), int(seconds * rng.uniform(1, 8)))):
        n = min(len(out) - first, int(rng.uniform(0.01, 0.8) * SAMPLE_RATE))
        t = np.arange(n) / SAMPLE_RATE
        hit = rng.standard_normal(n) * np.exp(-t * rng.uniform(15, 400)) * rng.uniform(0, 1)
        for _ in range(rng.integers(0, 6)):
            mode = 60 * 2 ** rng.uniform(0, 7) * (1 + rng.uniform(0, 0.3) * np.exp(-20 * t))
            hit += np.sin(2 * np.pi * np.cumsum(mode) / SAMPLE_RATE) * np.exp(-t * rng.uniform(3, 60))
        out[first : first + n] += hit * rng.uniform(0.1, 1)
    return _unit(out)


def sweeps(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """Steady sines, chirps, and stretches of near-silence, some seconds each."""
    pieces: list[np.ndarray] = []
    while sum(len(piece) for piece in pieces) < seconds * SAMPLE_RATE:
        n = int(rng.uniform(0.3, 2.0) * SAMPLE_RATE)
        ends = 40 * 2 ** rng.uniform(0, 8.2, 2)
        if rng.random() < 0.5:
            ends[1] = ends[0]
            if rng.random() < 1 / 3:
                ends[:] = 1000 * max(1, round(ends[0] / 1000))
        tone = np.sin(2 * np.pi * np.cumsum(np.geomspace(ends[0], ends[1], n)) / SAMPLE_RATE)
        level = 0.0 if rng.random() < 0.2 else rng.uniform(0.02, 1)
        pieces.append(tone * level + 10 ** rng.uniform(-5, -2.5) * rng.standard_normal(n))
    return np.concatenate(pieces)[: int(seconds * SAMPLE_RATE)]


def narrow(
    rng: np.random.Generator, seconds: float, make: Callable[[np.random.Generator, np.ndarray], np.ndarray]
) -> np.ndarray:
    """Pieces of :func:`tones` or :func:`band`, one after the other, in a little noise."""
    pieces: list[np.ndarray] = []
    while sum(len(piece) for piece in pieces) < seconds * SAMPLE_RATE:
        n = int(rng.uniform(0.2, 1.5) * SAMPLE_RATE)
        t = np.arange(n) / SAMPLE_RATE
        piece = make(rng, t) * rng.uniform(0.1, 1.0) + 10 ** rng.uniform(-5, -2) * rng.standard_normal(n)
        pieces.append(piece * np.minimum(1, np.minimum(t, t[::-1]) / 0.01))
    return _unit(np.concatenate(pieces)[: int(seconds * SAMPLE_RATE)])


def tones(rng: np.random.Generator, t: np.ndarray) -> np.ndarray:
    """One to three tones at times ``t``, steady, gliding or trembling; 0.6 to 11.5 kHz, the upper ones more often.

    A third of the steady ones are a whole number of kilohertz: those that fit the strides evenly are hard to learn.
    """
    out = np.zeros(len(t))
    for _ in range(rng.choice([1, 1, 2, 3])):
        ends = 11_500 * 2 ** (-4.2 * rng.uniform(0, 1, 2) ** 1.7)
        if rng.random() < 0.6:
            ends[1] = ends[0]
            if rng.random() < 1 / 3:
                ends[:] = 1000 * max(1, round(ends[0] / 1000))
        swing = 1 + 0.03 * rng.random() * (rng.random() < 0.4) * np.sin(2 * np.pi * rng.uniform(4, 30) * t)
        phase = 2 * np.pi * np.cumsum(np.geomspace(ends[0], ends[1], len(t)) * swing) / SAMPLE_RATE
        out += np.sin(phase + rng.uniform(0, 2 * np.pi)) * rng.uniform(0.2, 1.0)
    if rng.random() < 0.3:
        out *= 1 - rng.random() * (0.5 + 0.5 * np.sin(2 * np.pi * rng.uniform(2, 40) * t))
    return out


def band(rng: np.random.Generator, t: np.ndarray) -> np.ndarray:
    """A band of noise at times ``t``, a few hundredths to one octave wide, 0.7 to 11 kHz."""
    frequency = np.fft.rfftfreq(len(t), 1 / SAMPLE_RATE) + 20
    centre, width = 11_000 * 2 ** (-4 * rng.uniform() ** 1.5), rng.uniform(0.02, 0.4)  # Hz, octaves
    shape = np.exp(-(np.log2(frequency / centre) ** 2) / (2 * width**2))
    return _unit(np.fft.irfft(np.fft.rfft(rng.standard_normal(len(t))) * shape, len(t)))


def sound_font() -> Path | None:
    """The General MIDI sound font for fluidsynth, where both are installed."""
    return next((f for f in _SOUND_FONTS if f.exists()), None) if shutil.which("fluidsynth") else None


def played(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """A random piece for a few General MIDI instruments and drums, played by fluidsynth."""
    font = sound_font()
    if font is None:
        raise FileNotFoundError("fluidsynth or its sound font is missing")
    with tempfile.TemporaryDirectory() as folder:
        midi, sound = Path(folder) / "piece.mid", Path(folder) / "piece.wav"
        midi.write_bytes(_piece(rng, seconds))
        command = [
            "fluidsynth",
            "-ni",
            "-g",
            "0.5",
            "-r",
            str(SAMPLE_RATE),
            "-F",
            str(sound),
            str(font),
            str(midi),
        ]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        samples, _ = soundfile.read(sound, dtype="float32", always_2d=True)
    return _unit(samples[: int(seconds * SAMPLE_RATE)].mean(axis=1))


def _piece(rng: np.random.Generator, seconds: float) -> bytes:
    """A standard MIDI file (format 0, 480 ticks per half second)."""
    events: list[tuple[int, bytes]] = []
    ticks, beat = int(seconds * 960), int(rng.integers(200, 520))
    scale = np.array([0, 2, 4, 5, 7, 9, 11]) if rng.random() < 0.5 else np.array([0, 2, 3, 5, 7, 8, 10])
    root = int(rng.integers(36, 60))
    for channel in range(rng.integers(1, 5)):
        events.append((0, bytes([0xC0 | channel, int(rng.integers(0, 120))])))
        octave, busy = 12 * int(rng.integers(0, 4)), rng.uniform(0.4, 1.0)
        for start in range(0, ticks, beat * int(rng.choice([1, 1, 2, 4]))):
            if rng.random() > busy:
                continue
            for degree in rng.integers(0, 7, rng.choice([1, 1, 3])):
                note, loud = int(min(108, root + octave + scale[degree])), int(rng.integers(50, 120))
                events.append((start, bytes([0x90 | channel, note, loud])))
                events.append((start + int(beat * rng.uniform(0.3, 2)), bytes([0x80 | channel, note, 0])))
    if rng.random() < 0.5:
        for start in range(0, ticks, beat // 2):
            if rng.random() < 0.7:
                drum = int(rng.choice([36, 38, 42, 42, 46, 49, 45]))
                events.append((start, bytes([0x99, drum, int(rng.integers(40, 115))])))
    track, now = b"", 0
    for when, message in sorted(events, key=lambda event: event[0]):
        track += _variable(when - now) + message
        now = when
    track += b"\x00\xff\x2f\x00"
    return (
        b"MThd"
        + (6).to_bytes(4, "big")
        + b"\0\0\0\1\x01\xe0"
        + b"MTrk"
        + len(track).to_bytes(4, "big")
        + track
    )


def _variable(value: int) -> bytes:
    """A number in MIDI's variable-length form."""
    parts = [value & 0x7F]
    while value := value >> 7:
        parts.append(0x80 | (value & 0x7F))
    return bytes(reversed(parts))


def _resonate(x: np.ndarray, centre: float, width: float) -> np.ndarray:
    radius = np.exp(-np.pi * width / SAMPLE_RATE)
    angle = 2 * np.pi * min(centre, 0.46 * SAMPLE_RATE) / SAMPLE_RATE
    gain = 1 - 2 * radius * np.cos(angle) + radius**2
    return np.asarray(lfilter([gain], [1.0, -2 * radius * np.cos(angle), radius**2], x))


def _unit(x: np.ndarray) -> np.ndarray:
    return np.asarray(x / (np.abs(x).max() + 1e-9))
