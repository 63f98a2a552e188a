"""How alike two sounds are: reference and degraded in, one named record out.

Conventions
-----------
SNR       10 log10(Σ r² / Σ (r − d)²), as they are: no scaling, no mean removed.
SI-SDR    the same after the reference is scaled to fit best (Le Roux et al. 2019), both without their mean.
PESQ      ITU-T P.862.2 (wide band) and P.862.1 (narrow band) MOS-LQO, by ``pesq``, at 16 kHz.
STOI      Taal et al. 2011, by ``pystoi``, between 0 and 1, at 16 kHz (which it brings to 10 kHz itself).
lag       samples (at 16 kHz) by which the degraded sound comes late, at the maximum of the cross-correlation.

speech    share of the reference that is speech, by :func:`fmri_audio.segments.detect_segments`. PESQ and STOI are
          models of speech: they are undefined where less than a tenth is.

A score that is not defined (silence, no speech, too short, no utterance found) is NaN, never a number in its place.
"""

from __future__ import annotations

import dataclasses
import math
import warnings
from dataclasses import dataclass

import numpy as np
import pesq as _pesq
import scipy.signal
from numpy.typing import NDArray
from pystoi import stoi as _stoi

from fmri_audio.audio import resample
from fmri_audio.segments import speech_fraction

METRIC_RATE = 16_000
"""Sample rate in Hz at which all scores are taken: the highest that PESQ has."""

UNITS = {
    "snr_db": "dB",
    "si_sdr_db": "dB",
    "pesq_wb": "MOS-LQO",
    "pesq_nb": "MOS-LQO",
    "stoi": "1",
    "lag_samples": "samples",
    "speech_fraction": "1",
}
"""Unit of each score."""

LEAST_SPEECH = 0.1
"""Share of speech in the reference under which PESQ and STOI are undefined, where it has to be detected."""

_STOI_TOO_SHORT = 1e-5
"""What pystoi returns instead of a score when fewer than 30 frames are left."""

Signal = NDArray[np.floating]


@dataclass(frozen=True)
class Scores:
    """Scores of one degraded sound against its reference; NaN where undefined."""

    snr_db: float
    si_sdr_db: float
    pesq_wb: float
    pesq_nb: float
    stoi: float
    lag_samples: int
    speech_fraction: float

    def as_json(self) -> dict[str, float | int | None]:
        """Return the scores with ``None`` for undefined or infinite ones."""
        return {
            key: value if math.isfinite(value) else None for key, value in dataclasses.asdict(self).items()
        }


def evaluate(reference: Signal, degraded: Signal, sample_rate: int) -> Scores:
    """Score two recordings of the same sound that may be shifted against each other.

    Both are brought to 16 kHz, the degraded one is moved by the lag of the highest cross-correlation, and both are
    cut to the stretch they share.

    Parameters
    ----------
    reference, degraded : arrays of shape [T], mono
    sample_rate : Hz, of both
    """
    return score(reference, degraded, sample_rate, align=True)


def score(
    reference: Signal, degraded: Signal, sample_rate: int, *, align: bool = False, speech: bool | None = None
) -> Scores:
    """Score a degraded sound against its reference, sample by sample unless ``align`` is given.

    Parameters
    ----------
    reference, degraded : arrays of shape [T], mono
    sample_rate : Hz, of both
    align
        Find the lag by cross-correlation first; otherwise it is taken to be 0.
    speech
        Whether the reference is speech, where that is known; otherwise it is detected.
    """
    ref: Signal = resample(reference, sample_rate, METRIC_RATE).astype(np.float64)
    deg: Signal = resample(degraded, sample_rate, METRIC_RATE).astype(np.float64)
    lag = best_lag(ref, deg) if align else 0
    ref, deg = shifted(ref, deg, lag)
    fraction = speech_fraction(ref, METRIC_RATE)
    if speech is None:
        speech = fraction >= LEAST_SPEECH
    return Scores(
        snr_db=snr_db(ref, deg),
        si_sdr_db=si_sdr_db(ref, deg),
        pesq_wb=pesq(ref, deg, "wb") if speech else math.nan,
        pesq_nb=pesq(ref, deg, "nb") if speech else math.nan,
        stoi=stoi(ref, deg) if speech else math.nan,
        lag_samples=lag,
        speech_fraction=fraction,
    )


def best_lag(reference: Signal, degraded: Signal) -> int:
    """Return by how many samples ``degraded`` comes later than ``reference`` (negative: earlier)."""
    if not (np.any(reference) and np.any(degraded)):
        return 0
    correlation = scipy.signal.correlate(degraded, reference, mode="full", method="fft")
    return int(correlation.argmax()) - (len(reference) - 1)


def shifted(reference: Signal, degraded: Signal, lag: int) -> tuple[Signal, Signal]:
    """Return both signals with the lag taken out, cut to the stretch they share."""
    reference, degraded = reference[max(0, -lag) :], degraded[max(0, lag) :]
    length = min(len(reference), len(degraded))
    return reference[:length], degraded[:length]


def snr_db(reference: Signal, degraded: Signal) -> float:
    """Return the signal-to-noise ratio in dB: the reference's energy over that of the difference."""
    return _ratio_db(float(np.sum(np.square(reference))), float(np.sum(np.square(reference - degraded))))


def si_sdr_db(reference: Signal, degraded: Signal) -> float:
    """Return the scale-invariant signal-to-distortion ratio in dB (Le Roux et al. 2019, equation 3).

    Both signals lose their mean first. NaN if either is silent.
    """
    ref, deg = reference - np.mean(reference), degraded - np.mean(degraded)
    energy = float(np.dot(ref, ref))
    if energy == 0 or not np.any(deg):
        return math.nan
    target = np.dot(deg, ref) / energy * ref
    return _ratio_db(float(np.sum(np.square(target))), float(np.sum(np.square(deg - target))))


def pesq(reference: Signal, degraded: Signal, band: str) -> float:
    """Return PESQ as MOS-LQO at 16 kHz (ITU-T P.862.2 for "wb", P.862.1 for "nb"); NaN where undefined."""
    if not (np.any(reference) and np.any(degraded)):
        return math.nan
    try:
        return float(_pesq.pesq(METRIC_RATE, reference, degraded, band))
    except (_pesq.BufferTooShortError, _pesq.NoUtterancesError):
        return math.nan


def stoi(reference: Signal, degraded: Signal) -> float:
    """Return short-time objective intelligibility (Taal et al. 2011) at 16 kHz; NaN where undefined."""
    if not (np.any(reference) and np.any(degraded)):
        return math.nan
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Not enough STFT frames", RuntimeWarning)
        try:
            value = float(_stoi(reference, degraded, METRIC_RATE))
        except ValueError:  # shorter than a single frame
            return math.nan
    return math.nan if value == _STOI_TOO_SHORT else value


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


def _ratio_db(signal: float, noise: float) -> float:
    """Return a ratio of energies in dB; NaN without signal, infinite without noise."""
    if signal == 0:
        return math.nan
    return math.inf if noise == 0 else 10 * math.log10(signal / noise)
