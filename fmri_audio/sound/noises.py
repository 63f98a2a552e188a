"""Noise that is like a sound and carries none of it: its long-term spectrum, and the course of its level.

Speech-shaped noise is what audiology masks speech with. With the speech's envelope as well (Dreschler et al. 2001,
"ICRA noises") it keeps everything that a score can see without hearing a word: STOI, for one, gives it about a half.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.signal
from numpy.typing import NDArray

from fmri_audio.base.kinds import Signal, Waveform

ENVELOPE_HZ = 20.0
"""Modulation up to which an envelope is kept: syllables and the onsets of consonants, not the voice's pitch."""

_RESOLUTION_HZ = 40.0
"""Of a long-term spectrum: formants of all voices together, and no voice's harmonics."""


def long_term_spectrum(sounds: Sequence[Signal], sample_rate: int) -> NDArray[np.float64]:
    """Return the mean power spectrum of sounds, [F] from 0 Hz to half the sample rate (Welch 1967).

    Parameters
    ----------
    sounds : arrays of shape [T], mono
    sample_rate : Hz
    """
    width = round(sample_rate / _RESOLUTION_HZ)
    power = np.zeros(width // 2 + 1)
    for sound in sounds:
        padded = np.pad(np.asarray(sound, np.float64), (0, max(0, width - len(sound))))
        power += len(sound) * scipy.signal.welch(padded, nperseg=width)[1]
    return power / max(1, sum(len(sound) for sound in sounds))


def shaped_noise(like: Signal, spectrum: NDArray[np.float64], generator: np.random.Generator) -> Waveform:
    """Return noise of a spectrum, as long and as loud as a sound.

    Parameters
    ----------
    like : array of shape [T]
    spectrum : array of shape [F]
        Power from 0 Hz to half the sample rate, as from :func:`long_term_spectrum`.
    generator
    """
    return _as_loud(_shaped(len(like), spectrum, generator), like)


def modulated_noise(
    like: Signal, sample_rate: int, spectrum: NDArray[np.float64], generator: np.random.Generator
) -> Waveform:
    """Return noise of a spectrum whose level rises and falls as that of a sound; parameters as above."""
    return _as_loud(_shaped(len(like), spectrum, generator) * envelope(like, sample_rate), like)


def envelope(sound: Signal, sample_rate: int) -> NDArray[np.float64]:
    """Return the course of a sound's amplitude up to :data:`ENVELOPE_HZ`, [T], nowhere negative."""
    low = scipy.signal.butter(2, ENVELOPE_HZ, fs=sample_rate, output="sos")
    rectified = np.abs(np.asarray(sound, np.float64))
    smooth: NDArray[np.float64] = scipy.signal.sosfiltfilt(low, rectified)
    return np.maximum(smooth, 0.0)


def _shaped(n: int, spectrum: NDArray[np.float64], generator: np.random.Generator) -> NDArray[np.float64]:
    white = np.fft.rfft(generator.standard_normal(n))
    places = np.linspace(0, len(spectrum) - 1, len(white))
    return np.fft.irfft(white * np.sqrt(np.interp(places, np.arange(len(spectrum)), spectrum)), n)


def _as_loud(noise: NDArray[np.float64], like: Signal) -> Waveform:
    """Bring noise to the root mean square of a sound; silence makes silence."""
    own, wanted = (float(np.sqrt(np.mean(np.square(one, dtype=np.float64)))) for one in (noise, like))
    return (noise * (wanted / own if own else 0.0)).astype(np.float32)
