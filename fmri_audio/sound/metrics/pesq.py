"""PESQ: perceptual evaluation of speech quality, by the ``pesq`` package."""

from __future__ import annotations

import math

import numpy as np
import pesq as _pesq

from fmri_audio.base.kinds import Signal
from fmri_audio.sound.metrics.base import METRIC_RATE, METRICS, Metric, over_pieces

_SHARED_OFFSET, _OFFSET_APART = 0.1, 0.01
"""Offset, as a share of the level, that PESQ's own filters take out of both sounds, and how far apart they may be."""


def pesq(reference: Signal, degraded: Signal, band: str) -> float:
    """Return PESQ as MOS-LQO at 16 kHz (ITU-T P.862.2 for "wb", P.862.1 for "nb"); NaN where undefined.

    Sounds longer than 30 s, and such as hold more utterances than the library's table, are scored in pieces. Both
    sounds lose their mean. Where it is less than a tenth of the level and nearly the same in both (the difference
    less than a hundredth), the model's own filters take it out of both alike, and the sounds stay as they are.

    Parameters
    ----------
    reference, degraded : arrays of shape [T], mono, aligned
    band : "wb" or "nb"
    """
    return over_pieces(reference, degraded, lambda ref, deg: _pesq_of(ref, deg, band), hold=True)


def _pesq_of(reference: Signal, degraded: Signal, band: str) -> float:
    """Return PESQ of one piece."""
    ref, deg = (np.asarray(signal, np.float64) for signal in (reference, degraded))
    offsets = [signal.mean() / level if (level := signal.std()) else 0.0 for signal in (ref, deg)]
    if max(map(abs, offsets)) > _SHARED_OFFSET or abs(offsets[0] - offsets[1]) > _OFFSET_APART:
        ref, deg = ref - ref.mean(), deg - deg.mean()
    try:
        return float(_pesq.pesq(METRIC_RATE, ref, deg, band))
    except (_pesq.BufferTooShortError, _pesq.NoUtterancesError):
        return math.nan


for _place, _band in ((30, "wb"), (40, "nb")):
    METRICS.register(
        Metric(
            f"pesq_{_band}",
            f"PESQ-{_band.upper()}",
            "MOS-LQO",
            1,
            2,
            _place,
            lambda reference, degraded, _, band=_band: pesq(reference, degraded, band),  # type: ignore[misc]
            speech_only=True,
            cheap=False,
        ),
        __name__,
    )
