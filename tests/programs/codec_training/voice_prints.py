"""How like two voices sound: statistics of their short-time spectra, whatever they say."""

from __future__ import annotations

import numpy as np
import torch
from scipy.fft import dct
from torchaudio.transforms import MelSpectrogram

from fmri_audio.sound.audio import SAMPLE_RATE

SAME_VOICE = 3.2
"""Distance that two voices exceed; one voice with itself, in other words and another room, stays below it."""

_BELOW_LOUD_DB = 25.0
_COEFFICIENTS = slice(1, 21)  # without the level


def voice_print(wave: np.ndarray) -> np.ndarray:
    """Return mean and spread of 20 mel cepstral coefficients of the loud frames of speech at 24 kHz, [40]."""
    spectrum = MelSpectrogram(SAMPLE_RATE, 1024, hop_length=240, f_min=80.0, f_max=7600.0, n_mels=40)
    unit = torch.from_numpy(np.asarray(wave / np.sqrt(np.mean(np.square(wave))), np.float32))
    energies = spectrum(unit).numpy()
    levels = 10 * np.log10(energies.sum(0) + 1e-9)
    loud = energies[:, levels > np.percentile(levels, 95) - _BELOW_LOUD_DB]
    coefficients = dct(np.log(loud + 1e-3), axis=0, norm="ortho")[_COEFFICIENTS]
    return np.concatenate([coefficients.mean(1), coefficients.std(1)])


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """Return the Euclidean distance of two voice prints."""
    return float(np.linalg.norm(one - other))
