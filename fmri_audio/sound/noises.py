"""Noise that is like speech in all but its words: what a measure of words should give nothing for."""

from __future__ import annotations

import numpy as np

from fmri_audio.base.kinds import Waveform

_ENVELOPE_SECONDS = 0.02
"""Over which the level of speech is taken: syllables and their onsets are kept, pitch is not."""


def speech_shaped(speech: Waveform, seed: int) -> Waveform:
    """Return noise with the long-term spectrum of a sound: its own spectrum with phases drawn at random, shape [T]."""
    spectrum = np.abs(np.fft.rfft(np.asarray(speech, np.float64)))
    phase = np.random.default_rng(seed).uniform(0, 2 * np.pi, len(spectrum))
    return np.fft.irfft(spectrum * np.exp(1j * phase), len(speech)).astype(np.float32)


def speech_modulated(speech: Waveform, sample_rate: int, seed: int) -> Waveform:
    """Return noise with the long-term spectrum and the course of the level of a sound, shape [T].

    The floor for measures of intelligibility: it has no word, and short-time correlations of levels are high by
    construction (speech-modulated noise, Schroeder 1968; ICRA noises, Dreschler et al. 2001).

    Parameters
    ----------
    speech : array, shape [T]
    sample_rate : int
        In Hz.
    seed : int
    """
    noise = speech_shaped(speech, seed).astype(np.float64)
    level, own = (_level(wave, sample_rate) for wave in (np.asarray(speech, np.float64), noise))
    return (noise * level / np.maximum(own, 1e-9)).astype(np.float32)


def _level(wave: np.ndarray, sample_rate: int) -> np.ndarray:
    """Root mean square in a sliding window."""
    length = max(1, round(_ENVELOPE_SECONDS * sample_rate))
    total = np.concatenate([[0.0], np.cumsum(np.square(wave))])
    half = length // 2
    index = np.arange(len(wave))
    begin, end = np.maximum(index - half, 0), np.minimum(index + half + 1, len(wave))
    return np.sqrt(np.maximum(total[end] - total[begin], 0) / (end - begin))
