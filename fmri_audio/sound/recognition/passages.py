"""What is said when: stretches of speech with known words, cut out of a sound for a recogniser."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fmri_audio.base.kinds import Waveform
from fmri_audio.sound.audio import resample

SAMPLE_RATE = 16_000
"""Hz that both recognisers were trained on."""

MOST_SECONDS = 300.0
"""Sound recognised per condition: at the pace of speech it holds some 700 words."""

SENTENCE, UNPREDICTABLE = "sentence", "unpredictable"
"""Material of a passage: one that a listener can guess at, and one in which no word follows from the others."""

_PEAK = 0.5

_BREATH = 2.0
"""Longest pause in seconds within a passage of several sentences."""


@dataclass(frozen=True)
class Passage:
    """A stretch of speech and what is said in it.

    Attributes
    ----------
    onset, offset : float
        Seconds.
    text : str
        What is said.
    voice : str
        Who says it; empty where nobody is named.
    part_of : str
        The passage that this is a sentence of; empty where it is a passage of its own.
    material : str
        :data:`SENTENCE` or :data:`UNPREDICTABLE`.
    """

    onset: float
    offset: float
    text: str
    voice: str = ""
    part_of: str = ""
    material: str = SENTENCE


def passages(
    table: pd.DataFrame, begin: float, end: float, most_seconds: float = MOST_SECONDS
) -> list[Passage]:
    """Return the passages of speech that lie whole within a stretch, in order, until ``most_seconds`` are full.

    Where the table has a row per sentence, each is one; what a voice says without being interrupted has one
    ``part_of``.

    Parameters
    ----------
    table : DataFrame
        ``onset``, ``offset`` (seconds), ``kind``, ``text``, perhaps ``speaker`` and ``material``; a table without
        texts has no passages.
    begin, end : float
        Seconds.

    Returns
    -------
    list of Passage
        Times counted from ``begin``.
    """
    if "text" not in table.columns:
        return []
    found: list[Passage] = []
    full = 0.0
    spoken = table[table["kind"] == "speech"].reindex(columns=list(_COLUMNS)).fillna(_COLUMNS)
    parts = _uninterrupted(spoken)
    for part, (onset, offset, text, voice, material) in zip(
        parts, spoken.itertuples(index=False), strict=True
    ):
        whole = onset >= begin and offset <= end and full + offset - onset <= most_seconds
        if whole and re.search(r"\w", str(text)):
            full += offset - onset
            times = float(onset) - begin, float(offset) - begin
            found.append(Passage(*times, str(text), str(voice), part, str(material)))
    return found


_COLUMNS = {"onset": 0.0, "offset": 0.0, "text": "", "speaker": "", "material": SENTENCE}
"""Columns that are read, and what an empty cell says."""


def _uninterrupted(spoken: pd.DataFrame) -> list[str]:
    """Name for every row of speech the passage that it is a sentence of, by the place of its first sentence."""
    follows = (spoken["speaker"] == spoken["speaker"].shift()) & (
        spoken["onset"] - spoken["offset"].shift() <= _BREATH
    )
    return [str(number) for number in (~follows).cumsum()]


def stretches(waveform: Waveform, sample_rate: int, spoken: Sequence[Passage]) -> list[Waveform]:
    """Cut passages out of a sound, at 16 kHz and at one peak level: loudness is not what is asked.

    Parameters
    ----------
    waveform : array, shape [T]
    sample_rate : int
        In Hz.
    spoken : sequence of Passage
        Times counted from the waveform's start.

    Returns
    -------
    list of array, each of shape [T]
        Silence stays silence; what lies behind the waveform's end is empty.
    """
    at_16_khz = resample(waveform, sample_rate, SAMPLE_RATE)
    cuts = [at_16_khz[round(one.onset * SAMPLE_RATE) : round(one.offset * SAMPLE_RATE)] for one in spoken]
    return [to_one_level(cut) for cut in cuts]


def to_one_level(sound: Waveform) -> Waveform:
    """Bring the peak of a sound, shape [T], to one level."""
    peak = float(np.abs(sound).max(initial=0.0))
    return np.asarray(sound * (_PEAK / peak) if peak > 0 else sound, np.float32)
