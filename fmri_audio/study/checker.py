"""Checking a study before hours are spent on it: one table of what is there, and every problem found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.affines import voxel_sizes
from numpy.typing import NDArray

from fmri_audio import audio, nifti, timeline
from fmri_audio.brain import load_mask
from fmri_audio.errors import UserError
from fmri_audio.settings import BIDS_SPACE
from fmri_audio.study.envelope import envelope_response
from fmri_audio.study.reader import (
    Run,
    Scan,
    StudyFile,
    Subject,
    declared_filler,
    find_study,
    listed,
    open_image,
    scan_volumes,
    seconds_per_volume,
    with_recognised,
)
from fmri_audio.study.sync import (
    MOST_LAGS,
    EnvelopeCheck,
    Waveform,
    envelope_check,
    films_of_runs,
    read_film,
)

_HEADER = ("subject", "file", "volumes", "grid", "mm", "TR s", "mask voxels", "filler", "verdict")


@dataclass(frozen=True)
class CheckReport:
    """What a study holds.

    Attributes
    ----------
    table : str
        One line per subject.
    problems : list of str
        One sentence each, with the file it is about; empty if all is well.
    warnings : list of str
        What may be wrong, with the figure that says so.
    notes : list of str
        What a reader should know.
    """

    table: str
    problems: list[str]
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass
class _Subject:
    """What one pass over a subject's volumes found.

    ``region`` is the mean of the auditory mask at every volume, NaN at filler; None if the volumes could not be read.
    ``images`` are the headers of all scans, ``image`` that of the first; none if one of them could not be opened.
    """

    row: tuple[str, ...]
    problems: list[str]
    image: Any = None
    region: NDArray[np.float64] | None = None
    images: Sequence[Any] = ()


def check_study(
    folder: Path | str,
    *,
    task: str | None = None,
    story: str | None = None,
    space: str = BIDS_SPACE,
    films: Sequence[str] = (),
) -> CheckReport:
    """Read a whole study once and list every problem.

    Looked for: missing subjects and scans; files that are not NIfTI, not fetched, damaged, without a place in space, of
    another length, grid or TR than the study says; NaN or constant voxels within the auditory mask; filler volumes that
    are not declared, or declared ones that vary; films that are missing, silent, or not as long as their run. Where
    there is a film, its envelope is compared with auditory cortex in the same pass: a film that nobody followed gives a
    warning.

    Parameters
    ----------
    folder : path
    task, story, space : str, optional
        Which scans of a BIDS data set, see :func:`fmri_audio.study.bids.find_bids`.
    films : sequence of str
        Paths, one per run in their order, or ``RUN=PATH``; the study's own sounds unless given.

    Raises
    ------
    UserError
        There is no study in ``folder`` at all, or it is not clear which task is meant.
    """
    folder = Path(folder)
    found = find_study(folder, task=task, story=story, space=space)
    facts = found.facts
    sounds, sound_problems = _sounds(folder, facts, films)
    rows: list[tuple[str, ...]] = []
    problems, regions = list(found.problems), []
    reference: Any = None
    opened: list[tuple[Scan, Any]] = []
    masks: dict[tuple[bytes, tuple[int, ...]], NDArray[np.bool_]] = {}
    for subject in facts.subjects:
        scans = found.scans.get(subject)
        if scans is None:
            rows.append((str(subject), "—", "", "", "", "", "", "", "missing"))
            continue
        one = _check_subject(subject, scans, facts, reference, masks)
        reference = one.image if reference is None else reference
        opened += zip(scans, one.images, strict=False)  # none where a scan could not be opened
        rows.append(one.row)
        problems += one.problems
        if one.region is not None and len(one.region) == facts.n_trs:
            regions.append(one.region)
    notes, warnings = _envelopes(facts, sounds, regions)
    notes += _spaces(opened)
    warnings += _forms(opened)
    if not sounds and not sound_problems:
        notes.append("no film was given, so nothing tells whether the brains follow it: add --film FILE")
    return CheckReport(
        f"{_summary(facts)}\n{_table(rows)}", problems + sound_problems, warnings, [*found.notes, *notes]
    )


def _summary(facts: StudyFile) -> str:
    runs = " + ".join(str(run.n_trs) for run in facts.runs)
    skipped = sum(run.skip_trs for run in facts.runs)
    return (
        f"{facts.name}: {len(facts.subjects)} subjects, {runs} TRs of {float(facts.tr):g} s, "
        f"shifted by {facts.shift_trs} TRs" + (f", {skipped} TRs skipped" if skipped else "")
    )


def _check_subject(
    subject: Subject,
    scans: Sequence[Scan],
    facts: StudyFile,
    reference: Any,
    masks: dict[tuple[bytes, tuple[int, ...]], NDArray[np.bool_]],
) -> _Subject:
    """Check the files of one subject, in one pass over their volumes; ``masks`` keeps the mask of every grid met."""
    name = _of_many([scan.path.name for scan in scans])
    try:
        images = [open_image(scan.path) for scan in scans]
    except UserError as error:
        return _Subject((str(subject), name, "", "", "", "", "", "", "unreadable"), [str(error)])
    image, problems = images[0], []
    for scan, one in zip(scans, images, strict=True):
        problems += _check_header(scan, one, facts, image if reference is None else reference)
    same_grid = all(one.shape[:3] == image.shape[:3] for one in images)
    found: list[str] = []
    region, n_voxels, n_filler = None, "", ""
    try:
        if same_grid and all(nifti.is_placed(one) for one in images):
            grid = image.affine.tobytes(), image.shape[:3]
            if grid not in masks:
                masks[grid] = load_mask("auditory", np.asarray(image.affine), image.shape[:3])
            mask = masks[grid]
            n_voxels = str(int(mask.sum()))
            found, region = _check_volumes(subject, scans, images, mask, facts)
            n_filler = str(int(np.isnan(region).sum()))
    except UserError as error:
        found = [str(error) if scans[0].path.name in str(error) else f"{name}: {error}"]
    problems += found
    row = (
        str(subject), name, str(sum(one.shape[3] for one in images)), "×".join(str(n) for n in image.shape[:3]),
        "×".join(f"{size:g}" for size in voxel_sizes(image.affine)), f"{seconds_per_volume(image):g}", n_voxels,
        n_filler, "see below" if problems else "ok",
    )  # fmt: skip
    return _Subject(row, problems, image, region, images)


def _check_header(scan: Scan, image: Any, facts: StudyFile, reference: Any) -> list[str]:
    name, n_volumes, needed = scan.path.name, image.shape[3], scan.first_volume + scan.n_trs
    problems = []
    if scan.whole and n_volumes != scan.n_trs:
        problems.append(f"{name}: {n_volumes} volumes, the study has {scan.n_trs}; correct the file or its runs")
    elif n_volumes < needed:
        problems.append(
            f"{name}: {n_volumes} volumes, what was heard lasts until volume {needed}; correct the events or the file"
        )
    seconds = seconds_per_volume(image)
    if seconds == 0:
        problems.append(f"{name}: its header states no TR, the study {float(facts.tr):g} s; set it in the header")
    elif abs(seconds - float(facts.tr)) > 1e-3:
        problems.append(
            f"{name}: its header says a TR of {seconds:g} s, the study {float(facts.tr):g} s; correct one of them"
        )
    if not nifti.is_placed(image):
        problems.append(nifti.unplaced(Path(name)))
    if image.shape[:3] != reference.shape[:3]:
        problems.append(f"{name}: its grid has another shape than the first subject's; resample it")
    elif not np.allclose(image.affine, reference.affine, atol=1e-3):
        problems.append(f"{name}: its affine differs from the first subject's; resample it")
    return problems


def _spaces(opened: Sequence[tuple[Scan, Any]]) -> list[str]:
    """Notes on scans whose headers name a space that is not MNI's, where the auditory mask lies.

    "Aligned" names none: it is what nibabel writes when nobody says more.
    """
    notes = []
    for space in ("scanner", "talairach"):
        names = sorted({scan.path.name for scan, image in opened if nifti.space_of(image) == space})
        if names:
            notes.append(
                f"{_of_many(names)}: the header places voxels in {space} coordinates and not in MNI, so the auditory "
                "mask lies right only if the volumes were moved to MNI all the same"
            )
    return notes


def _forms(opened: Sequence[tuple[Scan, Any]]) -> list[str]:
    """Warnings of scans whose header gives two places to the same voxel."""
    apart = {
        scan.path.name: distance
        for scan, image in opened
        if (distance := nifti.millimetres_apart(image)) > voxel_sizes(image.affine).min() / 2
    }
    if not apart:
        return []
    most = max(apart.values())
    told = f"up to {most:.1f} mm apart" if np.isfinite(most) else "anywhere, as the qform is no rotation"
    name = _of_many(sorted(apart))
    return [f"{name}: sform and qform put the same voxel {told}; the sform is used, correct the other"]


def _of_many(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def _check_volumes(
    subject: Subject, scans: Sequence[Scan], images: Sequence[Any], mask: NDArray[np.bool_], facts: StudyFile
) -> tuple[list[str], NDArray[np.float64]]:
    """Read a subject once: tell whether every voxel of the mask is finite and varies, and which volumes repeat.

    Returns
    -------
    problems : list of str
    region : array, shape [TRs]
        Mean of the mask at every volume, NaN at filler.
    """
    name = scans[0].path.name
    declared = declared_filler(facts, subject)
    finite, varies = np.ones(int(mask.sum()), bool), np.zeros(int(mask.sum()), bool)
    region: list[float] = []
    repeats: list[bool] = []
    first = previous = None
    for k, volume in enumerate(_joined(scans, images)):
        values = volume[mask]
        region.append(float(values.mean(dtype=np.float64)))
        repeats.append(previous is not None and np.array_equal(volume, previous, equal_nan=True))
        previous = volume
        if k < len(declared) and declared[k]:
            continue
        finite &= np.isfinite(values)
        first = values if first is None else first
        varies |= values != first
    problems, filler = _check_filler(name, np.array(repeats), declared, facts, subject)
    if not finite.all():
        problems.append(
            f"{name}: {int((~finite).sum())} voxels of the auditory mask hold NaN or infinity; mend or mask them"
        )
    if (finite & ~varies).any():
        problems.append(
            f"{name}: {int((finite & ~varies).sum())} voxels of the auditory mask never change, as where a brain is "
            "cut off; mend the file or mask them"
        )
    return problems, np.where(filler, np.nan, region)


def _joined(scans: Sequence[Scan], images: Sequence[Any]) -> Iterator[NDArray[np.float32]]:
    for scan, image in zip(scans, images, strict=True):
        yield from scan_volumes(scan, image)


def _check_filler(
    name: str, repeats: NDArray[np.bool_], declared: NDArray[np.bool_], facts: StudyFile, subject: Subject
) -> tuple[list[str], NDArray[np.bool_]]:
    """Compare filler that is declared with volumes that repeat; return the problems, and all filler, [TRs]."""
    n = len(repeats)
    runs = facts.runs if n == facts.n_trs else [Run(name="all", first_tr=0, n_trs=n)]
    problems = []
    for declaration in facts.fillers:
        if declaration.subject == subject and not repeats[declaration.first_tr + 1 : declaration.last_tr].all():
            problems.append(
                f"{name}: volumes {declaration.first_tr + 1} to {declaration.last_tr} are declared filler and yet they "
                "vary; correct fillers in study.yml"
            )
    known = np.pad(declared, (0, max(0, n - len(declared))))[:n]
    filler = with_recognised(known, repeats, runs)
    found = np.flatnonzero(filler & ~known)
    if len(found):
        problems.append(
            f"{name}: volumes {found[0] + 1} to {found[-1] + 1} are all the same, filler that is not declared; "
            "name it under fillers in study.yml"
        )
    return problems, filler


def _sounds(
    folder: Path, facts: StudyFile, films: Sequence[str]
) -> tuple[dict[str, tuple[Path, Waveform]], list[str]]:
    """The sound of every run that has one, by the run's name, and what is wrong with the others."""
    sounds: dict[str, tuple[Path, Waveform]] = {}
    if not films and facts.stimulus is not None:
        path = folder / facts.stimulus
        try:
            waveform, _ = audio.to_mono(audio.read_sound(path))
            audio.refuse_silence(waveform, path)
        except UserError as error:
            return {}, [str(error)]
        ends = [timeline.trs_to_samples(run.last_tr, audio.SAMPLE_RATE, facts.tr) for run in facts.runs]
        if len(waveform) < ends[-1]:
            return {}, [
                f"{path} lasts {len(waveform) / audio.SAMPLE_RATE:.2f} s, shorter than the scans of "
                f"{float(facts.n_trs * facts.tr):.2f} s; give the sound of all runs"
            ]
        parts = np.split(waveform, ends)[:-1]
        return {run.name: (path, part) for run, part in zip(facts.runs, parts, strict=True)}, []
    given = _films_by_run(facts, films) if films else None
    runs = facts.runs if films else [run for run in facts.runs if run.stimulus is not None]
    problems = []
    for run, path, lead in films_of_runs(folder, facts, runs, given):
        try:
            waveform, _ = read_film(path, run, facts.tr, lead)
        except UserError as error:
            problems.append(str(error))
        else:
            sounds[run.name] = (path, waveform)
    return sounds, problems


def _films_by_run(facts: StudyFile, films: Sequence[str]) -> Mapping[str, str]:
    """Read ``--film``: a path for every run in turn, or RUN=PATH."""
    names = [run.name for run in facts.runs]
    if len(films) > len(names):
        raise UserError(f"--film: {len(films)} films for {len(names)} runs; give one per run")
    pairs = []
    for turn, film in zip(names, films, strict=False):
        name, _, path = film.partition("=")
        pairs.append((name, path) if path and name in names else (turn, film))
    given = dict(pairs)
    if len(given) < len(films):
        raise UserError(f"--film: two films for one run; the runs are {listed(names)}")
    return given


def _envelopes(
    facts: StudyFile, sounds: Mapping[str, tuple[Path, Waveform]], regions: Sequence[NDArray[np.float64]]
) -> tuple[list[str], list[str]]:
    """Compare every film with auditory cortex; return what was found, and what of it is suspicious."""
    notes: list[str] = []
    warnings: list[str] = []
    if not regions or not sounds:
        return notes, warnings
    brain = _group_mean(regions)
    for run, block in facts.kept():
        rows = np.arange(*block)[np.isfinite(brain[slice(*block)])]
        # Filler is at the end of a run; a run in which nobody has data cannot be compared.
        if run.name not in sounds or len(rows) < 3 or rows[-1] - rows[0] + 1 != len(rows):
            continue
        path, waveform = sounds[run.name]
        expected = envelope_response(
            waveform, audio.SAMPLE_RATE, [(0, run.n_trs)], facts.tr, facts.shift_trs
        )
        check = envelope_check(expected[rows - run.first_tr], brain[rows], facts.tr)
        said = _told(run, path, facts.shift_trs, check)
        notes.append(said)
        if check.elsewhere:
            warnings.append(
                f"{path.name}: auditory cortex follows it {check.best_lag:+d} TRs from where the shift of "
                f"{facts.shift_trs} TRs puts it (r = {check.best_correlation:.2f}, and {check.correlation:.2f} here): "
                "the shift or the film may be wrong"
            )
        elif check.n_shifts and not np.isnan(check.threshold) and not check.follows:
            warnings.append(
                f"{path.name}: auditory cortex does not follow its envelope (r = {check.correlation:.2f}, by chance up "
                f"to {check.threshold:.2f}): the film may be the wrong one"
            )
    return notes, warnings


def _told(run: Run, path: Path, shift: int, check: EnvelopeCheck) -> str:
    chance = (
        f"chance reaches {check.threshold:.2f} in 5 % of {check.n_shifts} circular shifts"
        if not np.isnan(check.threshold)
        else f"too short to tell from chance: {check.n_shifts} circular shifts"
    )
    return (
        f"run {run.name}, {path.name}: envelope and mean auditory BOLD correlate with r = {check.correlation:.2f} at "
        f"the declared shift of {shift} TRs ({chance}); best within ±{MOST_LAGS} TRs: {check.best_correlation:.2f} "
        f"at {check.best_lag:+d}"
    )


def _group_mean(regions: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Mean over subjects of each one's z-scored region, [TRs]; NaN where nobody has data."""
    stacked = np.stack(regions)
    usable = np.isfinite(stacked)
    count = usable.sum(axis=1, keepdims=True).clip(1)
    centred = np.where(usable, stacked - np.where(usable, stacked, 0).sum(axis=1, keepdims=True) / count, 0.0)
    spread = np.sqrt(np.square(centred).sum(axis=1, keepdims=True) / count)
    z = np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 0)
    there = usable.sum(axis=0)
    return np.asarray(np.divide(z.sum(axis=0), there, out=np.full(z.shape[1], np.nan), where=there > 0))


def _table(rows: list[tuple[str, ...]]) -> str:
    widths = [max(len(row[i]) for row in (_HEADER, *rows)) for i in range(len(_HEADER))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (_HEADER, *rows)
    ]
    return "\n".join(lines)
