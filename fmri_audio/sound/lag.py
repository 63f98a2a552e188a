"""By how much one of two recordings comes late: known, or where waveforms or envelopes correlate most.

Cross-correlation finds the lag of sound whose phase is kept. Of sound with made-up phase, and of noise, its maximum is
one of many as high, anywhere within seconds: then the lag has to be known, or the envelope has to give it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.fft
import scipy.signal
from numpy.typing import NDArray

from fmri_audio.base.kinds import Signal
from fmri_audio.base.lag_methods import LAG_METHODS

AT_ONCE = 1 << 23
"""Samples of both recordings together that are correlated in one transform; more are taken block by block."""

_BLOCK = 1 << 22
"""Samples of a block."""

ENVELOPE_REACH = 0.1
"""Seconds: lags that envelopes are asked for are not longer."""

_CLEAR = 0.7
"""A peak is clear if no other is higher than this share of it.

Of speech, genuine EnCodec at 1.5 kbps has rivals of at most .45, and Griffin-Lim, at wrong lags, of at least .73.
"""

_BESIDE = 0.001
"""Seconds within which a second maximum belongs to the same peak."""

_ENVELOPE_RATE = 1000
_SMOOTHED = 0.02
"""Hz, and seconds over which the envelope's power is averaged."""


@dataclass(frozen=True)
class Lag:
    """How much later the degraded sound comes.

    Attributes
    ----------
    samples : int
        Negative: earlier.
    method : str
        One of :data:`fmri_audio.base.lag_methods.LAG_METHODS`.
    rival : float
        Height of the highest other peak of the correlation relative to this one's; NaN where none was looked for.
    """

    samples: int
    method: str
    rival: float = np.nan

    @property
    def clear(self) -> bool:
        """Whether no other peak comes near; what is known or of envelopes counts as clear."""
        return not self.rival > _CLEAR


NO_LAG = Lag(0, "known")
"""Of two sounds that begin together."""


def find_lag(
    reference: Signal, degraded: Signal, sample_rate: int, method: str = "correlation", known: int = 0
) -> Lag:
    """Return by how many samples ``degraded`` comes later than ``reference``.

    Parameters
    ----------
    reference, degraded : arrays of shapes [T], [U], mono
    sample_rate : Hz, of both
    method : str
        ``correlation``: of waveforms, at any lag; ``envelope``: of level contours, within ±100 ms; ``known``.
    known : int
        The lag, for the last of these.

    Raises
    ------
    ValueError
        There is no such method.
    """
    if method == "known":
        return Lag(known, method)
    if method == "envelope":
        return Lag(_envelope_lag(reference, degraded, sample_rate), method)
    if method != "correlation":
        raise ValueError(f"no way to find a lag is called {method!r}: {', '.join(LAG_METHODS)}")
    lag, rival = _highest(reference, degraded, round(_BESIDE * sample_rate), AT_ONCE, _BLOCK)
    return Lag(lag, method, rival)


def _envelope_lag(reference: Signal, degraded: Signal, sample_rate: int) -> int:
    """Lag of the level contours, to a millisecond."""
    factor = sample_rate // _ENVELOPE_RATE
    one, other = (_contour(x, factor) for x in (reference, degraded))
    reach = round(ENVELOPE_REACH * _ENVELOPE_RATE)
    length = min(len(one), len(other))
    if length <= 2 * reach:
        return 0
    middle = one[reach : length - reach]
    middle = middle - middle.mean()
    scores = []
    for lag in range(-reach, reach + 1):
        part = other[reach + lag : length - reach + lag]
        scores.append(float(middle @ (part - part.mean())) / (float(part.std()) + 1e-12))
    found = int(np.argmax(scores)) - reach
    return found * factor if max(scores) > 0 else 0


def _contour(signal: Signal, factor: int) -> NDArray[np.float64]:
    """Square root of the power of a signal, averaged, a value for every ``factor`` samples."""
    whole = len(signal) // factor * factor
    power = np.square(np.asarray(signal[:whole], np.float64)).reshape(-1, factor).mean(1)
    width = round(_SMOOTHED * _ENVELOPE_RATE)
    return np.sqrt(np.convolve(power, np.ones(width) / width, mode="same"))


def best_lag(reference: Signal, degraded: Signal, at_once: int = AT_ONCE, block: int = _BLOCK) -> int:
    """Return by how many samples ``degraded`` comes later than ``reference`` (negative: earlier), by waveforms.

    Both lose their mean first: offsets correlate best where the recordings overlap most. All lags are tried,
    whatever the length; beyond ``at_once`` samples in single precision and in memory that the length does not move.

    Parameters
    ----------
    reference, degraded : arrays of shapes [T], [U], mono
    at_once : samples of both together up to which one transform takes them
    block : samples of each that a transform takes otherwise
    """
    return _highest(reference, degraded, 1, at_once, block)[0]


def _highest(reference: Signal, degraded: Signal, beside: int, at_once: int, block: int) -> tuple[int, float]:
    """The lag of the highest correlation, and the highest of those elsewhere relative to it; NaN where there is none.

    In one pass that keeps the highest of every ``beside`` lags. Those that touch the lags within ``beside`` of the best
    are the same peak.
    """
    best, lag = -np.inf, 0
    firsts, heights = [np.empty(0, np.int64)], [np.empty(0)]
    for first, correlation in _correlations(reference, degraded, at_once, block):
        if correlation.max() > best:
            best, lag = float(correlation.max()), first + int(correlation.argmax())
        edges = np.arange(0, len(correlation), beside)
        firsts.append(first + edges)
        heights.append(np.maximum.reduceat(correlation, edges))
    begin = np.concatenate(firsts)
    elsewhere = (begin > lag + beside) | (begin + beside <= lag - beside)
    if not best > 0 or not elsewhere.any():
        return lag, np.nan
    return lag, max(0.0, float(np.concatenate(heights)[elsewhere].max())) / best


def _correlations(
    reference: Signal, degraded: Signal, at_once: int, block: int
) -> Iterator[tuple[int, NDArray[np.floating]]]:
    """Yield the cross-correlation at all lags, as pairs of first lag and values; nothing of what never moves."""
    means = [float(np.mean(x, dtype=np.float64)) if len(x) else 0.0 for x in (reference, degraded)]
    if not all(np.any(x != mean) for x, mean in zip((reference, degraded), means, strict=True)):
        return
    if len(reference) + len(degraded) > at_once:
        yield from _by_blocks(reference, degraded, means, block)
        return
    parts = [np.asarray(x, np.float64) - mean for x, mean in zip((reference, degraded), means, strict=True)]
    yield 1 - len(reference), scipy.signal.correlate(parts[1], parts[0], mode="full", method="fft")


def _by_blocks(
    reference: Signal, degraded: Signal, means: list[float], block: int
) -> Iterator[tuple[int, NDArray[np.floating]]]:
    """The cross-correlation as a sum over pairs of blocks.

    Pairs whose numbers differ by k reach the lags from (k − 1)·block to (k + 1)·block, so every stretch of lags gets
    its correlation from two neighbouring k: one's later half and the next one's earlier half.
    """
    counts = [-(-len(x) // block) for x in (reference, degraded)]
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
        yield (k - 1) * block, stretch
        later = circle[:block]


def _spectrum(signal: Signal, mean: float, number: int, block: int) -> NDArray[np.complex64]:
    """Return the transform of one block, padded to twice its length."""
    part = np.asarray(signal[number * block : (number + 1) * block] - mean, np.float32)
    return np.asarray(scipy.fft.rfft(part, 2 * block))
