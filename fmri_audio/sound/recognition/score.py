"""What is told of the words of a sound: how many are wrong, in which way, and how many more than in the original."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fmri_audio.sound.recognition.beyond import Beyond, beyond_original
from fmri_audio.sound.recognition.passages import SENTENCE
from fmri_audio.sound.recognition.words import UNDEFINED, WORST_ORIGINAL, Words

SUBSTITUTIONS, DELETIONS, INSERTIONS = "substitutions", "deletions", "insertions"
"""Ways in which a word can be wrong."""


@dataclass(frozen=True)
class WordScore:
    """How the words of a sound were read, as shares of the words said; NaN where they were not.

    Attributes
    ----------
    beyond : Beyond
        The main score: errors minus those in the original, paired by utterance.
    wrong : float
        All errors, those that are made in the original too.
    substitutions, deletions, insertions : float
        Their parts.
    """

    beyond: Beyond
    wrong: float
    substitutions: float
    deletions: float
    insertions: float


def word_score(
    words_of_sound: Sequence[Words], words_of_original: Sequence[Words], seed: int, material: str = SENTENCE
) -> WordScore:
    """Return the score of the passages of one material.

    Where the recogniser gets more than :data:`WORST_ORIGINAL` of the original's words wrong it cannot judge, and all
    is undefined.

    Parameters
    ----------
    words_of_sound, words_of_original : sequence of Words
        Of the same passages in the same order.
    seed : int
        Of the bootstrap.
    material : str
        Passages of other material are left out.

    Raises
    ------
    ValueError
        The passages differ.
    """
    sound, original = (
        [one for one in words if one.passage.material == material]
        for words in (words_of_sound, words_of_original)
    )
    beyond = beyond_original(sound, original, seed)
    if not wrong_share(original) <= WORST_ORIGINAL:
        return WordScore(Beyond(UNDEFINED, UNDEFINED, UNDEFINED, beyond.said), *[UNDEFINED] * 4)
    parts = [_share(sound, kind) for kind in (SUBSTITUTIONS, DELETIONS, INSERTIONS)]
    return WordScore(beyond, wrong_share(sound), *parts)


def wrong_share(words: Sequence[Words]) -> float:
    """Return all errors as a share of the words said; it can exceed 1, and is NaN where nothing is said or read."""
    return sum(_share(words, kind) for kind in (SUBSTITUTIONS, DELETIONS, INSERTIONS))


def _share(words: Sequence[Words], kind: str) -> float:
    said = sum(one.said for one in words)
    return float(sum(getattr(one, kind) for one in words)) / said if said else math.nan


def word_scores(
    read: Mapping[str, Sequence[Words]], original: Sequence[Words], seed: int, material: str = SENTENCE
) -> dict[str, WordScore]:
    """Score several sounds, each beside the part of the original that was read in it.

    Parameters
    ----------
    read : mapping
        What a sound is called → its words, of the first passages of the original or of all.
    original : sequence of Words
    seed : int
    material : str
    """
    return {name: word_score(words, original[: len(words)], seed, material) for name, words in read.items()}
