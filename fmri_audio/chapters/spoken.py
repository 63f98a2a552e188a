"""What chapters 2, 3 and 7 share: which words of a sound recognisers get wrong, as tables, sentences and results."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fmri_audio.base.kinds import Waveform
from fmri_audio.base.results import PLAY_UNPREDICTABLE, Record, fill
from fmri_audio.edition import Edition
from fmri_audio.edition.readings import Reading, read
from fmri_audio.edition.reel import Reel
from fmri_audio.pages.page import Table
from fmri_audio.sound.noises import long_term_spectrum, modulated_noise, shaped_noise
from fmri_audio.sound.recognition import (
    NO_RECOGNISER,
    SENTENCE,
    UNPREDICTABLE,
    WORST_ORIGINAL,
    Passage,
    WordScore,
    find_recogniser,
    word_score,
    wrong_share,
)
from fmri_audio.sound.scoring import floor_label

ORIGINAL = "original"
"""What the sound is called beside which all others are read."""

WORDS = "words wrong"
"""Heading of the main score: word errors beyond the original's own, per word."""

MATERIALS = (SENTENCE, UNPREDICTABLE)
"""Scored apart: what a listener can guess at, and what nothing before it gives away."""


FLOORS = {
    **{name: floor_label(name) for name in ("shaped-noise", "modulated-noise", "other-segment")},
    "mean": "floor: the codec's mean latent",
}
"""Sounds that carry none of the words: how a reader knows them, by the name of their control."""


def floors(speech: Waveform, sample_rate: int, mean: Waveform, seed: int) -> dict[str, Waveform]:
    """Return the sounds of :data:`FLOORS` for speech, shape [T].

    Parameters
    ----------
    speech : array, shape [T]
    sample_rate : int
        In Hz.
    mean : array, shape [T]
        What the codec makes of its mean latent.
    seed : int
        Of the noise.
    """
    spectrum = long_term_spectrum([speech], sample_rate)
    made = {
        "shaped-noise": shaped_noise(speech, spectrum, np.random.default_rng(seed)),
        "modulated-noise": modulated_noise(speech, sample_rate, spectrum, np.random.default_rng(seed)),
        "other-segment": np.roll(speech, len(speech) // 2),
        "mean": mean,
    }
    return {name: made[name] for name in FLOORS}


@dataclass(frozen=True)
class Spoken:
    """The words of several sounds, as two recognisers heard them.

    Attributes
    ----------
    readings : dict
        Sound → its reading, the original first.
    seed : int
        Of the intervals.
    """

    readings: dict[str, Reading]
    seed: int

    def score(self, sound: str, material: str = SENTENCE) -> WordScore:
        """Score a sound, beside the part of the original that was read in it."""
        words = self.readings[sound].words
        return word_score(words, self.readings[ORIGINAL].words[: len(words)], self.seed, material)

    def beyond(self, sound: str) -> float:
        """Word errors of a sound beyond the original's, per word; NaN for a sound that was not read."""
        return self.score(sound).beyond.value if sound in self.readings else float("nan")

    @property
    def original_wrong(self) -> float:
        """Share of the original's words that the recogniser gets wrong, unpredictable sentences apart."""
        own = [one for one in self.readings[ORIGINAL].words if one.passage.material == SENTENCE]
        return wrong_share(own)

    @property
    def why_undefined(self) -> str:
        """A sentence that says why nothing is counted; empty where something is."""
        if find_recogniser() is None:
            return f"{NO_RECOGNISER[0].upper()}{NO_RECOGNISER[1:]}."
        if not self.readings[ORIGINAL].words:
            return "Words are not counted, because no table says what is spoken in this recording."
        if self.original_wrong > WORST_ORIGINAL:
            return (
                f"Words are not counted, because the recogniser gets {self.original_wrong:.2f} of the original's wrong "
                "and cannot judge this sound."
            )
        return ""


def listen(
    run: Edition,
    reel: Reel,
    whole: Mapping[str, Waveform],
    brief: Mapping[str, Waveform] | None = None,
) -> Spoken:
    """Have the words of sounds of a reel read, those of the original first.

    Parameters
    ----------
    run : Edition
    reel : Reel
    whole : mapping
        Sound → waveform of the whole reel, shape [T].
    brief : mapping, optional
        Sounds of the reel's first ``words.few`` words alone.
    """
    readings = {
        name: read(sound, reel.sample_rate, reel.passages, run.cache)
        for name, sound in {ORIGINAL: reel.waveform, **whole}.items()
    }
    few = reel.first(run.settings.words.few)
    readings |= {
        name: read(sound, few.sample_rate, few.passages, run.cache) for name, sound in (brief or {}).items()
    }
    return Spoken(readings, run.settings.seed)


def listen_at(
    run: Edition, sounds: Mapping[str, Waveform], sample_rate: int, passages: list[Passage]
) -> Spoken:
    """Have the words of passages read in sounds, of which one is the original."""
    readings = {name: read(sound, sample_rate, passages, run.cache) for name, sound in sounds.items()}
    return Spoken(readings, run.settings.seed)


def beside(
    table: pd.DataFrame, spoken: Spoken, before: str, names: str, kind: str | None = None
) -> pd.DataFrame:
    """Put the words wrong into a table of scores.

    Parameters
    ----------
    table : DataFrame
        A row per sound.
    spoken : Spoken
    before : str
        Column that the new one goes before; at the end if there is none of that name.
    names : str
        Column that names the sounds.
    kind : str, optional
        Segments whose words were read: rows of other ones, by their column ``segments``, have none.
    """
    place = list(table.columns).index(before) if before in table else len(table.columns)
    with_words = table.copy()
    with_words.insert(place, WORDS, [spoken.beyond(str(name)) for name in table[names]])
    if kind is not None:
        with_words.loc[table["segments"] != kind, WORDS] = math.nan
    return with_words


def table(spoken: Spoken, made_by: str) -> Table:
    """Show every sound's word errors: beyond the original's with their interval, and of which kinds all of them are.

    Parameters
    ----------
    spoken : Spoken
    made_by : str
        Whose weights made the sounds, for the caption.
    """
    recogniser = find_recogniser()
    reader = f"{recogniser.name} (licence {recogniser.licence})" if recogniser else "no recogniser"
    texts = [one.passage.text for one in spoken.readings[ORIGINAL].words]
    n, known = len(texts), len(set(texts))
    caption = (
        f"Words of {n} sentences, as {reader} hears them. {made_by} “{WORDS}”: errors per word beyond those in the "
        "original, paired by sentence, with a 95 % interval over passages; then all errors by kind. Unpredictable "
        f"sentences are apart. “Sentences told”: share that pocketsphinx picks rightly among {known} known ones. A "
        "dash: undefined."
    )
    return Table(
        pd.DataFrame([_row(spoken, name) for name in spoken.readings]),
        caption,
        dict.fromkeys(_TWO_DIGITS, ".2f"),
    )


def told(spoken: Spoken, sound: str) -> str:
    """Write a sound's words wrong with their interval; a dash where they are undefined."""
    score = spoken.score(sound) if sound in spoken.readings else None
    if score is None or math.isnan(score.beyond.value):
        return "–"
    interval = _interval(score)
    return f"{score.beyond.value:.2f}" + (f" ({interval})" if interval != "–" else "")


FORMATS = {WORDS: ".2f"}
"""Format of the main score in tables of other scores."""

_TWO_DIGITS = (
    WORDS,
    "all errors",
    "substituted",
    "left out",
    "added",
    f"{WORDS}, unpredictable",
    "sentences told",
)


def _row(spoken: Spoken, name: str) -> dict[str, object]:
    plain, hard = (spoken.score(name, material) for material in MATERIALS)
    return {
        "sound": name,
        "words": plain.beyond.said,
        WORDS: plain.beyond.value,
        "95 % interval": _unbroken(_interval(plain)),
        "all errors": plain.wrong,
        "substituted": plain.substitutions,
        "left out": plain.deletions,
        "added": plain.insertions,
        f"{WORDS}, unpredictable": hard.beyond.value,
        "its 95 % interval": _unbroken(_interval(hard)),
        "sentences told": spoken.readings[name].identified.right,
    }


def _interval(score: WordScore) -> str:
    low, high = score.beyond.low, score.beyond.high
    if math.isnan(low):
        return "–"
    return f"{low:.2f} to {high:.2f}".replace("-", "−")


def _unbroken(text: str) -> str:
    """Keep a cell on one line."""
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def agreement(spoken: Spoken) -> float:
    """Return Spearman's correlation, over sounds, of the words right and of the sentences told.

    The second recogniser has no language model, and can guess no word: where both put sounds in one order, guessing did
    not make it. NaN where fewer than three sounds were read.
    """
    all_sentences = len(spoken.readings[ORIGINAL].words)
    read = [
        name
        for name, one in spoken.readings.items()
        if name != ORIGINAL
        and len(one.words) == all_sentences  # of fewer sentences the right one is told more easily
    ]
    if len(read) < 3:
        return float("nan")
    wrong = pd.Series([spoken.beyond(name) for name in read])
    told = pd.Series([spoken.readings[name].identified.right for name in read])
    return float((-wrong).corr(told, method="spearman"))


def records(spoken: Spoken, columns: Mapping[str, Mapping[str, Any]], run: Edition) -> list[Record]:
    """Return word scores as results: a row per sound, material and measure.

    ``words_wrong`` is the main score, errors beyond the original's; ``word_error_rate`` counts all of them, and
    ``word_substitutions``, ``word_deletions`` and ``word_insertions`` are its parts. ``n`` is the number of words said,
    and of ``sentences_told`` that of sentences.

    Parameters
    ----------
    spoken : Spoken
    columns : mapping
        Sound → its columns in the table of results.
    run : Edition
    """
    found: list[Record] = []
    for name, own in columns.items():
        for material, column in zip(MATERIALS, (run.material, _unpredictable(run)), strict=True):
            score = spoken.score(name, material)
            if not score.beyond.said and material == UNPREDICTABLE:
                continue
            common = {"unit": "1", "n": score.beyond.said, "material": column, **own}
            found.append(
                Record(
                    **{**common, "metric": "words_wrong", "value": score.beyond.value},
                    ci_low=score.beyond.low,
                    ci_high=score.beyond.high,
                )
            )
            parts = {
                "word_error_rate": score.wrong,
                "word_substitutions": score.substitutions,
                "word_deletions": score.deletions,
                "word_insertions": score.insertions,
            }
            found += [
                Record(**{**common, "metric": metric, "value": value}) for metric, value in parts.items()
            ]
        told = spoken.readings[name].identified
        one = Record(metric="sentences_told", value=told.right, unit="1", n=told.n)
        found.append(fill(one, **own))
    return found


def _unpredictable(run: Edition) -> str:
    return PLAY_UNPREDICTABLE if run.material == "play" else f"{run.material}-unpredictable"
