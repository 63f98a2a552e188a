"""StudyForrest's film at 3 T, as its public aggregate has it: parcels of 15 listeners, and the sound's level.

Hanke et al. 2016. The film's sound is copyrighted and not there; its level every 40 ms is, and a table of the dialogue.
Files lie as in the data sets ``studyforrest-data-aggregate`` (``sub-*/shen_fconn``), ``-confoundsannotation``
(``annotation/audio``) and ``-annotations`` (``old/speech``), side by side in one folder; ``make data
STUDY=studyforrest`` fetches them so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path

from fmri_audio.base.errors import UserError
from fmri_audio.brain.parcels import labels_of, open_parcels
from fmri_audio.study.facts import Found, Run, Scan, StudyFile, Subject
from fmri_audio.study.layouts.base import LAYOUTS, Asked, Layout

SCANS = "sub-*/shen_fconn/sub-*_task-avmovie_run-*_bold.csv"
LEVEL = "annotation/audio/fg_av_ger_seg{index}_rms.tsv"
WORDS = "old/speech/english_dialog.csv"
TR = Fraction(2)

BEGINS = ("0", "886", "1752.08", "2612.16", "3572.20", "4480.28", "5342.36", "6410.44")
"""Second of the film at which each run begins (``researchcut2segments.py`` of the annotations)."""

OVERLAP_TRS = 8
"""Every run but the first begins with the last 16 s of the one before: the same film twice, which leaks across runs."""

_NAME = re.compile(r"sub-(?P<subject>[A-Za-z0-9]+)_task-avmovie_run-(?P<run>[1-8])_bold\.csv")


class StudyForrest(Layout):
    """The aggregate of parcels, with level and dialogue beside it."""

    name = "studyforrest"
    label = "StudyForrest's aggregate"
    place = 6

    def recognises(self, folder: Path, written: object) -> bool:
        """Whether it holds one of the aggregate's tables and no ``study.yml`` says otherwise."""
        return written is None and next(folder.glob(SCANS), None) is not None

    def find(self, folder: Path, written: object, asked: Asked) -> Found:
        """Find every subject's tables; parcels that somebody lacks are left out for all."""
        if asked.task not in (None, "avmovie"):
            raise UserError(f"study.task: {folder} holds the task avmovie alone; leave task out")
        tables = _tables(folder)
        numbers = sorted({run for runs in tables.values() for run in runs})
        problems, runs, first = [], [], 0
        for number in numbers:
            lengths = {
                s: open_parcels(runs_of[number]).shape[3]
                for s, runs_of in tables.items()
                if number in runs_of
            }
            n_trs = max(lengths.values())
            problems += [
                f"{tables[s][number].name}: {n} volumes, others' run {number} has {n_trs}; fetch it again"
                for s, n in lengths.items()
                if n != n_trs
            ]
            runs.append(_run(folder, number, first, n_trs))
            first += n_trs
        problems += [
            f"sub-{subject}: no table of run {number}; fetch it (make data STUDY=studyforrest) or leave the subject out"
            for subject, own in tables.items()
            for number in numbers
            if number not in own
        ]
        problems += _missing(folder, runs)
        labels = _shared([path for own in tables.values() for path in own.values()])
        complete = {s: own for s, own in tables.items() if set(own) == set(numbers)}
        scans: Mapping[Subject, tuple[Scan, ...]] = {
            subject: tuple(
                Scan(own[number], 0, run.n_trs, whole=True, columns=labels)
                for number, run in zip(numbers, runs, strict=True)
            )
            for subject, own in complete.items()
        }
        facts = StudyFile(
            name="StudyForrest, audio-visual film (Hanke et al. 2016)",
            tr=TR,
            shift_trs=0,
            subjects=sorted(tables),
            runs=runs,
        )
        return Found(facts, scans, _notes(tables, labels), problems, "in the aggregate, a run that begins")


def _tables(folder: Path) -> dict[str, dict[int, Path]]:
    """Tables by subject and run."""
    found: dict[str, dict[int, Path]] = {}
    for path in sorted(folder.glob(SCANS)):
        if match := _NAME.fullmatch(path.name):
            found.setdefault(match["subject"], {})[int(match["run"])] = path
    if not found:
        raise UserError(f"{folder}: no table sub-*_task-avmovie_run-1_bold.csv and so on below shen_fconn/")
    return found


def _run(folder: Path, number: int, first: int, n_trs: int) -> Run:
    level, words = folder / LEVEL.format(index=number - 1), folder / WORDS
    return Run(
        name=str(number),
        first_tr=first,
        n_trs=n_trs,
        skip_trs=OVERLAP_TRS if number > 1 else 0,
        level=LEVEL.format(index=number - 1) if level.is_file() else None,
        words=WORDS if words.is_file() else None,
        words_lead=Fraction(BEGINS[number - 1]),
    )


def _missing(folder: Path, runs: Iterable[Run]) -> list[str]:
    """Sentences about tables of what was heard that are not there."""
    problems = [
        f"{LEVEL.format(index=int(run.name) - 1)} is missing; fetch it (make data STUDY=studyforrest): run {run.name} "
        "has no level without it"
        for run in runs
        if run.level is None
    ]
    if not (folder / WORDS).is_file():
        problems.append(
            f"{WORDS} is missing; fetch it (make data STUDY=studyforrest): there are no words without it"
        )
    return problems


def _shared(paths: Iterable[Path]) -> tuple[str, ...]:
    """Labels of the parcels that all tables have, in the order of the first."""
    headers = [labels_of(path) for path in paths]
    everywhere = set(headers[0]).intersection(*headers[1:])
    return tuple(label for label in headers[0] if label in everywhere)


def _notes(tables: Mapping[str, Mapping[int, Path]], labels: tuple[str, ...]) -> list[str]:
    most = max(len(labels_of(next(iter(own.values())))) for own in tables.values())
    return [
        f"{len(labels)} parcels are in everybody's tables (the fullest has {most}); the others are left out",
        f"runs overlap by 16 s of the film: the first {OVERLAP_TRS} TRs of every run but the first are skipped",
        "the film's sound is not part of the data set, only its level and who speaks when: level and words can be "
        "decoded, nothing be resynthesised",
    ]


LAYOUTS.register(StudyForrest(), __name__)
