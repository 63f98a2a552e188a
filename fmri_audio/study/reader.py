"""Reading a study: who is in it, which volumes belong to which TR of the stimulus, and the BOLD itself.

The layout is the Sherlock release's (Chen et al. 2017): one file per subject,
``sherlock_movie_s<N>.nii`` or ``.nii.gz``, its runs joined along time. A ``study.yml`` beside the files states
subjects, runs, TRs and shift; without one the release's own values are expected.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import nibabel as nib
import numpy as np
import yaml
from nibabel.filebasedimages import ImageFileError
from nibabel.openers import ImageOpener
from pydantic import Field, ValidationError

from fmri_audio.brain import load_mask
from fmri_audio.errors import UserError
from fmri_audio.settings import ExactSeconds, PositiveInt, Section

STUDY_FILE = "study.yml"
PATTERN = "sherlock_movie_s{subject}.nii"
#: The release on a 3 mm grid: voxels along x, y, z, and voxel indices to MNI millimetres.
RELEASE_SHAPE = (61, 73, 61)
RELEASE_AFFINE = np.array([[-3.0, 0, 0, 90], [0, 3, 0, -126], [0, 0, 3, -72], [0, 0, 0, 1]])


class Run(Section):
    """One scan: TRs ``first_tr <= k < first_tr + n_trs`` of the joined file."""

    name: str
    first_tr: int = Field(ge=0)
    n_trs: PositiveInt

    @property
    def last_tr(self) -> int:
        """First TR after the run."""
        return self.first_tr + self.n_trs


class Filler(Section):
    """Volumes of one subject that are padding, not data."""

    subject: PositiveInt
    first_tr: int = Field(ge=0)
    n_trs: PositiveInt


class StudyFile(Section):
    """What ``study.yml`` holds.

    ``shift_trs`` says by how many TRs the volumes were already moved back against the haemodynamic lag:
    volume k of the file was acquired ``shift_trs`` TRs after the onset of stimulus TR k.
    """

    name: str
    simulated: bool = False
    tr: ExactSeconds = Fraction(3, 2)
    shift_trs: int = Field(3, ge=0)
    subjects: list[PositiveInt] = Field(min_length=1)
    runs: list[Run] = Field(min_length=1)
    fillers: list[Filler] = Field(default_factory=list)
    stimulus: str | None = None
    seed: int | None = None
    strength: float | None = None


#: The release as its README describes it: 17 subjects, two runs of 946 and 1030 TRs, s5's last 50 TRs filler.
RELEASE = StudyFile(
    name="Sherlock (Chen et al. 2017)",
    subjects=list(range(1, 18)),
    runs=[Run(name="1", first_tr=0, n_trs=946), Run(name="2", first_tr=946, n_trs=1030)],
    fillers=[Filler(subject=5, first_tr=1926, n_trs=50)],
)


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
        Grid of the first subject; :func:`fmri_audio.study.check_study` compares the others with it.
    """

    folder: Path
    facts: StudyFile
    shape: tuple[int, int, int]
    affine: np.ndarray

    @classmethod
    def open(cls, folder: Path | str) -> Study:
        """Open the study in ``folder``.

        Raises
        ------
        UserError
            There is no such folder, its ``study.yml`` is wrong, or the first subject cannot be read.
        """
        folder = Path(folder)
        facts = read_facts(folder)
        image = open_image(subject_path(folder, facts.subjects[0]))
        return cls(folder, facts, cast(tuple[int, int, int], image.shape[:3]), np.asarray(image.affine))

    @property
    def name(self) -> str:
        """Name for tables."""
        return self.facts.name

    @property
    def simulated(self) -> bool:
        """Whether the brains were simulated; every figure and table must say so."""
        return self.facts.simulated

    @property
    def subjects(self) -> list[int]:
        """Numbers of the subjects."""
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
        return sum(run.n_trs for run in self.facts.runs)

    def path(self, subject: int) -> Path:
        """File of one subject."""
        return subject_path(self.folder, subject)

    def mask(self, spec: str = "auditory") -> np.ndarray:
        """Voxels to use, [x, y, z] of bool: ``auditory`` or the path of a NIfTI mask."""
        return load_mask(spec, self.affine, self.shape)

    def bold(self, subject: int, mask: np.ndarray) -> np.ndarray:
        """BOLD of one subject in a mask, read volume by volume.

        Parameters
        ----------
        subject : int
        mask : array of bool, shape [x, y, z]

        Returns
        -------
        array of float32, shape [TRs, voxels]
            As on disk, neither filtered nor standardised; filler volumes are NaN.

        Raises
        ------
        UserError
            The subject is not in the study, or its file is missing, truncated, on another grid, of another
            length, or not finite within the mask.
        """
        if subject not in self.facts.subjects:
            raise UserError(
                f"{self.folder}: there is no subject {subject}; it has {_listed(self.facts.subjects)}"
            )
        path = self.path(subject)
        image = open_image(path)
        if image.shape != (*self.shape, self.n_trs) or not np.allclose(image.affine, self.affine, atol=1e-3):
            raise UserError(
                f"{path}: {_times(image.shape)} volumes on its own grid where the study has "
                f"{_times((*self.shape, self.n_trs))}; run `fmri-audio data check {self.folder}`"
            )
        bold = np.empty((self.n_trs, int(mask.sum())), np.float32)
        for k, volume in enumerate(volumes(path, image)):
            bold[k] = volume[mask]
        filler = self.filler(subject)
        if not np.isfinite(bold[~filler]).all():
            raise UserError(
                f"{path}: NaN or infinite values within the mask; mend the file or use another mask"
            )
        bold[filler] = np.nan
        return bold

    def filler(self, subject: int) -> np.ndarray:
        """Which volumes of a subject are padding, [TRs] of bool."""
        marked = np.zeros(self.n_trs, bool)
        for filler in self.facts.fillers:
            if filler.subject == subject:
                marked[filler.first_tr : filler.first_tr + filler.n_trs] = True
        return marked


def read_facts(folder: Path) -> StudyFile:
    """Read ``study.yml``, or take the release's own values where there is none.

    Raises
    ------
    UserError
        The folder does not exist, or ``study.yml`` is not valid; the sentence names the key.
    """
    if not folder.is_dir():
        raise UserError(
            f"{folder}: there is no such folder; give the folder that holds {PATTERN.format(subject='N')}.gz"
        )
    path = folder / STUDY_FILE
    if not path.is_file():
        if not any(subject_file(folder, subject) for subject in RELEASE.subjects):
            raise UserError(
                f"{folder}: no {STUDY_FILE} and no {PATTERN.format(subject='1')}[.gz]: not a study"
            )
        return RELEASE
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        raise UserError(f"{path}: not valid YAML; mend it") from None
    try:
        facts = StudyFile.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the file"
        raise UserError(f"{path}: {key}: {first['msg']}") from None
    _check_runs(facts, path)
    return facts


def write_facts(facts: StudyFile, path: Path) -> None:
    """Write ``study.yml``."""
    content = facts.model_dump(mode="json", exclude_defaults=False)
    path.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")


def subject_file(folder: Path, subject: int) -> Path | None:
    """The subject's file, compressed or not, or None."""
    plain = folder / PATTERN.format(subject=subject)
    return next((path for path in (plain, plain.with_name(plain.name + ".gz")) if path.is_file()), None)


def subject_path(folder: Path, subject: int) -> Path:
    """The subject's file; a :class:`UserError` where it is missing."""
    path = subject_file(folder, subject)
    if path is None:
        raise UserError(
            f"{folder}: {PATTERN.format(subject=subject)}[.gz] is missing; add it or correct {STUDY_FILE}"
        )
    return path


def open_image(path: Path) -> Any:
    """Open a NIfTI file without reading its data.

    Raises
    ------
    UserError
        Not a NIfTI file, or not four-dimensional.
    """
    try:
        image = nib.load(path)
    except (ImageFileError, OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: cannot be read as NIfTI ({error})") from None
    if len(image.shape) != 4:  # type: ignore[attr-defined]
        raise UserError(f"{path}: has {len(image.shape)} dimensions, a scan has 4 (x, y, z, time)")  # type: ignore[attr-defined]
    return image


def volumes(path: Path, image: Any) -> Iterator[np.ndarray]:
    """Yield the volumes of a scan one after the other, float32 [x, y, z], so that it never lies in memory whole.

    Raises
    ------
    UserError
        The file ends before its last volume.
    """
    proxy = image.dataobj
    shape, dtype = image.shape[:3], np.dtype(proxy.dtype)
    n_bytes = int(np.prod(shape)) * dtype.itemsize
    slope, intercept = np.float32(proxy.slope), np.float32(proxy.inter)
    with ImageOpener(str(path)) as stream:
        for k in range(image.shape[3]):
            try:
                if k == 0:
                    stream.seek(proxy.offset)
                block = stream.read(n_bytes)
            except (EOFError, OSError, zlib.error, gzip.BadGzipFile):
                block = b""
            if len(block) < n_bytes:
                raise UserError(f"{path}: truncated in volume {k + 1} of {image.shape[3]}; copy it again")
            volume = np.frombuffer(block, dtype).reshape(shape, order="F").astype(np.float32)
            yield volume if slope == 1 and intercept == 0 else volume * slope + intercept


def _check_runs(facts: StudyFile, path: Path) -> None:
    expected = 0
    for run in facts.runs:
        if run.first_tr != expected:
            raise UserError(
                f"{path}: runs: run {run.name} begins at TR {run.first_tr}, where the one before ends at {expected}"
            )
        expected = run.last_tr
    if len(set(facts.subjects)) != len(facts.subjects):
        raise UserError(f"{path}: subjects: one of them is listed twice")
    for filler in facts.fillers:
        if filler.first_tr + filler.n_trs > expected:
            raise UserError(f"{path}: fillers: subject {filler.subject}'s end after the last TR, {expected}")


def _times(shape: tuple[int, ...]) -> str:
    return "×".join(str(n) for n in shape)


def _listed(numbers: list[int]) -> str:
    return ", ".join(str(number) for number in numbers)
