"""Words that are lost from one recording to another, where nobody says what is said when.

A recording may be longer than the 30 s that Whisper hears at once: both are read in pieces that end in the reference's
pauses, and what was read in them is put together before words are counted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fmri_audio.base.documents import read_bytes
from fmri_audio.base.errors import UserError
from fmri_audio.base.kinds import Signal
from fmri_audio.sound.audio import resample
from fmri_audio.sound.metrics.base import LEAST_SPEECH, constant, mean
from fmri_audio.sound.pieces import pieces
from fmri_audio.sound.recognition.passages import SAMPLE_RATE, Passage, to_one_level
from fmri_audio.sound.recognition.recogniser import NO_RECOGNISER, Recogniser, find_recogniser
from fmri_audio.sound.recognition.words import UNDEFINED, WORST_ORIGINAL, counted
from fmri_audio.sound.segments import speech_fraction

TRANSCRIPT, READING = "transcript", "the recogniser's reading of the reference"
"""What words are compared with."""

TRANSCRIPT_BYTES = 1 << 20
"""Longest transcript that is read: some 18 hours of speech."""


@dataclass(frozen=True)
class ComparedWords:
    """How many words a degraded recording loses.

    Attributes
    ----------
    wrong : float
        Errors in the degraded recording minus those in the reference, as a share of the words said: it can exceed 1,
        and is negative where the degraded recording is read better. NaN where it is undefined.
    said : int or None
        Number of words that are compared; None where they were not counted.
    reference : str or None
        :data:`TRANSCRIPT` or :data:`READING`; None where there is no recogniser.
    recogniser : Recogniser or None
    why : str
        Why ``wrong`` is undefined; empty where it is not.
    """

    wrong: float
    said: int | None
    reference: str | None
    recogniser: Recogniser | None
    why: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return what was counted, and by which recogniser, with ``None`` for what is undefined."""
        one = self.recogniser
        return {
            "words_wrong": None if math.isnan(self.wrong) else self.wrong,
            "words_reference": self.reference,
            "words_said": self.said,
            "recogniser": one
            and {name: getattr(one, name) for name in ("name", "licence", "source", "sha256")},
        }

    @property
    def undefined(self) -> dict[str, str]:
        """Why what is ``None`` in :meth:`as_json` is so, by its name."""
        return {name: self.why for name, value in self.as_json().items() if value is None}


NOT_ASKED = ComparedWords(
    UNDEFINED, None, None, None, "words are counted with --words, or with --transcript FILE"
)
"""What is known of words where nobody asked for them."""


def compare_words(
    reference: Signal, degraded: Signal, sample_rate: int, transcript: str | None = None
) -> ComparedWords:
    """Count the words of a degraded recording that are read wrong, beyond those of the reference.

    Parameters
    ----------
    reference, degraded : arrays of shape [T], mono and aligned
    sample_rate : Hz
    transcript
        What is said in the whole reference; unless it is given, what the recogniser reads in the reference.

    Raises
    ------
    UserError
        The recogniser's files are not as they should be.
    """
    recogniser = find_recogniser()
    if recogniser is None:
        return ComparedWords(UNDEFINED, None, None, None, NO_RECOGNISER)
    kind = READING if transcript is None else TRANSCRIPT
    if why := _not_to_be_read(reference, sample_rate, transcript is None):
        return ComparedWords(UNDEFINED, None, kind, recogniser, why)
    ref, deg = (resample(sound, sample_rate, SAMPLE_RATE) for sound in (reference, degraded))
    cuts = pieces(ref - np.float32(mean(ref)), SAMPLE_RATE, hold=False)
    read = _read(recogniser, ref, cuts)
    said = Passage(0.0, len(ref) / SAMPLE_RATE, read if transcript is None else transcript)
    own = counted(said, read)
    if why := _not_to_be_judged(own.said, own.rate, kind):
        return ComparedWords(UNDEFINED, own.said, kind, recogniser, why)
    errors = counted(said, _read(recogniser, deg, cuts)).errors - own.errors
    return ComparedWords(errors / own.said, own.said, kind, recogniser)


def read_transcript(path: Path) -> str:
    """Read what is said in a recording: plain text in UTF-8.

    Raises
    ------
    UserError
        The file is missing, cannot be read, is no such text, or has no words.
    """
    content = read_bytes(path, TRANSCRIPT_BYTES)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{path} is no text in UTF-8: save the transcript as plain text in UTF-8") from None
    if re.search(r"[^\t\n\f\r\x20-\x7e\x80-\U0010ffff]", text):
        raise UserError(f"{path} is no plain text: give what is said, as plain text in UTF-8")
    if not re.search(r"\w", text):
        raise UserError(f"{path} has no words: give what is said in the reference, as plain text in UTF-8")
    return text


def _not_to_be_read(reference: Signal, sample_rate: int, by_itself: bool) -> str:
    """Say why a reference has no words to be read: a recogniser would invent some. Empty where it may have."""
    if not len(reference):
        return "the two sounds do not overlap"
    if constant(reference):
        return "the reference is silent"
    if by_itself and speech_fraction(reference, sample_rate) < LEAST_SPEECH:
        return "less than a tenth of the reference is speech"
    return ""


def _not_to_be_judged(said: int, own_rate: float, kind: str) -> str:
    """Say why the recogniser cannot judge by what it read in the reference; empty where it can."""
    if not said:
        return "the transcript has no words" if kind == TRANSCRIPT else "no word is read in the reference"
    if own_rate > WORST_ORIGINAL:
        return (
            f"the recogniser gets {own_rate:.0%} of the reference's own words wrong: above {WORST_ORIGINAL:.0%} it "
            "cannot judge, or the transcript is of something else"
        )
    return ""


def _read(recogniser: Recogniser, sound: Signal, cuts: Iterable[slice]) -> str:
    """Return what is read in the pieces of a sound at 16 kHz, put together; in silence nothing is."""
    texts = []
    for cut in cuts:
        piece = sound[cut]
        if not constant(piece):
            texts += recogniser.transcribe([to_one_level(np.asarray(piece - mean(piece), np.float32))])
    return " ".join(texts)
