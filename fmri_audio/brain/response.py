"""The haemodynamic response: the canonical one, how long it takes, and what it makes of activity on the TR grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

#: How long after a sound its response still has to be counted with. The canonical double gamma rises to its peak 5 s
#: after the sound and falls back through zero at 12.07 s, where ``t**10 == 6 * 15!/5!``; what follows is a shallow
#: undershoot of a tenth of the peak, which the high-pass filter and the noise outweigh.
RESPONSE_SECONDS = 12

#: How long the response is sampled: of what comes later, nothing could be measured.
SAMPLED_SECONDS = 32.0


def response_trs(tr: Fraction) -> int:
    """TRs that the response takes, rounded up: 8 of 1.5 s."""
    return math.ceil(RESPONSE_SECONDS / tr)


def canonical_response(rate: float, latency: float = 0.0, dispersion: float = 1.0) -> NDArray[np.float64]:
    """The double gamma with SPM's constants (Friston et al. 1998), sampled from 0 to 32 s, sum 1, [samples].

    Parameters
    ----------
    rate : float
        Samples per second.
    latency : float
        Seconds by which it comes later than the canonical one.
    dispersion : float
        How many times as wide it is.
    """
    t = np.clip((np.arange(0, SAMPLED_SECONDS, 1 / rate) - latency) / dispersion, 0, None)
    response = t**5 * np.exp(-t) / math.gamma(6) - t**15 * np.exp(-t) / (6 * math.gamma(16))
    return np.asarray(response / response.sum())


#: Steps per TR at which the response is integrated.
STEPS_PER_TR = 60


def response_weights(tr: Fraction) -> NDArray[np.float64]:
    """How much of the activity of a TR is in the volume of the same TR, of the next, and so on; sum 1, [TRs].

    Activity is constant within a TR and a volume is taken at a TR's middle, so that the weight of a volume *m* TRs
    later is the canonical double-gamma response, integrated from (m − ½) to (m + ½) TRs.
    """
    fine = canonical_response(STEPS_PER_TR / float(tr))
    padded = np.concatenate([np.zeros(STEPS_PER_TR // 2), fine])
    padded = np.pad(padded, (0, -len(padded) % STEPS_PER_TR))
    return np.asarray(padded.reshape(-1, STEPS_PER_TR).sum(axis=1))


def response_matrix(runs: Sequence[tuple[int, int]], tr: Fraction, shift: int) -> NDArray[np.float32]:
    """Volumes of a study as weighted sums of the activity of TRs, [volumes, TRs].

    Parameters
    ----------
    runs : sequence of (first TR, number of TRs)
        Every run starts from rest.
    tr : Fraction
        Seconds.
    shift : int
        TRs by which the study is already shifted: volume v is taken in TR v + shift of the stimulus.
    """
    weights = response_weights(tr)
    n_trs = sum(count for _, count in runs)
    matrix = np.zeros((n_trs, n_trs), np.float32)
    for first, count in runs:
        delay = np.arange(count)[:, None] + shift - np.arange(count)
        inside = (delay >= 0) & (delay < len(weights))
        block = np.where(inside, weights[np.clip(delay, 0, len(weights) - 1)], 0.0)
        matrix[first : first + count, first : first + count] = block
    return matrix
