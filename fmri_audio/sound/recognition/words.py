"""Word errors: the words of a passage that a recogniser gets wrong, leaves out or adds.

The recogniser errs on clean speech as well, so errors are read beside those of the original
(:mod:`fmri_audio.sound.recognition.beyond`). Where the original's exceed 40 % nothing is reported.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from fmri_audio.base.errors import UserError
from fmri_audio.base.extras import from_extra
from fmri_audio.base.kinds import Waveform
from fmri_audio.sound.recognition.passages import Passage, stretches
from fmri_audio.sound.recognition.recogniser import NO_RECOGNISER, find_recogniser

WORST_ORIGINAL = 0.4
"""Word error rate of the original above which the recogniser cannot judge."""

UNDEFINED = float("nan")


@dataclass(frozen=True)
class Words:
    """How a recogniser read one passage.

    Attributes
    ----------
    passage : Passage
    said : int
        Number of words in the passage.
    substitutions, deletions, insertions : float
        Numbers of words taken for others, left out, and added; NaN where no recogniser is there.
    """

    passage: Passage
    said: int
    substitutions: float
    deletions: float
    insertions: float

    @property
    def errors(self) -> float:
        """Number of words that are wrong, left out or added."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Errors as a share of the words that are said: it can exceed 1, and is NaN where nothing is said."""
        return self.errors / self.said if self.said else UNDEFINED


def heard(waveform: Waveform, sample_rate: int, spoken: Sequence[Passage]) -> list[str]:
    """Return what the recogniser hears in each passage, by itself: nothing is carried over from one to the next.

    Parameters
    ----------
    waveform : array, shape [T]
        Each passage is brought to one peak level before it is recognised: loudness is not what is asked.
    sample_rate : int
        In Hz.
    spoken : sequence of Passage
        Times counted from the waveform's start. What is said in them is not looked at.

    Raises
    ------
    UserError
        No recogniser is there, or its files are not as they should be.
    """
    recogniser = find_recogniser()
    if recogniser is None:
        raise UserError(NO_RECOGNISER)
    return recogniser.transcribe(stretches(waveform, sample_rate, spoken))


def word_errors(waveform: Waveform, sample_rate: int, spoken: Sequence[Passage]) -> list[Words]:
    """Count the words of each passage that are heard wrong; parameters as for :func:`heard`.

    Returns
    -------
    list of Words
        One per passage, in their order; errors are NaN where no recogniser is there.
    """
    if find_recogniser() is None:
        return [Words(one, _number(one.text), UNDEFINED, UNDEFINED, UNDEFINED) for one in spoken]
    texts = heard(waveform, sample_rate, spoken)
    return [counted(one, text) for one, text in zip(spoken, texts, strict=True)]


def word_error_rate(waveform: Waveform, sample_rate: int, spoken: Sequence[Passage]) -> float:
    """Substituted, left-out and added words of all passages, as a share of the words that are said.

    Parameters
    ----------
    waveform : array, shape [T]
    sample_rate : int
        In Hz.
    spoken : sequence of Passage
        Times counted from the waveform's start.

    Returns
    -------
    float
        0 where all is right; it can exceed 1. NaN where nothing is said, and where no recogniser is there
        (:data:`fmri_audio.sound.recognition.recogniser.NO_RECOGNISER` says what to do).
    """
    words = word_errors(waveform, sample_rate, spoken)
    said = sum(one.said for one in words)
    return sum(one.errors for one in words) / said if said else UNDEFINED


def counted(passage: Passage, text: str) -> Words:
    """Count the errors of what was heard in a passage, by the fewest edits of words (Levenshtein)."""
    with from_extra("recognition"):
        import jiwer

    said, got = normalised(passage.text), normalised(text)
    if not said:
        return Words(passage, 0, 0, 0, len(got.split()))
    edits = jiwer.process_words(said, got)
    return Words(passage, len(said.split()), edits.substitutions, edits.deletions, edits.insertions)


def normalised(text: str) -> str:
    """Write a text as its words, so that spelling is no error: ``It's two, colour!`` becomes ``it is 2 color``.

    By the normaliser for English that Whisper's authors count with (Radford et al. 2023, appendix C). It writes
    ``eleven forty`` as ``1140`` and ``11:40`` as ``11 40``, so digits that follow one another are joined; what has no
    letter and no digit is no word.
    """
    words = [word for word in _normaliser()(text.replace("’", "'")).split() if re.search(r"\w", word)]
    return re.sub(r"(?<=\d) (?=\d)", "", " ".join(words))


def _number(text: str) -> int:
    return len(normalised(text).split())


@cache
def _normaliser() -> Any:
    with from_extra("recognition"):
        from whisper_normalizer.english import EnglishTextNormalizer

    return EnglishTextNormalizer()
