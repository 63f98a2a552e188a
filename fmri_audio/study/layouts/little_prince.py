"""Le Petit Prince in three languages (Li et al. 2022, OpenNeuro ds003643): nine sections, each in a run of its own.

The data set has no events. Its README says how long every section is and which volumes were kept; runs are numbered
differently in every subject, and follow each other as the sections do. Its own preprocessed scans begin with the sound.
Of the raw ones, for those who preprocess them anew, English ones begin 4 TRs before it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

from fmri_audio.study.bids_names import STIMULI, BidsName, is_there, pipelines, readme, scans_in
from fmri_audio.study.facts import Scan, StudyFile
from fmri_audio.study.layouts.base import LAYOUTS
from fmri_audio.study.layouts.bids import Authors, Bids, Source, Story, is_data_set

ACCESSION = "ds003643"
#: The space of the data set's own preprocessed scans.
RELEASED_SPACE = "MNIColin27"
#: Sections of the book.
N_SECTIONS = 9
#: Seconds that the sections last, by language, as the README of version 2.0.7 has them.
KNOWN = {
    "CN": ("564.9", "642.6", "643.7", "612.2", "584.5", "782.9", "726.6", "585.2", "801.1"),
    "EN": ("554.7", "587.8", "671.4", "598.2", "522.2", "678.1", "642", "575.8", "727.1"),
    "FR": ("613.5", "647.0", "702.2", "624.5", "580.8", "750.4", "658.5", "583.2", "667.9"),
}
#: TRs of a scan before its section begins, by language: of the data set's own preprocessed scans, and of raw ones.
RELEASED_FIRST = {"CN": 0, "EN": 0, "FR": 0}
RAW_FIRST = {"CN": 0, "EN": 4, "FR": 0}
_TASK = re.compile(r"lpp(CN|EN|FR)")
_ROW = re.compile(r"^\|[^|]*\|\s*(audio \(s\)|scan_raw)\s*\|(.*)\|\s*$", re.MULTILINE)
_LANGUAGE = re.compile(r"^\|\s*\**(CN|EN|FR)\**\s*\|\s*scan_raw", re.MULTILINE)


class PrinceAuthors(Authors):
    """Which run is which section, and when it begins."""

    space = RELEASED_SPACE

    def heard(
        self, source: Source, scans: Sequence[BidsName], tr: Fraction, notes: list[str], problems: list[str]
    ) -> list[Story] | None:
        """The sections, in the order of the subject's runs; None for another task, of which the events tell."""
        if not _TASK.fullmatch(source.task):
            return None
        language = source.task.removeprefix("lpp")
        if len(scans) != N_SECTIONS:
            told = f"sub-{scans[0].entities['sub']}: {len(scans)} scans of {source.task}"
            problems.append(
                f"{told}, and only all {N_SECTIONS} tell by their order which section is which; fetch the others, or "
                "leave the subject out"
            )
            return []
        seconds = seconds_of_sections(source.root, language)
        if seconds is None:
            notes.append("README's table of sections is not there; the lengths of version 2.0.7 are taken")
            seconds = tuple(Fraction(one) for one in KNOWN[language])
        released = scans[0].entities.get("space") == RELEASED_SPACE
        first = (RELEASED_FIRST if released else RAW_FIRST)[language]
        if language == "CN":
            notes.append(
                "README says both that the first 4 volumes were left out and that Chinese scans match the sound, which "
                "is taken here: they begin with it; if auditory cortex follows 4 TRs earlier, it was the former"
            )
        return [
            Story(
                f"section-{number}",
                Scan(scan.path, first, math.floor(length / tr)),
                sound_of_section(source.root, language, number),
                Fraction(0),
                segments=words_of_section(source.root, language, number),
            )
            for number, (scan, length) in enumerate(zip(scans, seconds, strict=True), start=1)
        ]

    def missing(self, stem: str, space: str, below: str) -> None:
        """Raw scans that are no section were left out by the data set's authors."""

    def notes(self, facts: StudyFile) -> list[str]:
        """What the authors did to the scans."""
        return ["scans go on after the sound, by 2 TRs (French) or 4 (English): those volumes are nobody's"]


def seconds_of_sections(root: Path, language: str) -> tuple[Fraction, ...] | None:
    """How long the sections of a language last, from the data set's README; None where that has no such table."""
    return sections_in(readme(root) or "").get(language)


def sections_in(text: str) -> Mapping[str, tuple[Fraction, ...]]:
    """Seconds of the sections by language, from a README's table, whose row of seconds is above the language's name."""
    found: dict[str, tuple[Fraction, ...]] = {}
    seconds: tuple[Fraction, ...] = ()
    for row in text.splitlines():
        one = _ROW.match(row)
        cells = [cell.strip() for cell in one[2].split("|")] if one else []
        if one and one[1] == "audio (s)" and all(re.fullmatch(r"\d+(\.\d+)?", cell) for cell in cells):
            seconds = tuple(map(Fraction, cells))
        language = _LANGUAGE.match(row)
        if language and len(seconds) == N_SECTIONS:
            found[language[1]] = seconds
    return found


def sound_of_section(root: Path, language: str, number: int) -> Path:
    """Where the sound of a section lies, or should: English names have a hyphen where others have an underscore."""
    names = [f"task-lpp{language}_section{mark}{number}.wav" for mark in ("-_" if language == "EN" else "_-")]
    return next(
        (path for path in (root / STIMULI / name for name in names) if is_there(path)),
        root / STIMULI / names[0],
    )


def words_of_section(root: Path, language: str, number: int) -> Path | None:
    """The words of a section on the sound's clock; None where they are not there."""
    path = root / "annotation" / language / f"lpp{language}_section{number}.TextGrid"
    return path if path.is_file() else None


class LittlePrince(Bids):
    """One language's scans, nine runs."""

    name = "little-prince"
    label = "Le Petit Prince, ds003643"
    place = 2
    authors = PrinceAuthors()

    def recognises(self, folder: Path, written: object) -> bool:
        """Whether it says so, or scans are of one of its tasks."""
        if written is not None:
            return False
        return is_data_set(folder, ACCESSION) or any(
            _TASK.fullmatch(str(scan.entities.get("task")))
            for one in pipelines(folder)
            for scan in scans_in(one)
        )


LAYOUTS.register(LittlePrince(), __name__)
