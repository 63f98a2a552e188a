"""What kind of sound is where: tables of segments, read from beside a recording or detected.

A table has a row per segment with ``onset`` and ``offset`` in seconds and a ``kind``: speech, music, silence or
ambience; a speaker and the text may follow.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.ndimage
import scipy.signal
from numpy.typing import NDArray

from fmri_audio.base.documents import parse_json
from fmri_audio.base.errors import UserError
from fmri_audio.base.kinds import Signal
from fmri_audio.base.tables import JSON, TEXTGRID, parse_table, read_text
from fmri_audio.sound.alignments import segments_of_gentle, segments_of_textgrid

KINDS = ("speech", "music", "silence", "ambience")
"""Kinds of segment."""

REQUIRED = ("onset", "offset", "kind")
"""Columns that every table of segments has."""

_WANTED = "a table of segments with onset, offset, kind"


@dataclass(frozen=True)
class Window:
    """A stretch of sound to score or to listen to; ``onset`` and ``offset`` in seconds."""

    name: str
    onset: float
    offset: float
    kind: str

    def of(self, waveform: Signal, sample_rate: int) -> Signal:
        """Return the window's samples."""
        return waveform[round(self.onset * sample_rate) : round(self.offset * sample_rate)]


def read_segments(path: Path | str) -> pd.DataFrame:
    """Read a table of segments, separated by tabs, commas or semicolons; or words that were aligned with the sound.

    A TextGrid of Praat and Gentle's ``align.json`` are recognised by their content, whatever they are called; what
    they transcribe is speech (see :mod:`fmri_audio.sound.alignments`).

    Raises
    ------
    UserError
        The file is missing or unreadable or something else, lacks a column, or has a segment of unknown kind or that
        ends before it starts.
    """
    path = Path(path)
    if not path.exists() and not path.is_symlink():
        raise UserError(f"{path} does not exist: give {_WANTED}")
    text, kind = read_text(path)
    if kind == TEXTGRID:
        return segments_of_textgrid(text, path, KINDS)
    if kind == JSON:
        return segments_of_gentle(parse_json(text.encode(), str(path)), path)
    if kind is not None:
        raise UserError(f"{path} is {kind}, not {_WANTED}: give one, tab-separated")
    table, lines = parse_table(text, path, _WANTED)
    missing = [column for column in REQUIRED if column not in table.columns]
    if missing:
        raise UserError(
            f"{path} has no column {missing[0]!r}: a table of segments has onset, offset and kind"
        )
    table["kind"] = table["kind"].astype(str).str.strip()
    unknown = ~table["kind"].isin(KINDS)
    if unknown.any():
        row = int(unknown.to_numpy().argmax())
        raise UserError(
            f"{path}, line {lines[row]}: kind {table['kind'][row][:40]!r} should be one of {', '.join(KINDS)}"
        )
    for column in ("onset", "offset"):
        numbers = table[column].astype(str) if table[column].dtype == bool else table[column]
        table[column] = pd.to_numeric(numbers, errors="coerce")
    finite = np.isfinite(table[["onset", "offset"]].to_numpy(float)).all(axis=1)
    wrong = ~finite | (table["offset"] <= table["onset"]).to_numpy()
    if wrong.any():
        raise UserError(
            f"{path}, line {lines[int(wrong.argmax())]}: onset and offset should be seconds, the offset later than "
            "the onset"
        )
    return table.sort_values("onset", kind="stable", ignore_index=True)


def cut(segments: pd.DataFrame, start: float, stop: float) -> pd.DataFrame:
    """Return the segments between two moments, in seconds from ``start``, clipped to it."""
    inside = segments[(segments["offset"] > start) & (segments["onset"] < stop)].copy()
    inside["onset"] = (inside["onset"].clip(lower=start) - start).round(6)
    inside["offset"] = (inside["offset"].clip(upper=stop) - start).round(6)
    return inside.reset_index(drop=True)


def blocks(segments: pd.DataFrame, kind: str, gap: float = 1.5) -> list[tuple[float, float]]:
    """Return stretches of one kind, joined across silences or unlabelled gaps of at most ``gap`` seconds."""
    found: list[tuple[float, float]] = []
    broken = True
    rows = zip(
        segments["onset"].astype(float), segments["offset"].astype(float), segments["kind"], strict=True
    )
    for onset, offset, row_kind in rows:
        if row_kind == kind:
            if found and not broken and onset - found[-1][1] <= gap:
                found[-1] = (found[-1][0], max(found[-1][1], offset))
            else:
                found.append((onset, offset))
            broken = False
        elif row_kind != "silence":
            broken = True
    return found


def choose_windows(
    segments: pd.DataFrame,
    kind: str,
    seconds: float,
    count: int,
    shortest: float,
    within: tuple[float, float],
) -> list[Window]:
    """Choose windows of one kind, spread evenly over the sound and never overlapping.

    Parameters
    ----------
    segments
        Table with onset, offset, kind.
    kind
        Of the windows.
    seconds
        Length of a window.
    count
        Most windows to return.
    shortest
        A stretch shorter than ``seconds`` but at least this long gives one window of its own length.
    within
        Only windows that lie wholly between these two moments, in seconds.
    """
    candidates: list[tuple[float, float]] = []
    for onset, offset in blocks(cut(segments, 0.0, within[1]), kind):
        onset = max(onset, within[0])
        available = offset - onset
        if available < min(seconds, shortest):
            continue
        fits = max(1, int((available + 1e-9) // seconds))
        length = min(seconds, available)
        slack = available - fits * length
        for number in range(fits):
            start = onset + slack / 2 + number * length
            candidates.append((round(start, 3), round(start + length, 3)))
    if len(candidates) > count:
        candidates = [
            candidates[int((position + 0.5) * len(candidates) / count)] for position in range(count)
        ]
    return [Window(f"{kind}-{start:.1f}s", start, stop, kind) for start, stop in candidates]


DETECTOR = "detected: silence by level, speech against music by spectral-centroid spread and 4 Hz modulation"
"""What :func:`detect_segments` does, for captions."""

_FRAME = 0.020
"""Seconds per frame of the detector."""

_AROUND = 3.0
"""Seconds over which speech is told from music."""

_SMOOTH = 2.0
"""Seconds over which the decision is averaged."""

_QUIET_DB = 45.0
"""How far under the loud frames silence begins."""

_DIGITAL_SILENCE = 1e-4
"""Level (root mean square, full scale 1) under which everything is silence."""

_PAUSE = 0.3
"""Shortest silence in seconds."""

_TYPICAL_SPREAD, _TYPICAL_MODULATION = 0.58, 0.30
"""Centroid spread (natural logarithm of Hz) and 4 Hz modulation half-way between speech and music."""


def detect_segments(waveform: Signal, sample_rate: int) -> pd.DataFrame:
    """Find silence, speech and music in a recording; what is neither silent nor speech is called music.

    Silence is at least 0.3 s of frames (20 ms) that lie 45 dB under the loud ones (95th percentile). The rest is
    decided by two features of Scheirer and Slaney (1997), taken over 3 s of sounding frames: how far the spectral
    centroid strays (speech alternates between vowels and fricatives, within its pauses too), and how much of the
    level varies near 4 Hz, the rate of syllables. The two are compared with a value half-way between speech and
    music, as logarithms, the second with half the weight, and averaged over 2 s. A constant offset of the
    whole is taken off first: it is not heard.

    Parameters
    ----------
    waveform : array of shape [T], mono
    sample_rate : Hz

    Returns
    -------
    DataFrame
        onset, offset (seconds), kind (speech, music, silence), without gaps.
    """
    level, centroid = _level_and_centroid(waveform, sample_rate)
    if not level.size:
        return pd.DataFrame({"onset": [], "offset": [], "kind": pd.Series(dtype=str)})
    quiet = level < max(np.percentile(level, 95) * 10 ** (-_QUIET_DB / 20), _DIGITAL_SILENCE)
    silent = _long_runs(quiet, round(_PAUSE / _FRAME))
    speech = _speech_score(level, centroid, ~quiet) > 0
    return _table(
        np.where(silent, "silence", np.where(speech, "speech", "music")), len(waveform) / sample_rate
    )


def speech_fraction(waveform: Signal, sample_rate: int) -> float:
    """Return the share of a recording's duration that :func:`detect_segments` finds to be speech."""
    found = detect_segments(waveform, sample_rate)
    speech = found[found["kind"] == "speech"]
    return (
        float((speech["offset"] - speech["onset"]).sum() / (len(waveform) / sample_rate))
        if len(found)
        else 0.0
    )


def _level_and_centroid(
    waveform: Signal, sample_rate: int, at_once: int = 4096
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return, per frame, the level (root mean square) and the logarithm of the spectral centroid, without a constant.

    The constant is the median over frames of their means: one recording of several that has an offset leaves the
    silence of the others silent.
    """
    length = round(_FRAME * sample_rate)
    frames = np.asarray(waveform[: len(waveform) // length * length]).reshape(-1, length)
    offset = float(np.median(frames.mean(axis=1, dtype=np.float64))) if len(frames) else 0.0
    hz = np.fft.rfftfreq(length, 1 / sample_rate)
    level, centroid = np.empty(len(frames)), np.empty(len(frames))
    for start in range(0, len(frames), at_once):
        part = frames[start : start + at_once].astype(np.float64) - offset
        power = np.square(np.abs(np.fft.rfft(part * np.hanning(length)))) + 1e-20
        level[start : start + at_once] = np.sqrt(np.square(part).mean(axis=1))
        centroid[start : start + at_once] = np.log(power @ hz / power.sum(axis=1) + 50)
    return level, centroid


def _speech_score(
    level: NDArray[np.float64], centroid: NDArray[np.float64], sounding: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return a score per frame: above 0 for speech, below for music."""

    def around(values: NDArray[Any]) -> NDArray[np.float64]:
        return np.asarray(scipy.ndimage.uniform_filter1d(values.astype(np.float64), round(_AROUND / _FRAME)))

    share = around(sounding) + 1e-9
    mean = around(centroid * sounding) / share
    spread = np.sqrt(np.maximum(around(centroid**2 * sounding) / share - mean**2, 0))
    syllables = scipy.signal.sosfiltfilt(
        scipy.signal.butter(2, (2.5, 7.0), "bandpass", fs=1 / _FRAME, output="sos"), level, padlen=0
    )
    modulation = np.sqrt(np.maximum(around(syllables**2), 0)) / (around(level) + 1e-9)
    # Logarithms make the two comparable; the floor keeps a steady tone finite.
    score = np.log(spread.clip(0.01) / _TYPICAL_SPREAD) + 0.5 * np.log(
        modulation.clip(0.01) / _TYPICAL_MODULATION
    )
    return np.asarray(scipy.ndimage.uniform_filter1d(score, round(_SMOOTH / _FRAME)))


def _long_runs(mask: NDArray[np.bool_], shortest: int) -> NDArray[np.bool_]:
    """Return the mask without runs of True shorter than ``shortest``."""
    return np.asarray(scipy.ndimage.binary_opening(mask, np.ones(shortest)))


def _table(labels: NDArray[np.str_], seconds: float) -> pd.DataFrame:
    """Turn a label per frame into a table of segments."""
    edges = np.flatnonzero(labels[1:] != labels[:-1]) + 1
    starts = np.concatenate([[0], edges])
    onsets = starts * _FRAME
    offsets = np.concatenate([onsets[1:], [seconds]])
    return pd.DataFrame({"onset": onsets.round(3), "offset": offsets.round(3), "kind": labels[starts]})
