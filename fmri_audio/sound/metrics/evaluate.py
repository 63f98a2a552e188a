"""All scores of one pair of sounds, which may be shifted against each other, as one named record."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from fmri_audio.base.kinds import Signal
from fmri_audio.sound.audio import resample
from fmri_audio.sound.lag import NO_LAG, Lag, find_lag
from fmri_audio.sound.metrics.base import LEAST_SPEECH, METRIC_RATE, blocks, constant, mean
from fmri_audio.sound.metrics.dnsmos_ovrl import dnsmos_ovrl
from fmri_audio.sound.metrics.estoi import estoi
from fmri_audio.sound.metrics.pesq import pesq
from fmri_audio.sound.metrics.si_sdr import si_sdr_db
from fmri_audio.sound.metrics.snr import snr_db
from fmri_audio.sound.metrics.stoi import stoi
from fmri_audio.sound.metrics.visqol_speech import SHORTEST as VISQOL_SHORTEST
from fmri_audio.sound.metrics.visqol_speech import visqol_speech
from fmri_audio.sound.segments import speech_fraction

UNITS = {
    "snr_db": "dB",
    "si_sdr_db": "dB",
    "pesq_wb": "MOS-LQO",
    "pesq_nb": "MOS-LQO",
    "stoi": "1",
    "estoi": "1",
    "visqol_speech": "MOS-LQO",
    "dnsmos_ovrl": "MOS",
    "lag_samples": "samples",
    "speech_fraction": "1",
    "level_difference_db": "dB",
}
"""Unit of each score."""

_OF_WAVEFORM = ("snr_db", "si_sdr_db")
_MADE_UP = "the phase is made up, so that the waveform's error says nothing"

FAR_APART_DB = 6.0
"""Difference of levels beyond which it is worth a sentence."""


@dataclass(frozen=True)
class Scores:
    """Scores of one degraded sound against its reference; NaN where undefined.

    ``level_difference_db`` is the degraded sound's level over the reference's, both without their mean;
    ``undefined`` says in a phrase why a score is NaN or infinite; ``lag`` how the lag was come by.
    """

    snr_db: float
    si_sdr_db: float
    pesq_wb: float
    pesq_nb: float
    stoi: float
    estoi: float
    visqol_speech: float
    dnsmos_ovrl: float
    lag_samples: int
    speech_fraction: float
    level_difference_db: float = math.nan
    undefined: dict[str, str] = dataclasses.field(default_factory=dict)
    lag: Lag = NO_LAG

    def values(self) -> dict[str, float | int]:
        """Return the scores by name, without what is said about them."""
        return {name: getattr(self, name) for name in UNITS}

    def as_json(self) -> dict[str, float | int | str | bool | dict[str, str] | None]:
        """Return the scores with ``None`` for undefined or infinite ones, and last the reason of each ``None``."""
        found: dict[str, float | int | str | bool | dict[str, str] | None]
        found = {name: value if math.isfinite(value) else None for name, value in self.values().items()}
        how: dict[str, str | bool] = {"lag_method": self.lag.method, "lag_clear": self.lag.clear}
        return {**found, **how, "undefined": self.undefined}


def evaluate(
    reference: Signal,
    degraded: Signal,
    sample_rate: int,
    lag_method: str = "correlation",
    lag_seconds: float = 0.0,
) -> Scores:
    """Score two recordings of the same sound that may be shifted against each other.

    Both are brought to 16 kHz, the degraded one is moved by the lag, and both are cut to the stretch they share.

    Parameters
    ----------
    reference, degraded : arrays of shape [T], mono
    sample_rate : Hz, of both
    lag_method : str
        How to come by the lag (:func:`fmri_audio.sound.lag.find_lag`).
    lag_seconds : float
        The lag, where it is known.
    """
    return score(reference, degraded, sample_rate, align=True, lag_method=lag_method, lag_seconds=lag_seconds)


def score(
    reference: Signal,
    degraded: Signal,
    sample_rate: int,
    *,
    align: bool = False,
    speech: bool | None = None,
    waveform: bool = True,
    lag_method: str = "correlation",
    lag_seconds: float = 0.0,
) -> Scores:
    """Score a degraded sound against its reference, sample by sample unless ``align`` is given.

    Parameters
    ----------
    reference, degraded : arrays of shape [T], mono
    sample_rate : Hz, of both
    align
        Take the lag out first; otherwise it is taken to be 0.
    speech
        Whether the reference is speech, where that is known; otherwise it is detected.
    waveform
        Whether the waveform was to be kept: without, as where phase is made up, SNR and SI-SDR say nothing and are
        undefined.
    lag_method, lag_seconds
        As for :func:`evaluate`.
    """
    ref: Signal = resample(reference, sample_rate, METRIC_RATE)
    deg: Signal = resample(degraded, sample_rate, METRIC_RATE)
    known = round(lag_seconds * METRIC_RATE)
    lag = find_lag(ref, deg, METRIC_RATE, lag_method, known) if align else NO_LAG
    ref, deg = shifted(ref, deg, lag.samples)
    fraction = speech_fraction(ref, METRIC_RATE)
    if speech is None:
        speech = fraction >= LEAST_SPEECH
    found = {
        "snr_db": snr_db(ref, deg) if waveform else math.nan,
        "si_sdr_db": si_sdr_db(ref, deg) if waveform else math.nan,
        "pesq_wb": pesq(ref, deg, "wb") if speech else math.nan,
        "pesq_nb": pesq(ref, deg, "nb") if speech else math.nan,
        "stoi": stoi(ref, deg) if speech else math.nan,
        "estoi": estoi(ref, deg) if speech else math.nan,
        "visqol_speech": visqol_speech(ref, deg) if speech else math.nan,
        "dnsmos_ovrl": dnsmos_ovrl(deg) if speech else math.nan,
        "level_difference_db": level_difference_db(ref, deg),
    }
    why = {
        name: _MADE_UP if name in _OF_WAVEFORM and not waveform else _why(name, ref, deg, speech)
        for name, value in found.items()
        if not math.isfinite(value)
    }
    return Scores(**found, lag_samples=lag.samples, speech_fraction=fraction, undefined=why, lag=lag)


def shifted(reference: Signal, degraded: Signal, lag: int) -> tuple[Signal, Signal]:
    """Return both signals with the lag taken out, cut to the stretch they share."""
    reference, degraded = reference[max(0, -lag) :], degraded[max(0, lag) :]
    length = min(len(reference), len(degraded))
    return reference[:length], degraded[:length]


def level_difference_db(reference: Signal, degraded: Signal) -> float:
    """Return by how many dB the degraded sound is louder (root mean square without the mean); NaN if one is silent."""
    powers = [0.0, 0.0]
    for pair in blocks(reference, degraded, mean(reference), mean(degraded)):
        for n, signal in enumerate(pair):
            powers[n] += float(np.dot(signal, signal))
    return 10 * math.log10(powers[1] / powers[0]) if all(powers) else math.nan


def _why(name: str, reference: Signal, degraded: Signal, speech: bool) -> str:
    """Return why a score is not a number."""
    if not len(reference):
        return "the two sounds do not overlap"
    if name == "snr_db":
        return "infinite: the two sounds are the same" if np.any(reference) else "the reference is silent"
    if constant(reference):
        return "the reference is silent"
    if constant(degraded):
        return "the degraded sound is silent"
    if name == "si_sdr_db":
        return "infinite: the two sounds are the same but for gain and offset"
    if not speech:
        return "less than a tenth of the reference is speech"
    if name in ("stoi", "estoi"):
        return "fewer than 30 frames (0.4 s) of the reference hold speech"
    if name == "visqol_speech":
        short = len(reference) < round(VISQOL_SHORTEST * METRIC_RATE)
        return (
            f"shorter than {VISQOL_SHORTEST:g} s"
            if short
            else "nothing of the degraded sound is left once it is aligned"
        )
    return (
        "shorter than 0.25 s"
        if len(reference) < METRIC_RATE / 4
        else "PESQ finds no utterance in the reference"
    )
