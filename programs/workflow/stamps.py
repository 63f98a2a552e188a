"""Stamps: what each thing was made from and what it is, so that contents decide what is made again.

The stamp of a step, a run, a table or the pages is written last, and holds the digest of all it was made from and
the hash of every file made. Before anything is planned, a stamp that no longer holds is thrown away: its code or
data are others, or a file is missing, cut off or changed. Snakemake then only makes what has no stamp, in order.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from fmri_audio.base.files import sha256_of, to_json, write_text
from programs.workflow.digests import Digests, sha
from programs.workflow.plan import HTML, METRICS, SWEEP, Plan

KEEPING = ("stimulus", "study")
"""Steps that make nothing that is already there."""

Wrong = dict[str, list[Path]]
"""What is to be made, by name, each with those of its files that are not as they were written."""


@dataclass(frozen=True)
class Stamp:
    """What one thing was made from, and what was made.

    Attributes
    ----------
    made_from : list of str
        The digest's lines.
    inputs : dict
        By the name of each step or run whose files were read, what they were.
    files : dict
        SHA-256 of every file made, by its path from the build folder.
    """

    made_from: list[str]
    inputs: dict[str, str]
    files: dict[str, str]

    @classmethod
    def read(cls, path: Path) -> Stamp | None:
        """Read a stamp; a missing or damaged one is None."""
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            stamp = cls(**stored)
        except (OSError, ValueError, TypeError):
            return None
        whole = (
            isinstance(stamp.made_from, list)
            and isinstance(stamp.inputs, dict)
            and isinstance(stamp.files, dict)
        )
        return stamp if whole and all(map(_is_ours, stamp.files)) else None

    def meaning(self, *, pages: bool) -> str:
        """Return one hash for what others read: with notebooks for what becomes ``pages``, without for chapters."""
        files = {path: found for path, found in self.files.items() if pages or not path.endswith(".ipynb")}
        return sha(json.dumps([self.made_from, sorted(files.items())]))


class Stamps:
    """Writes and judges the stamps of a plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.digests = Digests(plan)

    def begun(self, name: str) -> tuple[list[str], dict[str, str]]:
        """Return what something that is about to be made depends on: sources, and what it reads from others."""
        inputs = {need: self._meaning(need, name) or "absent" for need in self.plan.inputs(name)}
        return self.digests.sources(name), inputs

    def write(self, name: str, begun: tuple[list[str], dict[str, str]]) -> None:
        """Write the stamp of something that has been made, the last thing that is done for it.

        Parameters
        ----------
        name
            Of a step or run, or ``METRICS``, ``SWEEP`` or ``HTML``.
        begun
            What :meth:`begun` returned *before* it was made.
        """
        sources, inputs = begun
        made = {os.path.relpath(path, self.plan.build): sha256_of(path) for path in self.files(name)}
        stamp = Stamp(sources, inputs, made)
        write_text(self.plan.done(name), to_json(asdict(stamp)))

    def files(self, name: str) -> list[Path]:
        """Return every file that has been made under a name and that later steps or readers open."""
        build = self.plan.build
        if name in ("stimulus", "study"):
            return [*_below(build / name), *_existing([build / f"{name}.json"])]
        if name == "encoding":
            return [build / "encoding.json", *_encoded(build / "encoding.json")]
        if name in (METRICS, SWEEP):
            return [self.plan.table(name)]
        if name == HTML:
            return _below(build / "html")
        run = self.plan.run(name)
        listed = json.loads(self.plan.clips(run).read_text(encoding="utf-8"))
        return [*self.plan.outputs(run), *(build / "audio" / f"{clip}.flac" for clip in listed)]

    def wrong(self, goal: str, *, just_made: bool = False) -> Wrong:
        """Return what has to be made for a goal, as far as can be told before any of it is.

        What was made from something that is to be made again may turn out to be right: it is looked at afterwards,
        with ``just_made``, when code and data are taken to be those of the beginning.
        """
        found: Wrong = {}
        checked: set[str] = set()
        for name in self.plan.targets(goal):
            stamp = Stamp.read(self.plan.done(name))
            if stamp is None:
                found[name] = []
                continue
            # A file that several made is asked of the first.
            mine = [path for path in stamp.files if path not in checked]
            checked.update(mine)
            damaged = [
                self.plan.build / path for path in mine if not self._as_written(path, stamp.files[path])
            ]
            if (
                damaged
                or self._read_others(name, stamp)
                or not (just_made or self._same_sources(name, stamp))
            ):
                found[name] = damaged
        self.digests.hashes.save()
        return found

    def discard(self, wrong: Wrong) -> None:
        """Throw away the stamps of what is to be made, and what is damaged, so that it counts as absent."""
        for name, damaged in wrong.items():
            if damaged:
                more = f" and {len(damaged) - 1} more" if len(damaged) > 1 else ""
                print(f"{damaged[0]}{more}: missing, or not as written; made again", flush=True)
            # These steps keep what they find, so all that a damaged one has made goes.
            stamp = Stamp.read(self.plan.done(name)) if damaged and name in KEEPING else None
            listed = [self.plan.build / path for path in stamp.files] if stamp else []
            for path in [*damaged, *listed, self.plan.done(name)]:
                _remove(path)

    def backdate(self) -> None:
        """Give the stamps that hold an old date: Snakemake refuses to make what then seems older than they are."""
        for path in _below(self.plan.done("")):
            os.utime(path, (1, 1))

    def _as_written(self, path: str, wanted: str) -> bool:
        try:
            return self.digests.hashes.of(self.plan.build / path) == wanted
        except OSError:
            return False

    def _same_sources(self, name: str, stamp: Stamp) -> bool:
        return stamp.made_from == self.digests.sources(name)

    def _read_others(self, name: str, stamp: Stamp) -> bool:
        """Whether what was read from other steps and runs is no longer what they have made."""
        if set(stamp.inputs) != set(self.plan.inputs(name)):
            return True
        now = {need: self._meaning(need, name) for need in stamp.inputs}
        return any(now[need] not in (None, seen) for need, seen in stamp.inputs.items())

    def _meaning(self, need: str, reader: str) -> str | None:
        """Return what something is to one that reads it; None if it is not there (yet)."""
        stamp = Stamp.read(self.plan.done(need))
        return stamp.meaning(pages=reader == HTML) if stamp else None


def _is_ours(path: str) -> bool:
    """Whether a path from the build folder leads into it, or to the cache beside it: nothing else is ever removed."""
    parts = Path(os.path.normpath(path)).parts
    return not os.path.isabs(path) and (parts[0] != ".." or parts[:2] == ("..", "cache"))


def _below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _existing(paths: Iterable[Path]) -> list[Path]:
    return [path for path in paths if path.is_file()]


def _encoded(marker: Path) -> list[Path]:
    """Return the cached arrays that the marker of the encoding names."""
    facts = json.loads(marker.read_text(encoding="utf-8"))
    return sorted(Path(facts["cache"]).glob(f"encoding-{facts['key']}*"))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
