"""What recognisers hear in sounds of known words, read once and kept: reading takes longer than making most sounds."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from fmri_audio.base.files import to_json, write_text
from fmri_audio.base.fingerprint import fingerprint
from fmri_audio.base.kinds import Waveform
from fmri_audio.base.stored import is_whole, one_at_a_time, seal_of, write_seal
from fmri_audio.sound import recognition
from fmri_audio.sound.recognition import Passage, SentencesIdentified, Words, find_recogniser


@dataclass(frozen=True)
class Reading:
    """How two recognisers hear a sound.

    Attributes
    ----------
    words : list of Words
        By the recogniser that counts words; errors are NaN where it is not there.
    identified : SentencesIdentified
        By the recogniser that knows the sentences and nothing else.
    """

    words: list[Words]
    identified: SentencesIdentified


def read(sound: Waveform, sample_rate: int, spoken: Sequence[Passage], folder: Path) -> Reading:
    """Return the reading of a sound.

    Parameters
    ----------
    sound : array, shape [T]
    sample_rate : int
        In Hz.
    spoken : sequence of Passage
        Times counted from the sound's start.
    folder : Path
        Where readings are kept, under the hash of all that decides them.
    """
    path = folder / f"reading-{_key(sound, sample_rate, spoken)}.json"
    with one_at_a_time(path.with_suffix(".lock")):  # a chapter that runs beside may want the same
        if is_whole(seal_of(path), [path]):
            kept = json.loads(path.read_text(encoding="utf-8"))
            counts = [Words(one, **counted) for one, counted in zip(spoken, kept["words"], strict=True)]
            return Reading(counts, SentencesIdentified(**kept["identified"]))
        words = recognition.word_errors(sound, sample_rate, spoken)
        found = Reading(words, recognition.sentences_identified(sound, sample_rate, spoken))
        # the undefined is asked again
        if find_recogniser() is not None and math.isfinite(found.identified.right):
            counts_only = [{k: v for k, v in vars(one).items() if k != "passage"} for one in words]
            write_text(path, to_json({"words": counts_only, "identified": asdict(found.identified)}))
            write_seal(seal_of(path), [path])
    return found


def _key(sound: Waveform, sample_rate: int, spoken: Sequence[Passage]) -> str:
    """Hash what decides a reading: sound, passages, the recogniser's weights, and the code that asks it."""
    recogniser = find_recogniser()
    digest = hashlib.sha256(np.ascontiguousarray(sound, np.float32).tobytes())
    digest.update(repr((sample_rate, [asdict(one) for one in spoken])).encode())
    digest.update((recogniser.sha256 if recogniser else "absent").encode())
    digest.update(fingerprint("fmri_audio.sound.recognition").encode())
    return digest.hexdigest()[:16]
