"""Digests: what a step, a run or the pages are made from, as lines that change exactly when the content does.

Times are not compared, so touching a file, editing prose, checking out a branch and back, or a clock that was
once ahead re-executes nothing and hides nothing. Each line names one ingredient; the stamp of what has been made
(``stamps.py``) keeps its lines, and comparing the two says why a notebook ran again.

Which code a step or a chapter computes with follows from its imports (:mod:`fmri_audio.base.fingerprint`): a line for
every module that it reaches, and one for every library with its version.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jupytext
import yaml

from fmri_audio.base.files import sha256_of, write_text
from fmri_audio.base.fingerprint import closure, ingredients, of_source, parts
from fmri_audio.base.settings import SIMULATE, project_root
from programs.workflow.plan import HTML, METRICS, STEPS, SWEEP, Chapter, NotebookRun, Plan, included, text_of

EXECUTION_TAGS = {"parameters", "raises-exception", "skip-execution"}
MODULES = {
    "stimulus": "fmri_audio.study.stimulus",
    "encoding": "fmri_audio.edition.edition",
    "study": "fmri_audio.edition.resolve",
}
"""Whose imports reach all that a step computes with."""

RECOGNISER = "fmri_audio.sound.recognition.recogniser"
"""The module that opens weights which may not be there."""

VOCODER = "fmri_audio.representations.mel_vocoder"
"""The module that opens a vocoder which may not be there."""

LIST_SETTINGS = ("bandwidths", "main_bandwidth")
SOUND_SUFFIXES = {".flac", ".ogg", ".opus", ".wav", ".csv", ".tsv", ".json"}


def sha(text: str) -> str:
    """Return the SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def code_cells(path: Path) -> list[tuple[str, tuple[str, ...]]]:
    """Return source and execution tags of every code cell of a chapter's text or notebook.

    Tags that only change how a cell looks are left out, and so are parameters that papermill injected.
    """
    return [
        (cell.source.strip(), tuple(sorted(EXECUTION_TAGS & set(cell.metadata.get("tags", ())))))
        for cell in jupytext.read(path).cells
        if cell.cell_type == "code" and "injected-parameters" not in cell.metadata.get("tags", ())
    ]


def code_digest(chapter: Chapter) -> str:
    """Return one hash for all code of a chapter's text."""
    return sha(json.dumps(code_cells(text_of(chapter))))


class Hashes:
    """SHA-256 of files, remembered by size and times of change, so that recordings are hashed once.

    One of the times cannot be set by hand, so a file that is given its old size and date is hashed all the same.

    Parameters
    ----------
    path
        File that remembers between runs; a damaged one is forgotten.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            known = {}
        self.known: dict[str, list[Any]] = known if isinstance(known, dict) else {}
        self.changed = False

    def of(self, path: Path) -> str:
        """Return the hash of a file, or ``absent``."""
        if not path.is_file():
            return "absent"
        stat = path.stat()
        signature = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
        match self.known.get(str(path)):
            case [*remembered, str(known)] if remembered == signature and re.fullmatch("[0-9a-f]{64}", known):
                return known
        found = sha256_of(path)
        self.known[str(path)] = [*signature, found]
        self.changed = True
        return found

    def lines(self, paths: Iterable[Path]) -> list[str]:
        """Return one line per file: hash and path, relative to the project where it lies inside."""
        root = project_root()
        return [
            f"{self.of(path)}  {path.relative_to(root) if path.is_relative_to(root) else path}"
            for path in paths
        ]

    def save(self) -> None:
        """Remember for the next run."""
        if self.changed:
            write_text(self.path, json.dumps(self.known))


class Digests:
    """Computes the digests of a plan's steps, runs and pages.

    A module is hashed once in a process, when it is first asked for: what a step that starts now will be made with.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.root = project_root()
        self.hashes = Hashes(plan.build / "digests" / "hashes.json")

    def sources(self, name: str) -> list[str]:
        """Return what a step, a run or what comes after them depends on besides other steps."""
        if name in STEPS:
            return self.step_sources(name)
        if name in (METRICS, SWEEP):
            return ingredients("programs.workflow.collect")
        if name == HTML:
            return self.pages()
        return self.run_sources(self.plan.run(name))

    def step_sources(self, step: str) -> list[str]:
        """Return what a step depends on besides other steps."""
        lines = ingredients(MODULES[step], *self._layouts())
        lines += [*self._settings(without=LIST_SETTINGS), *self._stimulus()]
        if step != "stimulus":
            lines += self._checkpoint()
        if step != "encoding":
            # The runs of a study on disk decide which sound is used, and it may hold that sound.
            lines += self._listing(self.plan.settings.get("study", {}).get("source"))
        return lines

    def run_sources(self, run: NotebookRun) -> list[str]:
        """Return what a run depends on besides other runs and steps."""
        cells = _cells(run)
        lines = [f"{sha(source)}  cell {i} {' '.join(tags)}" for i, (source, tags) in enumerate(cells)]
        modules = [*{module for source, _ in cells for module in of_source(source)[0]}, *self._parts()]
        lines += [*ingredients(*modules), *self._recogniser(modules), *self._vocoder(modules)]
        lines += self.hashes.lines(self.root / name for name in run.chapter.files)
        lines += self._settings(without=LIST_SETTINGS if run.bandwidth is not None else ())
        return [*lines, *self._checkpoint(), f"writes a table: {run.chapter.table}"]

    def resolving(self, request: Iterable[str]) -> list[str]:
        """Return what the resolved edition in the build folder depends on, given how it was asked for."""
        return [*request, *ingredients("fmri_audio.edition.resolve"), *self._stimulus(), *self._checkpoint()]

    def pages(self) -> list[str]:
        """Return the digest of the rendered book, besides the executed notebooks."""
        book, static = self.root / "book", self.root / "_static"
        paths = [self.root / name for name in ("_config.yml", "_toc.yml", "book/chapters.yml")]
        paths += [*sorted(book.glob("*.md")), *sorted(book.glob("*.bib")), *sorted(self.root.glob("*.bib"))]
        paths += included(self.root)
        paths += sorted((self.root / "fmri_audio").rglob("*.py"))  # a page is made of their docstrings
        paths += [
            p for p in sorted(static.rglob("*")) if p.is_file() and not p.is_relative_to(static / "audio")
        ]
        machinery = ingredients("programs.workflow.render", "fmri_audio.pages.extension")
        return [*self.hashes.lines(paths), *machinery, f"main bandwidth {self.plan.main_bandwidth:g}"]

    def _parts(self) -> list[str]:
        """Return the modules of registered parts that an edition's chapters use; its settings name the arms."""
        training = self.plan.settings.get("training", {})
        return [
            *parts("fmri_audio.sound.metrics"),
            *parts("fmri_audio.bottleneck.arms", training.get("arms", ())),
            *self._layouts(),
        ]

    def _layouts(self) -> list[str]:
        """Return the modules of layouts, one of which reads a measured study; a simulated one's is imported."""
        simulated = self.plan.settings.get("study", {}).get("source") == SIMULATE
        return [] if simulated else parts("fmri_audio.study.layouts")

    def _recogniser(self, modules: Iterable[str]) -> list[str]:
        """Return which weights words are counted with, where they are: what arrives later makes words defined."""
        if RECOGNISER not in closure(*modules):
            return []
        folder, weights = recogniser_files()
        return [f"{self.hashes.of(folder / weights) if folder else 'absent'}  weights of the recogniser"]

    def _vocoder(self, modules: Iterable[str]) -> list[str]:
        """Return which vocoder turns mel spectrograms into sound, if there is one."""
        if VOCODER not in closure(*modules):
            return []
        return self.hashes.lines([self.root / "checkpoints" / "mel-vocoder.safetensors"])

    def _settings(self, without: tuple[str, ...]) -> list[str]:
        kept = {key: value for key, value in self.plan.settings.items() if key not in without}
        return [f"settings {line}" for line in yaml.safe_dump(kept, sort_keys=True).splitlines()]

    def _checkpoint(self) -> list[str]:
        codec, folder = str(self.plan.settings["codec"]), self.root / "checkpoints"
        if codec == "released":
            return []  # Meta's file is fixed by the hash that the package checks it against.
        demo = folder / "encodec-24khz-demo.safetensors"
        decoder = [folder / "vocos-demo.safetensors"] * (self.plan.settings.get("decoder") == "vocos")
        return self.hashes.lines([demo if codec == "demo" else self.root / codec, *decoder])

    def _stimulus(self) -> list[str]:
        stimulus = self.plan.settings.get("stimulus", {})
        source = stimulus.get("source")
        if source is None:
            return []
        if source == "play":
            play = self.root / "stimulus"
            return self.hashes.lines(
                p for p in sorted(play.rglob("*")) if p.suffix in SOUND_SUFFIXES and p.is_file()
            )
        sounds = [self.root / name for name in (source.values() if isinstance(source, dict) else [source])]
        paths = [path for sound in sounds for path in (sound, *map(sound.with_suffix, (".tsv", ".csv")))]
        if stimulus.get("segments"):
            paths.append(self.root / stimulus["segments"])
        return self.hashes.lines(paths)

    def _listing(self, name: str | None) -> list[str]:
        """Return a line per file of a folder of scans; they are gigabytes, so size and time stand for content."""
        folder = self.root / name if name else None
        if folder is None or not folder.is_dir():
            return []
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return [f"{path.stat().st_size} {path.stat().st_mtime_ns}  {path}" for path in files]


def recogniser_files() -> tuple[Path | None, str]:
    """Return the folder of the recogniser and the name of its weights; sound is read by what words are counted in."""
    from fmri_audio.sound.recognition.recogniser import WEIGHTS, recogniser_folder

    return recogniser_folder(), WEIGHTS


def _cells(run: NotebookRun) -> list[tuple[str, tuple[str, ...]]]:
    return code_cells(text_of(run.chapter))
