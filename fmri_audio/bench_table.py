"""The table that ``make bench`` writes: one figure a row, and parts of it that can be measured anew by themselves."""

from __future__ import annotations

import csv
import statistics
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch

from fmri_audio.errors import UserError
from fmri_audio.files import replacing
from fmri_audio.results import hardware


@dataclass(frozen=True)
class Row:
    """One figure.

    ``direction`` is what is done: encode or decode (:mod:`fmri_audio.bench`), or mask and the kind of file
    (:mod:`fmri_audio.bench_masking`). ``metric`` is one of seconds, realtime_factor, times_ours (how many times as long
    as ``ours`` it takes; for ``network``, times_bound), peak_megabytes (above what was there before) and, for ``ours``
    against ``package``, codes_differing_… (a share) and largest_difference (of samples); of masking also
    processor_seconds (of all threads together, which other work on the machine does not lengthen), megabytes_per_second
    (of float32 in the scan), process_megabytes (the peak of the whole process) and
    least_correlation (of a voxel with what ``ours`` makes of it). ``low`` and ``high`` are the extremes of ``n``;
    ``minutes`` those of the sound or of the scan.
    """

    direction: str
    contender: str
    metric: str
    value: float
    unit: str
    low: float | None = None
    high: float | None = None
    n: int = 1
    minutes: float = 0.0
    threads: int = 0
    hardware: str = ""


def summary(direction: str, name: str, metric: str, values: list[float], unit: str) -> Row:
    """Return the median of repetitions, with their extremes."""
    middle = statistics.median(values)
    return Row(direction, name, metric, middle, unit, min(values), max(values), len(values))


def described_hardware() -> str:
    """Describe what computes, the processor by its name where the system tells it."""
    described = hardware()
    if torch.cuda.is_available() or not Path("/proc/cpuinfo").is_file():
        return described
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "CPU")
    return described.replace("CPU", model, 1)


def write(path: Path, rows: Sequence[Row], replaced: Collection[str] | None = None) -> None:
    """Write the figures as CSV, whole or not at all; floats keep four significant digits.

    Parameters
    ----------
    path : Path
    rows : sequence of Row
    replaced : collection of str, optional
        Directions that these rows replace in the table that is there; rows of any other direction stay as they are, in
        front. Without it the whole table is replaced.

    Raises
    ------
    UserError
        The table that is there has other columns.
    """
    names = [field.name for field in fields(Row)]
    kept = [] if replaced is None else [row for row in _read(path, names) if row["direction"] not in replaced]
    with replacing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(kept)
        writer.writerows({name: _cell(value) for name, value in asdict(row).items()} for row in rows)


def _read(path: Path, names: list[str]) -> list[dict[str, str]]:
    """Rows of the table that is there, as text; none if there is no table."""
    if not path.is_file():
        return []
    with open(path, newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream)
        if reader.fieldnames != names:
            raise UserError(f"{path}: has other columns than this version writes; run all of make bench")
        return list(reader)


def _cell(value: float | str | None) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def as_text(rows: Sequence[Row]) -> str:
    """Return the figures for the terminal: a line per contender."""
    lines = []
    for direction, name in dict.fromkeys((row.direction, row.contender) for row in rows):
        found = [row for row in rows if (row.direction, row.contender) == (direction, name)]
        values = ", ".join(f"{row.metric} {row.value:.4g}" for row in found)
        lines.append(f"{direction} {name}: {values}")
    return "\n".join(lines)
