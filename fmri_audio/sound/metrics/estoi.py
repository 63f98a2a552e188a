"""ESTOI: extended short-time objective intelligibility, by the ``pystoi`` package (MIT).

STOI follows each band's envelope by itself, so that noise with the envelope of speech has half of it. ESTOI also
normalises the spectrum at each moment: such noise has an ESTOI near 0.
"""

from __future__ import annotations

from fmri_audio.base.kinds import Signal
from fmri_audio.sound.metrics.base import METRICS, Metric
from fmri_audio.sound.metrics.stoi import stoi


def estoi(reference: Signal, degraded: Signal) -> float:
    """Return extended short-time objective intelligibility (Jensen and Taal 2016) at 16 kHz; NaN where undefined.

    It is a mean correlation: 1 for the original, about 0 for what has nothing of it, and negative by chance.
    Length, silence, offset and rate are handled as in :func:`fmri_audio.sound.metrics.stoi.stoi`.

    Parameters
    ----------
    reference, degraded : arrays of shape [T], mono, aligned
    """
    return stoi(reference, degraded, extended=True)


METRICS.register(
    Metric(
        "estoi",
        "ESTOI",
        "1",
        1,
        3,
        51,
        lambda reference, degraded, _: estoi(reference, degraded),
        speech_only=True,
    ),
    __name__,
)
