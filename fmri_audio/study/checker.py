"""Checking a study before hours are spent on it: one table of what is there, and every problem found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fmri_audio.brain import load_mask
from fmri_audio.errors import UserError
from fmri_audio.study.reader import PATTERN, StudyFile, open_image, read_facts, subject_file, volumes

_HEADER = ("subject", "file", "volumes", "grid", "mm", "TR s", "mask voxels", "verdict")


@dataclass(frozen=True)
class CheckReport:
    """What a study holds.

    Attributes
    ----------
    table : str
        One line per subject.
    problems : list of str
        One sentence each, with the file it is about; empty if all is well.
    """

    table: str
    problems: list[str]


def check_study(folder: Path | str) -> CheckReport:
    """Read a whole study once and list every problem.

    Looked for: missing subjects; files that are not NIfTI, truncated, of another length, grid or TR than the
    study says; NaN or constant voxels within the auditory mask.

    Raises
    ------
    UserError
        There is no study in ``folder`` at all.
    """
    folder = Path(folder)
    facts = read_facts(folder)
    rows: list[tuple[str, ...]] = []
    problems: list[str] = []
    reference: Any = None
    for subject in facts.subjects:
        path = subject_file(folder, subject)
        if path is None:
            found = [f"{PATTERN.format(subject=subject)}[.gz] is missing"]
            rows.append((str(subject), "—", "", "", "", "", "", "missing"))
        else:
            row, found, image = _check_subject(path, subject, facts, reference)
            reference = image if reference is None else reference
            rows.append(row)
        problems += found
    summary = (
        f"{facts.name}: {len(facts.subjects)} subjects, "
        + " + ".join(str(run.n_trs) for run in facts.runs)
        + f" TRs of {float(facts.tr):g} s, shifted by {facts.shift_trs} TRs"
    )
    return CheckReport(f"{summary}\n{_table(rows)}", problems)


def _check_subject(
    path: Path, subject: int, facts: StudyFile, reference: Any
) -> tuple[tuple[str, ...], list[str], Any]:
    """Check one file; return its row of the table, its problems and the image (None if unreadable)."""
    try:
        image = open_image(path)
    except UserError as error:
        return (str(subject), path.name, "", "", "", "", "", "unreadable"), [str(error)], None
    problems = _check_header(path, image, facts, reference)
    n_voxels = ""
    try:
        mask = load_mask("auditory", np.asarray(image.affine), image.shape[:3])
        n_voxels = str(int(mask.sum()))
        problems += _check_voxels(path, image, mask, subject, facts)
    except UserError as error:
        problems.append(f"{path.name}: {error}" if path.name not in str(error) else str(error))
    zooms = image.header.get_zooms()
    row = (
        str(subject), path.name, str(image.shape[3]), "×".join(str(n) for n in image.shape[:3]),
        "×".join(f"{z:g}" for z in zooms[:3]), f"{zooms[3]:g}", n_voxels, "see below" if problems else "ok",
    )  # fmt: skip
    return row, problems, image


def _check_header(path: Path, image: Any, facts: StudyFile, reference: Any) -> list[str]:
    problems = []
    n_trs = sum(run.n_trs for run in facts.runs)
    if image.shape[3] != n_trs:
        problems.append(
            f"{path.name}: {image.shape[3]} volumes, the study has {n_trs}; correct the file or its runs"
        )
    tr, unit = float(image.header.get_zooms()[3]), image.header.get_xyzt_units()[1]
    seconds = {"msec": tr / 1e3, "usec": tr / 1e6}.get(unit, tr)
    if abs(seconds - float(facts.tr)) > 1e-3:
        problems.append(
            f"{path.name}: its header says a TR of {seconds:g} s, the study {float(facts.tr):g} s"
        )
    if reference is not None and image.shape[:3] != reference.shape[:3]:
        problems.append(f"{path.name}: its grid has another shape than the first subject's; resample it")
    elif reference is not None and not np.allclose(image.affine, reference.affine, atol=1e-3):
        problems.append(f"{path.name}: its affine differs from the first subject's; resample it")
    return problems


def _check_voxels(path: Path, image: Any, mask: np.ndarray, subject: int, facts: StudyFile) -> list[str]:
    """Read the scan once and tell whether every voxel of the mask is finite and varies."""
    skipped = {
        k for filler in facts.fillers if filler.subject == subject
        for k in range(filler.first_tr, filler.first_tr + filler.n_trs)
    }  # fmt: skip
    first: np.ndarray | None = None
    varies = np.zeros(int(mask.sum()), bool)
    finite = np.ones(int(mask.sum()), bool)
    for k, volume in enumerate(volumes(path, image)):
        if k in skipped:
            continue
        values = volume[mask]
        finite &= np.isfinite(values)
        if first is None:
            first = values
        else:
            varies |= values != first
    problems = []
    if not finite.all():
        problems.append(
            f"{path.name}: {int((~finite).sum())} voxels of the auditory mask hold NaN or infinity; mend or mask them"
        )
    if (finite & ~varies).any():
        problems.append(
            f"{path.name}: {int((finite & ~varies).sum())} voxels of the auditory mask never change; "
            "is the brain cut off?"
        )
    return problems


def _table(rows: list[tuple[str, ...]]) -> str:
    widths = [max(len(row[i]) for row in (_HEADER, *rows)) for i in range(len(_HEADER))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (_HEADER, *rows)
    ]
    return "\n".join(lines)
