"""Signal-to-noise ratio."""

from __future__ import annotations

import numpy as np

from fmri_audio.base.kinds import Signal
from fmri_audio.sound.metrics.base import METRICS, Metric, blocks, ratio_db


def snr_db(reference: Signal, degraded: Signal) -> float:
    """Return the signal-to-noise ratio in dB: the reference's energy over that of the difference."""
    signal = noise = 0.0
    for ref, deg in blocks(reference, degraded):
        signal += float(np.sum(np.square(ref)))
        noise += float(np.sum(np.square(ref - deg)))
    return ratio_db(signal, noise)


METRICS.register(
    Metric("snr_db", "SNR (dB)", "dB", 1, 2, 10, lambda reference, degraded, _: snr_db(reference, degraded)),
    __name__,
)
