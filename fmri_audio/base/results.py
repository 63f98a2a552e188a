"""Tidy results: one row per value, the same columns in every table of the paper."""

from __future__ import annotations

import csv
import dataclasses
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from fmri_audio.base.files import replacing


@dataclass(frozen=True, kw_only=True)
class Record:
    """One value and what it belongs to; ``None`` where a column does not apply.

    ``arm`` is one of roundtrip, ridge, mel, codes, frozen, finetuned, complex-stft; ``condition`` one of none,
    noise-free, voxel-noise, measured; ``control`` names a baseline (mean, random, other-segment, envelope,
    no-brain …), in the sweep the setting that was varied (``balance=0``), or is "none"; ``units`` and ``rank``
    are the bottleneck's size and real width; ``n`` is how many observations the value summarises. A value that
    is undefined is NaN, never a stand-in number. ``decoder`` is what turned the codec's codes or latents into sound
    (:data:`OWN_DECODER` or another's name); ``noise`` what was added to the bottleneck's volumes, as
    :func:`noise_of` writes it; ``material`` what sound was heard (:data:`PLAY`, :data:`RECORDINGS` …).
    """

    metric: str
    value: float
    unit: str
    edition: str | None = None
    study: str | None = None
    codec: str | None = None
    representation: str | None = None
    arm: str | None = None
    bandwidth_kbps: float | None = None
    units: int | None = None
    rank: int | None = None
    condition: str | None = None
    control: str | None = None
    subject: str | None = None
    fold: int | str | None = None
    segment: str | None = None
    seed: int | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    n: int | None = None
    hardware: str | None = None
    decoder: str | None = None
    noise: str | None = None
    material: str | None = None


OWN_DECODER = "own"
"""What the column ``decoder`` says of a codec's own decoder."""

PLAY, PLAY_UNPREDICTABLE, RECORDINGS, COMPUTED = "play", "play-unpredictable", "recordings", "computed"
"""What the column ``material`` says of the embedded play, of its semantically unpredictable sentences alone, of any
other sound that was brought, and of tones and noise."""

COLUMNS = (
    "edition",
    "study",
    "codec",
    "representation",
    "arm",
    "bandwidth_kbps",
    "units",
    "rank",
    "condition",
    "control",
    "subject",
    "fold",
    "segment",
    "seed",
    "metric",
    "value",
    "ci_low",
    "ci_high",
    "n",
    "unit",
    "hardware",
    "decoder",
    "noise",
    "material",
)

_FEWEST_COLUMNS = COLUMNS.index("hardware") + 1
"""Columns of tables that were written before there were more; what is missing counts as empty."""


def write(path: Path | str, records: Iterable[Record]) -> None:
    """Write records as CSV, whole or not at all; floats keep six significant digits, NaN is written "nan"."""
    with replacing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        for record in records:
            writer.writerow([_cell(getattr(record, column)) for column in COLUMNS])


def read(paths: Path | str | Iterable[Path | str]) -> pd.DataFrame:
    """Read one or several tables into one DataFrame with the columns ``COLUMNS``, in the order given."""
    listed = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    text = {column: "string" for column in COLUMNS if column not in _NUMERIC}
    frames = [pd.read_csv(path, dtype=text, keep_default_na=False, na_values=["", "nan"]) for path in listed]
    if not frames:
        return pd.DataFrame(
            {column: pd.Series(dtype="float64" if column in _NUMERIC else "string") for column in COLUMNS}
        )
    for path, frame in zip(listed, frames, strict=True):
        if len(frame.columns) < _FEWEST_COLUMNS or tuple(frame.columns) != COLUMNS[: len(frame.columns)]:
            raise ValueError(f"{path}: not a results table (columns {list(frame.columns)})")
    whole = [frame.reindex(columns=list(COLUMNS)) for frame in frames]
    return pd.concat([frame.astype(dict.fromkeys(text, "string")) for frame in whole], ignore_index=True)


def select(rows: pd.DataFrame, **wanted: object) -> pd.DataFrame:
    """Return the rows in which columns say what is wanted.

    Parameters
    ----------
    rows : DataFrame
    **wanted
        By the name of the column: a value, a list of values of which one will do, or None where it has to be empty.
    """
    for column, value in wanted.items():
        if isinstance(value, list | tuple | set):
            rows = rows[rows[column].isin(list(value))]
        else:
            rows = rows[rows[column].isna()] if value is None else rows[rows[column] == value]
    return rows


def once(rows: pd.DataFrame, by: Iterable[str]) -> pd.DataFrame:
    """Return one row for the same values of some columns: that of most observations (``n``), of equals the last.

    Two chapters may score the same sound, on another number of windows. This is the one rule for such ties.
    """
    return rows.sort_values("n", kind="stable").drop_duplicates(list(by), keep="last")


def noise_of(level: float, *, independent: bool = False) -> str:
    """Write noise for the column ``noise``: its level in units of the brains' own, and whether it covaries as theirs.

    Parameters
    ----------
    level : float
        Times the brains' standard deviation.
    independent : bool
        Whether it is without covariance in space and time.
    """
    return f"{'independent' if independent else 'covarying'} x {level:g}" if level else "none"


def fill(record: Record, **values: object) -> Record:
    """Return a record with the given columns set wherever they are still empty."""
    empty = {key: value for key, value in values.items() if getattr(record, key) is None}
    return dataclasses.replace(record, **empty)  # type: ignore[arg-type]


def hardware() -> str:
    """Describe what computes: the GPU's name, or the processor with its number of usable cores."""
    import torch

    if torch.cuda.is_available():
        return str(torch.cuda.get_device_name())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return f"CPU, {cores} core{'s' if cores > 1 else ''}"


_NUMERIC = frozenset({"bandwidth_kbps", "units", "rank", "seed", "value", "ci_low", "ci_high", "n"})


def _cell(value: object) -> str:
    """Write one cell; six significant digits are more than any metric here is worth."""
    if value is None:
        return ""
    if isinstance(value, bool):
        raise TypeError("a results table holds numbers and text, not truth values")
    if isinstance(value, float):
        return "nan" if math.isnan(value) else f"{value:.6g}"
    return str(value)
