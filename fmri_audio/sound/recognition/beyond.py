"""The main score: word errors of a sound beyond those that the recogniser makes on the original."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fmri_audio.sound.recognition.words import UNDEFINED, Words

FEWEST_WORDS = 600
"""Words said below which no target is decided."""


@dataclass(frozen=True)
class Beyond:
    """Word errors of a sound minus the original's, as a share of the words said.

    Attributes
    ----------
    value : float
        It can exceed 1, and is negative where the sound is read better than the original; NaN where nothing is said or
        no recogniser was there.
    low, high : float
        95 % interval; NaN where fewer than two readings can be drawn.
    said : int
        Number of words.
    """

    value: float
    low: float
    high: float
    said: int

    @property
    def decides(self) -> bool:
        """Whether enough words are said for a target to be decided."""
        return self.said >= FEWEST_WORDS


def beyond_original(
    words_of_sound: Sequence[Words], words_of_original: Sequence[Words], seed: int, draws: int = 2000
) -> Beyond:
    """Return the word errors of a sound beyond the original's, paired by utterance.

    The interval is the percentile bootstrap (Efron and Tibshirani 1993) of blocks: all sentences of a passage that one
    voice says are drawn together, because their errors are not independent.

    Parameters
    ----------
    words_of_sound, words_of_original : sequence of Words
        Of the same passages in the same order.
    seed : int
    draws : int

    Raises
    ------
    ValueError
        The passages differ.
    """
    if [one.passage for one in words_of_sound] != [one.passage for one in words_of_original]:
        raise ValueError("the sound and the original should be read at the same passages")
    said, errors = _blocks(words_of_sound, words_of_original)
    total = int(said.sum())
    if not total:
        return Beyond(UNDEFINED, UNDEFINED, UNDEFINED, 0)
    value = float(errors.sum() / total)
    if len(said) < 2 or np.isnan(value):
        return Beyond(value, UNDEFINED, UNDEFINED, total)
    picks = np.random.default_rng(seed).integers(0, len(said), size=(draws, len(said)))
    low, high = np.quantile(errors[picks].sum(axis=1) / said[picks].sum(axis=1), [0.025, 0.975])
    return Beyond(value, float(low), float(high), total)


def _blocks(of_sound: Sequence[Words], of_original: Sequence[Words]) -> tuple[np.ndarray, np.ndarray]:
    """Words said and errors beyond the original's, [blocks] each; utterances without words are left out."""
    sums: dict[object, np.ndarray] = {}
    for index, (sound, original) in enumerate(zip(of_sound, of_original, strict=True)):
        if sound.said:
            block = (sound.passage.part_of or index, sound.passage.voice)
            own = np.array([sound.said, sound.errors - original.errors])
            sums[block] = sums.get(block, np.zeros(2)) + own
    said, errors = np.array(list(sums.values())).reshape(-1, 2).T
    return said, errors
