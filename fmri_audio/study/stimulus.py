"""The sound of an edition, in one channel and whole TRs, with its segments.

Where the brains are simulated, the sound comes first: the embedded play or a recording, of which ``stimulus.first_tr``
and ``n_trs`` choose an excerpt, and the brains hear just that. Where they were measured, the scans come first: their
runs say which TRs there are, ``study.trs`` chooses among them, and every run's film is cut to fit.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fmri_audio.base import timeline
from fmri_audio.base.errors import UserError
from fmri_audio.base.files import replacing, sha256_of, to_json, write_if_changed
from fmri_audio.base.fingerprint import fingerprint
from fmri_audio.base.settings import SIMULATE, Settings, project_root
from fmri_audio.sound import audio, segments
from fmri_audio.study.layouts.base import LAYOUTS

if TYPE_CHECKING:
    from fmri_audio.study.facts import StudyFile
    from fmri_audio.study.sync import RunSound

PLAY = "play"
"""Name under which settings ask for the embedded radio play."""

PLAY_TABLE = "the play's own timetable (stimulus/segments.tsv)"
"""Where the segments of the embedded play come from."""

SPREADSHEET = ".xlsx"
"""How the name of the film's annotations ends, beside those of plain tables."""

FILM_PARTS = (1, 2)
"""Numbers of the play's parts: each is a run."""

MOST_NAMES = 3
"""Most sounds that are all named as what was heard."""

FEWEST_TRS = 40
"""Fewest TRs a stimulus may have: less leaves no room for a test stretch and a gap before it."""


@dataclass(frozen=True)
class Stimulus:
    """The sound of the edition, ready to use.

    Attributes
    ----------
    waveform : array of shape [T], float32, mono, exactly ``n_trs`` TRs long
    sample_rate : Hz
    tr : length of a TR in seconds
    segments : table with onset, offset (seconds), kind, and for the play part, speaker and text
    name : of the recording, for captions
    steps : what was done to the recording, one phrase each
    segment_source : where the segments come from
    runs : (first TR, number of TRs) of every run, counted in this sound
    volumes : (first, last), volumes ``first <= k < last`` of a measured study that every run belongs to; None where
        the brains that hear this sound are simulated
    """

    waveform: NDArray[np.float32]
    sample_rate: int
    tr: Fraction
    segments: pd.DataFrame
    name: str
    steps: list[str]
    segment_source: str
    runs: list[tuple[int, int]]
    volumes: list[tuple[int, int]] | None = None

    @property
    def blocks(self) -> list[tuple[int, int]]:
        """Volumes ``first <= k < last`` of the study that belong to every run of this sound."""
        return self.volumes or [(first, first + count) for first, count in self.runs]

    @property
    def rows(self) -> NDArray[np.int64]:
        """The volume of the study that belongs to every TR of this sound, [TRs]."""
        return np.concatenate([np.arange(first, last) for first, last in self.blocks])

    @property
    def n_trs(self) -> int:
        """Number of TRs."""
        return sum(count for _, count in self.runs)

    @property
    def seconds(self) -> float:
        """Duration."""
        return len(self.waveform) / self.sample_rate


def prepared(settings: Settings, folder: Path) -> Stimulus:
    """Return the edition's sound, prepared once and kept in ``folder``."""
    known_by = identity(settings)
    stored = _load(folder, known_by)
    if stored is None:
        stored = prepare(settings)
        _save(stored, folder, known_by)
    return stored


def prepare(settings: Settings, detect: bool = True) -> Stimulus:
    """Read the edition's sound, bring it to one channel and to whole TRs, and find its segments.

    Parameters
    ----------
    settings
        With absolute paths.
    detect
        Whether to look for segments where no table names them; otherwise the table is left empty.

    Raises
    ------
    UserError
        The sound or its table cannot be used: missing, unreadable, silent, too short, out of range, or not as long as
        the scans.
    """
    wanted = settings.stimulus
    if is_measured(settings):
        return _of_study(settings, detect)
    if isinstance(wanted.source, dict):
        raise UserError(
            "stimulus.source names runs, and a simulated study has none yet: give one recording, or the folder of a "
            "study in study.source"
        )
    if wanted.source is None:
        raise UserError(
            "stimulus.source is not given: name a recording with STIMULUS=FILE or in the edition file"
        )
    whole = whole_play(settings.tr) if wanted.source == PLAY else _recording(settings, detect)
    sound = _excerpt(whole, wanted.first_tr, wanted.n_trs, wanted.source)
    audio.refuse_silence(sound.waveform, wanted.source)
    return sound


def is_measured(settings: Settings) -> bool:
    """Whether the edition's brains lie on disk, so that their runs decide which sound belongs to which TR."""
    return settings.study.source not in (None, SIMULATE)


def study_facts(settings: Settings) -> StudyFile:
    """Subjects, runs, TR and shift of the edition's measured study."""
    from fmri_audio.study.reader import read_facts

    wanted = settings.study
    return read_facts(Path(str(wanted.source)), task=wanted.task, story=wanted.story, space=wanted.space)


def _of_study(settings: Settings, detect: bool) -> Stimulus:
    """Read the films of a measured study's runs, cut to the TRs that are used, and join them."""
    wanted, facts = settings.stimulus, study_facts(settings)
    if wanted.first_tr or wanted.n_trs is not None:
        raise UserError(
            "stimulus.first_tr and stimulus.n_trs count in a sound that simulated brains hear; "
            "choose the TRs of a study on disk with study.trs"
        )
    if facts.tr != settings.tr:
        raise UserError(
            f"{settings.study.source}: its TR is {float(facts.tr):g} s, the edition's {float(settings.tr):g} s; "
            "set tr in the edition file"
        )
    sounds = _sounds_of_runs(settings, facts)
    counts = [sound.block[1] - sound.block[0] for sound in sounds]
    firsts = [sum(counts[:i]) for i in range(len(counts))]
    if sum(counts) < FEWEST_TRS:
        raise UserError(f"study.trs keeps {sum(counts)} TRs, under {FEWEST_TRS}; give a wider range")
    waveform = np.concatenate([sound.waveform for sound in sounds])
    names = list(dict.fromkeys(sound.path.name for sound in sounds))
    table, source = _study_segments(settings, sounds, firsts, waveform, detect)
    return Stimulus(
        waveform,
        audio.SAMPLE_RATE,
        settings.tr,
        table,
        " and ".join(names) if len(names) <= MOST_NAMES else f"{names[0]} and {len(names) - 1} more",
        [step for sound in sounds for step in sound.steps],
        source,
        list(zip(firsts, counts, strict=True)),
        [sound.block for sound in sounds],
    )


def _sounds_of_runs(settings: Settings, facts: StudyFile) -> list[RunSound]:
    from fmri_audio.study import sync

    wanted, trs = settings.stimulus.source, settings.study.trs
    if wanted == PLAY:
        play = whole_play(settings.tr)
        return sync.joined_sounds(play.waveform, Path(play.name), play.steps, facts, trs)
    return sync.run_sounds(Path(str(settings.study.source)), facts, trs, wanted)


def _study_segments(
    settings: Settings, sounds: list[RunSound], firsts: list[int], waveform: NDArray[np.float32], detect: bool
) -> tuple[pd.DataFrame, str]:
    """Segments of the joined sound: from the annotations or table given, from beside the films, or detected."""
    parts = [_segments_of_run(settings, sound, len(sounds)) for sound in sounds]
    tables = [
        table.assign(onset=table["onset"] + joined, offset=table["offset"] + joined)
        for (table, _), joined in zip(parts, (float(first * settings.tr) for first in firsts), strict=True)
        if table is not None
    ]
    if len(tables) < len(sounds):
        if not detect:
            return pd.DataFrame(columns=list(segments.REQUIRED)), "not looked for"
        return segments.detect_segments(waveform, audio.SAMPLE_RATE), segments.DETECTOR
    whole = pd.concat(tables, ignore_index=True)
    sources = " and ".join(dict.fromkeys(source for _, source in parts))
    if whole.empty:
        raise UserError(
            f"{sources} has no segment within the TRs used: onsets are seconds from a film's start"
        )
    return whole, sources


def _segments_of_run(settings: Settings, sound: RunSound, n_runs: int) -> tuple[pd.DataFrame | None, str]:
    """One run's segments, in seconds from the first TR used, and where they come from.

    A table counts seconds of the run's film; one table for several runs says in a column ``run`` which.
    """
    length = float((sound.block[1] - sound.block[0]) * settings.tr)
    starts, given = float(sound.starts), settings.stimulus.segments
    if given is None and settings.stimulus.source == PLAY:
        return segments.cut(whole_play(settings.tr).segments, starts, starts + length), PLAY_TABLE
    own = given is None and settings.stimulus.source is None
    if own and sound.run.clips:
        table = pd.DataFrame(
            [(float(clip.onset), float(clip.onset + clip.length), "music") for clip in sound.run.clips],
            columns=list(segments.REQUIRED),
        )
        return segments.cut(table, starts, starts + length), f"the table {sound.path.name}"
    path = Path(given) if given is not None else sound.path.with_suffix(".tsv")
    if own and sound.run.segments and not path.is_file():
        path = Path(str(settings.study.source)) / sound.run.segments
    if given is None and not path.is_file():
        return None, ""
    source = f"the table {path.name}"
    if path.suffix == SPREADSHEET:
        from fmri_audio.study.annotations import read_annotations

        starts = float((sound.block[0] - sound.run.first_tr) * settings.tr)
        table = read_annotations(path, settings.tr).segments_of_run(sound.run.first_tr)
    else:
        table = segments.read_segments(path)
        if "run" in table:
            table = table[table["run"].astype(str) == sound.run.name]
        elif given is not None and n_runs > 1:
            raise UserError(
                f"{path} has no column run, and {n_runs} runs are used: say which run a segment is in"
            )
    return segments.cut(table, starts, starts + length), source


def whole_play(tr: Fraction) -> Stimulus:
    """Return the whole embedded play, its parts joined: each is a run, cut to whole TRs."""
    folder = project_root() / "stimulus"
    table = segments.read_segments(folder / "segments.tsv")
    waveforms, tables = [], []
    runs: list[tuple[int, int]] = []
    for number in FILM_PARTS:
        waveform = audio.read_mono(folder / f"part{number}.ogg").waveform
        n_trs = part_trs(number, len(waveform), audio.SAMPLE_RATE, tr)
        first = sum(count for _, count in runs)
        waveforms.append(waveform[: timeline.trs_to_samples(n_trs, audio.SAMPLE_RATE, tr)])
        part = segments.cut(table[table["part"] == number], 0.0, float(n_trs * tr))
        tables.append(
            part.assign(onset=part["onset"] + float(first * tr), offset=part["offset"] + float(first * tr))
        )
        runs.append((first, n_trs))
    return Stimulus(
        np.concatenate(waveforms),
        audio.SAMPLE_RATE,
        tr,
        pd.concat(tables, ignore_index=True),
        "the radio play",
        [f"joined {len(runs)} parts of {' and '.join(str(count) for _, count in runs)} TRs"],
        PLAY_TABLE,
        runs,
    )


def part_trs(number: int, n_samples: int, sample_rate: int, tr: Fraction) -> int:
    """Return how many whole TRs a part of the play holds; one that another follows ends with a whole codec frame."""
    n_trs = timeline.whole_trs(n_samples, sample_rate, tr)
    return n_trs if number == FILM_PARTS[-1] else n_trs - n_trs % (tr * audio.FRAME_RATE).denominator


def play_waveform(tr: Fraction = Fraction(3, 2)) -> NDArray[np.float32]:
    """Return the whole embedded play as one waveform, its parts cut to whole TRs and joined."""
    return whole_play(tr).waveform


def _recording(settings: Settings, detect: bool) -> Stimulus:
    """Read a recording of the user's own: one run."""
    path, tr = Path(str(settings.stimulus.source)), settings.tr
    sound = audio.read_mono(path)
    waveform, steps = sound.waveform, sound.steps
    n_trs = timeline.whole_trs(len(waveform), audio.SAMPLE_RATE, tr)
    kept = timeline.trs_to_samples(n_trs, audio.SAMPLE_RATE, tr)
    steps.insert(0, f"read {path.name} ({sound.description}; {sound.seconds:.2f} s)")
    if kept < len(waveform):
        steps.append(f"cut the last {(len(waveform) - kept) / audio.SAMPLE_RATE:.2f} s, less than a TR")
    waveform = waveform[:kept]
    table, source = _recording_segments(settings, path, waveform, detect)
    return Stimulus(waveform, audio.SAMPLE_RATE, tr, table, path.name, steps, source, [(0, n_trs)])


def _recording_segments(
    settings: Settings, path: Path, waveform: NDArray[np.float32], detect: bool
) -> tuple[pd.DataFrame, str]:
    """Return the recording's segments and where they come from: given, beside it, or detected."""
    given = settings.stimulus.segments
    beside = path.with_suffix(".tsv")
    if given is not None or beside.is_file():
        table_path = Path(given) if given is not None else beside
        if table_path.suffix == SPREADSHEET:
            from fmri_audio.study.annotations import read_annotations

            table = read_annotations(table_path, settings.tr).segments_of_run(0)
        else:
            table = segments.read_segments(table_path)
        table = segments.cut(table, 0.0, len(waveform) / audio.SAMPLE_RATE)
        if table.empty:
            raise UserError(
                f"{table_path} has no segment within {path.name}: onsets are seconds from its start"
            )
        return table, f"the table {table_path.name}"
    if not detect or not len(waveform):
        return pd.DataFrame(columns=list(segments.REQUIRED)), "not looked for"
    return segments.detect_segments(waveform, audio.SAMPLE_RATE), segments.DETECTOR


def _excerpt(whole: Stimulus, first_tr: int, n_trs: int | None, source: str) -> Stimulus:
    """Cut the TRs that the edition asks for out of the whole sound."""
    tr, rate = whole.tr, whole.sample_rate
    stop = whole.n_trs if n_trs is None else first_tr + n_trs
    holds = f"{source} holds {whole.n_trs} TRs of {float(tr):g} s"
    least = f"under {FEWEST_TRS} TRs ({FEWEST_TRS * float(tr):g} s)"
    if whole.n_trs < FEWEST_TRS:
        raise UserError(f"{holds}, {least}: give a longer recording")
    if stop > whole.n_trs or first_tr >= whole.n_trs:
        raise UserError(
            f"{holds}, the edition asks for TRs {first_tr + 1} to {max(stop, first_tr + 1)}: "
            "change stimulus.first_tr and stimulus.n_trs"
        )
    if stop - first_tr < FEWEST_TRS:
        raise UserError(
            f"{holds}, the edition takes {stop - first_tr}, {least}: change stimulus.first_tr and n_trs"
        )
    if (first_tr, stop) == (0, whole.n_trs):
        return whole
    begin, end = (timeline.trs_to_samples(index, rate, tr) for index in (first_tr, stop))
    runs = [
        (max(first, first_tr) - first_tr, min(first + count, stop) - max(first, first_tr))
        for first, count in whole.runs
        if first < stop and first + count > first_tr
    ]
    unit = (tr * audio.FRAME_RATE).denominator
    if any(first % unit for first, _ in runs):
        raise UserError(
            f"stimulus.first_tr: {first_tr} leaves {runs[0][1]} TRs of the part it is in, so that the next would begin "
            f"within a codec frame; choose it so that a multiple of {unit} is left"
        )
    table = segments.cut(whole.segments, float(first_tr * tr), float(stop * tr))
    steps = [*whole.steps, f"took TRs {first_tr + 1} to {stop} of {whole.n_trs}"]
    return Stimulus(whole.waveform[begin:end], rate, tr, table, whole.name, steps, whole.segment_source, runs)


def identity(settings: Settings) -> str:
    """Hash all that decides the prepared sound: its files, the settings that concern it, and the code."""
    wanted = settings.stimulus
    facts = [
        wanted.model_dump_json(),
        str(settings.tr),
        str(audio.SAMPLE_RATE),
        fingerprint("fmri_audio.study.stimulus"),
    ]
    study = study_facts(settings) if is_measured(settings) else None
    if study is not None:
        facts += [study.model_dump_json(), str(settings.study.trs), settings.study.source or ""]
        facts.append(fingerprint(*LAYOUTS.modules()))
    sources = _source_files(settings, study)
    facts += [sha256_of(path) if path.is_file() else "absent" for path in sources]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()


def _source_files(settings: Settings, study: StudyFile | None) -> list[Path]:
    """The files that the prepared sound is made of."""
    wanted = settings.stimulus
    tables = [Path(wanted.segments)] if wanted.segments else []
    if wanted.source == PLAY:
        folder = project_root() / "stimulus"
        return [*sorted(folder.glob("part*.ogg")), folder / "segments.tsv", *tables]
    if wanted.source is None and study is not None:
        own = [study.stimulus, *(run.stimulus for run in study.runs)]
        own += [name for run in study.runs for name in (run.segments, *(clip.sound for clip in run.clips))]
        sounds = [Path(str(settings.study.source)) / name for name in dict.fromkeys(own) if name is not None]
    elif isinstance(wanted.source, dict):
        sounds = [Path(name) for name in wanted.source.values()]
    else:
        sounds = [Path(str(wanted.source))]
    return [*sounds, *(tables or [path.with_suffix(".tsv") for path in sounds])]


def _save(stimulus: Stimulus, folder: Path, known_by: str) -> None:
    """Write the prepared sound; ``done.json`` last, so that its presence says the rest is whole."""
    with replacing(folder / "waveform.npy") as temporary:
        np.save(temporary, stimulus.waveform)
    write_if_changed(folder / "segments.tsv", stimulus.segments.to_csv(sep="\t", index=False))
    facts = {
        "name": stimulus.name,
        "sample_rate": stimulus.sample_rate,
        "tr": str(stimulus.tr),
        "n_trs": stimulus.n_trs,
        "seconds": stimulus.seconds,
        "steps": stimulus.steps,
        "segment_source": stimulus.segment_source,
        "runs": stimulus.runs,
        "volumes": stimulus.volumes,
        "fingerprint": known_by,
    }
    write_if_changed(folder / "done.json", to_json(facts))


def _load(folder: Path, known_by: str) -> Stimulus | None:
    """Return the prepared sound if it is there and still what the settings ask for."""
    try:
        facts = json.loads((folder / "done.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    if facts["fingerprint"] != known_by:
        return None
    return Stimulus(
        np.load(folder / "waveform.npy"),
        facts["sample_rate"],
        Fraction(facts["tr"]),
        segments.read_segments(folder / "segments.tsv"),
        facts["name"],
        facts["steps"],
        facts["segment_source"],
        [(int(first), int(count)) for first, count in facts["runs"]],
        facts["volumes"] and [(int(first), int(last)) for first, last in facts["volumes"]],
    )
