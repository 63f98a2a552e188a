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

_PEAK = 0.5


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
    """

    onset: float
    offset: float
    text: str
    voice: str = ""
    part_of: str = ""


def passages(
    table: pd.DataFrame, begin: float, end: float, most_seconds: float = MOST_SECONDS
) -> list[Passage]:
    """Return the passages of speech that lie whole within a stretch, in order, until ``most_seconds`` are full.

    Parameters
    ----------
    table : DataFrame
        ``onset``, ``offset`` (seconds), ``kind``, ``text``, perhaps ``speaker``; a table without texts has no passages.
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
    spoken = table[(table["kind"] == "speech") & (table["onset"] >= begin) & (table["offset"] <= end)]
    named = spoken.reindex(columns=["onset", "offset", "text", "speaker"]).fillna({"text": "", "speaker": ""})
    for onset, offset, text, voice in named.itertuples(index=False):
        full = sum(one.offset - one.onset for one in found)
        if re.search(r"\w", str(text)) and full + offset - onset <= most_seconds:
            found.append(Passage(float(onset) - begin, float(offset) - begin, str(text), str(voice)))
    return found


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
