"""What a metric says of itself, the registry of metrics, and what several of them need."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from fmri_audio.base.kinds import Signal
from fmri_audio.base.registry import Registry
from fmri_audio.sound.pieces import pieces
from fmri_audio.sound.segments import detect_segments

METRIC_RATE = 16_000
"""Sample rate in Hz at which scores are taken: the highest that PESQ has."""

LEAST_SPEECH = 0.1
"""Share of speech in the reference under which models of speech are undefined, where it has to be detected."""

_AT_ONCE = 1 << 22
"""Samples that sums are taken over at a time."""


@dataclass(frozen=True)
class Metric:
    """A way to score a degraded sound against its reference.

    Attributes
    ----------
    name : in tables
    label : as a reader knows it, with its unit where it has one
    unit : "1" if it has none
    direction : 1 if higher is better, -1 if lower is
    decimals : that are worth showing
    place : where it comes in tables
    function : takes reference and degraded, arrays of shape [T], mono and aligned, and their sample rate in Hz;
        NaN where it is undefined
    rate : sample rate in Hz at which it is taken; None for that of the sounds
    speech_only : it is a model of speech, and undefined for other sounds
    cheap : it costs so little that a great many sounds can be compared
    """

    name: str
    label: str
    unit: str
    direction: int
    decimals: int
    place: int
    function: Callable[[Signal, Signal, int], float]
    rate: int | None = METRIC_RATE
    speech_only: bool = False
    cheap: bool = True


METRICS: Registry[Metric] = Registry("fmri_audio.sound.metrics")
"""All metrics by their names, in the order of the tables."""


def constant(signal: Signal) -> bool:
    """Return whether a signal never moves: silence, with or without an offset."""
    return not len(signal) or bool(np.all(signal == signal[0]))


def mean(signal: Signal) -> float:
    """Return the mean of a signal, in double precision; 0 of none."""
    return float(np.mean(signal, dtype=np.float64)) if len(signal) else 0.0


def blocks(
    reference: Signal, degraded: Signal, mean_ref: float = 0.0, mean_deg: float = 0.0
) -> Iterator[tuple[Signal, Signal]]:
    """Yield both signals in double precision, less a constant, so many samples at a time."""
    for start in range(0, len(reference), _AT_ONCE):
        stop = start + _AT_ONCE
        yield (
            np.asarray(reference[start:stop], np.float64) - mean_ref,
            np.asarray(degraded[start:stop], np.float64) - mean_deg,
        )


def ratio_db(signal: float, noise: float) -> float:
    """Return a ratio of energies in dB; NaN without signal, infinite without noise."""
    if signal == 0:
        return math.nan
    return math.inf if noise == 0 else 10 * math.log10(signal / noise)


def over_pieces(
    reference: Signal, degraded: Signal, one: Callable[[Signal, Signal], float], *, hold: bool
) -> float:
    """Return a score of a sound, or the mean over its pieces by the speech in each; NaN where none has a score."""
    if constant(reference) or constant(degraded):
        return math.nan
    cuts = pieces(reference, METRIC_RATE, hold=hold)
    if len(cuts) == 1:
        return one(reference, degraded)
    found, weights = [], []
    for cut, seconds in zip(cuts, _speech_seconds(reference, cuts), strict=True):
        ref, deg = reference[cut], degraded[cut]
        value = math.nan if not seconds or constant(ref) or constant(deg) else one(ref, deg)
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
