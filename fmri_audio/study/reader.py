"""Reading a study: who is in it, which volumes belong to which TR of the stimulus, and the BOLD itself.

Two layouts are read. The Sherlock release's (Chen et al. 2017): one file per subject,
``sherlock_movie_s<N>.nii`` or ``.nii.gz``, its runs joined along time; a ``study.yml`` beside the files states
subjects, runs, TRs and shift, and without one the release's own values are expected. And BIDS derivatives as fMRIPrep
writes them, see :mod:`fmri_audio.study.bids`. In both, volume k is the k-th of the *joined* runs, counted from 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import yaml
from pydantic import Field, ValidationError

from fmri_audio.base.documents import load_yaml
from fmri_audio.base.errors import UserError
from fmri_audio.base.settings import (
    BIDS_SPACE,
    LONGEST_TR,
    SHORTEST_TR,
    ExactSeconds,
    PositiveInt,
    Section,
    TRs,
)
from fmri_audio.brain.masks import load_mask
from fmri_audio.brain.nifti import is_placed, open_nifti, unplaced, volumes
from fmri_audio.brain.nifti import seconds_per_volume as seconds_per_volume

STUDY_FILE = "study.yml"
PATTERN = "sherlock_movie_s{subject}.nii"
#: The release on a 3 mm grid: voxels along x, y, z, and voxel indices to MNI millimetres.
RELEASE_SHAPE = (61, 73, 61)
RELEASE_AFFINE = np.array([[-3.0, 0, 0, 90], [0, 3, 0, -126], [0, 0, 3, -72], [0, 0, 0, 1]])
#: So many equal volumes at the end of a run are filler: a scanner's noise never repeats itself.
FEWEST_FILLER_TRS = 3
#: More TRs than any study has: 17 days of scanning at 1.5 s.
MOST_TRS = 1_000_000

Subject = int | str
Block = tuple[int, int]
Model = TypeVar("Model", bound=Section)


class Run(Section):
    """One scan: TRs ``first_tr <= k < first_tr + n_trs`` of the joined study.

    Attributes
    ----------
    skip_trs : int
        TRs at its start that are left out together with their sound.
    stimulus : str, optional
        What was heard: a sound or film, its path counted from the study's folder.
    stimulus_lead : seconds, optional
        How much of that sound comes before the run's first TR (negative: the sound begins within the run). Without it
        the sound begins and ends with the run.
    """

    name: str
    first_tr: int = Field(ge=0, le=100_000)
    n_trs: TRs
    skip_trs: int = Field(0, ge=0, le=100_000)
    stimulus: str | None = None
    stimulus_lead: ExactSeconds | None = None

    @property
    def last_tr(self) -> int:
        """First TR after the run."""
        return self.first_tr + self.n_trs


class Filler(Section):
    """Volumes of one subject that are padding, not data."""

    subject: PositiveInt | str
    first_tr: int = Field(ge=0, le=100_000)
    n_trs: TRs

    @property
    def last_tr(self) -> int:
        """First TR after the filler."""
        return self.first_tr + self.n_trs


class StudyFile(Section):
    """What ``study.yml`` holds.

    ``shift_trs`` says by how many TRs the volumes were already moved back against the haemodynamic lag:
    volume k of the file was acquired ``shift_trs`` TRs after the onset of stimulus TR k. It has no default that a
    study could fall into: the release's is 3, that of BIDS derivatives is 0. ``stimulus`` is one sound for all runs
    together, from the first TR of the first; a run's own sound is named with the run.
    """

    name: str
    simulated: bool = False
    tr: ExactSeconds = Fraction(3, 2)
    shift_trs: int = Field(ge=-1_000, le=1_000)
    subjects: list[PositiveInt | str] = Field(min_length=1, max_length=10_000)
    runs: list[Run] = Field(min_length=1, max_length=10_000)
    fillers: list[Filler] = Field(default_factory=list, max_length=100_000)
    stimulus: str | None = None
    seed: int | None = None
    strength: float | None = None

    @property
    def n_trs(self) -> int:
        """TRs of all runs together."""
        return sum(run.n_trs for run in self.runs)

    def kept(self, trs: Sequence[int] | None = None) -> list[tuple[Run, Block]]:
        """Runs and the TRs of each that are used.

        Parameters
        ----------
        trs : (first, last), optional
            The edition's ``study.trs``: counted from 1 in the joined study, both included, as the field counts.
            Everything unless given. TRs that a run skips stay out in any case.

        Returns
        -------
        list of (Run, (first, last))
            ``first <= k < last``, counted from 0 in the joined study. A run of which nothing is kept is not there.

        Raises
        ------
        UserError
            The range reaches beyond the runs, or nothing is left.
        """
        first, last = (1, self.n_trs) if trs is None else trs
        if not 1 <= first <= last <= self.n_trs:
            raise UserError(
                f"study.trs: TRs {first} to {last} were asked for, {self.name} has TRs 1 to {self.n_trs}; "
                "give a first and a last TR within them"
            )
        blocks = [
            (run, (max(run.first_tr + run.skip_trs, first - 1), min(run.last_tr, last))) for run in self.runs
        ]
        kept = [(run, block) for run, block in blocks if block[0] < block[1]]
        if not kept:
            raise UserError(
                f"study.trs: TRs {first} to {last} are all among those that {self.name} skips at the start of a run; "
                "give a wider range"
            )
        return kept


#: TRs of the cartoon (39 s) that opens both parts of the film: the same sound twice, so that kept in, it would
#: carry a training run's sound into a held-out one.
CARTOON_TRS = 26
#: The release as its README describes it: 17 subjects, two runs of 946 and 1030 TRs, s5's last 50 TRs filler.
RELEASE = StudyFile(
    name="Sherlock (Chen et al. 2017)",
    shift_trs=3,
    subjects=list(range(1, 18)),
    runs=[
        Run(name="1", first_tr=0, n_trs=946, skip_trs=CARTOON_TRS),
        Run(name="2", first_tr=946, n_trs=1030, skip_trs=CARTOON_TRS),
    ],
    fillers=[Filler(subject=5, first_tr=1926, n_trs=50)],
)


@dataclass(frozen=True)
class Scan:
    """Volumes of one file: ``n_trs`` of them from ``first_volume`` on; ``whole`` if the file holds no others."""

    path: Path
    first_volume: int
    n_trs: int
    whole: bool = False


@dataclass(frozen=True)
class Found:
    """What a folder was found to hold, before any scan is opened.

    Attributes
    ----------
    facts : StudyFile
    scans : mapping of subject to scans, in the order of the runs
        A subject may be missing: then its files are.
    notes : list of str
        What a reader should know and nobody has to mend: scans that the data set itself excludes, for example.
    problems : list of str
        What is missing, one sentence each.
    bids : bool
        Whether it is a BIDS data set.
    silent : list of str
        Those of the problems that are a missing sound: none where films are given instead.
    """

    facts: StudyFile
    scans: Mapping[Subject, tuple[Scan, ...]]
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    bids: bool = False
    silent: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Study:
    """A study on disk. Open it with :meth:`open`.

    Attributes
    ----------
    folder : Path
    facts : StudyFile
        Subjects, runs, TR, shift.
    shape : tuple of 3 ints
    affine : array, shape [4, 4]
        Grid of the first subject; :func:`fmri_audio.study.checker.check_study` compares the others with it.
    files : mapping of subject to scans, optional
        Where each subject's runs lie in a BIDS data set; looked for in the release's layout unless given.
    placed : bool
        Whether the first subject's header says where its voxels lie. If not, ``affine`` is a guess: no mask in MNI
        can be placed, only a mask of one's own from the same kind of file be laid on the volumes.
    """

    folder: Path
    facts: StudyFile
    shape: tuple[int, int, int]
    affine: np.ndarray
    files: Mapping[Subject, tuple[Scan, ...]] | None = None
    placed: bool = True

    @classmethod
    def open(
        cls,
        folder: Path | str,
        *,
        task: str | None = None,
        story: str | None = None,
        space: str = BIDS_SPACE,
    ) -> Study:
        """Open the study in ``folder``.

        Parameters
        ----------
        folder : path
        task, story, space : str, optional
            Which of a BIDS data set's scans, see :func:`fmri_audio.study.bids.find_bids`.

        Raises
        ------
        UserError
            There is no such folder, its ``study.yml`` is wrong, it is not clear which task is meant, or the first
            subject cannot be read.
        """
        folder = Path(folder)
        return cls.of(folder, find_study(folder, task=task, story=story, space=space))

    @classmethod
    def of(cls, folder: Path, found: Found) -> Study:
        """Open what was found in a folder; a :class:`UserError` where the first subject cannot be read."""
        files = found.scans if found.bids else None
        first = found.facts.subjects[0]
        image = open_image(files[first][0].path if files else subject_path(folder, first))
        shape = cast(tuple[int, int, int], image.shape[:3])
        return cls(folder, found.facts, shape, np.asarray(image.affine), files, is_placed(image))

    @property
    def name(self) -> str:
        """Name for tables."""
        return self.facts.name

    @property
    def simulated(self) -> bool:
        """Whether the brains were simulated; every figure and table must say so."""
        return self.facts.simulated

    @property
    def subjects(self) -> list[Subject]:
        """Numbers or labels of the subjects."""
        return list(self.facts.subjects)

    @property
    def runs(self) -> list[Run]:
        """The scans, in the order in which they are joined."""
        return list(self.facts.runs)

    @property
    def tr(self) -> Fraction:
        """Seconds per volume."""
        return self.facts.tr

    @property
    def shift(self) -> int:
        """TRs by which the volumes were already moved back against the haemodynamic lag."""
        return self.facts.shift_trs

    @property
    def n_trs(self) -> int:
        """Volumes per subject, all runs together."""
        return self.facts.n_trs

    def kept(self, trs: Sequence[int] | None = None) -> list[Block]:
        """Blocks of TRs that are used, one per run; see :meth:`StudyFile.kept`."""
        return [block for _, block in self.facts.kept(trs)]

    def rows(self, trs: Sequence[int] | None = None) -> np.ndarray:
        """Volumes that are used, in the order of the joined runs, [TRs] of int."""
        return np.concatenate([np.arange(*block) for block in self.kept(trs)])

    def with_data_at(self, rows: np.ndarray) -> Study:
        """The same study without the subjects whose volumes are declared filler at any of ``rows``.

        Raises
        ------
        UserError
            Nobody is left.
        """
        subjects = [subject for subject in self.facts.subjects if not self.filler(subject)[rows].any()]
        if not subjects:
            raise UserError(f"{self.folder}: every subject has filler among the TRs asked for; change study.trs")
        return replace(self, facts=self.facts.model_copy(update={"subjects": subjects}))

    def path(self, subject: Subject) -> Path:
        """File of one subject, the first if it has several."""
        return self.scans(subject)[0].path

    def scans(self, subject: Subject) -> tuple[Scan, ...]:
        """Where the volumes of one subject lie, in the order of the runs.

        Raises
        ------
        UserError
            The subject is not in the study, or a file is missing.
        """
        if subject not in self.facts.subjects:
            raise UserError(
                f"{self.folder}: there is no subject {subject}; it has {listed(self.facts.subjects)}"
            )
        if self.files is not None:
            return self.files[subject]
        return (Scan(subject_path(self.folder, subject), 0, self.n_trs, whole=True),)

    def mask(self, spec: str = "auditory") -> np.ndarray:
        """Voxels to use, [x, y, z] of bool: ``auditory``, ``grey-matter`` or the path of a NIfTI mask.

        Raises
        ------
        UserError
            As :func:`fmri_audio.brain.masks.load_mask`; named masks need scans that say where their voxels lie.
        """
        return load_mask(spec, self.affine, self.shape, placed=self.placed)

    def volumes(self, subject: Subject) -> Iterator[np.ndarray]:
        """Yield the volumes of one subject, all runs joined, float32 [x, y, z], one at a time.

        Raises
        ------
        UserError
            A file is missing, truncated, on another grid or too short.
        """
        for scan, image in self._opened(subject):
            yield from scan_volumes(scan, image)

    def bold(self, subject: Subject, mask: np.ndarray) -> np.ndarray:
        """BOLD of one subject in a mask, read volume by volume.

        Parameters
        ----------
        subject : int or str
        mask : array of bool, shape [x, y, z]

        Returns
        -------
        array of float32, shape [TRs, voxels]
            As on disk, neither filtered nor standardised; filler volumes, declared or recognised, are NaN.

        Raises
        ------
        UserError
            The subject is not in the study, or its file is missing, truncated, on another grid, of another
            length, or not finite within the mask.
        """
        self._opened(subject)  # what the files hold is known before anything is allocated for it
        bold = np.empty((self.n_trs, int(mask.sum())), np.float32)
        finite, repeats = np.zeros(self.n_trs, bool), np.zeros(self.n_trs, bool)
        for k, volume in enumerate(self.volumes(subject)):
            bold[k] = volume[mask]
            finite[k] = np.isfinite(bold[k]).all()
            repeats[k] = k > 0 and np.array_equal(bold[k], bold[k - 1])
        filler = with_recognised(self.filler(subject), repeats, self.runs)
        if not finite[~filler].all():
            raise UserError(
                f"{self.path(subject)}: NaN or infinite values within the mask; mend the file or use another mask"
            )
        bold[filler] = np.nan
        return bold

    def filler(self, subject: Subject) -> np.ndarray:
        """Which volumes of a subject are declared to be padding, [TRs] of bool."""
        return declared_filler(self.facts, subject)

    def _opened(self, subject: Subject) -> list[tuple[Scan, Any]]:
        """Open a subject's scans, and refuse those that do not fit the study."""
        opened = [(scan, open_image(scan.path)) for scan in self.scans(subject)]
        for scan, image in opened:
            self._check_grid(scan, image)
        return opened

    def _check_grid(self, scan: Scan, image: Any) -> None:
        if is_placed(image) != self.placed:
            raise UserError(unplaced(scan.path if self.placed else self.path(self.facts.subjects[0])))
        n_volumes = image.shape[3]
        fits = n_volumes == scan.n_trs if scan.whole else n_volumes >= scan.first_volume + scan.n_trs
        on_grid = image.shape[:3] == self.shape and np.allclose(image.affine, self.affine, atol=1e-3)
        if not (fits and on_grid):
            needed = (*self.shape, scan.first_volume + scan.n_trs)
            raise UserError(
                f"{scan.path}: {_times(image.shape)} volumes on its own grid where the study has "
                f"{_times(needed)}; run `fmri-audio data check {self.folder}`"
            )


def find_study(
    folder: Path, *, task: str | None = None, story: str | None = None, space: str = BIDS_SPACE
) -> Found:
    """Find out what a folder holds: the release's layout, or BIDS derivatives.

    A ``study.yml`` decides where there is one. ``layout: bids`` in it stands for a BIDS data set and may name
    ``task``, ``story`` and ``space``, which take the place of the arguments that are not given.

    Raises
    ------
    UserError
        The folder does not exist, is neither, or ``study.yml`` is not valid; the sentence names the key.
    """
    from fmri_audio.study.bids import BidsFile, find_bids, is_bids

    if not folder.is_dir():
        raise UserError(
            f"{folder}: there is no such folder; give the folder that holds {PATTERN.format(subject='N')}.gz"
        )
    path = folder / STUDY_FILE
    raw = load_yaml(path) if path.is_file() else None
    if isinstance(raw, dict) and raw.get("layout") == "bids":
        written = _validated(BidsFile, raw, path)
        return find_bids(
            folder, task or written.task, story or written.story,
            space if space != BIDS_SPACE else written.space, written.shift_trs,
        )  # fmt: skip
    if raw is None and is_bids(folder):
        return find_bids(folder, task, story, space)
    if task is not None:
        raise UserError(f"study.task: {folder} is not a BIDS data set, leave task out or give another folder")
    facts = RELEASE if raw is None else _validated(StudyFile, raw, path)
    if raw is None and not any(subject_file(folder, subject) for subject in RELEASE.subjects):
        raise UserError(
            f"{folder}: no {STUDY_FILE}, no {PATTERN.format(subject='1')}[.gz] and no BIDS derivatives: not a study"
        )
    _check_runs(facts, path)
    files = {subject: subject_file(folder, subject) for subject in facts.subjects}
    return Found(
        facts,
        {subject: (Scan(file, 0, facts.n_trs, whole=True),) for subject, file in files.items() if file},
        problems=[
            f"{PATTERN.format(subject=subject)}[.gz] is missing; add it or correct {STUDY_FILE}"
            for subject, file in files.items()
            if file is None
        ],
    )


def read_facts(
    folder: Path, *, task: str | None = None, story: str | None = None, space: str = BIDS_SPACE
) -> StudyFile:
    """Subjects, runs, TR and shift of the study in a folder; see :func:`find_study`."""
    return find_study(folder, task=task, story=story, space=space).facts


def write_facts(facts: StudyFile, path: Path) -> None:
    """Write ``study.yml``."""
    content = facts.model_dump(mode="json", exclude_defaults=False)
    path.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")


def subject_file(folder: Path, subject: Subject) -> Path | None:
    """The subject's file in the release's layout, compressed or not, or None."""
    plain = folder / PATTERN.format(subject=subject)
    places = (plain, plain.with_name(plain.name + ".gz"))
    # A link that leads nowhere is a scan that was not fetched, and is named as that when it is opened.
    return next((path for path in places if path.is_file() or path.is_symlink()), None)


def subject_path(folder: Path, subject: Subject) -> Path:
    """The subject's file in the release's layout; a :class:`UserError` where it is missing."""
    path = subject_file(folder, subject)
    if path is None:
        raise UserError(
            f"{folder}: {PATTERN.format(subject=subject)}[.gz] is missing; add it or correct {STUDY_FILE}"
        )
    return path


def open_image(path: Path) -> Any:
    """Open a scan without reading its data.

    Raises
    ------
    UserError
        It cannot be read (:func:`fmri_audio.brain.nifti.open_nifti`), or is not four-dimensional. Dimensions of 1
        after the fourth do not count.
    """
    image = open_nifti(path)
    n_dims = max((i + 1 for i, n in enumerate(image.shape) if n > 1 or i < 4), default=0)
    if n_dims != 4:
        raise UserError(f"{path}: has {n_dims} dimensions, a scan has 4 (x, y, z, time)")
    return image


def scan_volumes(scan: Scan, image: Any) -> Iterator[np.ndarray]:
    """Yield the volumes of a scan that belong to the study.

    The file is read to its end in any case: only there does a compressed one show that its bytes are undamaged.
    """
    last = scan.first_volume + scan.n_trs
    for k, volume in enumerate(volumes(scan.path, image)):
        if scan.whole or scan.first_volume <= k < last:
            yield volume


def declared_filler(facts: StudyFile, subject: Subject) -> np.ndarray:
    """Which volumes of a subject the study declares to be padding, [TRs] of bool."""
    marked = np.zeros(facts.n_trs, bool)
    for filler in facts.fillers:
        if filler.subject == subject:
            marked[filler.first_tr : filler.last_tr] = True
    return marked


def trailing_filler(repeats: np.ndarray, runs: Sequence[Run]) -> list[Block]:
    """Recognise filler: a run whose last volumes are all the same.

    Parameters
    ----------
    repeats : array of bool, shape [TRs]
        Whether a volume equals the one before it.
    runs : sequence of Run

    Returns
    -------
    list of (first, last)
        Volumes ``first <= k < last``, at least three of them, at most one block per run.
    """
    blocks = []
    for run in runs:
        moving = np.flatnonzero(~repeats[run.first_tr + 1 : run.last_tr])
        # The last volume that differs from the one before it is the first of those that repeat.
        first = run.first_tr + 1 + int(moving[-1]) if len(moving) else run.first_tr
        if run.last_tr - first >= FEWEST_FILLER_TRS:
            blocks.append((first, run.last_tr))
    return blocks


def with_recognised(declared: np.ndarray, repeats: np.ndarray, runs: Sequence[Run]) -> np.ndarray:
    """Declared filler and what :func:`trailing_filler` recognises besides, [TRs] of bool."""
    filler = declared.copy()
    for first, last in trailing_filler(repeats, runs):
        # Of volumes that are all the same, the first may be the last real one; what is declared decides.
        if not declared[first + 1 : last].all():
            filler[first:last] = True
    return filler


def _validated(model: type[Model], raw: object, path: Path) -> Model:
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the file"
        raise UserError(f"{path}: {key}: {first['msg'].removeprefix('Value error, ')}") from None


def _check_runs(facts: StudyFile, path: Path) -> None:
    if not SHORTEST_TR <= facts.tr <= LONGEST_TR:
        raise UserError(f"{path}: tr: {facts.tr} s is no repetition time; give it in seconds")
    expected = 0
    for run in facts.runs:
        if run.first_tr != expected:
            raise UserError(
                f"{path}: runs: run {run.name} begins at TR {run.first_tr}, where the one before ends at {expected}"
            )
        if run.skip_trs >= run.n_trs:
            raise UserError(f"{path}: runs: run {run.name} skips {run.skip_trs} of its {run.n_trs} TRs; keep some")
        expected = run.last_tr
    if expected > MOST_TRS:
        raise UserError(f"{path}: runs: {expected:,} TRs are more than the {MOST_TRS:,} that are read; correct n_trs")
    for key, values in (("subjects", facts.subjects), ("runs", [run.name for run in facts.runs])):
        if len(set(values)) != len(values):
            raise UserError(f"{path}: {key}: one of them is listed twice")
    for filler in facts.fillers:
        if filler.last_tr > expected:
            raise UserError(f"{path}: fillers: subject {filler.subject}'s end after the last TR, {expected}")


def _times(shape: tuple[int, ...]) -> str:
    return "×".join(str(n) for n in shape)


def listed(values: Sequence[object]) -> str:
    """Values as a sentence lists them."""
    return ", ".join(str(value) for value in values)
