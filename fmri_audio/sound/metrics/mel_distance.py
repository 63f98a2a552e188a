"""Distance of two log-mel spectrograms."""

from __future__ import annotations

import math

import numpy as np

from fmri_audio.base.kinds import Signal
from fmri_audio.sound.metrics.base import METRICS, Metric


def mel_distance_db(
    reference: Signal, degraded: Signal, sample_rate: int, n_mels: int = 80, floor_db: float = -80.0
) -> float:
    """Return the root-mean-square difference of two log-mel spectrograms in dB.

    Powers in ``n_mels`` mel bands (HTK scale, Hann window of 43 ms, hop a quarter of it) in dB, floored at
    ``floor_db`` below the reference's loudest band; the mean is over all bands and frames.

    Parameters
    ----------
    reference, degraded : arrays of shape [T], mono, aligned
    sample_rate : Hz, of both
    n_mels : mel bands between 0 Hz and half the sample rate
    floor_db : lowest level that counts, relative to the reference's peak

    Returns
    -------
    float
        dB; NaN if the reference is silent.
    """
    import torch
    import torchaudio

    length = min(len(reference), len(degraded))
    n_fft = 2 ** round(math.log2(sample_rate * 0.043))
    spectrogram = torchaudio.transforms.MelSpectrogram(
        sample_rate, n_fft, hop_length=n_fft // 4, n_mels=n_mels
    )
    pair = np.stack([reference[:length], degraded[:length]]).astype(np.float32)
    ref, deg = spectrogram(torch.from_numpy(pair))
    top = float(ref.max())
    if top == 0:
        return math.nan
    floor = top * 10 ** (floor_db / 10)
    difference = 10 * (torch.log10(ref.clamp(min=floor)) - torch.log10(deg.clamp(min=floor)))
    return float(difference.square().mean().sqrt())


METRICS.register(
    Metric("mel_distance_db", "mel distance (dB)", "dB", -1, 2, 60, mel_distance_db, rate=None), __name__
)
