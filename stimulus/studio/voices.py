"""A character's voice: what a synthesiser says, at the studio's rate, and when each word is spoken.

Synthesisers come as Python packages: Kokoro's network (``kokoro.py``) and SVOX Pico (``ttspico``). Neither tells when
its words begin and end, so every take is aligned with its text before anything else is done to it (``align.py``).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.signal import butter, lfilter, resample_poly, sosfiltfilt

from . import kokoro
from .align import aligned
from .spoken import WORD, Spoken, Word

SAMPLE_RATE = 24_000
PICO_RATE = 16_000
PICO_PITCH = 107
"""In percent: a little higher than it comes, where it is judged more natural (DNSMOS)."""

LIFTED_ABOVE = 700.0
"""Corner in Hz of the shelf by which a voice is made brighter."""


@dataclass(frozen=True)
class Role:
    """How a character sounds; see ``cast.yml``."""

    name: str
    engine: str
    accent: str
    rate: float
    lift: float
    timbre: Mapping[str, float] = field(default_factory=dict)
    manner: Mapping[str, float] = field(default_factory=dict)


def _kokoro(text: str, role: Role, rate: float) -> tuple[np.ndarray, int]:
    samples = kokoro.speak(text, role.timbre, role.manner, role.accent, rate)
    return samples, kokoro.SAMPLE_RATE


@functools.lru_cache(maxsize=1)
def _pico_engine(accent: str) -> Any:
    from ttspico import TtsEngine

    return TtsEngine(f"en-{accent.upper()}")


def _pico(text: str, role: Role, rate: float) -> tuple[np.ndarray, int]:
    """SVOX Pico's voice of an accent; its rate, pitch and volume are in percent, and at full volume it clips."""
    engine = _pico_engine(role.accent)
    engine.rate, engine.pitch, engine.volume = round(100 * rate), PICO_PITCH, 50
    return np.frombuffer(engine.speak(text), np.int16) / 32768, PICO_RATE


ENGINES = {"kokoro": _kokoro, "pico": _pico}


def respell(text: str, respelled: Mapping[str, str]) -> str:
    """Return a text with the words that a synthesiser mispronounces written as it reads them rightly."""
    return re.sub(WORD, lambda match: respelled.get(match.group().lower(), match.group()), text)


def to_studio_rate(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Resample to 24 kHz."""
    if sample_rate == SAMPLE_RATE:
        return samples
    divisor = int(np.gcd(SAMPLE_RATE, sample_rate))
    return resample_poly(samples, SAMPLE_RATE // divisor, sample_rate // divisor, window=("kaiser", 10.0))


def add_top_octave(out: np.ndarray) -> np.ndarray:
    """Give a 16 kHz voice (at 24 kHz) the octave it lacks: a copy of its 4-8 kHz band, moved up by 4 kHz."""
    band = sosfiltfilt(butter(4, [4000, 7600], "bandpass", fs=SAMPLE_RATE, output="sos"), out)
    moved = band * np.cos(2 * np.pi * 4000 * np.arange(len(out)) / SAMPLE_RATE)
    top = sosfiltfilt(butter(6, [7800, 11_600], "bandpass", fs=SAMPLE_RATE, output="sos"), moved)
    return out + 0.7 * top


def high_shelf(samples: np.ndarray, corner: float, gain_db: float) -> np.ndarray:
    """Second-order high shelf (R. Bristow-Johnson's cookbook, slope 1)."""
    a = 10 ** (gain_db / 40)
    w = 2 * np.pi * corner / SAMPLE_RATE
    alpha = np.sin(w) / np.sqrt(2)
    c, r = np.cos(w), 2 * np.sqrt(a) * alpha
    b = [a * ((a + 1) + (a - 1) * c + r), -2 * a * ((a - 1) + (a + 1) * c), a * ((a + 1) + (a - 1) * c - r)]
    d = [(a + 1) - (a - 1) * c + r, 2 * ((a - 1) - (a + 1) * c), (a + 1) - (a - 1) * c - r]
    return lfilter(np.array(b) / d[0], np.array(d) / d[0], samples)


def trim(spoken: Spoken, before: float = 0.06, after: float = 0.14) -> Spoken:
    """Cut what lies before the first word and after the last, and fade the margins that stay."""
    rate = spoken.sample_rate
    first = max(0, int((spoken.words[0].onset - before) * rate))
    last = min(len(spoken.samples), int((spoken.words[-1].offset + after) * rate))
    shift, length = first / rate, (last - first) / rate
    words = [
        Word(w.text, *(float(np.clip(t - shift, 0.0, length)) for t in (w.onset, w.offset)))
        for w in spoken.words
    ]
    samples = spoken.samples[first:last].copy()
    rise, fall = int(0.03 * rate), int(0.08 * rate)
    samples[:rise] *= np.linspace(0, 1, rise)
    samples[-fall:] *= np.linspace(1, 0, fall)
    return Spoken(samples, rate, words)


def say(sentence: str, role: Role, rate: float, respelled: Mapping[str, str]) -> Spoken:
    """One sentence in a character's voice at 24 kHz, peak near 0.5, with word times."""
    samples, own_rate = ENGINES[role.engine](respell(sentence, respelled), role, role.rate * rate)

    def pronounced(word: str) -> str:
        return kokoro.phonemes(respell(word, respelled), role.accent)

    words = aligned(samples, own_rate, sentence, pronounced)
    samples = to_studio_rate(samples, own_rate)
    if own_rate < SAMPLE_RATE:
        samples = add_top_octave(samples)
    trimmed = trim(Spoken(high_shelf(samples, LIFTED_ABOVE, role.lift), SAMPLE_RATE, words))
    trimmed.samples = 0.5 * trimmed.samples / np.abs(trimmed.samples).max()
    return trimmed
