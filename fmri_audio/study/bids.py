"""A BIDS data set with fMRIPrep's derivatives, as the open Narratives stories (ds002345) have it.

What is used of it: the preprocessed scans, the events (or ``code/event_meta.json``) that say when a story was heard,
the sounds in ``stimuli/``, and the list of scans that the data set's own authors exclude. The response is not shifted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from fmri_audio.documents import load_json
from fmri_audio.errors import UserError
from fmri_audio.settings import BIDS_SPACE, Section
from fmri_audio.study.reader import (
    Found,
    Run,
    Scan,
    StudyFile,
    Subject,
    listed,
    open_image,
    seconds_per_volume,
)

DERIVATIVES = "derivatives/fmriprep"
SCAN_ENDINGS = ("_desc-preproc_bold.nii.gz", "_desc-preproc_bold.nii")
#: The kind of event (``trial_type``) that is the stimulus, where a scan has several kinds.
STORY = "story"


class BidsFile(Section):
    """A ``study.yml`` beside a BIDS data set; its values hold where the edition names none."""

    layout: Literal["bids"]
    task: str | None = None
    story: str | None = None
    space: str = BIDS_SPACE
    shift_trs: int = 0


@dataclass(frozen=True)
class BidsScan:
    """One preprocessed file: its path, what its name says (``sub``, ``task``, ``run`` …), the name up to the space."""

    path: Path
    entities: Mapping[str, str]
    stem: str

    @classmethod
    def of(cls, path: Path) -> BidsScan:
        """Read a file's name."""
        parts = [part.partition("-") for part in path.name.split("_") if "-" in part]
        return cls(path, {key: value for key, _, value in parts}, path.name.partition("_space-")[0])


@dataclass(frozen=True)
class Story:
    """One stimulus within one scan: its volumes, its sound, and how much of that comes before the first volume."""

    name: str
    scan: Scan
    sound: str | None
    lead: Fraction | None


def is_bids(folder: Path) -> bool:
    """Whether a folder is a BIDS data set with derivatives, or the derivatives themselves."""
    return (folder / DERIVATIVES).is_dir() or next(_scan_paths(folder), None) is not None


def find_bids(
    folder: Path, task: str | None = None, story: str | None = None, space: str = BIDS_SPACE, shift_trs: int = 0
) -> Found:
    """Find the scans of one task and what was heard in them.

    A *run* of the study is a story: the volumes from its onset for its duration; those before and after belong to
    nobody. Onset and duration come from ``code/event_meta.json`` (in TRs) where it names the task, otherwise from the
    events (in seconds, rounded to whole TRs as the authors of Narratives do). A subject who heard a story in several
    scans gives the first that is not excluded: a repetition would carry one run's sound into another.

    Parameters
    ----------
    folder : path
        The data set, or its folder of derivatives.
    task : str, optional
        Needed where the scans are of several tasks.
    story : str, optional
        One story of the task, where a scan holds several or not everybody heard the same.
    space : str
        Standard space of the scans.
    shift_trs : int
        TRs by which the volumes were moved back beforehand.

    Raises
    ------
    UserError
        It is not clear which scans are meant, there are none, or nothing tells when the story began.
    """
    root, derivatives = _places(folder)
    every = [BidsScan.of(path) for path in _scan_paths(derivatives)]
    task = _choose(root, task, "task", [scan.entities["task"] for scan in every if "task" in scan.entities])
    ours = [scan for scan in every if scan.entities.get("task") == task]
    space = _choose(root, space, "space", [scan.entities["space"] for scan in ours if "space" in scan.entities])
    ours = [scan for scan in ours if scan.entities.get("space") == space]
    _refuse_twins(ours)
    excluded = _excluded(root, task)
    usable = [scan for scan in ours if not _is_excluded(scan, excluded)]
    if not usable:
        raise UserError(f"{root}: all scans of task {task} are excluded by code/scan_exclude.json; choose another task")
    notes = [f"{scan.stem} is excluded by code/scan_exclude.json" for scan in ours if scan not in usable]
    tr = _tr(root, usable[0])
    heard = {subject: _heard(root, task, scans, tr, notes) for subject, scans in _by_subject(usable).items()}
    names = _story_names(task, story, heard)
    problems = _missing(root, derivatives, task, space, ours)
    complete, runs = _runs(names, heard, problems)
    facts = StudyFile(
        name=f"{_title(root)}, {task}", tr=tr, shift_trs=shift_trs, subjects=list(complete), runs=runs
    )
    return Found(facts, complete, notes, problems, bids=True)


def _scan_paths(derivatives: Path) -> Iterator[Path]:
    patterns = ("sub-*/func/*_bold.nii*", "sub-*/ses-*/func/*_bold.nii*")
    found = (path for pattern in patterns for path in sorted(derivatives.glob(pattern)))
    return (path for path in found if path.name.endswith(SCAN_ENDINGS))


def _places(folder: Path) -> tuple[Path, Path]:
    """The data set's own folder and that of the derivatives."""
    if (folder / DERIVATIVES).is_dir():
        return folder, folder / DERIVATIVES
    inside = folder.absolute().parent
    return (inside.parent if inside.name == Path(DERIVATIVES).parent.name else folder), folder


def _choose(root: Path, wanted: str | None, key: str, there: Sequence[str]) -> str:
    """The value asked for, or the only one there is."""
    values = sorted(set(there))
    if wanted in values:
        return str(wanted)
    if wanted is None and len(values) == 1:
        return values[0]
    if not values:
        raise UserError(f"{root}: no scans *{SCAN_ENDINGS[0]} below {DERIVATIVES}; run fMRIPrep or fetch its output")
    said = "names none" if wanted is None else f"is {wanted}"
    raise UserError(f"study.{key}: it {said}, and {root} has {listed(values)}; choose one of them")


def _refuse_twins(scans: Sequence[BidsScan]) -> None:
    """Refuse one scan in two resolutions: it is not for us to choose."""
    twice = [stem for stem, count in Counter(scan.stem for scan in scans).items() if count > 1]
    if twice:
        names = [scan.path.name for scan in scans if scan.stem == twice[0]]
        raise UserError(f"{scans[0].path.parent}: {' and '.join(names)} are the same scan; keep one of them")


def _excluded(root: Path, task: str) -> list[str]:
    by_subject = _read_json(root / "code" / "scan_exclude.json").get(task, {})
    return [stem for stems in by_subject.values() for stem in stems]


def _is_excluded(scan: BidsScan, excluded: Iterable[str]) -> bool:
    """Whether a scan is on the list; ``sub-021_task-pieman`` there means all its runs, but not task piemanpni."""
    return any(scan.stem == stem or scan.stem.startswith(f"{stem}_") for stem in excluded)


def _by_subject(scans: Iterable[BidsScan]) -> dict[Subject, list[BidsScan]]:
    found: dict[Subject, list[BidsScan]] = {}
    for scan in sorted(scans, key=lambda scan: scan.stem):
        found.setdefault(scan.entities["sub"], []).append(scan)
    return found


def _heard(
    root: Path, task: str, scans: Sequence[BidsScan], tr: Fraction, notes: list[str]
) -> dict[str, Story]:
    """What one subject heard, by the story's name, each story in the first scan that has it."""
    heard: dict[str, Story] = {}
    for scan in scans:
        for story in _stories(root, task, scan, tr):
            if story.name in heard:
                notes.append(f"{scan.stem} repeats {story.name} and is not used")
            else:
                heard[story.name] = story
    return heard


def _stories(root: Path, task: str, scan: BidsScan, tr: Fraction) -> list[Story]:
    """The stories of one scan in the order in which they were heard."""
    events = _events(root, task, scan)
    known = _read_json(root / "code" / "event_meta.json").get(task)
    if known:
        try:
            spans = [(str(name), int(one["onset"]), int(one["duration"])) for name, one in known.items()]
        except (KeyError, TypeError, ValueError):
            raise UserError(
                f"{root / 'code' / 'event_meta.json'}: {task} should hold onset and duration in TRs per story; mend it"
            ) from None
    elif events is not None:
        spans = [
            (name, round(Fraction(str(onset)) / tr), round(Fraction(str(duration)) / tr))
            for name, onset, duration in _spans(task, scan, events)
        ]
    else:
        raise UserError(
            f"{root}: neither {scan.stem}_events.tsv nor code/event_meta.json tells when the sound of task {task} "
            "begins; add one of them"
        )
    stories = []
    for name, onset, n_trs in sorted(spans, key=lambda span: span[1]):
        sound, lead = _sound(root, task, name, onset * tr, events)
        # Where everybody in a task heard one story each, but not the same one, the sound tells which.
        label = _label(sound) if sound and len(spans) == 1 else name
        stories.append(Story(label, Scan(scan.path, onset, n_trs), sound, lead))
    return stories


def _events(root: Path, task: str, scan: BidsScan) -> pd.DataFrame | None:
    """The scan's events: beside the raw scan, beside the derivative, or for the whole task."""
    name = f"{scan.stem}_events.tsv"
    raw = root / f"sub-{scan.entities['sub']}"
    if "ses" in scan.entities:
        raw /= f"ses-{scan.entities['ses']}"
    places = (raw / "func" / name, scan.path.parent / name, root / f"task-{task}_events.tsv")
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        return None
    try:
        table = pd.read_csv(path, sep="\t")
        table = table.astype({"onset": float, "duration": float})
    except (KeyError, ValueError, OSError):
        raise UserError(f"{path}: should be a table with onset and duration in seconds; mend it") from None
    if table.empty or table[["onset", "duration"]].isna().any(axis=None):
        raise UserError(f"{path}: onset or duration is missing in a row, or there is no row; mend it")
    return table.sort_values("onset", kind="stable", ignore_index=True)


def _spans(task: str, scan: BidsScan, events: pd.DataFrame) -> list[tuple[str, float, float]]:
    """Name, onset and duration in seconds of every story among the events."""
    rows = events
    if "trial_type" in events and (events["trial_type"] == STORY).any():
        rows = events[events["trial_type"] == STORY]
    sounds = rows["stim_file"].nunique() if "stim_file" in rows else 0
    if len(rows) > 1 and rows is events:
        if sounds > 1:
            raise UserError(
                f"{scan.stem}_events.tsv: {len(rows)} events with different sounds and none of trial_type {STORY}; "
                "mark the story's, or give code/event_meta.json"
            )
        onset = float(rows["onset"].min())
        return [(task, onset, float((rows["onset"] + rows["duration"]).max()) - onset)]
    if sounds == len(rows):
        names = [_label(str(sound)) for sound in rows["stim_file"]]
    else:
        names = [task] if len(rows) == 1 else [f"{task}-{i + 1}" for i in range(len(rows))]
    return list(zip(names, rows["onset"].astype(float), rows["duration"].astype(float), strict=True))


def _sound(
    root: Path, task: str, story: str, onset: Fraction, events: pd.DataFrame | None
) -> tuple[str | None, Fraction | None]:
    """A story's sound, from the data set's folder, and how many seconds of it come before ``onset``.

    A file may begin with music that is an event of its own: it began to play at the first event that names it.
    """
    lead, named = None, None
    if events is not None:
        row = events.iloc[int((events["onset"] - float(onset)).abs().to_numpy().argmin())]
        began = float(row["onset"])
        if "stim_file" in events and isinstance(row["stim_file"], str) and row["stim_file"] != "n/a":
            named = Path(row["stim_file"]).name
            began = float(events.loc[events["stim_file"] == row["stim_file"], "onset"].min())
        lead = onset - Fraction(str(began))
    candidates = [(named, lead), (f"{task}_audio.wav", lead)]
    own = (f"{story}_audio.wav", lead if story == task else None)
    for name, before in [candidates[0], own, candidates[1]]:
        if name and (root / "stimuli" / name).is_file():
            return f"stimuli/{name}", before
    return None, None


def _label(sound: str) -> str:
    return Path(sound).stem.removesuffix("_audio")


def _story_names(task: str, story: str | None, heard: Mapping[Subject, Mapping[str, Story]]) -> list[str]:
    """The stories that are the study's runs, in the order in which they were heard."""
    there = Counter(name for stories in heard.values() for name in stories)
    told = listed([f"{name} ({count} subjects)" for name, count in sorted(there.items())])
    if story is not None:
        if story not in there:
            raise UserError(f"study.story: nobody heard {story} in task {task}; choose one of {told}")
        return [story]
    fullest = max(heard.values(), key=len)
    if any(set(stories) - set(fullest) for stories in heard.values()):
        raise UserError(f"study.story: not everybody heard the same in task {task}; choose one of {told}")
    return list(fullest)


def _runs(
    names: Sequence[str], heard: Mapping[Subject, Mapping[str, Story]], problems: list[str]
) -> tuple[dict[Subject, tuple[Scan, ...]], list[Run]]:
    """The runs, and the scans of every subject who has them all; the others are problems."""
    model = next(stories for stories in heard.values() if set(names) <= set(stories))
    runs, first = [], 0
    for name in names:
        story = model[name]
        runs.append(
            Run(name=name, first_tr=first, n_trs=story.scan.n_trs, stimulus=story.sound, stimulus_lead=story.lead)
        )
        first += story.scan.n_trs
        if story.sound is None:
            problems.append(f"stimuli/{name}_audio.wav is missing; add the sound of {name}")
    complete: dict[Subject, tuple[Scan, ...]] = {}
    for subject, stories in heard.items():
        lacking = [name for name in names if name not in stories]
        lengths = [name for name in names if name in stories and stories[name].scan.n_trs != model[name].scan.n_trs]
        if len(lacking) == len(names):
            continue  # heard other stories of the task only
        if lacking:
            problems.append(f"sub-{subject}: no scan of {lacking[0]}; add it or leave the subject out")
        elif lengths:
            problems.append(
                f"sub-{subject}: {lengths[0]} lasts {stories[lengths[0]].scan.n_trs} TRs in its events, "
                f"{model[lengths[0]].scan.n_trs} in the others'; correct them"
            )
        else:
            complete[subject] = tuple(stories[name].scan for name in names)
    return complete, runs


def _missing(
    root: Path, derivatives: Path, task: str, space: str, scans: Iterable[BidsScan]
) -> list[str]:
    """Raw scans of the task without a derivative."""
    have = {scan.stem for scan in scans}
    raw = [
        path.name.removesuffix(".gz").removesuffix(".nii").removesuffix("_bold")
        for pattern in ("sub-*/func", "sub-*/ses-*/func")
        for path in sorted(root.glob(f"{pattern}/*_task-{task}_*bold.nii*"))
        if not path.is_relative_to(derivatives)
    ]
    return [
        f"{stem}_space-{space}…{SCAN_ENDINGS[0]} is missing below {DERIVATIVES}; run fMRIPrep on the scan or fetch it"
        for stem in raw
        if stem not in have and "_desc-" not in stem
    ]


def _tr(root: Path, scan: BidsScan) -> Fraction:
    """The TR in seconds, from the scan's side file, the raw scan's or the task's, otherwise from its header."""
    subject, task = f"sub-{scan.entities['sub']}", scan.entities["task"]
    beside = scan.path.name.removesuffix(".gz").removesuffix(".nii") + ".json"
    for path in (
        scan.path.with_name(beside),
        root / subject / "func" / f"{scan.stem}_bold.json",
        root / f"task-{task}_bold.json",
    ):
        stated = _read_json(path).get("RepetitionTime")
        if isinstance(stated, int | float) and stated > 0:
            return Fraction(str(stated))
    # Headers hold single precision: 0.72 s is 0.7200000286 there.
    tr = Fraction(str(round(seconds_per_volume(open_image(scan.path)), 5)))
    if tr <= 0:
        raise UserError(f"{scan.path}: neither {beside} nor its header states a TR; add RepetitionTime to the former")
    return tr


def _title(root: Path) -> str:
    return str(_read_json(root / "dataset_description.json").get("Name", root.absolute().name))


def _read_json(path: Path) -> dict[str, Any]:
    """A JSON object; empty where there is no such file."""
    if not path.is_file():
        return {}
    content = load_json(path)
    if not isinstance(content, dict):
        raise UserError(f"{path}: not a JSON object; mend it")
    return content
