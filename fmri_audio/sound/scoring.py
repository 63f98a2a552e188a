"""From scores of single windows to the rows of a results table, with the floors that give them a scale."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fmri_audio.base.kinds import Waveform
from fmri_audio.base.results import Record, fill
from fmri_audio.sound.audio import resample
from fmri_audio.sound.metrics.base import METRICS, Metric
from fmri_audio.sound.noises import long_term_spectrum, modulated_noise, shaped_noise
from fmri_audio.sound.segments import Window

METRIC_NAMES = tuple(METRICS)
"""Metrics taken on every window, in the order of the tables."""

SPEECH_METRICS = tuple(name for name in METRIC_NAMES if METRICS[name].speech_only)
"""Metrics that are defined for speech only."""

CHEAP = tuple(name for name in METRIC_NAMES if METRICS[name].cheap)
"""Those without PESQ, ViSQOL and DNSMOS, which take most of the time, where a great many sounds are compared."""

UNITS = {name: METRICS[name].unit for name in METRIC_NAMES}

LABELS = {name: METRICS[name].label for name in METRIC_NAMES}
"""How a reader knows the metrics."""

FORMATS = {one.label: f".{one.decimals}f" for one in METRICS.values()}
"""Formats of the metrics in tables, under their readers' names."""


@dataclasses.dataclass(frozen=True)
class Summary:
    """A mean over windows, its 95 % interval and how many windows had a value; NaN where none had."""

    mean: float
    low: float
    high: float
    n: int


def cut(waveform: Waveform, sample_rate: int, onset: float, offset: float) -> Waveform:
    """Return the samples from ``onset`` to ``offset``, both in seconds."""
    return waveform[round(onset * sample_rate) : round(offset * sample_rate)]


def score_pair(
    reference: Waveform,
    degraded: Waveform,
    sample_rate: int,
    kind: str = "speech",
    wanted: Sequence[str] = METRIC_NAMES,
) -> dict[str, float]:
    """Return metrics for one window; models of speech stay undefined (NaN) where ``kind`` is not speech.

    Parameters
    ----------
    reference, degraded : arrays of shape [T], mono and aligned
    sample_rate : Hz
    kind : of the segment
    wanted : which of ``METRIC_NAMES`` to compute; the others are NaN

    Returns
    -------
    dict
        A value under every name in ``METRIC_NAMES``; conventions as in :mod:`fmri_audio.sound.metrics`.
    """
    at: dict[int, list[NDArray[np.float64]]] = {}

    def value(metric: Metric) -> float:
        if metric.rate is None:
            return float(metric.function(reference, degraded, sample_rate))
        if metric.rate not in at:
            pair = (resample(wave, sample_rate, metric.rate) for wave in (reference, degraded))
            at[metric.rate] = [np.asarray(wave, np.float64) for wave in pair]
        ref, deg = at[metric.rate]
        return float(metric.function(ref, deg, metric.rate))

    skipped = set(METRIC_NAMES) - set(wanted) | (set() if kind == "speech" else set(SPEECH_METRICS))
    return {name: np.nan if name in skipped else value(METRICS[name]) for name in METRIC_NAMES}


def score_windows(
    reference: Waveform,
    degraded: Waveform,
    sample_rate: int,
    windows: Sequence[Window],
    wanted: Sequence[str] = METRIC_NAMES,
) -> pd.DataFrame:
    """Score a degraded recording window by window.

    Parameters
    ----------
    reference, degraded : arrays of shape [T], mono and aligned
    sample_rate : Hz
    windows : stretches to score
    wanted : which of ``METRIC_NAMES`` to compute; the others are NaN

    Returns
    -------
    DataFrame
        One row per window: ``window``, ``kind`` and the metrics.
    """
    rows = []
    for window in windows:
        ref, deg = (cut(wave, sample_rate, window.onset, window.offset) for wave in (reference, degraded))
        scores = score_pair(ref, deg, sample_rate, window.kind, wanted)
        rows.append({"window": window.name, "kind": window.kind, **scores})
    return pd.DataFrame(rows, columns=["window", "kind", *METRIC_NAMES])


FLOORS = {
    "silence": "silence",
    "noise": "white noise",
    "shaped-noise": "{kind}-shaped noise",
    "modulated-noise": "{kind}-shaped noise with its envelope",
    "other-segment": "other {kind}",
}
"""What carries nothing of a sound, as the column ``control`` has it, and what a reader calls it."""


def floor_label(name: str, kind: str = "speech") -> str:
    """Return what a reader calls a floor in a table of sounds of one kind."""
    return f"floor: {FLOORS[name].format(kind=kind)}"


def floors(
    reference: Waveform,
    sample_rate: int,
    windows: Sequence[Window],
    seed: int,
    wanted: Sequence[str] = METRIC_NAMES,
) -> dict[str, pd.DataFrame]:
    """Score what carries nothing of the sound: silence, noise, and the next window's sound.

    The noise is as loud as the window: white, of the long-term spectrum of all windows of its kind, and of that
    spectrum with the window's own envelope. Every score is read against these; STOI, for one, is far from 0 for noise.
    """
    found = {}
    for name, make in _floor_makers(reference, sample_rate, windows, seed).items():
        rows = []
        for index, window in enumerate(windows):
            wave = cut(reference, sample_rate, window.onset, window.offset)
            made = make(wave, index)
            shared = min(len(wave), len(made))  # windows need not be equally long
            scores = score_pair(wave[:shared], made[:shared], sample_rate, window.kind, wanted)
            rows.append({"window": window.name, "kind": window.kind, **scores})
        found[name] = pd.DataFrame(rows, columns=["window", "kind", *METRIC_NAMES])
    return found


def _floor_makers(
    reference: Waveform, sample_rate: int, windows: Sequence[Window], seed: int
) -> dict[str, Callable[[Waveform, int], Waveform]]:
    """Return what makes each floor from the sound of a window and the window's place."""
    generator = np.random.default_rng(seed)
    spectra = {
        kind: long_term_spectrum(
            [cut(reference, sample_rate, one.onset, one.offset) for one in windows if one.kind == kind],
            sample_rate,
        )
        for kind in {window.kind for window in windows}
    }

    def noise(wave: Waveform, index: int) -> Waveform:
        level = float(np.sqrt(np.mean(np.square(wave, dtype=np.float64))))
        return (level * generator.standard_normal(len(wave))).astype(np.float32)

    def shaped(wave: Waveform, index: int) -> Waveform:
        return shaped_noise(wave, spectra[windows[index].kind], np.random.default_rng([seed, index]))

    def modulated(wave: Waveform, index: int) -> Waveform:
        own = np.random.default_rng([seed, index])
        return modulated_noise(wave, sample_rate, spectra[windows[index].kind], own)

    def other(wave: Waveform, index: int) -> Waveform:
        neighbour = windows[(index + 1) % len(windows)]
        return cut(reference, sample_rate, neighbour.onset, neighbour.offset)

    makers: dict[str, Callable[[Waveform, int], Waveform]] = {
        "silence": lambda wave, index: np.zeros_like(wave),
        "noise": noise,
        "shaped-noise": shaped,
        "modulated-noise": modulated,
    }
    # A single window has no other speech to be mistaken for.
    return {**makers, "other-segment": other} if len({window.name for window in windows}) > 1 else makers


def reference_points(
    of_floors: Mapping[str, pd.DataFrame], of_original: pd.DataFrame, kind: str = "speech"
) -> pd.DataFrame:
    """Return between what every metric lies: its means for the floors, and for the original as its own copy.

    Parameters
    ----------
    of_floors
        Scores as from :func:`floors`.
    of_original
        Scores of the original against itself, as from :func:`score_windows`.
    kind
        Of segments.

    Returns
    -------
    DataFrame
        A row per metric: its name for readers under ``metric``, a column per floor, and ``original``. NaN where a
        metric is undefined, infinite for a ratio without noise.
    """
    frames = {floor_label(name, kind).removeprefix("floor: "): frame for name, frame in of_floors.items()}
    frames["original"] = of_original
    means = {
        name: frame.loc[frame["kind"] == kind, list(METRIC_NAMES)].mean() for name, frame in frames.items()
    }
    return pd.DataFrame(means).rename(index=LABELS).rename_axis("metric").reset_index()


def summarise(values: Sequence[float] | pd.Series, seed: int = 0, draws: int = 2000) -> Summary:
    """Return the mean over windows and its 95 % percentile-bootstrap interval; undefined values are left out."""
    defined = np.asarray([value for value in values if np.isfinite(value)], dtype=np.float64)
    if not defined.size:
        return Summary(np.nan, np.nan, np.nan, 0)
    picks = np.random.default_rng(seed).integers(0, defined.size, size=(draws, defined.size))
    low, high = np.quantile(defined[picks].mean(axis=1), [0.025, 0.975])
    return Summary(float(defined.mean()), float(low), float(high), int(defined.size))


def to_records(
    scores: pd.DataFrame, per_window: bool = False, wanted: Sequence[str] = METRIC_NAMES, **columns: Any
) -> list[Record]:
    """Return one record per kind of segment and metric: the mean over windows with its interval.

    Parameters
    ----------
    scores
        As from :func:`score_windows`.
    per_window
        Add a record for every single window, with the window's name as its segment.
    wanted
        Which metrics to record.
    columns
        What all the records have in common: codec, representation, arm …
    """
    made = []
    for kind, group in scores.groupby("kind", sort=False):
        for name in wanted:
            if kind != "speech" and name in SPEECH_METRICS:
                continue
            summary = summarise(group[name])
            mean = Record(
                metric=name,
                value=summary.mean,
                ci_low=summary.low,
                ci_high=summary.high,
                n=summary.n,
                unit=UNITS[name],
                segment=str(kind),
            )
            made.append(fill(mean, **columns))
            for window, value in zip(group["window"], group[name], strict=True) if per_window else ():
                single = Record(metric=name, value=float(value), n=1, unit=UNITS[name], segment=str(window))
                made.append(fill(single, **columns))
    return made


def means(scores: pd.DataFrame, kind: str = "speech") -> dict[str, float]:
    """Return the mean of every metric over the windows of one kind, NaN where none is defined."""
    return {name: summarise(scores.loc[scores["kind"] == kind, name], draws=1).mean for name in METRIC_NAMES}


def means_table(scores: Mapping[str, pd.DataFrame], wanted: Sequence[str] = METRIC_NAMES) -> pd.DataFrame:
    """Return a table for readers: one row per sound and kind of segment, the mean of every metric, and n.

    Parameters
    ----------
    scores
        What each sound is called → its scores, as from :func:`score_windows`.
    wanted
        Metrics, in order.
    """
    rows = []
    for name, frame in scores.items():
        for kind, group in frame.groupby("kind", sort=False):
            found = {LABELS[metric]: summarise(group[metric], draws=1).mean for metric in wanted}
            rows.append({"sound": name, "segments": kind, "n": len(group), **found})
    return pd.DataFrame(rows, columns=["sound", "segments", "n", *(LABELS[metric] for metric in wanted)])
