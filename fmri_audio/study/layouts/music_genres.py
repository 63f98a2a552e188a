"""Music of ten genres (Nakai et al. 2021, OpenNeuro ds003720): raw scans of 18 runs, each of 41 clips of GTZAN.

The events name genre, track and second of every clip, and the tracks are the user's to bring: GTZAN (Tzanetakis & Cook
2002), as ``blues.00000.au`` or ``.wav`` anywhere below ``stimuli/``. A run's first clip is heard again at the end of
another run, or of the same, and is left out. In test runs all clips are heard four times, so that only the twelve
training runs are joined unless the others are asked for.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import pandas as pd

from fmri_audio.base.errors import UserError
from fmri_audio.base.files import refuse_unfetched
from fmri_audio.study.bids_events import is_sound
from fmri_audio.study.bids_names import STIMULI, BidsName, is_there, seen_from, speaking_of
from fmri_audio.study.facts import Clip, Scan, StudyFile
from fmri_audio.study.layouts.base import LAYOUTS
from fmri_audio.study.layouts.bids import Authors, Bids, Source, Story, is_data_set, raw_only

ACCESSION = "ds003720"
TRAINING, TEST = "Training", "Test"
#: Seconds over which the data set's authors faded every clip in and out.
FADE = Fraction(2)
COLUMNS = ("onset", "duration", "genre", "track", "start", "end")
_TRACK = re.compile(r"[a-z]+\.\d{5}")


class MusicAuthors(Authors):
    """Which clips were heard when."""

    tasks = (TRAINING,)

    def heard(
        self, source: Source, scans: Sequence[BidsName], tr: Fraction, notes: list[str], problems: list[str]
    ) -> list[Story]:
        """One run per scan, its clips those of its events."""
        tracks = tracks_below(source.root / STIMULI)
        return [self._run(source, scan, tr, tracks) for scan in scans]

    def _run(self, source: Source, scan: BidsName, tr: Fraction, tracks: Mapping[str, Path]) -> Story:
        tables = speaking_of(source.root, scan, "events", ".tsv")
        if not tables:
            raise UserError(f"{source.root}: {scan.stem}_events.tsv is missing; fetch it: it names the clips")
        path = tables[-1][1].path
        rows = clips_in(path)
        clips = []
        for onset, length, track, start in rows:
            sound = tracks.get(track, source.root / STIMULI / f"{track}.wav")
            clips.append(
                Clip(sound=seen_from(source.given, sound), onset=onset, start=start, length=length, fade=FADE)
            )
        ends = max(onset + length for onset, length, _, _ in rows)
        again = rows[0][0] + rows[0][1]  # the first clip is the last one of a run
        scanned = Scan(scan.path, 0, math.floor(ends / tr))
        name = f"{scan.entities['task']}-{scan.entities.get('run', 1)}"
        return Story(name, scanned, path, Fraction(0), math.ceil(again / tr), tuple(clips))

    def unprocessed(self, root: Path, space: str) -> str:
        """The scans are raw."""
        return raw_only(root, space, "sub-001_task-Training_run-01")

    def silent(self, source: Source, story: Story) -> str:
        """GTZAN is not in the data set."""
        away = [clip.sound for clip in story.clips if not is_there(source.given / clip.sound)]
        sounds = sorted({Path(sound).stem for sound in away})
        return (
            f"{len(sounds)} sounds of {story.name} are missing below {STIMULI}, {sounds[0]} among them; get GTZAN and "
            f"put its files there, {sounds[0]}.wav or .au in any folder"
            if sounds
            else f"{seen_from(source.root, story.sound)} is not fetched; fetch it"
        )

    def notes(self, facts: StudyFile) -> list[str]:
        """What is repeated."""
        said = ["the first clip of every run is heard again at the end of one, and is left out"]
        if any(run.name.startswith(TEST) for run in facts.runs):
            said.append(
                "every clip of a test run is heard four times there, so that what is held out of it was heard in "
                "training; task Training repeats none"
            )
        return said


def tracks_below(folder: Path) -> dict[str, Path]:
    """Sounds that are called as GTZAN's are, by name: ``blues.00000``."""
    found = {
        path.stem: path
        for path in sorted(folder.rglob("*"))
        if is_sound(path.name) and _TRACK.fullmatch(path.stem)
    }
    return found


def clips_in(path: Path) -> list[tuple[Fraction, Fraction, str, Fraction]]:
    """Onset, length, track and second of the track of every clip that a table of events lists, in seconds.

    Raises
    ------
    UserError
        It is no such table; the sentence names the file.
    """
    refuse_unfetched(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
        table = pd.read_csv(io.StringIO(text), sep="\t", dtype=str, keep_default_na=False)
        rows = [
            (
                _seconds(onset),
                _seconds(length),
                f"{genre.strip().strip(chr(39))}.{int(track):05d}",
                _seconds(start),
            )
            for onset, length, genre, track, start, _ in table[list(COLUMNS)].itertuples(index=False)
        ]
    except (KeyError, ValueError, OSError):
        raise UserError(
            f"{path}: should be a table with {', '.join(COLUMNS)} of every clip; fetch it again"
        ) from None
    if not rows or not all(
        length > 0 <= onset and _TRACK.fullmatch(track) for onset, length, track, _ in rows
    ):
        raise UserError(f"{path}: names no clips that can be heard; fetch it again")
    return sorted(rows)


def _seconds(cell: str) -> Fraction:
    """A number of seconds as it is written, below a million; a ValueError for anything else."""
    if not re.fullmatch(r"\s*\d{1,6}(\.\d{1,9})?\s*", cell):
        raise ValueError(cell)
    return Fraction(cell.strip())


class MusicGenres(Bids):
    """Twelve training runs, or what is asked for."""

    name = "music-genres"
    label = "music of ten genres, ds003720"
    place = 4
    authors = MusicAuthors()

    def recognises(self, folder: Path, written: object) -> bool:
        """Whether it says so."""
        return written is None and is_data_set(folder, ACCESSION)


LAYOUTS.register(MusicGenres(), __name__)
