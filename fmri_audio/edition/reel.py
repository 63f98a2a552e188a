"""Sentences of the edition's recording in a row, for sounds whose words are counted.

Scoring windows hold too few words for an error rate. Sentences drawn from the whole recording, beyond the edition's
excerpt where there is more, hold enough, and of many passages and voices.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from fmri_audio.base.kinds import Waveform
from fmri_audio.edition.edition import Edition
from fmri_audio.sound.recognition import UNPREDICTABLE, Passage, passages
from fmri_audio.sound.segments import Window
from fmri_audio.study.stimulus import PLAY, Stimulus, is_measured, whole_play

PAUSE = 0.3
"""Seconds of silence between two sentences, and before the first."""

UNPREDICTABLE_SHARE = 0.25
"""Words of unpredictable sentences drawn for each of the others: a fifth of all."""


@dataclass(frozen=True)
class Reel:
    """Sentences in a row.

    Attributes
    ----------
    waveform : array, shape [T]
    sample_rate : int
        In Hz.
    passages : list of Passage
        What is said when, in seconds of the reel; in the order drawn, so that the first are a sample of all.
    inside : list of Window
        The sentences that lie in the edition's own sound, in its seconds: what is fitted has to leave them out.
    """

    waveform: Waveform
    sample_rate: int
    passages: list[Passage]
    inside: list[Window]

    def first(self, words: int) -> Reel:
        """Return the first sentences alone: as many as hold so many words that can be guessed at, or all."""
        said = np.cumsum([_words(one) if one.material != UNPREDICTABLE else 0 for one in self.passages])
        kept = self.passages[: int(np.searchsorted(said, words)) + 1]
        end = max((one.offset for one in kept), default=0.0) + PAUSE
        return replace(self, waveform=self.waveform[: round(end * self.sample_rate)], passages=kept)


def reel_of(run: Edition) -> Reel:
    """Draw the edition's reel: ``words.count`` words, and a quarter as many of unpredictable sentences.

    The same edition draws the same sentences everywhere. A recording without a table of what is said has an empty
    reel.
    """
    whole, excerpt = _recording(run)
    spoken = passages(whole.segments, 0.0, whole.seconds, most_seconds=np.inf)
    order = np.random.default_rng(run.settings.seed).permutation(len(spoken))
    beyond = [not _overlaps(spoken[k], excerpt) for k in order]
    drawn = [spoken[k] for k, out in zip(order, beyond, strict=True) if out]
    drawn += [spoken[k] for k, out in zip(order, beyond, strict=True) if not out]
    kept = list(_up_to(drawn, run.settings.words.count))
    inside = [
        Window(f"sentence at {one.onset:g} s", one.onset - excerpt[0], one.offset - excerpt[0], "speech")
        for one in kept
        if _overlaps(one, excerpt)
    ]
    waveform, moved = _joined(whole, kept)
    return Reel(waveform, whole.sample_rate, moved, inside)


def _recording(run: Edition) -> tuple[Stimulus, tuple[float, float]]:
    """The recording that sentences are drawn from, and between which of its seconds the edition's sound lies."""
    settings = run.settings
    if settings.stimulus.source != PLAY or is_measured(settings):
        return run.stimulus, (0.0, run.stimulus.seconds)
    begin = float(settings.stimulus.first_tr * settings.tr)
    return whole_play(settings.tr), (begin, begin + run.stimulus.seconds)


def _overlaps(one: Passage, stretch: tuple[float, float]) -> bool:
    return one.onset < stretch[1] and one.offset > stretch[0]


def _words(one: Passage) -> int:
    return len(re.findall(r"\w+(?:['’]\w+)*", one.text))


def _up_to(spoken: Iterable[Passage], words: int) -> Iterable[Passage]:
    """Yield passages in order until each material has its words."""
    missing: dict[bool, float] = {False: words, True: UNPREDICTABLE_SHARE * words}
    for one in spoken:
        unpredictable = one.material == UNPREDICTABLE
        if missing[unpredictable] > 0:
            missing[unpredictable] -= _words(one)
            yield one


def _joined(whole: Stimulus, spoken: Iterable[Passage]) -> tuple[Waveform, list[Passage]]:
    """Cut passages out and put them in a row, each after a pause."""
    rate = whole.sample_rate
    silence = np.zeros(round(PAUSE * rate), np.float32)
    parts, moved, now = [], [], 0
    for one in spoken:
        cut = whole.waveform[round(one.onset * rate) : round(one.offset * rate)]
        parts += [silence, cut]
        now += len(silence)
        moved.append(replace(one, onset=now / rate, offset=(now + len(cut)) / rate))
        now += len(cut)
    return np.concatenate([*parts, silence]), moved
