r"""Line spectral frequencies: a feature of sound that no arm is trained on and that no simulated brain follows.

Linear prediction writes a frame of sound as an all-pole filter :math:`1/A(z)`, a tube that is excited. The line
spectral frequencies (Itakura 1975) are the angles of the roots of

.. math:: P(z) = A(z) + z^{-(p+1)} A(z^{-1}), \qquad Q(z) = A(z) - z^{-(p+1)} A(z^{-1}),

which lie on the unit circle, take turns, and crowd together where the tube resonates. They say where the resonances
are and nothing about how loud the sound is: scaling it leaves :math:`A` alone. Speech coders send them.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fmri_audio.base.timeline import trs_to_samples
from fmri_audio.sound.audio import resample

RATE = 8_000
"""Sample rate (Hz) of the analysis: the band in which speech has its resonances."""

ORDER = 10
"""p, as in telephony at this rate: a pair of poles per resonance and one pair for the tilt. Even."""

WINDOW_SECONDS, HOP_SECONDS = 0.030, 0.015
"""Length of a frame (Hann window) and step from one to the next."""

WHITE_NOISE = 1e-4
"""White noise added to every frame, relative to its own energy: keeps the predictor well-conditioned."""

FLOOR = 1e-6
"""White noise added to all frames alike, relative to the loudest: what is 60 dB below it counts as silence, whose
frequencies are spread evenly."""

LEAST_VARIATION_HZ = 1e-2
"""What varies less from TR to TR (standard deviation) is a sound that never changes, and rounding."""


def line_spectra(waveform: NDArray[np.floating], sample_rate: int, tr: Fraction) -> NDArray[np.float32]:
    """Line spectral frequencies of a sound, averaged over the frames that lie within each TR.

    Parameters
    ----------
    waveform : array, shape [T]
        Begins with a TR.
    sample_rate : int
        Hz.
    tr : Fraction
        Seconds.

    Returns
    -------
    array, shape [TRs, ORDER]
        In Hz, ascending. The same whatever the sound's level.

    Raises
    ------
    ValueError
        A TR is shorter than a frame.
    """
    n_trs = round(Fraction(len(waveform), sample_rate) / tr)
    sound = np.asarray(resample(waveform, sample_rate, RATE), np.float64)
    if trs_to_samples(1, RATE, tr) < round(WINDOW_SECONDS * RATE):
        raise ValueError(f"a TR of {float(tr):g} s is shorter than a frame of {WINDOW_SECONDS:g} s")
    edges = [trs_to_samples(k, RATE, tr) for k in range(n_trs + 1)]
    correlations = [_autocorrelations(sound[a:b]) for a, b in pairwise(edges)]
    # A wholly silent sound has white noise of any size, and evenly spread frequencies.
    loudest = max(float(one[:, 0].max()) for one in correlations)
    floor = max(FLOOR * loudest, float(np.finfo(np.float32).tiny))
    means = []
    for one in correlations:
        one[:, 0] = one[:, 0] * (1 + WHITE_NOISE) + floor
        means.append(frequencies_of(predictors_of(one)).mean(axis=0))
    return np.asarray(np.stack(means) * RATE / (2 * np.pi), np.float32)


def _autocorrelations(sound: NDArray[np.float64]) -> NDArray[np.float64]:
    """Autocorrelation of the windowed frames of a sound [T] at lags 0 to ORDER, [frames, ORDER + 1]."""
    length, hop = round(WINDOW_SECONDS * RATE), round(HOP_SECONDS * RATE)
    frames = np.lib.stride_tricks.sliding_window_view(sound, length)[::hop] * np.hanning(length)
    power = np.square(np.abs(np.fft.rfft(frames, 2 * length, axis=1)))
    return np.asarray(np.fft.irfft(power, 2 * length, axis=1)[:, : ORDER + 1])


def predictors_of(correlations: NDArray[np.float64]) -> NDArray[np.float64]:
    """Linear predictors by Levinson's recursion, many at a time.

    Parameters
    ----------
    correlations : array, shape [n, p + 1]
        Autocorrelations at lags 0 to p; the first positive.

    Returns
    -------
    array, shape [n, p + 1]
        Coefficients of A(z), the first 1.
    """
    order = correlations.shape[1] - 1
    a = np.zeros_like(correlations)
    a[:, 0] = 1.0
    error = correlations[:, 0].copy()
    for i in range(1, order + 1):
        reflection = -(a[:, :i] * correlations[:, i:0:-1]).sum(axis=1) / error
        a[:, 1 : i + 1] += reflection[:, None] * a[:, i - 1 :: -1][:, :i]
        error *= 1 - reflection**2
    return a


def frequencies_of(predictors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Line spectral frequencies of linear predictors of even order.

    Parameters
    ----------
    predictors : array, shape [n, p + 1]
        Coefficients of minimum-phase A(z), the first 1.

    Returns
    -------
    array, shape [n, p]
        In radians per sample, ascending between 0 and π.
    """
    order = predictors.shape[1] - 1
    padded = np.pad(predictors, ((0, 0), (0, 1)))
    found = []
    for sign in (1, -1):
        polynomial = padded + sign * padded[:, ::-1]
        # P always has a root at -1 and Q one at 1, which say nothing: divided out.
        for i in range(1, order + 1):
            polynomial[:, i] -= sign * polynomial[:, i - 1]
        companion = np.zeros((len(predictors), order, order))
        companion[:, np.arange(1, order), np.arange(order - 1)] = 1.0
        companion[:, 0] = -polynomial[:, 1 : order + 1]
        angles = np.sort(np.angle(np.linalg.eigvals(companion)), axis=1)
        found.append(angles[:, order // 2 :])  # the other half are their conjugates
    return np.sort(np.concatenate(found, axis=1), axis=1)
