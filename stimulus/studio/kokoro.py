"""The play's rules for Kokoro's voices; :mod:`programs.kokoro` speaks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from programs import kokoro
from programs.kokoro import SAMPLE_RATE, phonemes

__all__ = ["BASE_VOICES", "SAMPLE_RATE", "check", "phonemes", "speak"]

BASE_VOICES = ("jf_alpha", "jf_tebukuro", "jm_kumo")
"""Base voices of the play. The package's other two belong to the corpus that the codec is trained on."""


def check(weights: Mapping[str, float]) -> None:
    """Check how much of each base voice goes into a mixture.

    Raises
    ------
    ValueError
        For a base voice that the play does not use, or weights that do not add up to 1.
    """
    strangers = sorted(set(weights) - set(BASE_VOICES))
    if strangers:
        raise ValueError(f"{strangers[0]} is no voice of the play: mix {', '.join(BASE_VOICES)}")
    if abs(sum(weights.values()) - 1) > 1e-6:
        raise ValueError(f"the weights {dict(weights)} add up to {sum(weights.values()):g}, not to 1")


def speak(
    text: str, timbre: Mapping[str, float], manner: Mapping[str, float], accent: str, speed: float
) -> np.ndarray:
    """Return one sentence by a voice of the play (:func:`programs.kokoro.speak`), whose weights pass :func:`check`."""
    check(timbre)
    check(manner)
    return kokoro.speak(text, timbre, manner, accent, speed)
