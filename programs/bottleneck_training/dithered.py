r"""A code of real numbers as bits on a wire: dithered quantisation and a range coder.

White noise of standard deviation σ on numbers of variance 1 is a channel of ½ log₂(1 + 1/σ²) bits a number, on paper.
Subtractive dither makes it a fact. A number x and a dither u, drawn evenly from a step Δ = σ √12 and known to both
ends, are rounded together; what arrives, Δ · round((x + u) / Δ) − u, is off by noise that is white, evenly spread over
a step, of standard deviation σ, and independent of x (Schuchman 1964). Given the dither, the rounded numbers of a
normal x are those of a normal distribution too, by which they are coded; that takes at most ½ log₂(2πe/12) = .254 bits
a number more than the channel has (Zamir and Feder 1992).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import constriction
import numpy as np
from numpy.typing import NDArray

MOST_OVER = 0.5 * math.log2(2 * math.pi * math.e / 12)
"""Bits a number that evenly spread noise takes more than normal noise at most."""

_REACH = 2**15  # of rounded numbers, in steps


@dataclass(frozen=True)
class Sent:
    """A code that has been sent.

    Attributes
    ----------
    numbers : array, shape [steps, D]
        What arrives, as after white noise; not yet a posterior mean.
    bits : int
        Length of the coded stream.
    """

    numbers: NDArray[np.float64]
    bits: int


def send(code: NDArray[np.floating], sigma: float, seed: int) -> Sent:
    """Quantise, code, decode again, and take the dither off.

    Parameters
    ----------
    code : array, shape [steps, D]
        Of variance 1 on training sound.
    sigma : float
        Standard deviation of the noise that quantising makes.
    seed : int
        Of the dither, which both ends know.

    Raises
    ------
    ValueError
        A number is too large to be coded, or the stream does not give back what was coded.
    """
    values = np.asarray(code, np.float64)
    step = sigma * math.sqrt(12)
    dither = np.random.default_rng(seed).uniform(-step / 2, step / 2, values.shape)
    rounded = np.round((values + dither) / step)
    if np.abs(rounded).max(initial=0) >= _REACH:
        raise ValueError(f"a number of {np.abs(values).max():.3g} is too large for steps of {step:.3g}")
    symbols, means = rounded.astype(np.int32).ravel(), (dither / step).ravel()
    model = constriction.stream.model.QuantizedGaussian(-_REACH, _REACH)
    spread = np.full(len(means), 1 / step)
    encoder = constriction.stream.queue.RangeEncoder()
    encoder.encode(symbols, model, means, spread)
    stream = encoder.get_compressed()
    back = constriction.stream.queue.RangeDecoder(stream).decode(model, means, spread)
    if not np.array_equal(back, symbols):
        raise ValueError("the stream does not give back what was coded")
    return Sent(back.reshape(values.shape) * step - dither, 32 * len(stream))
