"""When each word of a take is spoken, for synthesisers that do not say: forced alignment with pocketsphinx.

Two passes with the model that pocketsphinx' wheel carries: the first finds pauses and pronunciations, the second every
state's frames. A word beside a pause then begins, or ends, where the sound does.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from scipy.signal import resample_poly

from .kokoro import phonemes
from .spoken import Word, spoken_forms

if TYPE_CHECKING:
    from pocketsphinx import Decoder

RATE = 16_000
_FRAME = 0.01
_STEP = 0.005
_QUIET_DB = -42.0
"""Level under a take's loudest 5 ms at which a word beside a pause begins or ends."""

_GAP = 6
"""So many quiet frames in a row end a sound that an edge is moved along."""

# fmt: off
ARPABET = {
    "A": "EY", "I": "AY", "O": "OW", "W": "AW", "Y": "OY", "Q": "OW", "i": "IY", "ɪ": "IH", "ᵻ": "IH", "u": "UW",
    "ʊ": "UH", "ɛ": "EH", "e": "EH", "æ": "AE", "a": "AE", "ɑ": "AA", "ɒ": "AA", "ɔ": "AO", "ʌ": "AH", "ə": "AH",
    "ɐ": "AH", "ᵊ": "AH", "ɜ": "ER", "ɚ": "ER", "b": "B", "d": "D", "f": "F", "ɡ": "G", "h": "HH", "j": "Y", "k": "K",
    "l": "L", "m": "M", "n": "N", "p": "P", "ɹ": "R", "r": "R", "s": "S", "t": "T", "v": "V", "w": "W", "z": "Z",
    "ð": "DH", "θ": "TH", "ŋ": "NG", "ʃ": "SH", "ʒ": "ZH", "ʤ": "JH", "ʧ": "CH", "ɾ": "T", "T": "T", "ʔ": "T",
}
# fmt: on
"""Kokoro's phonemes in the alphabet of the recogniser's dictionary."""


def arpabet(sounds: str) -> str:
    """Return Kokoro's phonemes as the recogniser's dictionary writes them; stress and length are dropped.

    Raises
    ------
    ValueError
        For phonemes of which none is known.
    """
    found = " ".join(ARPABET[sound] for sound in sounds if sound in ARPABET).replace("ER R", "ER")
    if not found:
        raise ValueError(f"no phoneme of {sounds!r} is known")
    return found


def levels(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Return the level of every 5 ms in dB below the loudest."""
    length = round(_STEP * sample_rate)
    frames = samples[: len(samples) // length * length].reshape(-1, length)
    power = np.mean(np.square(frames), axis=1)
    return np.asarray(10 * np.log10(power / power.max() + 1e-12))


def snapped(words: list[Word], level: np.ndarray, shortest_pause: float = 0.05) -> list[Word]:
    """Move every word's edge that lies beside a pause to where the sound begins or ends.

    Parameters
    ----------
    words
        In their order, in seconds.
    level
        From :func:`levels`.
    shortest_pause
        Seconds between two words from which on their edges count as beside a pause.
    """
    loud = level > _QUIET_DB
    out: list[Word] = []
    for k, word in enumerate(words):
        onset, offset = word.onset, word.offset
        middle = round((onset + offset) / 2 / _STEP)
        if k == 0 or onset - words[k - 1].offset >= shortest_pause:
            frame, least = round(onset / _STEP), round(out[-1].offset / _STEP) if out else 0
            while frame > least and loud[max(frame - _GAP, least) : frame].any():
                frame -= 1
            sounding = np.flatnonzero(loud[frame:middle])
            onset = (frame + sounding[0]) * _STEP if len(sounding) else onset
        if k == len(words) - 1 or words[k + 1].onset - offset >= shortest_pause:
            frame = round(offset / _STEP)
            most = round(words[k + 1].onset / _STEP) if k < len(words) - 1 else len(loud)
            while frame < most and loud[frame : min(frame + _GAP, most)].any():
                frame += 1
            sounding = np.flatnonzero(loud[middle:frame])
            offset = (middle + sounding[-1] + 1) * _STEP if len(sounding) else offset
        out.append(Word(word.text, float(onset), float(offset)))
    return out


@functools.lru_cache(maxsize=1)
def _decoder() -> Decoder:
    from pocketsphinx import Decoder

    return Decoder(loglevel="FATAL", bestpath=False, beam=1e-80, wbeam=1e-60, pbeam=1e-80)


def _passed(decoder: Decoder, pcm: bytes) -> None:
    decoder.start_utt()
    decoder.process_raw(pcm, full_utt=True)
    decoder.end_utt()


def aligned(
    samples: np.ndarray,
    sample_rate: int,
    text: str,
    pronounce: Callable[[str], str] = lambda word: phonemes(word, "us"),
) -> list[Word]:
    """Return a take's words with their times in seconds.

    Parameters
    ----------
    samples : mono
    sample_rate : Hz
    text
        What is said.
    pronounce
        Gives the phonemes, as Kokoro writes them, of a word that the recogniser's dictionary lacks.

    Raises
    ------
    ValueError
        When the text cannot be found in the sound.
    """
    forms = spoken_forms(text)
    decoder = _decoder()
    for form in forms:
        if decoder.lookup_word(form) is None:
            decoder.add_word(form, arpabet(pronounce(form)), update=True)
    divisor = int(np.gcd(RATE, sample_rate))
    sound = resample_poly(samples, RATE // divisor, sample_rate // divisor)
    # Dither, because exact silence has no logarithm; half of full scale, as the model was trained.
    sound = 0.5 * sound / np.abs(sound).max() + np.random.default_rng(0).normal(0, 2e-5, len(sound))
    pcm = (32767 * np.clip(sound, -1, 1)).astype(np.int16).tobytes()
    decoder.set_align_text(" ".join(forms))
    _passed(decoder, pcm)
    if decoder.hyp() is None:
        raise ValueError(f"no alignment of {text!r} with its take")
    decoder.set_alignment()
    _passed(decoder, pcm)
    found = [
        Word(re.sub(r"\(\d+\)$", "", item.name), item.start * _FRAME, (item.start + item.duration) * _FRAME)
        for item in decoder.get_alignment()
        if item.name[0] not in "<["
    ]
    if [word.text for word in found] != forms:
        raise ValueError(f"the alignment of {text!r} has {[word.text for word in found]}")
    return snapped(found, levels(samples, sample_rate))
