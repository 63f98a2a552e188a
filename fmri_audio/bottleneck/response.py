"""The haemodynamic response on the TR grid: from what units do during a TR to the volumes that answer it."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from fmri_audio.simulation.haemodynamics import CANONICAL

#: Steps per TR at which the response is integrated.
STEPS = 60


def response_weights(tr: Fraction) -> NDArray[np.float64]:
    """How much of the activity of a TR is in the volume of the same TR, of the next, and so on; sum 1, [TRs].

    Activity is constant within a TR and a volume is taken at a TR's middle, so that the weight of a volume *m* TRs
    later is the canonical double-gamma response, integrated from (m − ½) to (m + ½) TRs.
    """
    fine = CANONICAL.kernel(STEPS / float(tr))
    padded = np.concatenate([np.zeros(STEPS // 2), fine])
    padded = np.pad(padded, (0, -len(padded) % STEPS))
    return np.asarray(padded.reshape(-1, STEPS).sum(axis=1))


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
