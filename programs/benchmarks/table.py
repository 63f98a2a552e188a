"""The table that ``make bench`` writes: one figure a row, and parts of it that can be measured anew by themselves."""

from __future__ import annotations

import csv
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch

from fmri_audio.base.errors import UserError
from fmri_audio.base.files import replacing
from fmri_audio.base.results import hardware


@dataclass(frozen=True)
class Row:
    """One figure.

    ``direction`` is what is done; its first word says by which part of the benchmark.
    Metrics of most of them:

    ``seconds``, ``processor_seconds``
        By the clock; of all threads together, which other work on the machine hardly lengthens. Of ``train``, per step.
    ``times_ours``, ``processor_times_ours``
        How many times as long as ``ours`` it takes, by either (for ``network``, ``times_bound``; of ``train``,
        ``times_frozen``).
    ``peak_megabytes``, ``process_megabytes``
        Above what was there before; of the whole process.

    And of single ones: ``realtime_factor``, ``first_seconds`` (on a GPU, of what comes before all repetitions),
    ``codes_differing_…`` (a share) and ``largest_difference`` (of samples; of ``ridge``, of predictions in their
    standard deviation), with ``…_float32`` if TF32 was switched off; ``megabytes_per_second`` (of float32 in the
    scan) and ``least_correlation`` (of a voxel with what ``ours`` makes of it); ``steps_per_second``;
    ``penalties_differing`` (a share of targets) and the sizes of the regression; ``share`` (of the book's seconds).
    ``low`` and ``high`` are the extremes of ``n``; ``minutes`` those of the sound or of the scan.
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


def write(path: Path, rows: Sequence[Row], kept: Sequence[dict[str, str]] = ()) -> None:
    """Write the figures as CSV, whole or not at all; floats keep four significant digits.

    Parameters
    ----------
    path : Path
    rows : sequence of Row
    kept : sequence of dict
        Rows of an older table (:func:`read`) that stay as they are, in front.
    """
    with replacing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, [field.name for field in fields(Row)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(kept)
        writer.writerows({name: _cell(value) for name, value in asdict(row).items()} for row in rows)


def read(path: Path) -> list[dict[str, str]]:
    """Read the rows of a table as text; none if there is no table.

    Raises
    ------
    UserError
        It has other columns.
    """
    if not path.is_file():
        return []
    with open(path, newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream)
        if reader.fieldnames != [field.name for field in fields(Row)]:
            raise UserError(
                f"{path}: has other columns than this version writes; delete it and run all of make bench"
            )
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
