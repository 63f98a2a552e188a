"""Names and places in a BIDS data set: what a file's name says, which file speaks about which scan, what lies where.

Names are compared as entities (BIDS 1.9, "Common principles"): neither their order nor the padding of an index counts,
so that ``run-01`` of a raw scan and ``run-1`` of fMRIPrep's are the same run, and run 10 comes after run 9.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from fmri_audio.base.documents import load_json, read_bytes
from fmri_audio.base.errors import UserError

DERIVATIVES = "derivatives"
STIMULI = "stimuli"
SCAN_ENDING = "_desc-preproc_bold.nii.gz"
#: Entities whose values are numbers.
INDICES = ("run", "echo")
#: Entities that tell forms of one scan apart: what a pipeline made of it, or one of several echoes or parts.
FORMS = ("space", "cohort", "res", "den", "desc", "echo", "part")
#: Parts of a complex scan that are not its magnitude.
NO_MAGNITUDE = ("phase", "real", "imag")
#: Bytes of a README that is read.
MOST_README = 1 << 20
#: Folders in which no derivatives are looked for.
_ELSEWHERE = ("anat", "code", "figures", "func", "logs", "sourcedata", STIMULI)
#: Levels of folders below ``derivatives``, or below the folder given, in which scans are looked for.
_DEPTH = 3

Label = str | int


@dataclass(frozen=True)
class BidsName:
    """What a file's name says.

    Attributes
    ----------
    path : Path
    parts : tuple of (key, value)
        As written: ``sub-01_run-02`` is (("sub", "01"), ("run", "02")).
    suffix : str
        Last word of the name: ``bold``, ``events``.
    extension : str
        From the first dot on.
    """

    path: Path
    parts: tuple[tuple[str, str], ...]
    suffix: str
    extension: str

    @classmethod
    def of(cls, path: Path) -> BidsName:
        """Read a file's name."""
        stem, dot, extension = path.name.partition(".")
        *words, suffix = stem.split("_")
        parts = tuple((key, value) for key, _, value in (word.partition("-") for word in words) if value)
        return cls(path, parts, suffix, dot + extension)

    @property
    def entities(self) -> dict[str, Label]:
        """Values by key, those of indices as integers."""
        return {key: _label(key, value) for key, value in self.parts}

    @property
    def stem(self) -> str:
        """The scan's name without what tells its forms apart: ``sub-01_task-tale_run-1``."""
        return "_".join(f"{key}-{value}" for key, value in self.parts if key not in FORMS)

    @property
    def scan(self) -> frozenset[tuple[str, Label]]:
        """Which scan it is, in whatever form."""
        return frozenset((key, value) for key, value in self.entities.items() if key not in FORMS)

    @property
    def order(self) -> list[tuple[str, list[tuple[int, str]]]]:
        """Key to sort scans by: subject, then session, task, run …, numbers by their size."""
        known = self.entities
        return [(key, natural(str(known[key]))) for key in ("sub", "ses", "task", "run") if key in known] + [
            (key, natural(str(value))) for key, value in self.parts
        ]

    def of_same_scan(self, entities: Mapping[str, Label]) -> bool:
        """Whether all that this name says is true of a scan with these entities, its echo and part left aside."""
        return all(
            entities.get(key) == value for key, value in self.entities.items() if key not in ("echo", "part")
        )


def natural(text: str) -> list[tuple[int, str]]:
    """Key that sorts numbers within texts by their size: 9 before 10."""
    return [(int(word), "") if word.isdigit() else (-1, word) for word in re.findall(r"[0-9]+|[^0-9]+", text)]


def scans_in(folder: Path) -> Iterator[BidsName]:
    """Preprocessed scans of a folder of derivatives: ``desc-preproc`` and ``bold``, magnitudes only."""
    for pattern in ("sub-*/func/*_bold.nii*", "sub-*/ses-*/func/*_bold.nii*"):
        for path in sorted(folder.glob(pattern)):
            name = BidsName.of(path)
            known = name.entities
            told = name.suffix == "bold" and name.extension in (".nii", ".nii.gz") and "sub" in known
            if told and known.get("desc") == "preproc" and known.get("part") not in NO_MAGNITUDE:
                yield name


def pipelines(folder: Path) -> list[Path]:
    """Folders with preprocessed scans: the one given, or those below it, in ``derivatives`` where it has one.

    A pipeline may have any name (``fmriprep-23.2.0``) and lie deeper (``fmriprep/fmriprep``); below one that was found
    nothing more is looked for.
    """
    below = folder / DERIVATIVES
    start = below if below.is_dir() and next(scans_in(folder), None) is None else folder
    return _pipelines_below(start, _DEPTH)


def _pipelines_below(folder: Path, depth: int) -> list[Path]:
    if next(scans_in(folder), None) is not None:
        return [folder]
    if depth == 0:
        return []
    try:
        inside = sorted(path for path in folder.iterdir() if path.is_dir())
    except OSError:
        return []
    worth = [
        path for path in inside if not path.name.startswith((".", "sub-")) and path.name not in _ELSEWHERE
    ]
    return [found for path in worth for found in _pipelines_below(path, depth - 1)]


def data_set_of(given: Path, pipeline: Path) -> Path:
    """The data set that derivatives were made from: where the events and sounds are.

    The folder given, if the derivatives lie below it; else what ``DatasetLinks`` or ``SourceDatasets`` of the
    derivatives name, if it is on this disk; else the folder above ``derivatives``. Of these, the first that holds
    subjects or stimuli; the derivatives themselves where there is none.
    """
    places = [given] if given != pipeline and given.name != DERIVATIVES else []
    places += _linked(pipeline)
    for path in (Path(os.path.abspath(pipeline)), pipeline.resolve()):
        places += [above.parent for above in (path, *path.parents) if above.name == DERIVATIVES]
    places = [place for one in places for place in (one, one / "sourcedata" / "raw") if place.is_dir()]
    raw = (
        place
        for place in places
        if not _same(place, pipeline) and ((place / STIMULI).is_dir() or any(place.glob("sub-*/")))
    )
    return next(raw, places[0] if places else pipeline)


def _linked(pipeline: Path) -> list[Path]:
    """Folders that a derivative data set names as its source."""
    described = read_json(pipeline / "dataset_description.json")
    links, sources = described.get("DatasetLinks"), described.get("SourceDatasets")
    told = list(links.values()) if isinstance(links, dict) else []
    told += [one.get("URL") for one in sources if isinstance(one, dict)] if isinstance(sources, list) else []
    local = [one.removeprefix("file://") for one in told if isinstance(one, str) and "\0" not in one]
    return [pipeline / one for one in local if one and "://" not in one and ":" not in one.partition("/")[0]]


def _same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()


def speaking_of(folder: Path, scan: BidsName, suffix: str, extension: str) -> list[tuple[int, BidsName]]:
    """Files that are about a scan by BIDS' inheritance principle, and how deep they lie; the most specific is last."""
    known = scan.entities
    levels = [folder, folder / f"sub-{known['sub']}"]
    if "ses" in known:
        levels.append(levels[-1] / f"ses-{known['ses']}")
    levels.append(levels[-1] / "func")
    found = [
        (depth, name)
        for depth, level in enumerate(levels)
        for name in map(BidsName.of, sorted(level.glob(f"*{suffix}{extension}")))
        if (name.suffix, name.extension) == (suffix, extension) and name.of_same_scan(known)
    ]
    return sorted(found, key=lambda one: (one[0], len(one[1].parts)))


def side_file(root: Path, pipeline: Path, scan: BidsName) -> dict[str, Any]:
    """What the JSON files about a scan say, merged key by key: the raw scan's, then the derivative's over it."""
    merged: dict[str, Any] = {}
    for folder in dict.fromkeys((root, pipeline)):
        for _, name in speaking_of(folder, scan, "bold", ".json"):
            merged |= read_json(name.path)
    return merged


def stimulus_file(root: Path, named: str, where: Path | str) -> Path:
    """The file that ``stim_file`` names, which counts from ``stimuli/``; it need not exist.

    Raises
    ------
    UserError
        The name leads out of that folder; the sentence begins with ``where``.
    """
    path = PurePosixPath(named.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in path.parts[0] or "\0" in named:
        raise UserError(
            f"{where}: stim_file {named!r} leads out of {STIMULI}/; give the path within that folder"
        )
    folder = root / STIMULI
    if path.parts[0] == STIMULI and not is_there(folder / path):
        path = path.relative_to(STIMULI)
    return folder / path


def is_there(path: Path) -> bool:
    """Whether there is a file, or a link to content that has not been fetched."""
    try:
        return path.is_file() or path.is_symlink()
    except (OSError, ValueError):  # a name that no file can have
        return False


def seen_from(folder: Path, path: Path) -> str:
    """A path as it counts from a folder; the whole path where links on the way would lead it astray."""
    relative = os.path.relpath(path, folder)
    if not relative.startswith(os.pardir) or _same(folder / relative, path):
        return Path(relative).as_posix()
    return str(path.absolute())


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; empty where there is no such file.

    Raises
    ------
    UserError
        It cannot be read or holds something else.
    """
    if not path.is_file():
        return {}
    content = load_json(path)
    if not isinstance(content, dict):
        raise UserError(f"{path}: not a JSON object; mend it")
    return content


def readme(root: Path) -> str | None:
    """What a data set's README says; None where there is none, or its content was not fetched."""
    path = next((path for path in sorted(root.glob("README*")) if path.is_file()), None)
    return None if path is None else read_bytes(path, MOST_README).decode("utf-8", "replace")


def _label(key: str, value: str) -> Label:
    return int(value) if key in INDICES and value.isascii() and value.isdigit() else value
