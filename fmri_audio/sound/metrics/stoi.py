"""Short-time objective intelligibility, by the ``pystoi`` package."""

from __future__ import annotations

import math
import warnings

import numpy as np
from pystoi import stoi as _stoi

from fmri_audio.base.kinds import Signal
from fmri_audio.sound.metrics.base import METRIC_RATE, METRICS, Metric, over_pieces

_STOI_TOO_SHORT = 1e-5
"""What pystoi returns instead of a score when fewer than 30 frames are left."""


def stoi(reference: Signal, degraded: Signal) -> float:
    """Return short-time objective intelligibility (Taal et al. 2011) at 16 kHz; NaN where undefined.

    Sounds longer than 30 s are scored in pieces. Both sounds lose their mean.
    """
    return over_pieces(reference, degraded, _stoi_of, hold=False)


def _stoi_of(reference: Signal, degraded: Signal) -> float:
    """Return STOI of one piece."""
    ref, deg = (np.asarray(signal, np.float64) for signal in (reference, degraded))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Not enough STFT frames", RuntimeWarning)
        try:
            value = float(_stoi(ref - ref.mean(), deg - deg.mean(), METRIC_RATE))
        except ValueError:  # shorter than a single frame
            return math.nan
    return math.nan if value == _STOI_TOO_SHORT else value


METRICS.register(
    Metric(
        "stoi",
        "STOI",
        "1",
        1,
        3,
        50,
        lambda reference, degraded, _: stoi(reference, degraded),
        speech_only=True,
    ),
    __name__,
)
