"""What an edition consists of: its chapters, their runs, and where each thing lies on disk."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from fmri_audio.base.documents import load_yaml
from fmri_audio.base.errors import UserError
from fmri_audio.base.settings import project_root

STEPS = {"stimulus": "stimulus", "encoding": "encode", "study": "study"}
"""The steps before the notebooks, each with its command of ``python -m programs``."""

METRICS, SWEEP, HTML = "metrics", "sweep", "html"
"""What comes after the notebooks: the tables of all runs in one, those of the sweep in one, the pages."""


@dataclass(frozen=True)
class Chapter:
    """One chapter of ``book/chapters.yml``.

    Attributes
    ----------
    name
        Stem of its text and notebook, such as ``03-encodec``.
    per_bandwidth
        Whether it runs once per bandwidth; it then sees one bandwidth only and not the list of them.
    needs
        Steps (``stimulus``, ``encoding``, ``study``) and chapters whose results it reads.
    files
        Files of the project, besides package and step results, that its code reads.
    table
        Whether it writes a table of results.
    """

    name: str
    per_bandwidth: bool = False
    needs: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    table: bool = False


@dataclass(frozen=True)
class NotebookRun:
    """One execution of a chapter: at a bandwidth, or once for the edition (``bandwidth`` is None)."""

    chapter: Chapter
    bandwidth: float | None = None

    @property
    def name(self) -> str:
        """Stem of the executed notebook: ``02-problem`` or ``03-encodec-6kbps``."""
        return self.chapter.name if self.bandwidth is None else f"{self.chapter.name}-{self.bandwidth:g}kbps"

    @property
    def title(self) -> str:
        """The run in words, for messages."""
        return (
            self.chapter.name if self.bandwidth is None else f"{self.chapter.name} at {self.bandwidth:g} kbps"
        )


def load_chapters(path: Path | None = None) -> tuple[Chapter, ...]:
    """Read the list of chapters, in reading order.

    Raises
    ------
    UserError
        An entry has an unknown key, or needs something that is neither a step nor a chapter.
    """
    path = path or project_root() / "book" / "chapters.yml"
    entries = load_yaml(path, "restore it with git")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise UserError(f"{path.name}: should be a list of chapters, each beginning with “- name:”")
    chapters = tuple(_chapter(entry, path) for entry in entries)
    known = {chapter.name for chapter in chapters} | set(STEPS)
    for chapter in chapters:
        for need in chapter.needs:
            if need not in known or need == chapter.name:
                raise UserError(
                    f"{path.name}: {chapter.name} needs {need!r}, which is neither a step nor another chapter"
                )
    return chapters


def _chapter(entry: dict[str, Any], path: Path) -> Chapter:
    unknown = set(entry) - {"name", "per_bandwidth", "needs", "files", "table"}
    if unknown or "name" not in entry:
        raise UserError(
            f"{path.name}: {entry} should have the keys name, per_bandwidth, needs, files, table and no other"
        )
    return Chapter(
        name=entry["name"],
        per_bandwidth=bool(entry.get("per_bandwidth", False)),
        needs=tuple(entry.get("needs", ())),
        files=tuple(entry.get("files", ())),
        table=bool(entry.get("table", False)),
    )


@dataclass(frozen=True)
class Plan:
    """A resolved edition and everything that is to be made for it.

    Attributes
    ----------
    build
        The edition's folder, ``build/<edition>``: settings, digests, notebooks, clips, results.
    settings
        Content of ``<build>/edition.yml`` as written by ``python -m programs resolve``.
    chapters
        All chapters, in reading order.
    """

    build: Path
    settings: dict[str, Any]
    chapters: tuple[Chapter, ...] = field(default_factory=load_chapters)

    @classmethod
    def read(cls, build: Path) -> Plan:
        """Read the plan of a build folder whose edition has been resolved.

        Raises
        ------
        UserError
            The edition's file there is missing or damaged.
        """
        path = build / "edition.yml"
        try:
            settings = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, UnicodeDecodeError, yaml.YAMLError):
            settings = None
        if not isinstance(settings, dict):
            raise UserError(f"{path} is missing or damaged: start with make book, which writes it")
        return cls(build, settings)

    @property
    def edition(self) -> str:
        """Name of the edition."""
        return str(self.settings["edition"])

    @property
    def edition_file(self) -> Path:
        """The resolved edition, which every step and notebook opens."""
        return self.build / "edition.yml"

    @property
    def bandwidths(self) -> list[float]:
        """The edition's bandwidths in kbps."""
        return [float(value) for value in self.settings["bandwidths"]]

    @property
    def main_bandwidth(self) -> float:
        """The bandwidth in kbps whose notebooks become pages."""
        return float(self.settings["main_bandwidth"])

    @cached_property
    def runs(self) -> tuple[NotebookRun, ...]:
        """Every notebook run of the edition, a run after all runs it depends on."""
        by_name = {chapter.name: chapter for chapter in self.chapters}
        ordered: list[Chapter] = []

        def add(chapter: Chapter, above: tuple[str, ...]) -> None:
            if chapter.name in above:
                raise UserError(f"chapters.yml: {' → '.join([*above, chapter.name])} is a circle")
            for need in chapter.needs:
                if need in by_name:
                    add(by_name[need], (*above, chapter.name))
            if chapter not in ordered:
                ordered.append(chapter)

        for chapter in self.chapters:
            add(chapter, ())
        return tuple(run for chapter in ordered for run in self.runs_of(chapter))

    def runs_of(self, chapter: Chapter) -> list[NotebookRun]:
        """Return the runs of one chapter."""
        if chapter.per_bandwidth:
            return [NotebookRun(chapter, bandwidth) for bandwidth in self.bandwidths]
        return [NotebookRun(chapter)]

    def run(self, name: str) -> NotebookRun:
        """Return the run of a name such as ``03-encodec-6kbps``."""
        return next(run for run in self.runs if run.name == name)

    def page_run(self, chapter: Chapter) -> NotebookRun:
        """Return the run that is shown as the chapter's page."""
        return NotebookRun(chapter, self.main_bandwidth) if chapter.per_bandwidth else NotebookRun(chapter)

    def notebook(self, run: NotebookRun) -> Path:
        """Where a run's executed notebook lies."""
        return self.build / "notebooks" / f"{run.name}.ipynb"

    def results(self, run: NotebookRun) -> Path:
        """Where a run writes its table, if its chapter has one."""
        return self.build / "results" / f"{run.name}.csv"

    def glued(self, run: NotebookRun) -> Path:
        """Where a run writes the values glued into its page."""
        return self.build / "results" / "glued" / f"{run.name}.json"

    def clips(self, run: NotebookRun) -> Path:
        """Where a run writes which clips its page plays."""
        return self.build / "results" / "clips" / f"{run.name}.json"

    def done(self, name: str) -> Path:
        """Where the stamp of a step, run or what comes after them lies: it is written when all else is there."""
        return self.build / "done" / name

    def needs(self, run: NotebookRun) -> list[str]:
        """Return the names of the steps and runs whose files a run reads: the edges of the graph."""
        by_name = {chapter.name: chapter for chapter in self.chapters}
        names: list[str] = []
        for need in run.chapter.needs:
            if need in STEPS:
                names.append(need)
            elif run.bandwidth is not None and by_name[need].per_bandwidth:
                names.append(NotebookRun(by_name[need], run.bandwidth).name)
            else:
                names.extend(other.name for other in self.runs_of(by_name[need]))
        return names

    def outputs(self, run: NotebookRun) -> list[Path]:
        """Return the files that a run writes, besides the sound of its clips: their names are in ``clips``."""
        table = [self.results(run)] if run.chapter.table else []
        return [self.notebook(run), self.glued(run), self.clips(run), *table]

    def table(self, name: str) -> Path:
        """Where the table lies that brings those of several runs together, ``METRICS`` or ``SWEEP``."""
        return self.build / "results" / f"{name}.csv"

    def collected(self, name: str) -> list[NotebookRun]:
        """Return the runs whose tables ``METRICS`` or ``SWEEP`` brings together."""
        return [run for run in self.runs if name == METRICS or run.bandwidth is not None]

    def inputs(self, name: str) -> list[str]:
        """Return the names of everything that a step, a run or what comes after them reads the files of."""
        if name in STEPS:
            return [] if name == "stimulus" else ["stimulus"]
        if name in (METRICS, SWEEP):
            return [run.name for run in self.collected(name)]
        if name == HTML:
            return [METRICS, *(self.page_run(chapter).name for chapter in self.chapters)]
        return self.needs(self.run(name))

    def at_once(self, wanted: Collection[str]) -> list[str]:
        """Return those of several things that can be made in one go without making any other.

        Snakemake also makes what stands between two of them; until the first has been made, nobody knows whether
        that is called for.
        """
        upstream: dict[str, bool] = {}  # whether it, or something that it comes after, is wanted
        ready: dict[str, bool] = {}
        for goal in wanted:
            for name in self.targets(goal):
                needs = self.inputs(name)
                upstream[name] = name in wanted or any(upstream[need] for need in needs)
                ready[name] = all(ready[need] if need in wanted else not upstream[need] for need in needs)
        return [name for name in wanted if ready[name]]

    def targets(self, goal: str) -> list[str]:
        """Return the names of ``HTML`` or ``SWEEP`` and of all that it needs, each after what it reads."""
        ordered: list[str] = []

        def add(name: str) -> None:
            if name not in ordered:
                for need in self.inputs(name):
                    add(need)
                ordered.append(name)

        add(goal)
        return ordered


def text_of(chapter: Chapter) -> Path:
    """Return the path of a chapter's MyST text."""
    return project_root() / "book" / f"{chapter.name}.md"


def included(root: Path) -> list[Path]:
    """Return the texts of the project that pages of the book take passages from, by MyST's ``include``."""
    named = set()
    for page in (root / "book").glob("*.md"):
        for name in re.findall(r"^```\{include\} (\S+)$", page.read_text(encoding="utf-8"), re.MULTILINE):
            named.add((page.parent / name).resolve())
    return sorted(named)
