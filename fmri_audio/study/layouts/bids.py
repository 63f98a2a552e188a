"""A BIDS data set with derivatives as fMRIPrep writes them; the open Narratives stories (ds002345) are one.

What is used of it: the preprocessed scans, the events (or ``code/event_meta.json``) that say when a story was heard,
the sounds in ``stimuli/``, and the list of scans that the data set's own authors exclude. The response is not shifted.
Other layouts are this one with what the authors of one data set say elsewhere (:class:`Authors`).
:mod:`fmri_audio.study.bids_names` says where things lie, :mod:`fmri_audio.study.bids_events` which events are
the story.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from fmri_audio.base.errors import UserError
from fmri_audio.base.settings import BIDS_SPACE, Section
from fmri_audio.brain.nifti import seconds_per_volume
from fmri_audio.sound import audio
from fmri_audio.study.bids_events import Events, is_sound
from fmri_audio.study.bids_names import (
    DERIVATIVES,
    NO_MAGNITUDE,
    SCAN_ENDING,
    STIMULI,
    BidsName,
    data_set_of,
    is_there,
    pipelines,
    read_json,
    scans_in,
    seen_from,
    side_file,
    speaking_of,
    stimulus_file,
)
from fmri_audio.study.facts import STUDY_FILE, Clip, Found, Run, Scan, StudyFile, Subject, listed, validated
from fmri_audio.study.layouts.base import LAYOUTS, Asked, Layout
from fmri_audio.study.scans import open_image

#: Share of a TR by which a moment may lie elsewhere without a word.
NOTED_SHARE = 0.1
#: Most TRs of a story, so that a slip in a table is a sentence and not a request for memory.
_MOST_TRS = 1_000_000


class BidsFile(Section):
    """A ``study.yml`` beside a BIDS data set; its values hold where the edition names none."""

    layout: str
    task: str | None = None
    story: str | None = None
    space: str = BIDS_SPACE
    shift_trs: int = 0


@dataclass(frozen=True)
class Story:
    """One stimulus within one scan.

    Attributes
    ----------
    name : str
    scan : Scan
        Its volumes.
    sound : Path
        Where it is, or should be.
    lead : Fraction, optional
        Seconds of the sound before the first volume.
    skip_trs : int
        TRs at its start that are left out.
    clips : tuple of Clip
        What was heard, where that is many sounds; ``sound`` is then the table that lists them.
    segments : Path, optional
        Table of segments or aligned words, where there is one.
    """

    name: str
    scan: Scan
    sound: Path
    lead: Fraction | None
    skip_trs: int = 0
    clips: tuple[Clip, ...] = ()
    segments: Path | None = None


@dataclass(frozen=True)
class Source:
    """A data set: the folder that was given, its own, that of the derivatives; the task and story asked for."""

    given: Path
    root: Path
    pipeline: Path
    task: str
    story: str | None
    alike: Counter[str]

    def label(self, named: str) -> str:
        """A sound's name: that of its file, with its folders where two sounds of ``stimuli/`` are called the same."""
        path = Path(named.replace("\\", "/"))
        name = path.stem.removesuffix("_audio")
        return name if self.alike[name] < 2 else path.with_suffix("").as_posix().removesuffix("_audio")


class Authors:
    """What the authors of a data set say elsewhere than in the files of BIDS: here, nothing.

    Attributes
    ----------
    tasks : tuple of str
        Tasks whose scans are joined where none is asked for; the only one there is where this is empty.
    space : str
        Where its scans lie unless another space is asked for.
    """

    tasks: tuple[str, ...] = ()
    space: str = BIDS_SPACE

    def pipelines(self, folder: Path) -> list[Path]:
        """Folders with preprocessed scans."""
        return pipelines(folder)

    def scans(self, pipeline: Path) -> Iterator[BidsName]:
        """The preprocessed scans of such a folder."""
        return scans_in(pipeline)

    def heard(
        self, source: Source, scans: Sequence[BidsName], tr: Fraction, notes: list[str], problems: list[str]
    ) -> list[Story] | None:
        """What one subject heard in the scans of all tasks; None where the events tell.

        Notes and problems that it adds are told once, however many subjects they come from.
        """
        return None

    def unprocessed(self, root: Path, space: str) -> str:
        """The sentence about a data set without any preprocessed scan."""
        return (
            f"{root}: no scans *_space-…{SCAN_ENDING} below {DERIVATIVES}; run fMRIPrep or fetch its output"
        )

    def missing(self, stem: str, space: str, below: str) -> str | None:
        """The sentence about a raw scan without a preprocessed one; None where that is as it should be."""
        return f"{stem}_space-{space}…{SCAN_ENDING} is missing below {below}; run fMRIPrep on the scan or fetch it"

    def silent(self, source: Source, story: Story) -> str:
        """The sentence about a story whose sound is not there."""
        return f"{story.sound.relative_to(source.root).as_posix()} is missing; add the sound of {story.name}"

    def notes(self, facts: StudyFile) -> list[str]:
        """What a reader of this data set should know."""
        return []


#: Of a data set that says everything where BIDS says it.
NOTHING_ELSE = Authors()


def raw_only(root: Path, space: str, stem: str) -> str:
    """The sentence about a data set of raw scans: who preprocesses them, and where the outcome is looked for."""
    name = BidsName.of(Path(f"{stem}_bold"))
    place = f"{DERIVATIVES}/fmriprep/sub-{name.entities['sub']}/func/{stem}_space-{space}{SCAN_ENDING}"
    return (
        f"{root}: its scans are raw and preprocessing is yours: run fMRIPrep with --output-spaces {space} and put its "
        f"output where {place} lies in it"
    )


class Bids(Layout):
    """A BIDS data set with derivatives, or a ``study.yml`` beside one that names task, story and space."""

    name = "bids"
    label = "BIDS derivatives"
    place = 10
    authors: Authors = NOTHING_ELSE

    def recognises(self, folder: Path, written: object) -> bool:
        """Whether it looks like BIDS and no ``study.yml`` says otherwise."""
        return written is None and is_bids(folder)

    def find(self, folder: Path, written: object, asked: Asked) -> Found:
        """Find the scans that are asked for; what is asked for comes before what is written."""
        if written is None:
            return find_bids(folder, asked.task, asked.story, asked.space, authors=self.authors)
        own = validated(BidsFile, written, folder / STUDY_FILE)
        space = asked.space if asked.space != BIDS_SPACE else own.space
        task, story = asked.task or own.task, asked.story or own.story
        return find_bids(folder, task, story, space, own.shift_trs, self.authors)


def is_bids(folder: Path) -> bool:
    """Whether a folder is a BIDS data set with derivatives, or the derivatives themselves."""
    return (folder / DERIVATIVES).is_dir() or any(folder.glob("sub-*/")) or bool(pipelines(folder))


def find_bids(
    folder: Path,
    task: str | None = None,
    story: str | None = None,
    space: str = BIDS_SPACE,
    shift_trs: int = 0,
    authors: Authors = NOTHING_ELSE,
) -> Found:
    """Find the scans of one task and what was heard in them.

    A *run* of the study is a story: the volumes from its onset for its duration; those before and after belong to
    nobody. Onset and duration come from ``code/event_meta.json`` (in TRs) where it names the task, otherwise from the
    events (in seconds, rounded to whole TRs as the authors of Narratives do). A subject who heard a story in several
    scans gives the first that is not excluded: a repetition would carry one run's sound into another. Of several echoes
    the combined series is taken.

    Parameters
    ----------
    folder : path
        The data set, or its folder of derivatives.
    task : str, optional
        Needed where the scans are of several tasks.
    story : str, optional
        One story of the task, where a scan holds several or not everybody heard the same; or one kind of event.
    space : str
        Standard space of the scans.
    shift_trs : int
        TRs by which the volumes were moved back beforehand.
    authors : Authors
        What the authors of the data set say elsewhere.

    Raises
    ------
    UserError
        It is not clear which scans are meant, there are none, or nothing tells when the story began.
    """
    pipeline, every = _derivatives(folder, task, space, authors)
    root = data_set_of(folder, pipeline)
    tasks = _tasks(root, task, space, every, authors)
    label = " + ".join(tasks)
    ours = [scan for scan in every if scan.entities.get("task") in tasks]
    spaces = [str(scan.entities["space"]) for scan in ours if "space" in scan.entities]
    if not spaces:
        raise UserError(authors.unprocessed(root, space))
    usual = authors.space if space == BIDS_SPACE and space not in spaces else space
    space = _choose(root, usual, "space", spaces)
    ours = _one_of_each([scan for scan in ours if scan.entities.get("space") == space])
    excluded = [which for one in tasks for which in _excluded(root, one)]
    usable = [scan for scan in ours if not any(which <= scan.scan for which in excluded)]
    if not usable:
        raise UserError(
            f"{root}: all scans of task {label} are excluded by code/scan_exclude.json; choose another task"
        )
    notes = [f"{scan.stem} is excluded by code/scan_exclude.json" for scan in ours if scan not in usable]
    said = {scan.path: side_file(root, pipeline, scan) for scan in usable}
    tr = _tr(usable[0], said[usable[0].path])
    source = Source(folder, root, pipeline, label, story, _alike(root))
    problems: list[str] = []
    heard, kinds = {}, set[str]()
    for subject, scans in _by_subject(usable).items():
        told = authors.heard(source, scans, tr, notes, problems)
        by_name = None if told is None else {one.name: one for one in told}
        heard[subject] = _heard(source, scans, tr, notes, kinds) if by_name is None else by_name
    names = _story_names(label, None if story in kinds else story, heard)
    notes, problems = list(dict.fromkeys(notes)), list(dict.fromkeys(problems))
    problems += _missing(source, space, tasks, ours, excluded, authors) + _other_trs(usable, said, tr)
    complete, runs, silent = _runs(source, names, heard, problems, authors)
    notes += _clock(usable, said, tr) + _leads(names, heard, tr)
    facts = StudyFile(
        name=f"{_title(root)}, {label}", tr=tr, shift_trs=shift_trs, subjects=list(complete), runs=runs
    )
    return Found(facts, complete, [*notes, *authors.notes(facts)], problems, begins="an onset", silent=silent)


def is_data_set(folder: Path, accession: str) -> bool:
    """Whether a folder, or the one whose derivatives it holds, is a data set of OpenNeuro, by its DOI or its name."""
    whole = folder.absolute()
    above = [one.parent for one in (whole, *whole.parents) if one.name == DERIVATIVES]
    return any(
        one.name.startswith(accession)
        or accession in str(read_json(one / "dataset_description.json").get("DatasetDOI", "")).lower()
        for one in (whole, *above)
    )


def _tasks(
    root: Path, task: str | None, space: str, every: Sequence[BidsName], authors: Authors
) -> tuple[str, ...]:
    """The task asked for, those that the authors join, or the only one there is."""
    there = [str(scan.entities["task"]) for scan in every if "task" in scan.entities]
    if not there:
        raise UserError(authors.unprocessed(root, space))
    if task is None and set(authors.tasks) & set(there):
        return authors.tasks
    return (_choose(root, task, "task", there),)


def _derivatives(folder: Path, task: str | None, space: str, authors: Authors) -> tuple[Path, list[BidsName]]:
    """The one folder of derivatives that holds the scans asked for, and all scans in it."""
    found = {pipeline: list(authors.scans(pipeline)) for pipeline in authors.pipelines(folder)}
    fitting = [
        pipeline
        for pipeline, scans in found.items()
        if any(
            scan.entities.get("space") == space and task in (None, scan.entities.get("task"))
            for scan in scans
        )
    ] or list(found)
    if len(fitting) > 1:
        places = listed([path.relative_to(folder) for path in fitting])
        raise UserError(f"{folder}: scans lie in {places}; give one of these folders as the study")
    return (fitting[0], found[fitting[0]]) if fitting else (folder / DERIVATIVES, [])


def _choose(root: Path, wanted: str | None, key: str, there: Sequence[str]) -> str:
    """The value asked for, or the only one there is."""
    values = sorted(set(there))
    if wanted in values:
        return str(wanted)
    if wanted is None and len(values) == 1:
        return values[0]
    said = "names none" if wanted is None else f"is {wanted}"
    raise UserError(f"study.{key}: it {said}, and {root} has {listed(values)}; choose one of them")


def _one_of_each(scans: Sequence[BidsName]) -> list[BidsName]:
    """Every scan once: of several echoes the combined series; two resolutions are not for us to choose from."""
    forms: dict[frozenset[tuple[str, str | int]], list[BidsName]] = {}
    for scan in scans:
        forms.setdefault(scan.scan, []).append(scan)
    chosen = []
    for same in forms.values():
        combined = [scan for scan in same if "echo" not in scan.entities]
        if not combined:
            raise UserError(
                f"{same[0].path.parent}: {same[0].stem} has single echoes and no combined series; combine them, as "
                "fMRIPrep does"
            )
        if len(combined) > 1:
            names = [scan.path.name for scan in combined]
            raise UserError(
                f"{same[0].path.parent}: {' and '.join(names)} are the same scan; keep one of them"
            )
        chosen += combined
    return chosen


def _excluded(root: Path, task: str) -> list[frozenset[tuple[str, str | int]]]:
    """Scans that the authors exclude; ``sub-021_task-pieman`` there means all runs of it."""
    path = root / "code" / "scan_exclude.json"
    by_subject = read_json(path).get(task, {})
    lists: list[Any] = list(by_subject.values()) if isinstance(by_subject, dict) else [None]
    if not all(isinstance(stems, list) and all(isinstance(stem, str) for stem in stems) for stems in lists):
        raise UserError(f"{path}: {task} should hold lists of scans by subject; mend it")
    stems = [stem for stems in lists for stem in stems]
    return [BidsName.of(Path(f"{stem}_bold")).scan for stem in stems]


def _by_subject(scans: Iterable[BidsName]) -> dict[Subject, list[BidsName]]:
    found: dict[Subject, list[BidsName]] = {}
    for scan in sorted(scans, key=lambda scan: scan.order):
        found.setdefault(str(scan.entities["sub"]), []).append(scan)
    return found


def _heard(
    source: Source, scans: Sequence[BidsName], tr: Fraction, notes: list[str], kinds: set[str]
) -> dict[str, Story]:
    """What one subject heard, by the story's name, each story in the first scan that has it."""
    heard: dict[str, Story] = {}
    for scan in scans:
        events = _events(source, scan)
        kinds |= events.kinds() if events else set()
        for story in _stories(source, scan, events, tr):
            if story.name in heard:
                notes.append(f"{scan.stem} repeats {story.name} and is not used")
            else:
                heard[story.name] = story
    return heard


def _events(source: Source, scan: BidsName) -> Events | None:
    """The most specific table of events about a scan: the raw scan's, or one beside the derivative."""
    tables = [
        (depth, len(name.parts), name.path)
        for folder in dict.fromkeys((source.pipeline, source.root))
        for depth, name in speaking_of(folder, scan, "events", ".tsv")
    ]
    if not tables:
        return None
    *others, best = sorted(tables, key=lambda one: one[:2])
    if others and others[-1][:2] == best[:2] and others[-1][2].parent == best[2].parent:
        both = f"{others[-1][2].name} and {best[2].name}"
        raise UserError(f"{best[2].parent}: {both} are both events of {scan.stem}; keep one of them")
    return Events.read(best[2])


def _stories(source: Source, scan: BidsName, events: Events | None, tr: Fraction) -> list[Story]:
    """The stories of one scan in the order in which they were heard."""
    spans = _known_spans(source)
    if spans is None:
        spans = _told_spans(source, scan, events, tr)
    stories = []
    for name, onset, n_trs in sorted(spans, key=lambda span: span[1]):
        sound, lead = _sound(source, name, onset, events, tr)
        if not 0 <= onset <= _MOST_TRS or not 1 <= n_trs <= _MOST_TRS:
            raise UserError(
                f"{scan.stem}: {name} would last {n_trs} TRs from volume {onset + 1} on; mend its events"
            )
        # Where everybody in a task heard one story each, but not the same one, the sound tells which.
        named = sound.relative_to(source.root / STIMULI).as_posix()
        label = source.label(named) if len(spans) == 1 and is_there(sound) else name
        stories.append(Story(label, Scan(scan.path, onset, n_trs), sound, lead))
    return stories


def _known_spans(source: Source) -> list[tuple[str, int, int]] | None:
    """Name, first volume and TRs of the task's stories in ``code/event_meta.json``; None where it holds none."""
    path = source.root / "code" / "event_meta.json"
    known = read_json(path).get(source.task)
    if not known:
        return None
    try:
        return [(str(name), int(one["onset"]), int(one["duration"])) for name, one in known.items()]
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        raise UserError(
            f"{path}: {source.task} should hold onset and duration in TRs per story; mend it"
        ) from None


def _told_spans(
    source: Source, scan: BidsName, events: Events | None, tr: Fraction
) -> list[tuple[str, int, int]]:
    """The same of the stories that the events tell of, in seconds."""
    if events is None:
        raise UserError(
            f"{source.root}: neither {scan.stem}_events.tsv nor code/event_meta.json tells when the sound of task "
            f"{source.task} begins; add one of them"
        )
    spans = []
    for span in events.spans(
        source.task,
        source.story,
        source.label,
        lambda named: _seconds(stimulus_file(source.root, named, events.path)),
    ):
        first, n_trs = (round(Fraction(str(seconds)) / tr) for seconds in (span.onset, span.duration))
        # What began before the first volume is heard in the scan from its first volume on.
        n_trs += min(first, 0)
        if n_trs < 1:
            raise UserError(
                f"{events.path}: {span.name} is heard from {span.onset:g} s for {span.duration:g} s, under one TR of "
                "the scan; correct it"
            )
        spans.append((span.name, max(first, 0), n_trs))
    return spans


def _sound(
    source: Source, story: str, onset: int, events: Events | None, tr: Fraction
) -> tuple[Path, Fraction | None]:
    """A story's sound, and how many seconds of it come before its first volume.

    A file may begin with music that is an event of its own: it began to play at the first event that names it. What
    the events name is the sound, there or not; otherwise ``<story>_audio.wav`` or ``<task>_audio.wav``.
    """
    lead = None
    where = events.path if events else source.root / "code" / "event_meta.json"
    row = events.near(float(onset * tr), float(tr)) if events else None
    if events is not None and row is not None:
        named = str(row["sound"])
        began = events.began(named) if named else float(row["onset"])
        lead = onset * tr - Fraction(str(began))
        if named:
            return stimulus_file(source.root, named, where), lead
    own = stimulus_file(source.root, f"{story}_audio.wav", where)
    shared = stimulus_file(source.root, f"{source.task}_audio.wav", where)
    if is_there(shared) and not is_there(own):
        return shared, lead
    return own, lead if story == source.task else None


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
    source: Source,
    names: Sequence[str],
    heard: Mapping[Subject, Mapping[str, Story]],
    problems: list[str],
    authors: Authors,
) -> tuple[dict[Subject, tuple[Scan, ...]], list[Run], list[str]]:
    """The runs, the scans of every subject who has them all, and the sounds that are missing.

    The other subjects, and the sounds, are problems.
    """
    model = next(stories for stories in heard.values() if set(names) <= set(stories))
    runs, first = [], 0
    silent: list[str] = []
    for name in names:
        story = model[name]
        there = all(
            is_there(path) for path in (story.sound, *(source.given / clip.sound for clip in story.clips))
        )
        runs.append(
            Run(
                name=name,
                first_tr=first,
                n_trs=story.scan.n_trs,
                skip_trs=story.skip_trs,
                stimulus_lead=story.lead if there else None,
                stimulus=seen_from(source.given, story.sound) if there else None,
                clips=list(story.clips) if there else [],
                segments=seen_from(source.given, story.segments) if there and story.segments else None,
            )
        )
        first += story.scan.n_trs
        if not there:
            silent.append(authors.silent(source, story))
    complete: dict[Subject, tuple[Scan, ...]] = {}
    for subject, stories in heard.items():
        lacking = [name for name in names if name not in stories]
        lengths = [
            name for name in names if name in stories and stories[name].scan.n_trs != model[name].scan.n_trs
        ]
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
    problems += silent
    return complete, runs, silent


def _missing(
    source: Source,
    space: str,
    tasks: Sequence[str],
    scans: Iterable[BidsName],
    excluded: Iterable[frozenset[tuple[str, str | int]]],
    authors: Authors,
) -> list[str]:
    """Raw scans of the tasks without a derivative, each named once whatever its echoes."""
    have = {scan.scan for scan in scans}
    raw = {name.scan: name.stem for name in _raw_scans(source.root) if name.entities.get("task") in tasks}
    below = seen_from(source.root, source.pipeline)
    lacking = [
        authors.missing(stem, space, below)
        for scan, stem in raw.items()
        if scan not in have and not any(which <= scan for which in excluded)
    ]
    return [said for said in lacking if said is not None]


def _raw_scans(root: Path) -> Iterator[BidsName]:
    for pattern in ("sub-*/func/*_bold.nii*", "sub-*/ses-*/func/*_bold.nii*"):
        for name in map(BidsName.of, sorted(root.glob(pattern))):
            known = name.entities
            if "desc" not in known and "space" not in known and known.get("part") not in NO_MAGNITUDE:
                yield name


def _tr(scan: BidsName, said: Mapping[str, Any]) -> Fraction:
    """The TR in seconds, from the JSON files about the scan, otherwise from its header."""
    stated = _number(said.get("RepetitionTime"))
    if stated is None:
        stated = _step(scan, said)
    if stated is not None and stated > 0:
        return Fraction(str(stated))
    # Headers hold single precision: 0.72 s is 0.7200000286 there.
    seconds = seconds_per_volume(open_image(scan.path))
    tr = Fraction(str(round(seconds, 5))) if math.isfinite(seconds) else Fraction(0)
    if tr <= 0:
        beside = scan.path.name.removesuffix(scan.extension) + ".json"
        raise UserError(
            f"{scan.path}: neither {beside} nor its header states a TR; add RepetitionTime to the former"
        )
    return tr


def _step(scan: BidsName, said: Mapping[str, Any]) -> float | None:
    """Seconds from one volume to the next where ``VolumeTiming`` states when each was acquired."""
    times = said.get("VolumeTiming")
    if not isinstance(times, list) or len(times) < 2:
        return None
    known = [time for time in map(_number, times) if time is not None]
    steps = [after - before for before, after in pairwise(known)]
    if len(known) < len(times) or max(steps) - min(steps) > 1e-3:
        raise UserError(
            f"{scan.path}: VolumeTiming says that its volumes do not follow each other in equal steps; such a scan "
            "cannot be used"
        )
    return round(sum(steps) / len(steps), 5)


def _other_trs(scans: Iterable[BidsName], said: Mapping[Path, Mapping[str, Any]], tr: Fraction) -> list[str]:
    """Scans whose JSON files state another TR than the first scan's."""
    stated = {scan.stem: _number(said[scan.path].get("RepetitionTime")) for scan in scans}
    return [
        f"{stem}: its JSON says a RepetitionTime of {other:g} s, the first scan's {float(tr):g} s; correct one"
        for stem, other in stated.items()
        if other is not None and abs(other - float(tr)) > 1e-3
    ]


def _clock(scans: Sequence[BidsName], said: Mapping[Path, Mapping[str, Any]], tr: Fraction) -> list[str]:
    """What JSON files say about the moment within a TR that a volume stands for, where it is not the TR's beginning.

    Slice-timing correction may refer all slices to one moment (``StartTime``; fMRIPrep takes the middle of the TR).
    Uncorrected slices stand for the mean of ``SliceTiming``. Here a volume is taken at the middle of its TR.
    """
    moments: dict[tuple[str, float], list[str]] = {}
    for scan in scans:
        for key in ("StartTime", "SliceTiming"):
            moment = _mean(said[scan.path].get(key))
            if moment is not None:
                if abs(moment) > NOTED_SHARE * tr:
                    moments.setdefault((key, round(moment, 3)), []).append(scan.stem)
                break
    middle = float(tr) / 2
    return [
        f"{stems[0]}{f' and {len(stems) - 1} more' if len(stems) > 1 else ''}: "
        f"{'StartTime' if key == 'StartTime' else 'SliceTiming, on average,'} moves the clock by {moment:.2f} s: a "
        f"volume stands for the moment {moment:.2f} s after its TR begins; {middle:.2f} s, the middle, is assumed here"
        for (key, moment), stems in moments.items()
    ]


def _leads(names: Iterable[str], heard: Mapping[Subject, Mapping[str, Story]], tr: Fraction) -> list[str]:
    """Stories that did not begin at the same moment of a TR for everybody; the first subject's moment is taken."""
    notes = []
    for name in names:
        leads = [stories[name].lead for stories in heard.values() if name in stories]
        known = [lead for lead in leads if lead is not None]
        if known and max(known) - min(known) > NOTED_SHARE * tr:
            notes.append(
                f"{name} began at moments of a TR that differ by up to {float(max(known) - min(known)):.2f} s between "
                "subjects; the first subject's is taken for all"
            )
    return notes


def _number(value: object) -> float | None:
    """A finite number of a JSON file; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def _mean(value: object) -> float | None:
    """A number, or the mean of a list of them."""
    if not isinstance(value, list):
        return _number(value)
    numbers = [number for number in map(_number, value) if number is not None]
    return sum(numbers) / len(numbers) if numbers and len(numbers) == len(value) else None


def _title(root: Path) -> str:
    name = read_json(root / "dataset_description.json").get("Name", root.absolute().name)
    return " ".join(str(name).split())


def _alike(root: Path) -> Counter[str]:
    """How many sounds of ``stimuli/`` are called the same."""
    sounds = {path.with_suffix("") for path in (root / STIMULI).rglob("*") if is_sound(path.name)}
    return Counter(path.name.removesuffix("_audio") for path in sounds)


def _seconds(path: Path) -> float | None:
    """How long a sound lasts; None where it is not there."""
    if not is_there(path):
        return None
    state = path.stat() if path.exists() else None
    return _length(path, state.st_mtime_ns if state else 0)


@lru_cache(maxsize=64)
def _length(path: Path, changed: int) -> float:
    return audio.read_sound(path).seconds


LAYOUTS.register(Bids(), __name__)
