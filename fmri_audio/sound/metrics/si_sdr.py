"""Scale-invariant signal-to-distortion ratio."""

from __future__ import annotations

import math

import numpy as np

from fmri_audio.base.kinds import Signal
from fmri_audio.sound.metrics.base import METRICS, Metric, blocks, mean, ratio_db


def si_sdr_db(reference: Signal, degraded: Signal) -> float:
    """Return the scale-invariant signal-to-distortion ratio in dB (Le Roux et al. 2019, equation 3).

    Both signals lose their mean first. NaN if either is silent.
    """
    means = mean(reference), mean(degraded)
    energy = shared = other = 0.0
    for ref, deg in blocks(reference, degraded, *means):
        energy += float(np.dot(ref, ref))
        shared += float(np.dot(deg, ref))
        other += float(np.dot(deg, deg))
    if energy == 0 or other == 0:
        return math.nan
    signal = noise = 0.0
    for ref, deg in blocks(reference, degraded, *means):
        target = shared / energy * ref
        signal += float(np.sum(np.square(target)))
        noise += float(np.sum(np.square(deg - target)))
    return ratio_db(signal, noise)


METRICS.register(
    Metric(
        "si_sdr_db",
        "SI-SDR (dB)",
        "dB",
        1,
        2,
        20,
        lambda reference, degraded, _: si_sdr_db(reference, degraded),
    ),
    __name__,
)
