"""Acoustic features that simulated brains follow, in families that can be chosen; none comes from the codec.

======================  ==============================================================================
``bands``               energy in 16 frequency bands, relative to the level
``envelope``            level and onsets
``modulation``          spectro-temporal modulation: energy at 3 rates × 3 scales (Chi, Ru & Shamma 2005)
``pitch``               how periodic the sound is, and its fundamental frequency
======================  ==============================================================================
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.signal import resample_poly

from fmri_audio.base.errors import UserError
from fmri_audio.base.settings import FAMILIES, Family

#: Features are computed at this rate (Hz), fine enough for onsets and 8 Hz modulation.
FEATURE_RATE = 40
N_BANDS = 16
#: The spectrogram behind bands and modulation: log-spaced channels, dB above a floor below the loudest moment.
N_CHANNELS = 2 * N_BANDS
CHANNEL_EDGES_HZ = (80.0, 8000.0)
FLOOR_DB = 60.0
#: Modulation along time (Hz) and along frequency (cycles per octave) to which the filters are tuned, and their
#: width in octaves (standard deviation).
RATES_HZ = (2.0, 4.0, 8.0)
SCALES_CPO = (0.25, 0.5, 1.0)
MODULATION_WIDTH = 0.5
#: Pitch is looked for in this range, at this sample rate and in windows that hold two periods of the lowest.
PITCH_HZ = (70.0, 400.0)
PITCH_RATE = 8000
PITCH_WINDOW = 512
#: Lags an octave longer must correlate better by this much: a period's multiples are periods too.
OCTAVE_COST = 0.1
_CHUNK = 4096


@dataclass(frozen=True)
class Features:
    """Acoustic features of a sound, or a process that stands in for them.

    Attributes
    ----------
    values : array, shape [features, frames]
        At ``FEATURE_RATE``; 0 in silence.
    names : list of str
    families : list of str
        Family of each feature.
    """

    values: np.ndarray
    names: list[str]
    families: list[str]

    def only(self, families: Sequence[str]) -> Features:
        """The features of these families, in the order in which they are here."""
        kept = [i for i, family in enumerate(self.families) if family in families]
        return Features(self.values[kept], [self.names[i] for i in kept], [self.families[i] for i in kept])

    def beside(self, others: Features) -> Features:
        """These features and others of as many frames, [both, frames]."""
        return Features(
            np.concatenate([self.values, others.values]),
            [*self.names, *others.names],
            [*self.families, *others.families],
        )


def check_families(families: Sequence[str]) -> None:
    """Raise a UserError unless these are families of features, at least one and none twice."""
    for family in families:
        if family not in FAMILIES:
            raise UserError(f"features: there is no family {family!r}; choose from {', '.join(FAMILIES)}")
    if not families or len(set(families)) != len(families):
        raise UserError(f"features: name at least one family, and none twice, of {', '.join(FAMILIES)}")


def acoustic_features(waveform: np.ndarray, sample_rate: int) -> Features:
    """All families of features of a sound.

    Bands are counted from their mean, the level: real auditory cortex follows what the sound is more than how
    loud it is. The onset is the summed rise over the bands.

    Parameters
    ----------
    waveform : array, shape [T]
    sample_rate : int
        Hz.

    Returns
    -------
    Features
        16 bands, 2 of the envelope, 9 modulations and 2 of pitch.
    """
    power = _channel_powers(waveform, sample_rate)
    bands = _decibels(power.reshape(N_BANDS, -1, power.shape[1]).sum(axis=1))
    level = bands.mean(axis=0)
    onset = np.clip(np.diff(bands, axis=1, prepend=bands[:, :1]), 0, None).sum(axis=0)
    strength, height = _pitch(waveform, sample_rate, power.shape[1])
    audible = level > 0
    families: dict[Family, dict[str, np.ndarray]] = {
        "bands": {f"band {i + 1}": band for i, band in enumerate(bands - level)},
        "envelope": {"level": level, "onset": onset},
        "modulation": _modulations(_decibels(power)),
        "pitch": {"periodicity": strength * audible, "pitch height": height * strength * audible},
    }
    return Features(
        np.stack([values for family in families.values() for values in family.values()]),
        [name for family in families.values() for name in family],
        [family for family, members in families.items() for _ in members],
    )


def _frames(waveform: np.ndarray, sample_rate: int, length: int) -> Iterator[np.ndarray]:
    """Yield windows [≤ 4096, length] of a sound, ``FEATURE_RATE`` a second, centred on their moment."""
    n_frames = int(len(waveform) * FEATURE_RATE / sample_rate)
    starts = (np.arange(n_frames) * sample_rate / FEATURE_RATE).astype(int)
    padded = np.pad(waveform, (length // 2, length))
    for first in range(0, n_frames, _CHUNK):
        yield padded[starts[first : first + _CHUNK, None] + np.arange(length)]


def _channel_powers(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """Power per channel and frame, [channels, frames]."""
    n_fft = 1 << round(np.log2(0.05 * sample_rate))
    frequency = np.fft.rfftfreq(n_fft, 1 / sample_rate)
    edges = np.geomspace(*CHANNEL_EDGES_HZ, N_CHANNELS + 1)
    # A channel narrower than a bin of the spectrum takes the bin nearest to its centre.
    member = np.stack(
        [
            (frequency >= low) & (frequency < high)
            | (np.arange(len(frequency)) == np.argmin(np.abs(frequency - np.sqrt(low * high))))
            for low, high in itertools.pairwise(edges)
        ]
    ).astype(float)
    window = np.hanning(n_fft)
    powers = [
        member @ (np.abs(np.fft.rfft(frames * window, axis=1)) ** 2).T
        for frames in _frames(waveform, sample_rate, n_fft)
    ]
    return np.concatenate(powers, axis=1)


def _decibels(power: np.ndarray) -> np.ndarray:
    """Level above a floor 60 dB below the loudest channel and frame."""
    level = 10 * np.log10(power + 1e-12)
    return np.asarray(np.clip(level - (level.max() - FLOOR_DB), 0, None))


def _modulations(spectrogram: np.ndarray) -> dict[str, np.ndarray]:
    """Energy of spectro-temporal modulation of a log spectrogram [channels, frames], per rate and scale.

    The cortical model of Chi, Ru & Shamma (2005), computed simply: filters that are Gaussian in log rate and log
    scale multiply the spectrogram's two-dimensional spectrum. The squared output is summed over frequency, which
    by Parseval's theorem needs no way back from scales to channels, and over up- and downward sweeps.
    """
    octaves_per_channel = math.log2(CHANNEL_EDGES_HZ[1] / CHANNEL_EDGES_HZ[0]) / N_CHANNELS
    scales = np.fft.rfftfreq(2 * N_CHANNELS, octaves_per_channel)
    by_scale = np.fft.rfft(spectrogram, 2 * N_CHANNELS, axis=0)
    n_frames = spectrogram.shape[1]
    # The slowest filter rings for about a second: two of silence keep the end from reaching round to the start.
    n_fft = n_frames + 2 * FEATURE_RATE
    rates = np.fft.fftfreq(n_fft, 1 / FEATURE_RATE)
    spectrum = np.fft.fft(by_scale, n_fft, axis=1)
    scale_filters = np.stack([_tuned(scales, scale) ** 2 for scale in SCALES_CPO])
    found = {}
    for rate in RATES_HZ:
        energy = sum(
            np.abs(np.fft.ifft(spectrum * _tuned(direction * rates, rate), axis=1)[:, :n_frames]) ** 2
            for direction in (1, -1)
        )
        for scale, values in zip(SCALES_CPO, np.sqrt(scale_filters @ energy), strict=True):
            found[f"modulation {rate:g} Hz {scale:g} c/oct"] = values
    return found


def _tuned(modulation: np.ndarray, centre: float) -> np.ndarray:
    """Gain of a filter that is Gaussian on a logarithmic axis; 0 where modulation is not positive."""
    octaves = np.log2(np.where(modulation > 0, modulation, 1.0) / centre)
    return np.where(modulation > 0, np.exp(-0.5 * (octaves / MODULATION_WIDTH) ** 2), 0.0)


def _pitch(waveform: np.ndarray, sample_rate: int, n_frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Periodicity (0 to 1) and height of the pitch (octaves above 70 Hz) per frame, by autocorrelation.

    The autocorrelation of a windowed frame is divided by the window's own; its highest peak within the range of
    pitch, with a cost for octaves, is the periodicity, the lag of the peak the period (Boersma 1993).
    """
    common = math.gcd(PITCH_RATE, sample_rate)
    sound = resample_poly(waveform, PITCH_RATE // common, sample_rate // common)
    window = np.hanning(PITCH_WINDOW)
    lags = np.arange(int(PITCH_RATE / PITCH_HZ[1]), int(PITCH_RATE / PITCH_HZ[0]) + 1)
    own = _autocorrelation(window[None], lags)[0]
    strength, height = np.zeros(n_frames), np.zeros(n_frames)
    done = 0
    for frames in _frames(sound, PITCH_RATE, PITCH_WINDOW):
        frames = frames[: n_frames - done]
        periodic = _autocorrelation((frames - frames.mean(axis=1, keepdims=True)) * window, lags) / own
        best = (periodic - OCTAVE_COST * np.log2(lags)).argmax(axis=1)
        here = slice(done, done + len(frames))
        strength[here] = np.clip(periodic[np.arange(len(frames)), best], 0, 1)
        height[here] = np.log2(PITCH_RATE / lags[best] / PITCH_HZ[0])
        done += len(frames)
    return strength, height


def _autocorrelation(frames: np.ndarray, lags: np.ndarray) -> np.ndarray:
    """Autocorrelation of every row at some lags, as a share of the row's energy; 0 for silence."""
    n_fft = 2 * frames.shape[1]
    products = np.fft.irfft(np.abs(np.fft.rfft(frames, n_fft, axis=1)) ** 2, n_fft, axis=1)
    energy = products[:, :1]
    return np.divide(products[:, lags], energy, out=np.zeros((len(frames), len(lags))), where=energy > 1e-9)
