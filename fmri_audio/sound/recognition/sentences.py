"""Which of the known sentences is heard: a recogniser without a language model, which can invent no word.

pocketsphinx with the US English acoustic model in its wheel, and a grammar that holds the known sentences and nothing
else. How often the right one is heard ranks conditions by the sound of the words alone, beside Whisper's word errors.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from fmri_audio.base.extras import from_extra
from fmri_audio.base.kinds import Waveform
from fmri_audio.sound.audio import resample
from fmri_audio.sound.recognition.passages import SAMPLE_RATE, Passage, stretches, to_one_level

# Wide enough that sentences are followed in a noisy sound, too.
_BEAMS = {"beam": 1e-64, "pbeam": 1e-64, "wbeam": 1e-64}


@dataclass(frozen=True)
class SentencesIdentified:
    """How often the right one of the known sentences is heard.

    Attributes
    ----------
    right : float
        Share of the sentences; NaN where fewer than two are known.
    n : int
        Number of sentences heard.
    chance : float
        Share that guessing gets right: one by the number of different sentences. Less is right where the sound often
        follows none.
    """

    right: float
    n: int
    chance: float


def identify_sentence(sound: Waveform, sample_rate: int, sentences: Sequence[str]) -> int | None:
    """Return which of the known sentences is heard.

    Parameters
    ----------
    sound : array, shape [T]
        Of one sentence. It is brought to one peak level.
    sample_rate : int
        In Hz.
    sentences : sequence of str
        Words that the pronouncing dictionary does not know are left out of them.

    Returns
    -------
    int or None
        Index of the sentence; None where the sound follows none more than another.
    """
    return _identify(to_one_level(resample(sound, sample_rate, SAMPLE_RATE)), tuple(sentences))


def sentences_identified(
    waveform: Waveform, sample_rate: int, spoken: Sequence[Passage]
) -> SentencesIdentified:
    """Return how often the right sentence is heard among all that are spoken.

    Parameters
    ----------
    waveform : array, shape [T]
    sample_rate : int
        In Hz.
    spoken : sequence of Passage
        Times counted from the waveform's start. A sentence that is said twice is one sentence.
    """
    sentences = tuple(dict.fromkeys(one.text for one in spoken))
    if len(sentences) < 2:
        return SentencesIdentified(float("nan"), len(spoken), float("nan"))
    found = [_identify(cut, sentences) for cut in stretches(waveform, sample_rate, spoken)]
    right = sum(
        index is not None and sentences[index] == one.text for index, one in zip(found, spoken, strict=True)
    )
    return SentencesIdentified(right / len(spoken), len(spoken), 1 / len(sentences))


def _identify(at_16_khz: Waveform, sentences: tuple[str, ...]) -> int | None:
    decoder, known = _decoder(sentences)
    if not known:
        return None
    decoder.start_utt()
    decoder.process_raw((at_16_khz * 32_767).astype("<i2").tobytes(), full_utt=True)
    begun = decoder.hyp()
    decoder.end_utt()
    ended = decoder.hyp()
    if ended is not None:
        return known[ended.hypstr]
    # In a noisy sound no sentence may be followed to its end: then the one that was followed best so far.
    begins = f"{begun.hypstr} " if begun is not None else ""
    found = [index for words, index in known.items() if f"{words} ".startswith(begins)]
    return found[0] if len(found) == 1 else None


@lru_cache(maxsize=1)
def _decoder(sentences: tuple[str, ...]) -> tuple[Any, dict[str, int]]:
    """Make a decoder that hears these sentences and nothing else, with the index of each by its words.

    The mean of the spectrum is taken from each sound alone: a decoder that adapts would hear by what came before. No
    second pass over a lattice, which would put sentences together from parts of others.
    """
    with from_extra("recognition"):
        from pocketsphinx import Decoder

    decoder = Decoder(
        samprate=float(SAMPLE_RATE),
        loglevel="FATAL",
        lm=None,
        cmn="batch",
        bestpath=False,
        maxhmmpf=-1,
        **_BEAMS,
    )
    known: dict[str, int] = {}
    for index, sentence in enumerate(sentences):
        words = re.findall(r"[a-z]+(?:'[a-z]+)*", sentence.lower())
        known.setdefault(" ".join(word for word in words if decoder.lookup_word(word)), index)
    known.pop("", None)
    if known:
        grammar = f"#JSGF V1.0; grammar known; public <sentence> = {' | '.join(known)};"
        decoder.add_jsgf_string("known", grammar)
        decoder.activate_search("known")
    return decoder, known
