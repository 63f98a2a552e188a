"""What is known of a study before any scan is opened: subjects, runs, TRs, filler, and where each scan lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

from pydantic import Field, ValidationError

from fmri_audio.base.errors import UserError
from fmri_audio.base.kinds import Block
from fmri_audio.base.settings import LONGEST_TR, SHORTEST_TR, ExactSeconds, PositiveInt, Section, TRs

STUDY_FILE = "study.yml"
#: More TRs than any study has: 17 days of scanning at 1.5 s.
MOST_TRS = 1_000_000

Subject = int | str
Model = TypeVar("Model", bound=Section)


class Clip(Section):
    """A stretch of a sound that was played within a run.

    Attributes
    ----------
    sound : str
        Its path, counted from the study's folder.
    onset : seconds
        When it began, counted from the run's first TR; negative where that was before it.
    start, length : seconds
        Where in the sound the stretch begins, and how long it lasts.
    fade : seconds
        Over which it was faded in and out.
    """

    sound: str
    onset: ExactSeconds
    start: ExactSeconds
    length: ExactSeconds
    fade: ExactSeconds = Fraction(0)


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
    level : str, optional
        A table of how loud that sound was, where the sound itself is not to be had
        (:func:`fmri_audio.study.annotated.read_level`); its clock begins with the run's first TR.
    words : str, optional
        A table of who says what when (:func:`fmri_audio.study.annotated.read_words`).
    words_lead : seconds
        Time of that table at which the run's first TR begins.
    clips : list of Clip
        Where many sounds were heard one after the other: those. ``stimulus`` is then the table that lists them.
    segments : str, optional
        A table of segments or aligned words of that sound, its path counted from the study's folder.
    """

    name: str
    first_tr: int = Field(ge=0, le=100_000)
    n_trs: TRs
    skip_trs: int = Field(0, ge=0, le=100_000)
    stimulus: str | None = None
    stimulus_lead: ExactSeconds | None = None
    level: str | None = None
    words: str | None = None
    words_lead: ExactSeconds = Fraction(0)
    clips: list[Clip] = Field(default_factory=list, max_length=10_000)
    segments: str | None = None

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


@dataclass(frozen=True)
class Scan:
    """Volumes of one file: ``n_trs`` of them from ``first_volume`` on; ``whole`` if the file holds no others.

    Of a table, ``columns`` are those that are read; all of them if it is empty.
    """

    path: Path
    first_volume: int
    n_trs: int
    whole: bool = False
    columns: tuple[str, ...] = ()


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
    begins : str
        What in the study's own files says when a run begins, as a sentence about a wrong lag goes on.
    silent : list of str
        Those of the problems that are a missing sound: none where films are given instead.
    """

    facts: StudyFile
    scans: Mapping[Subject, tuple[Scan, ...]]
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    begins: str = "in study.yml, a run that begins"
    silent: list[str] = field(default_factory=list)


def validated(model: type[Model], raw: object, path: Path) -> Model:
    """Return what a file says as a model; a :class:`UserError` names the file and the key that is wrong."""
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the file"
        raise UserError(f"{path}: {key}: {first['msg'].removeprefix('Value error, ')}") from None


def check_runs(facts: StudyFile, path: Path) -> None:
    """Raise a :class:`UserError` unless the runs follow each other and nothing is listed twice."""
    if not SHORTEST_TR <= facts.tr <= LONGEST_TR:
        raise UserError(f"{path}: tr: {facts.tr} s is no repetition time; give it in seconds")
    expected = 0
    for run in facts.runs:
        if run.first_tr != expected:
            raise UserError(
                f"{path}: runs: run {run.name} begins at TR {run.first_tr}, where the one before ends at {expected}"
            )
        if run.skip_trs >= run.n_trs:
            raise UserError(
                f"{path}: runs: run {run.name} skips {run.skip_trs} of its {run.n_trs} TRs; keep some"
            )
        expected = run.last_tr
    if expected > MOST_TRS:
        raise UserError(
            f"{path}: runs: {expected:,} TRs are more than the {MOST_TRS:,} that are read; correct n_trs"
        )
    for key, values in (("subjects", facts.subjects), ("runs", [run.name for run in facts.runs])):
        if len(set(values)) != len(values):
            raise UserError(f"{path}: {key}: one of them is listed twice")
    for filler in facts.fillers:
        if filler.last_tr > expected:
            raise UserError(f"{path}: fillers: subject {filler.subject}'s end after the last TR, {expected}")


def listed(values: Sequence[object]) -> str:
    """Values as a sentence lists them."""
    return ", ".join(str(value) for value in values)
