"""By how much one of two recordings comes late: the maximum of their cross-correlation, at any length."""

from __future__ import annotations

import numpy as np
import scipy.fft
import scipy.signal
from numpy.typing import NDArray

from fmri_audio.base.kinds import Signal

AT_ONCE = 1 << 23
"""Samples of both recordings together that are correlated in one transform; more are taken block by block."""

_BLOCK = 1 << 22
"""Samples of a block."""


def best_lag(reference: Signal, degraded: Signal, at_once: int = AT_ONCE, block: int = _BLOCK) -> int:
    """Return by how many samples ``degraded`` comes later than ``reference`` (negative: earlier).

    Both lose their mean first: offsets correlate best where the recordings overlap most. All lags are tried,
    whatever the length; beyond ``at_once`` samples in single precision and in memory that the length does not move.

    Parameters
    ----------
    reference, degraded : arrays of shapes [T], [U], mono
    at_once : samples of both together up to which one transform takes them
    block : samples of each that a transform takes otherwise
    """
    means = [float(np.mean(x, dtype=np.float64)) if len(x) else 0.0 for x in (reference, degraded)]
    if not all(np.any(x != mean) for x, mean in zip((reference, degraded), means, strict=True)):
        return 0
    if len(reference) + len(degraded) <= at_once:
        parts = [
            np.asarray(x, np.float64) - mean for x, mean in zip((reference, degraded), means, strict=True)
        ]
        correlation = scipy.signal.correlate(parts[1], parts[0], mode="full", method="fft")
        return int(correlation.argmax()) - (len(reference) - 1)
    return _best_by_blocks(reference, degraded, means, block)


def _best_by_blocks(reference: Signal, degraded: Signal, means: list[float], block: int) -> int:
    """Find the lag as a sum over pairs of blocks.

    Pairs whose numbers differ by k reach the lags from (k − 1)·block to (k + 1)·block, so every stretch of lags gets
    its correlation from two neighbouring k: one's later half and the next one's earlier half.
    """
    counts = [-(-len(x) // block) for x in (reference, degraded)]
    highest, lag = -np.inf, 0
    later = np.zeros(block, np.float32)
    for k in range(1 - counts[0], counts[1] + 1):
        spectrum = np.zeros(block + 1, np.complex64)
        for i in range(max(0, -k), min(counts[0], counts[1] - k)):
            spectrum += _spectrum(reference, means[0], i, block).conj() * _spectrum(
                degraded, means[1], i + k, block
            )
        circle = scipy.fft.irfft(spectrum, 2 * block)
        stretch = later + circle[block:]
        stretch[0] = later[0]  # the lag at which blocks only touch belongs to no pair
        if stretch.max() > highest:
            highest, lag = float(stretch.max()), (k - 1) * block + int(stretch.argmax())
        later = circle[:block]
    return lag


def _spectrum(signal: Signal, mean: float, number: int, block: int) -> NDArray[np.complex64]:
    """Return the transform of one block, padded to twice its length."""
    part = np.asarray(signal[number * block : (number + 1) * block] - mean, np.float32)
    return np.asarray(scipy.fft.rfft(part, 2 * block))
