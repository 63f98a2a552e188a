"""The Sherlock film as it was scanned (OpenNeuro ds001132), preprocessed by the user.

It is what the release (:mod:`fmri_audio.study.layouts.sherlock`) was made of, and three things differ. Scans begin
before the film: the data set's README says by how many TRs for every subject. Nothing is shifted, where the release is
by 3 TRs. And the release's subject 5, whose last 50 TRs are filler, is not among the sixteen, so that later numbers are
lower by one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

from fmri_audio.study.bids_events import is_sound
from fmri_audio.study.bids_names import STIMULI, BidsName, pipelines, readme, scans_in
from fmri_audio.study.facts import Scan, StudyFile
from fmri_audio.study.layouts.base import LAYOUTS
from fmri_audio.study.layouts.bids import Authors, Bids, Source, Story, is_data_set, raw_only
from fmri_audio.study.layouts.sherlock import CARTOON_TRS, RELEASE

ACCESSION = "ds001132"
#: Tasks of the two parts of the film, and the names of their runs: those of the release.
PARTS = {"sherlockPart1": "1", "sherlockPart2": "2"}
#: TRs of a part, and TRs before it by subject.
Part = tuple[int, Mapping[int, int]]
#: The same as the README of version 1.0.0 has them.
KNOWN: Mapping[str, Part] = {
    run.name: (run.n_trs, {subject: 6 if subject == 4 else 20 for subject in range(1, 17)})
    for run in RELEASE.runs
}
_TABLE = re.compile(
    r"Movie data: Scan (\d+)(.*?)This cropping results in data files that are (\d+) TRs", re.DOTALL
)
_ROW = re.compile(r"^\s*(\d+)\s+(\d+)\s+(\d+)\s*$", re.MULTILINE)


class FilmAuthors(Authors):
    """Which TRs of which scan are the film."""

    tasks = tuple(PARTS)

    def heard(
        self, source: Source, scans: Sequence[BidsName], tr: Fraction, notes: list[str], problems: list[str]
    ) -> list[Story] | None:
        """The two parts of the film, cropped as the README says; None for another task, of which the events tell."""
        if not set(source.task.split(" + ")) <= set(PARTS):
            return None
        parts = parts_in(readme(source.root) or "")
        if parts is None:
            notes.append(
                "README's tables of TRs to crop are not there; those of version 1.0.0 are taken: 6 TRs from the "
                "beginning for sub-04, 20 for the others"
            )
        stories = []
        for scan in scans:
            part, subject = PARTS[str(scan.entities["task"])], str(scan.entities["sub"])
            n_trs, crops = (parts or KNOWN)[part]
            first = crops.get(int(subject)) if subject.isdigit() else None
            if first is None:
                problems.append(
                    f"{scan.stem}: README says nothing of how many TRs come before the film; leave the subject out"
                )
                continue
            sound = film_of(source.root, str(scan.entities["task"]))
            stories.append(Story(part, Scan(scan.path, first, n_trs), sound, Fraction(0), CARTOON_TRS))
        return stories

    def unprocessed(self, root: Path, space: str) -> str:
        """The scans are raw."""
        return raw_only(root, space, "sub-01_task-sherlockPart1")

    def silent(self, source: Source, story: Story) -> str:
        """The film is copyrighted, and not in the data set."""
        place = story.sound.relative_to(source.root).as_posix()
        return (
            f"{place} is missing, as the film is not in the data set: put your copy of part {story.name} there, or "
            "name it with stimulus.source (--film)"
        )

    def notes(self, facts: StudyFile) -> list[str]:
        """Where this differs from the release that was shifted and joined."""
        return [
            "these are the scans that the Sherlock release was made of: here they are not shifted, there by 3 TRs; the "
            "release's subject 5, whose end is filler, is not among them, so that sub-05 to sub-16 are its s6 to s17"
        ]


def parts_in(text: str) -> Mapping[str, Part] | None:
    """How long the film's parts are and what comes before them, from a README; None where that has no such tables."""
    parts = {
        part: (int(n_trs), {int(subject): int(first) for subject, first, _ in _ROW.findall(rows)})
        for part, rows, n_trs in _TABLE.findall(text)
    }
    complete = all(
        part in parts and parts[part][0] > CARTOON_TRS and parts[part][1] for part in PARTS.values()
    )
    return parts if complete else None


def film_of(root: Path, task: str) -> Path:
    """Where a user's copy of a part of the film lies, or should: ``stimuli/sherlockPart1.m4v`` or the like."""
    beside = (path for path in sorted((root / STIMULI).glob(f"{task}.*")) if is_sound(path.name))
    return next(beside, root / STIMULI / f"{task}.m4v")


class SherlockRaw(Bids):
    """Two tasks of every subject, joined as the release joins them."""

    name = "sherlock-raw"
    label = "the raw Sherlock film, ds001132"
    place = 1
    authors = FilmAuthors()

    def recognises(self, folder: Path, written: object) -> bool:
        """Whether it says so, or a scan is of one of the film's parts."""
        if written is not None:
            return False
        raw = (path for part in PARTS for path in folder.glob(f"sub-*/func/*_task-{part}_*"))
        return (
            is_data_set(folder, ACCESSION)
            or next(raw, None) is not None
            or any(scan.entities.get("task") in PARTS for one in pipelines(folder) for scan in scans_in(one))
        )


LAYOUTS.register(SherlockRaw(), __name__)
