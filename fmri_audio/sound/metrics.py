"""How alike two sounds are: reference and degraded in, one named record out.

Conventions
-----------
SNR       10 log10(Σ r² / Σ (r − d)²), as they are: no scaling, no mean removed.
SI-SDR    the same after the reference is scaled to fit best (Le Roux et al. 2019), both without their mean.
PESQ      ITU-T P.862.2 (wide band) and P.862.1 (narrow band) MOS-LQO, by ``pesq``, at 16 kHz.
STOI      Taal et al. 2011, by ``pystoi``, between 0 and 1, at 16 kHz (which it brings to 10 kHz itself).
lag       samples (at 16 kHz) by which the degraded sound comes late, at the maximum of the cross-correlation.

speech    share of the reference that is speech, by :func:`fmri_audio.sound.segments.detect_segments`. PESQ and STOI are
          models of speech: they are undefined where less than a tenth is.

offset    A constant added to a sound is not heard. Lag, speech, STOI and SI-SDR take both without their mean; PESQ
          too, but for a small offset that both share (see :func:`pesq`). SNR alone counts it.
level     PESQ brings both to one level itself (P.862, 10.1.1), STOI and SI-SDR ignore gain, SNR counts it. How far
          the levels are apart is a score of its own. What rounding to 16 bits did to a sound that was far too quiet
          is in its samples, and every score counts it.
length    PESQ and STOI are taken of up to 30 s at once. Of more they are means over pieces, cut in pauses
          (:mod:`fmri_audio.sound.pieces`), by the seconds of speech in each; pieces with less than a tenth are left
          out. PESQ is also cut where its library's table of utterances would not hold a piece.

A score that is not defined (silence, no speech, too short, no utterance found) is NaN, never a number in its place,
and :attr:`Scores.undefined` says why.
"""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pesq as _pesq
from numpy.typing import NDArray
from pystoi import stoi as _stoi

from fmri_audio.sound.audio import resample
from fmri_audio.sound.lag import best_lag
from fmri_audio.sound.pieces import pieces
from fmri_audio.sound.segments import detect_segments, speech_fraction

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
    "level_difference_db": "dB",
}
"""Unit of each score."""

LEAST_SPEECH = 0.1
"""Share of speech in the reference under which PESQ and STOI are undefined, where it has to be detected."""

FAR_APART_DB = 6.0
"""Difference of levels beyond which it is worth a sentence."""

_STOI_TOO_SHORT = 1e-5
"""What pystoi returns instead of a score when fewer than 30 frames are left."""

_SHARED_OFFSET, _OFFSET_APART = 0.1, 0.01
"""Offset, as a share of the level, that PESQ's own filters take out of both sounds, and how far apart they may be."""

_AT_ONCE = 1 << 22
"""Samples that sums are taken over at a time."""

Signal = NDArray[np.floating]


@dataclass(frozen=True)
class Scores:
    """Scores of one degraded sound against its reference; NaN where undefined.

    ``level_difference_db`` is the degraded sound's level over the reference's, both without their mean;
    ``undefined`` says in a phrase why a score is NaN or infinite.
    """

    snr_db: float
    si_sdr_db: float
    pesq_wb: float
    pesq_nb: float
    stoi: float
    lag_samples: int
    speech_fraction: float
    level_difference_db: float = math.nan
    undefined: dict[str, str] = dataclasses.field(default_factory=dict)

    def values(self) -> dict[str, float | int]:
        """Return the scores by name, without what is said about them."""
        return {name: getattr(self, name) for name in UNITS}

    def as_json(self) -> dict[str, float | int | dict[str, str] | None]:
        """Return the scores with ``None`` for undefined or infinite ones, and last the reason of each ``None``."""
        found = {name: value if math.isfinite(value) else None for name, value in self.values().items()}
        return {**found, "undefined": self.undefined}


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
    ref: Signal = resample(reference, sample_rate, METRIC_RATE)
    deg: Signal = resample(degraded, sample_rate, METRIC_RATE)
    lag = best_lag(ref, deg) if align else 0
    ref, deg = shifted(ref, deg, lag)
    fraction = speech_fraction(ref, METRIC_RATE)
    if speech is None:
        speech = fraction >= LEAST_SPEECH
    found = {
        "snr_db": snr_db(ref, deg),
        "si_sdr_db": si_sdr_db(ref, deg),
        "pesq_wb": pesq(ref, deg, "wb") if speech else math.nan,
        "pesq_nb": pesq(ref, deg, "nb") if speech else math.nan,
        "stoi": stoi(ref, deg) if speech else math.nan,
        "level_difference_db": level_difference_db(ref, deg),
    }
    why = {name: _why(name, ref, deg, speech) for name, value in found.items() if not math.isfinite(value)}
    return Scores(**found, lag_samples=lag, speech_fraction=fraction, undefined=why)


def shifted(reference: Signal, degraded: Signal, lag: int) -> tuple[Signal, Signal]:
    """Return both signals with the lag taken out, cut to the stretch they share."""
    reference, degraded = reference[max(0, -lag) :], degraded[max(0, lag) :]
    length = min(len(reference), len(degraded))
    return reference[:length], degraded[:length]


def snr_db(reference: Signal, degraded: Signal) -> float:
    """Return the signal-to-noise ratio in dB: the reference's energy over that of the difference."""
    signal = noise = 0.0
    for ref, deg in _blocks(reference, degraded):
        signal += float(np.sum(np.square(ref)))
        noise += float(np.sum(np.square(ref - deg)))
    return _ratio_db(signal, noise)


def si_sdr_db(reference: Signal, degraded: Signal) -> float:
    """Return the scale-invariant signal-to-distortion ratio in dB (Le Roux et al. 2019, equation 3).

    Both signals lose their mean first. NaN if either is silent.
    """
    means = _mean(reference), _mean(degraded)
    energy = shared = other = 0.0
    for ref, deg in _blocks(reference, degraded, *means):
        energy += float(np.dot(ref, ref))
        shared += float(np.dot(deg, ref))
        other += float(np.dot(deg, deg))
    if energy == 0 or other == 0:
        return math.nan
    signal = noise = 0.0
    for ref, deg in _blocks(reference, degraded, *means):
        target = shared / energy * ref
        signal += float(np.sum(np.square(target)))
        noise += float(np.sum(np.square(deg - target)))
    return _ratio_db(signal, noise)


def level_difference_db(reference: Signal, degraded: Signal) -> float:
    """Return by how many dB the degraded sound is louder (root mean square without the mean); NaN if one is silent."""
    powers = [0.0, 0.0]
    for pair in _blocks(reference, degraded, _mean(reference), _mean(degraded)):
        for n, signal in enumerate(pair):
            powers[n] += float(np.dot(signal, signal))
    return 10 * math.log10(powers[1] / powers[0]) if all(powers) else math.nan


def pesq(reference: Signal, degraded: Signal, band: str) -> float:
    """Return PESQ as MOS-LQO at 16 kHz (ITU-T P.862.2 for "wb", P.862.1 for "nb"); NaN where undefined.

    Sounds longer than 30 s, and such as hold more utterances than the library's table, are scored in pieces. Both
    sounds lose their mean. Where it is less than a tenth of the level and nearly the same in both (the difference
    less than a hundredth), the model's own filters take it out of both alike, and the sounds stay as they are.

    Parameters
    ----------
    reference, degraded : arrays of shape [T], mono, aligned
    band : "wb" or "nb"
    """
    return _over_pieces(reference, degraded, lambda ref, deg: _pesq_of(ref, deg, band), hold=True)


def stoi(reference: Signal, degraded: Signal) -> float:
    """Return short-time objective intelligibility (Taal et al. 2011) at 16 kHz; NaN where undefined.

    Sounds longer than 30 s are scored in pieces. Both sounds lose their mean.
    """
    return _over_pieces(reference, degraded, _stoi_of, hold=False)


def _pesq_of(reference: Signal, degraded: Signal, band: str) -> float:
    """Return PESQ of one piece."""
    ref, deg = (np.asarray(signal, np.float64) for signal in (reference, degraded))
    offsets = [signal.mean() / level if (level := signal.std()) else 0.0 for signal in (ref, deg)]
    if max(map(abs, offsets)) > _SHARED_OFFSET or abs(offsets[0] - offsets[1]) > _OFFSET_APART:
        ref, deg = ref - ref.mean(), deg - deg.mean()
    try:
        return float(_pesq.pesq(METRIC_RATE, ref, deg, band))
    except (_pesq.BufferTooShortError, _pesq.NoUtterancesError):
        return math.nan


def _stoi_of(reference: Signal, degraded: Signal) -> float:
    """Return STOI of one piece."""
    ref, deg = (np.asarray(signal, np.float64) for signal in (reference, degraded))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Not enough STFT frames", RuntimeWarning)
        try:
            value = float(_stoi(ref - ref.mean(), deg - deg.mean(), METRIC_RATE))
        except ValueError:  # shorter than a single frame
            return math.nan
    return math.nan if value == _STOI_TOO_SHORT else value


def _over_pieces(
    reference: Signal, degraded: Signal, one: Callable[[Signal, Signal], float], *, hold: bool
) -> float:
    """Return a score of a sound, or the mean over its pieces by the speech in each; NaN where none has a score."""
    if _constant(reference) or _constant(degraded):
        return math.nan
    cuts = pieces(reference, METRIC_RATE, hold=hold)
    if len(cuts) == 1:
        return one(reference, degraded)
    found, weights = [], []
    for cut, seconds in zip(cuts, _speech_seconds(reference, cuts), strict=True):
        ref, deg = reference[cut], degraded[cut]
        value = math.nan if not seconds or _constant(ref) or _constant(deg) else one(ref, deg)
        if math.isfinite(value):
            found.append(value)
            weights.append(seconds)
    return float(np.average(found, weights=weights)) if found else math.nan


def _speech_seconds(reference: Signal, cuts: list[slice]) -> list[float]:
    """Return the seconds of speech in each piece, 0 for less than a tenth; where none is detected, all counts."""
    table = detect_segments(reference, METRIC_RATE)
    spoken = table[table["kind"] == "speech"]
    onsets, offsets = spoken["onset"].to_numpy(float), spoken["offset"].to_numpy(float)
    lengths = [(cut.stop - cut.start) / METRIC_RATE for cut in cuts]
    found = []
    for cut, length in zip(cuts, lengths, strict=True):
        start = cut.start / METRIC_RATE
        within = np.minimum(offsets, start + length) - np.maximum(onsets, start)
        seconds = float(within.clip(min=0).sum())
        found.append(seconds if seconds >= LEAST_SPEECH * length else 0.0)
    return found if any(found) else lengths


def _why(name: str, reference: Signal, degraded: Signal, speech: bool) -> str:
    """Return why a score is not a number."""
    if not len(reference):
        return "the two sounds do not overlap"
    if name == "snr_db":
        return "infinite: the two sounds are the same" if np.any(reference) else "the reference is silent"
    if _constant(reference):
        return "the reference is silent"
    if _constant(degraded):
        return "the degraded sound is silent"
    if name == "si_sdr_db":
        return "infinite: the two sounds are the same but for gain and offset"
    if not speech:
        return "less than a tenth of the reference is speech"
    if name == "stoi":
        return "fewer than 30 frames (0.4 s) of the reference hold speech"
    return "shorter than 0.25 s" if len(reference) < METRIC_RATE / 4 else "PESQ finds no utterance in the reference"


def _constant(signal: Signal) -> bool:
    """Return whether a signal never moves: silence, with or without an offset."""
    return not len(signal) or bool(np.all(signal == signal[0]))


def _mean(signal: Signal) -> float:
    """Return the mean of a signal, in double precision; 0 of none."""
    return float(np.mean(signal, dtype=np.float64)) if len(signal) else 0.0


def _blocks(
    reference: Signal, degraded: Signal, mean_ref: float = 0.0, mean_deg: float = 0.0
) -> Iterator[tuple[Signal, Signal]]:
    """Yield both signals in double precision, less a constant, so many samples at a time."""
    for start in range(0, len(reference), _AT_ONCE):
        stop = start + _AT_ONCE
        yield (
            np.asarray(reference[start:stop], np.float64) - mean_ref,
            np.asarray(degraded[start:stop], np.float64) - mean_deg,
        )


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
