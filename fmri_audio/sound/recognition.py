"""Word error rate: how many words a speech recogniser gets wrong in a decoded sound.

The recogniser is pocketsphinx with the US English model in its wheel: old, small and reproducible. It errs on clean
speech as well, so a rate is read beside that of the original, and where the original's exceeds 40 % nothing is
reported.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
import torchaudio

from fmri_audio.base.extras import from_extra
from fmri_audio.base.kinds import Waveform

SAMPLE_RATE = 16_000
"""Hz that the recogniser's model was trained on."""

MOST_SECONDS = 60.0
"""Sound recognised per condition: the recogniser is slow."""

WORST_ORIGINAL = 0.4
"""Word error rate of the original above which the recogniser cannot judge."""

_PEAK = 0.5


@dataclass(frozen=True)
class Passage:
    """A stretch of speech and what is said in it; ``onset`` and ``offset`` in seconds."""

    onset: float
    offset: float
    text: str


def passages(
    table: pd.DataFrame, begin: float, end: float, most_seconds: float = MOST_SECONDS
) -> list[Passage]:
    """Return the passages of speech that lie whole within a stretch, in order, until ``most_seconds`` are full.

    Parameters
    ----------
    table : DataFrame
        ``onset``, ``offset`` (seconds), ``kind`` and ``text``; a table without texts has no passages.
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
    for onset, offset, text in spoken[["onset", "offset", "text"]].itertuples(index=False):
        full = sum(one.offset - one.onset for one in found)
        if _words(str(text)) and full + offset - onset <= most_seconds:
            found.append(Passage(float(onset) - begin, float(offset) - begin, str(text)))
    return found


def word_error_rate(waveform: Waveform, sample_rate: int, spoken: Sequence[Passage]) -> float:
    """Substituted, left-out and added words, as a share of the words that are said.

    Parameters
    ----------
    waveform : array, shape [T]
        Each passage is brought to one peak level before it is recognised: loudness is not what is asked.
    sample_rate : int
        In Hz.
    spoken : sequence of Passage
        Times counted from the waveform's start.

    Returns
    -------
    float
        0 where all is right; it can exceed 1. NaN where nothing is said.
    """
    with from_extra("recognition"):
        import jiwer

    if not spoken:
        return float("nan")
    at_16_khz = torchaudio.functional.resample(torch.from_numpy(waveform), sample_rate, SAMPLE_RATE).numpy()
    stretches = [
        at_16_khz[round(one.onset * SAMPLE_RATE) : round(one.offset * SAMPLE_RATE)] for one in spoken
    ]
    heard = [" ".join(_words(text)) for text in _recognise(stretches)]
    return float(jiwer.wer([" ".join(_words(one.text)) for one in spoken], heard))


def _recognise(stretches: Sequence[Waveform]) -> list[str]:
    """What the recogniser hears in each stretch of sound at 16 kHz; empty where it hears no words."""
    with from_extra("recognition"):
        from pocketsphinx import Decoder

    decoder = Decoder(samprate=float(SAMPLE_RATE), loglevel="FATAL")
    heard = []
    for sound in stretches:
        peak = float(np.abs(sound).max(initial=0.0))
        scaled = sound * (_PEAK / peak) if peak > 0 else sound
        decoder.start_utt()
        decoder.process_raw((scaled * 32_767).astype("<i2").tobytes(), full_utt=True)
        decoder.end_utt()
        best = decoder.hyp()
        heard.append(best.hypstr if best is not None else "")
    return heard


def _words(text: str) -> list[str]:
    """Words of a text in lower case, without punctuation."""
    return re.findall(r"[a-z]+(?:'[a-z]+)*", text.lower())
