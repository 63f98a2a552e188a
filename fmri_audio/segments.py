"""What kind of sound is where: tables of segments, read from beside a recording or detected.

A table has a row per segment with ``onset`` and ``offset`` in seconds and a ``kind``: speech, music, silence or
ambience; a speaker and the text may follow.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.ndimage
import scipy.signal
from numpy.typing import NDArray

from fmri_audio.errors import UserError

KINDS = ("speech", "music", "silence", "ambience")
"""Kinds of segment."""

REQUIRED = ("onset", "offset", "kind")
"""Columns that every table of segments has."""

Signal = NDArray[np.floating]


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
    """Read a table of segments (tab-separated, or comma-separated in a file ending in .csv).

    Raises
    ------
    UserError
        The file is missing or unreadable, lacks a column, or has a segment of unknown kind or that ends
        before it starts.
    """
    path = Path(path)
    try:
        table = pd.read_csv(path, sep="," if path.suffix == ".csv" else "\t", keep_default_na=False)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: give a table of segments with onset, offset, kind") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is not a table of segments with onset, offset, kind ({error})") from None
    missing = [column for column in REQUIRED if column not in table.columns]
    if missing:
        raise UserError(f"{path} has no column {missing[0]!r}: a table of segments has onset, offset and kind")
    for column in ("onset", "offset"):
        table[column] = pd.to_numeric(table[column], errors="coerce")
    unknown = ~table["kind"].isin(KINDS)
    wrong = table["onset"].isna() | table["offset"].isna() | (table["offset"] <= table["onset"])
    if unknown.any():
        row = int(unknown.to_numpy().argmax())
        raise UserError(f"{path}, line {row + 2}: kind {table['kind'][row]!r} should be one of {', '.join(KINDS)}")
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise UserError(f"{path}, line {row + 2}: onset and offset should be seconds, the offset later than the onset")
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
    for row in segments.itertuples():
        if row.kind == kind:
            if found and not broken and row.onset - found[-1][1] <= gap:
                found[-1] = (found[-1][0], max(found[-1][1], row.offset))
            else:
                found.append((row.onset, row.offset))
            broken = False
        elif row.kind != "silence":
            broken = True
    return found


def choose_windows(
    segments: pd.DataFrame, kind: str, seconds: float, count: int, shortest: float, within: tuple[float, float]
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
        fits = int((offset - onset + 1e-9) // seconds)
        length = seconds if fits else offset - onset
        if not fits and length < shortest:
            continue
        slack = (offset - onset) - max(fits, 1) * length
        for number in range(max(fits, 1)):
            start = onset + slack / 2 + number * length
            candidates.append((round(start, 3), round(start + length, 3)))
    if len(candidates) > count:
        candidates = [candidates[int((position + 0.5) * len(candidates) / count)] for position in range(count)]
    return [Window(f"{kind}-{start:.1f}s", start, stop, kind) for start, stop in candidates]


DETECTOR = "detected: silence by level, speech against music by 4 Hz modulation and pauses"
"""What :func:`detect_segments` does, for captions."""

_FRAME = 0.020


def detect_segments(waveform: Signal, sample_rate: int) -> pd.DataFrame:
    """Find silence, speech and music in a recording.

    After Scheirer and Slaney (1997), with two of their features. Level is taken in frames of 20 ms. Silence is
    at least 0.3 s of frames 45 dB under the loud ones (95th percentile). In what is left, speech is told from music
    around every moment (3 s) by how much of the level's variation lies near 4 Hz, the rate of syllables,
    and by the share of frames with less than half the mean level there: speech has pauses, music has few.

    Parameters
    ----------
    waveform : array of shape [T], mono
    sample_rate : Hz

    Returns
    -------
    DataFrame
        onset, offset (seconds), kind (speech, music, silence), without gaps.
    """
    length = round(_FRAME * sample_rate)
    frames = waveform[: len(waveform) // length * length].reshape(-1, length).astype(np.float64)
    rms = np.sqrt(np.square(frames).mean(axis=1))
    silent = _long_runs(rms < np.percentile(rms, 95) * 10 ** (-45 / 20), round(0.3 / _FRAME))
    speech = _speech_score(rms) > 0
    labels = np.where(silent, "silence", np.where(speech, "speech", "music"))
    return _table(labels, len(waveform) / sample_rate)


def _speech_score(rms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a score per frame: above 0 for speech, below for music."""
    around = round(3.0 / _FRAME)
    mean = scipy.ndimage.uniform_filter1d(rms, around) + 1e-12
    low = scipy.ndimage.uniform_filter1d((rms < 0.5 * mean).astype(float), around)
    band = scipy.signal.butter(2, (2.5, 7.0), "bandpass", fs=1 / _FRAME, output="sos")
    syllables = scipy.signal.sosfiltfilt(band, rms)
    modulation = np.sqrt(scipy.ndimage.uniform_filter1d(syllables**2, around)) / mean
    return (modulation - 0.3) + (low - 0.3)


def _long_runs(mask: NDArray[np.bool_], shortest: int) -> NDArray[np.bool_]:
    """Return the mask without runs of True shorter than ``shortest``."""
    return scipy.ndimage.binary_opening(mask, np.ones(shortest))


def _table(labels: NDArray[np.str_], seconds: float) -> pd.DataFrame:
    """Turn a label per frame into a table of segments."""
    edges = np.flatnonzero(labels[1:] != labels[:-1]) + 1
    starts = np.concatenate([[0], edges])
    onsets = starts * _FRAME
    offsets = np.concatenate([onsets[1:], [seconds]])
    return pd.DataFrame({"onset": onsets.round(3), "offset": offsets.round(3), "kind": labels[starts]})
