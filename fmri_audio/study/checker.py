"""Checking a study before hours are spent on it: one table of what is there, and every problem found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.affines import voxel_sizes
from numpy.typing import NDArray

from fmri_audio.base import timeline
from fmri_audio.base.errors import UserError
from fmri_audio.base.kinds import Waveform
from fmri_audio.base.settings import BIDS_SPACE
from fmri_audio.brain import nifti
from fmri_audio.brain.masks import MASKS_IN_MNI, NAMED_MASKS, load_mask
from fmri_audio.brain.matrices import MatrixImage
from fmri_audio.brain.nifti import seconds_per_volume
from fmri_audio.sound import audio
from fmri_audio.study.envelope import envelope_response
from fmri_audio.study.facts import Found, Run, Scan, StudyFile, Subject, listed
from fmri_audio.study.lags import Followed, suspicions
from fmri_audio.study.reader import declared_filler, find_study, with_recognised
from fmri_audio.study.scans import open_scan, scan_volumes
from fmri_audio.study.sync import (
    MOST_LAGS,
    EnvelopeCheck,
    best_shift,
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
    sounds : list of str
        What was done to the sound of every run, one step each.
    """

    table: str
    problems: list[str]
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    sounds: list[str] = field(default_factory=list)


@dataclass
class _Subject:
    """What one pass over a subject's volumes found.

    ``region`` is the mean of the mask at every volume, NaN at filler; None if the volumes could not be read.
    ``images`` are the headers of all scans, ``image`` that of the first; none if one of them could not be opened.
    ``mask`` is the mask that was laid on them.
    """

    row: tuple[str, ...]
    problems: list[str]
    image: Any = None
    region: NDArray[np.float64] | None = None
    images: Sequence[Any] = ()
    mask: str = ""


def check_study(
    folder: Path | str,
    *,
    task: str | None = None,
    story: str | None = None,
    space: str = BIDS_SPACE,
    films: Sequence[str] = (),
    mask: str = "auditory",
) -> CheckReport:
    """Read a whole study once and list every problem.

    Looked for: missing subjects and scans; files that are not NIfTI, not fetched, damaged, without a place in space, of
    another length, grid or TR than the study says; NaN or constant voxels within the mask; filler volumes that are not
    declared, or declared ones that vary; films that are missing, silent, or not as long as their run. Where there is a
    film, its envelope is compared with the mask in the same pass: a film that nobody followed, or at another lag, gives
    a warning.

    Parameters
    ----------
    folder : path
    task, story, space : str, optional
        Which scans of a BIDS data set, see :func:`fmri_audio.study.layouts.bids.find_bids`.
    films : sequence of str
        Paths, one per run in their order, or ``RUN=PATH``; the study's own sounds unless given.
    mask : str
        As in :func:`fmri_audio.brain.masks.load_mask`.

    Raises
    ------
    UserError
        There is no study in ``folder`` at all, or it is not clear which task is meant.
    """
    folder = Path(folder)
    found = find_study(folder, task=task, story=story, space=space)
    facts = found.facts
    sounds, sound_problems, steps = _sounds(folder, facts, films)
    subjects = _check_subjects(found, mask)
    regions = {
        subject: one.region
        for subject, one in subjects.items()
        # The mean of all that a matrix holds says nothing of hearing.
        if one.region is not None and len(one.region) == facts.n_trs and one.mask != "all"
    }
    opened = [
        pair
        for subject, one in subjects.items()
        for pair in zip(
            found.scans.get(subject, ()), one.images, strict=False
        )  # no images where one cannot be opened
    ]
    notes, warnings = _envelopes(found, sounds, regions)
    notes += _spaces(opened)
    warnings += _forms(opened)
    if mask in MASKS_IN_MNI and any(one.mask == "all" for one in subjects.values()):
        notes.append(
            "the scans are matrices whose voxels have no place, so all voxels were looked at and nothing tells whether "
            "auditory cortex follows the sound; --mask FILE.npy, a truth value per voxel, says which do"
        )
    if not sounds and not sound_problems:
        notes.append("no film was given, so nothing tells whether the brains follow it: add --film FILE")
    rows = [one.row for one in subjects.values()]
    problems = _told_by_names(found, bool(films)) + _of_all(subjects)
    return CheckReport(
        f"{_summary(facts)}\n{_table(rows)}",
        problems + sound_problems,
        warnings,
        [*found.notes, *notes],
        steps,
    )


def quick_problems(found: Found, films_given: bool = False) -> list[str]:
    """Those problems of :func:`check_study` that names and headers tell, in milliseconds per scan.

    Parameters
    ----------
    found : Found
    films_given : bool
        Whether films are given, so that the study need not have sounds of its own.
    """
    problems, reference = _told_by_names(found, films_given), None
    for subject in found.facts.subjects:
        images, said = _open_subject(found.scans.get(subject, ()), found.facts, reference)
        reference = images[0] if images and reference is None else reference
        problems += said
    return problems


def volume_problems(found: Found, mask: str = "auditory") -> list[str]:
    """All problems of :func:`check_study` but those of names and sounds: every volume is read once."""
    return _of_all(_check_subjects(found, mask))


def _told_by_names(found: Found, films_given: bool) -> list[str]:
    return [problem for problem in found.problems if not (films_given and problem in found.silent)]


def _of_all(subjects: Mapping[Subject, _Subject]) -> list[str]:
    return [problem for one in subjects.values() for problem in one.problems]


def _check_subjects(found: Found, mask: str) -> dict[Subject, _Subject]:
    """Check everybody's files; who has none has a row that says so, and its problem is told by the names."""
    reference: Any = None
    masks: dict[tuple[bytes, tuple[int, ...]], NDArray[np.bool_]] = {}
    subjects: dict[Subject, _Subject] = {}
    for subject in found.facts.subjects:
        scans = found.scans.get(subject)
        if scans is None:
            one = _Subject((str(subject), "—", "", "", "", "", "", "", "missing"), [])
        else:
            one = _check_subject(subject, scans, found.facts, reference, mask, masks)
        reference = one.image if reference is None else reference
        subjects[subject] = one
    return subjects


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
    spec: str,
    masks: dict[tuple[bytes, tuple[int, ...]], NDArray[np.bool_]],
) -> _Subject:
    """Check the files of one subject, in one pass over their volumes; ``masks`` keeps the mask of every grid met."""
    name = _of_many([scan.path.name for scan in scans])
    images, problems = _open_subject(scans, facts, reference)
    if not images:
        return _Subject((str(subject), name, "", "", "", "", "", "", "unreadable"), problems)
    image = images[0]
    same_grid = all(one.shape[:3] == image.shape[:3] for one in images)
    found: list[str] = []
    region, n_voxels, n_filler = None, "", ""
    matrices = all(isinstance(one, MatrixImage) for one in images)
    spec = "all" if matrices and spec in MASKS_IN_MNI else spec
    try:
        if same_grid and (matrices or all(nifti.is_placed(one) for one in images)):
            grid = image.affine.tobytes(), image.shape[:3]
            if grid not in masks:
                lies = np.asarray(image.affine), image.shape[:3]
                masks[grid] = load_mask(spec, *lies, placed=False) if matrices else load_mask(spec, *lies)
            mask = masks[grid]
            n_voxels = str(int(mask.sum()))
            where = f"the {spec} mask" if spec in NAMED_MASKS else "the mask"
            found, region = _check_volumes(subject, scans, images, mask, where, facts)
            n_filler = str(int(np.isnan(region).sum()))
    except UserError as error:
        found = [str(error) if scans[0].path.name in str(error) else f"{name}: {error}"]
    problems += found
    row = (
        str(subject),
        name,
        str(sum(one.shape[3] for one in images)),
        "×".join(str(n) for n in image.shape[:3]),
        "—" if matrices else "×".join(f"{size:g}" for size in voxel_sizes(image.affine)),
        f"{seconds_per_volume(image):g}",
        n_voxels,
        n_filler,
        "see below" if problems else "ok",
    )
    return _Subject(row, problems, image, region, images, spec)


def _open_subject(scans: Sequence[Scan], facts: StudyFile, reference: Any) -> tuple[list[Any], list[str]]:
    """Open the files of one subject and compare their headers with the study's; no images where one cannot be read."""
    try:
        images = [open_scan(scan) for scan in scans]
    except UserError as error:
        return [], [str(error)]
    problems = []
    for scan, image in zip(scans, images, strict=True):
        problems += _check_header(scan, image, facts, images[0] if reference is None else reference)
    return images, problems


def _check_header(scan: Scan, image: Any, facts: StudyFile, reference: Any) -> list[str]:
    name, n_volumes, needed = scan.path.name, image.shape[3], scan.first_volume + scan.n_trs
    problems = []
    if scan.whole and n_volumes != scan.n_trs:
        problems.append(
            f"{name}: {n_volumes} volumes, the study has {scan.n_trs}; correct the file or its runs"
        )
    elif n_volumes < needed:
        problems.append(
            f"{name}: {n_volumes} volumes, what was heard lasts until volume {needed}; correct the events or the file"
        )
    seconds, matrix = seconds_per_volume(image), isinstance(image, MatrixImage)
    if seconds == 0 and matrix:
        pass  # HDF5 states none
    elif seconds == 0:
        problems.append(
            f"{name}: its header states no TR, the study {float(facts.tr):g} s; set it in the header"
        )
    elif abs(seconds - float(facts.tr)) > 1e-3:
        problems.append(
            f"{name}: its header says a TR of {seconds:g} s, the study {float(facts.tr):g} s; correct one of them"
        )
    if not matrix and not nifti.is_placed(image):
        problems.append(nifti.unplaced(Path(name)))
    if matrix and image.shape[:3] != reference.shape[:3]:
        problems.append(
            f"{name}: {image.shape[0]} voxels, the first subject has {reference.shape[0]}: voxels of different brains "
            "do not correspond; choose one subject with study.space (--space)"
        )
    elif image.shape[:3] != reference.shape[:3]:
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
    subject: Subject,
    scans: Sequence[Scan],
    images: Sequence[Any],
    mask: NDArray[np.bool_],
    where: str,
    facts: StudyFile,
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
            f"{name}: {int((~finite).sum())} voxels of {where} hold NaN or infinity; mend or mask them"
        )
    if (finite & ~varies).any():
        problems.append(
            f"{name}: {int((finite & ~varies).sum())} voxels of {where} never change, as where a brain is "
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
        if (
            declaration.subject == subject
            and not repeats[declaration.first_tr + 1 : declaration.last_tr].all()
        ):
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
) -> tuple[dict[str, tuple[Path, Waveform]], list[str], list[str]]:
    """The sound of every run that has one, by the run's name, what is wrong with the others, and what was done."""
    sounds: dict[str, tuple[Path, Waveform]] = {}
    if not films and facts.stimulus is not None:
        path = folder / facts.stimulus
        try:
            sound = audio.read_mono(path)
            audio.refuse_silence(sound.waveform, path)
        except UserError as error:
            return {}, [str(error)], []
        waveform, done = sound.waveform, [f"{path.name}: {step}" for step in sound.steps]
        ends = [timeline.trs_to_samples(run.last_tr, audio.SAMPLE_RATE, facts.tr) for run in facts.runs]
        if len(waveform) < ends[-1]:
            return (
                {},
                [
                    f"{path} lasts {len(waveform) / audio.SAMPLE_RATE:.2f} s, shorter than the scans of "
                    f"{float(facts.n_trs * facts.tr):.2f} s; give the sound of all runs"
                ],
                done,
            )
        parts = np.split(waveform, ends)[:-1]
        return {run.name: (path, part) for run, part in zip(facts.runs, parts, strict=True)}, [], done
    given = _films_by_run(facts, films) if films else None
    runs = facts.runs if films else [run for run in facts.runs if run.stimulus is not None]
    problems: list[str] = []
    notes: list[str] = []
    for run, path, lead in films_of_runs(folder, facts, runs, given):
        try:
            waveform, steps = read_film(path, run, facts.tr, lead, None if films else folder)
        except UserError as error:
            problems.append(str(error))
        else:
            sounds[run.name] = (path, waveform)
            notes += [f"run {run.name}, {path.name}: {step}" for step in steps]
    return sounds, problems, notes


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
    found: Found, sounds: Mapping[str, tuple[Path, Waveform]], regions: Mapping[Subject, NDArray[np.float64]]
) -> tuple[list[str], list[str]]:
    """Compare every film with the mask's mean; return what was found, and what of it is suspicious."""
    if not regions or not sounds:
        return [], []
    facts = found.facts
    brain = _group_mean(list(regions.values()))
    followed = []
    for run, block in facts.kept():
        rows = np.arange(*block)[np.isfinite(brain[slice(*block)])]
        # Filler is at the end of a run; a run in which nobody has data cannot be compared.
        if run.name not in sounds or len(rows) < 3 or rows[-1] - rows[0] + 1 != len(rows):
            continue
        path, waveform = sounds[run.name]
        expected = envelope_response(waveform, audio.SAMPLE_RATE, [(0, run.n_trs)], facts.tr, facts.shift_trs)
        followed.append(_followed(run, path, expected[rows - run.first_tr], rows, brain, regions, facts))
    notes = [_told(one.run, one.path, facts.shift_trs, one.group) for one in followed]
    return notes, suspicions(followed, facts.shift_trs, facts.tr, found.begins)


def _followed(
    run: Run,
    path: Path,
    expected: NDArray[np.floating],
    rows: NDArray[np.int_],
    brain: NDArray[np.float64],
    regions: Mapping[Subject, NDArray[np.float64]],
    facts: StudyFile,
) -> Followed:
    """Compare what a film lets expect at some volumes, [rows], with the mean over subjects and with each of them."""
    group = envelope_check(expected, brain[rows], facts.tr)
    halves = np.array_split(np.arange(len(rows)), 2)
    clear = group.follows or group.elsewhere or np.isnan(group.threshold)
    return Followed(
        run,
        path,
        group,
        {
            subject: envelope_check(expected, region[rows], facts.tr)
            for subject, region in regions.items()
            if len(regions) > 1 and np.isfinite(region[rows]).all()
        },
        [envelope_check(expected[half], brain[rows][half], facts.tr) for half in halves],
        None if clear else best_shift(expected, brain[rows], facts.tr),
    )


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
