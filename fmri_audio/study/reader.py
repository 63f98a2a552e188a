"""Reading a study: which volumes belong to which TR of the stimulus, and the BOLD itself.

Where things lie is a layout's to know (:mod:`fmri_audio.study.layouts`). In all of them volume k is the k-th of the
*joined* runs, counted from 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import numpy as np
import yaml

from fmri_audio.base.documents import load_yaml
from fmri_audio.base.errors import UserError
from fmri_audio.base.kinds import Block
from fmri_audio.base.settings import BIDS_SPACE
from fmri_audio.brain.masks import load_mask
from fmri_audio.brain.nifti import is_placed, unplaced
from fmri_audio.study.facts import (
    STUDY_FILE,
    Found,
    Run,
    Scan,
    StudyFile,
    Subject,
    listed,
)
from fmri_audio.study.layouts.base import LAYOUTS, Asked
from fmri_audio.study.scans import open_scan, scan_volumes

#: So many equal volumes at the end of a run are filler: a scanner's noise never repeats itself.
FEWEST_FILLER_TRS = 3


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
    files : mapping of subject to scans
        Where each subject's runs lie.
    placed : bool
        Whether the first subject's header says where its voxels lie. If not, ``affine`` is a guess: no mask in MNI
        can be placed, only a mask of one's own from the same kind of file be laid on the volumes.
    """

    folder: Path
    facts: StudyFile
    shape: tuple[int, int, int]
    affine: np.ndarray
    files: Mapping[Subject, tuple[Scan, ...]]
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
            Which of a BIDS data set's scans, see :func:`fmri_audio.study.layouts.bids.find_bids`.

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
        image = open_scan(_scans(folder, found.scans, found.facts.subjects[0])[0])
        shape = cast(tuple[int, int, int], image.shape[:3])
        return cls(folder, found.facts, shape, np.asarray(image.affine), found.scans, is_placed(image))

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
            raise UserError(
                f"{self.folder}: every subject has filler among the TRs asked for; change study.trs"
            )
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
        return _scans(self.folder, self.files, subject)

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
        opened = [(scan, open_scan(scan)) for scan in self.scans(subject)]
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
    """Find out what a folder holds, by the first layout that recognises it (:mod:`fmri_audio.study.layouts`).

    A ``study.yml`` decides where there is one: ``layout`` in it names the layout.

    Raises
    ------
    UserError
        The folder does not exist, no layout recognises it, or ``study.yml`` is not valid; the sentence names the key.
    """
    known = ", ".join(f"{one.label} ({name})" for name, one in LAYOUTS.items())
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder; give the folder that holds a study: {known}")
    path = folder / STUDY_FILE
    written = load_yaml(path) if path.is_file() else None
    named = written.get("layout") if isinstance(written, dict) else None
    if named is not None and named not in LAYOUTS:
        raise UserError(f"{path}: layout: there is no layout {named!r}; choose from {', '.join(LAYOUTS)}")
    chosen = (
        [LAYOUTS[named]] if named else [one for one in LAYOUTS.values() if one.recognises(folder, written)]
    )
    if not chosen:
        raise UserError(
            f"{folder}: no {STUDY_FILE}, and no data set in a known layout ({known}): not a study"
        )
    return chosen[0].find(folder, written, Asked(task, story, space))


def read_facts(
    folder: Path, *, task: str | None = None, story: str | None = None, space: str = BIDS_SPACE
) -> StudyFile:
    """Subjects, runs, TR and shift of the study in a folder; see :func:`find_study`."""
    return find_study(folder, task=task, story=story, space=space).facts


def write_facts(facts: StudyFile, path: Path) -> None:
    """Write ``study.yml``."""
    content = facts.model_dump(mode="json", exclude_defaults=False)
    path.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")


def _scans(folder: Path, files: Mapping[Subject, tuple[Scan, ...]], subject: Subject) -> tuple[Scan, ...]:
    """The scans of a subject of the study; a :class:`UserError` where they are missing."""
    if subject not in files:
        raise UserError(
            f"{folder}: subject {subject} has no scan; `fmri-audio data check {folder}` lists them"
        )
    return files[subject]


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


def _times(shape: tuple[int, ...]) -> str:
    return "×".join(str(n) for n in shape)
