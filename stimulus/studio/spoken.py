"""A take and the words in it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np

WORD = r"[A-Za-z]+(?:'[a-z]+)?"


@dataclass
class Word:
    """One spoken word with its times in seconds from the start of the sound it belongs to."""

    text: str
    onset: float
    offset: float


@dataclass
class Spoken:
    """A mono sound and the words in it."""

    samples: np.ndarray
    sample_rate: int
    words: list[Word] = field(default_factory=list)


def spoken_forms(text: str) -> list[str]:
    """Return the words of a sentence as the timetable writes them, without punctuation, in lower case."""
    return re.findall(WORD, text.lower())
