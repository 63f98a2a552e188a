"""Events of a BIDS scan: which rows are the story, and when it was heard.

A row whose ``trial_type`` is ``story`` is the story. Otherwise the rows with a sound are, but for those that are named
after what surrounds a story (fixation, cue, response …). Several kinds of which none is called so are not guessed at.
Time is read as follows: a negative onset is a sound that began before the first volume; a duration of 0 or ``n/a`` is
the sound's own; an onset of ``n/a`` and a negative duration tell nothing and are refused.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from fmri_audio.base.errors import UserError
from fmri_audio.base.files import refuse_unfetched
from fmri_audio.study.facts import listed

#: The kind of event (``trial_type``) that is the stimulus, where a scan has several kinds.
STORY = "story"
#: Words in the name of a kind that is not.
_ASIDE = {
    "baseline",
    "blank",
    "button",
    "catch",
    "countdown",
    "cross",
    "cue",
    "cues",
    "fix",
    "fixation",
    "iti",
    "instruction",
    "instructions",
    "isi",
    "keypress",
    "pause",
    "probe",
    "question",
    "questions",
    "rating",
    "response",
    "responses",
    "rest",
    "trigger",
    "wait",
}
#: How the names of sounds and films end.
_SOUNDS = {
    ".aac",
    ".aif",
    ".aiff",
    ".au",
    ".avi",
    ".flac",
    ".m4a",
    ".m4v",
    ".mka",
    ".mkv",
    ".mov",
    ".mp3",
    ".mp4",
    ".mpeg",
    ".mpg",
    ".oga",
    ".ogg",
    ".opus",
    ".wav",
    ".webm",
    ".wma",
    ".wmv",
}
_NOTHING = ("", "n/a", "na", "nan")
#: Seconds that no scan reaches: eleven days.
_LONGEST = 1e6


@dataclass(frozen=True)
class Span:
    """A story within a scan: its name, when it began (seconds; may be negative), how long it was heard."""

    name: str
    onset: float
    duration: float


@dataclass(frozen=True)
class Events:
    """The events of one scan.

    Attributes
    ----------
    path : Path
    table : DataFrame
        Sorted by onset: onset and duration (seconds, NaN for ``n/a``), kind and sound (empty for none).
    """

    path: Path
    table: pd.DataFrame

    @classmethod
    def read(cls, path: Path) -> Events:
        """Read a table of events.

        Raises
        ------
        UserError
            It is not such a table; the sentence names the file.
        """
        refuse_unfetched(path)
        try:
            raw = path.read_bytes()
            text = raw.decode("utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", pd.errors.ParserWarning)  # tabs at the end of lines
                table = pd.read_csv(
                    io.StringIO(text), sep="\t", dtype=str, keep_default_na=False, index_col=False
                )
            table.columns = table.columns.str.strip()
            times = {key: table[key].map(_seconds) for key in ("onset", "duration")}
            words = {
                key: table[column].map(_word) if column in table else [""] * len(table)
                for key, column in (("kind", "trial_type"), ("sound", "stim_file"))
            }
        except (KeyError, ValueError, AttributeError, OSError):
            raise UserError(
                f"{path}: should be a table with onset and duration in seconds; mend it"
            ) from None
        if table.empty:
            raise UserError(f"{path}: there is no row; mend it")
        known = pd.DataFrame({**times, **words})
        known["sound"] = known["sound"].where(known["sound"].map(is_sound), "")
        return cls(path, known.sort_values("onset", kind="stable", ignore_index=True))

    def spans(
        self,
        task: str,
        wanted: str | None,
        label: Callable[[str], str],
        length: Callable[[str], float | None],
    ) -> list[Span]:
        """The stories, in the order in which they were heard.

        Parameters
        ----------
        task : str
        wanted : str, optional
            The edition's ``study.story``: a kind, or a sound's label, where several are there.
        label : function
            A sound's name, from what ``stim_file`` says.
        length : function
            Seconds of a sound; None where it is not there.

        Raises
        ------
        UserError
            It is not clear which rows are meant, or when or how long they were heard.
        """
        rows, marked = self._story_rows(task, wanted, label)
        sounds = rows["sound"][rows["sound"] != ""].nunique()
        if len(rows) > 1 and not marked:
            return [self._joined(rows, task, length)]
        if sounds == len(rows):
            names = [label(sound) for sound in rows["sound"]]
        else:
            names = [task] if len(rows) == 1 else [f"{task}-{i + 1}" for i in range(len(rows))]
        return [self._span(name, row, length) for name, (_, row) in zip(names, rows.iterrows(), strict=True)]

    def kinds(self) -> set[str]:
        """The kinds of events there are."""
        return set(self.table["kind"]) - {""}

    def near(self, onset: float, tolerance: float) -> pd.Series | None:
        """The event that a moment belongs to: one with a sound that is on then, else the nearest; None without any."""
        timed = self.table[self.table["onset"].notna()]
        heard = timed[timed["sound"] != ""]
        ends = heard["onset"] + heard["duration"].clip(lower=0).fillna(0)
        on = heard[(heard["onset"] <= onset + tolerance) & (ends >= onset - tolerance)]
        rows = timed if on.empty else on
        return None if rows.empty else rows.iloc[int((rows["onset"] - onset).abs().to_numpy().argmin())]

    def began(self, sound: str) -> float:
        """When a sound began to play: at the first event that names it."""
        return float(self.table.loc[self.table["sound"] == sound, "onset"].min())

    def _story_rows(
        self, task: str, wanted: str | None, label: Callable[[str], str]
    ) -> tuple[pd.DataFrame, bool]:
        """The rows of the stories, and whether each is a story of its own."""
        table = self.table
        marked = table[table["kind"].str.casefold() == STORY]
        if not marked.empty:
            return marked, True
        rows = _or(table[~table["kind"].map(_is_aside)], table)
        rows = _or(rows[rows["sound"] != ""], rows)
        if wanted and (rows["kind"] == wanted).any():
            return rows[rows["kind"] == wanted], True
        labels = rows["sound"].map(lambda sound: label(sound) if sound else "")
        for name in (wanted, None, task):
            some = rows if name is None else rows[labels == name]
            told = len(some) == 1 or (some["kind"] + some["sound"] != "").all()
            if told and some["kind"].nunique() == 1 and some["sound"].nunique() == 1:
                return some, False
        choices = listed(list(dict.fromkeys(name for name in [*rows["kind"], *labels] if name)))
        what = "sounds" if rows["sound"].nunique() > 1 else "kinds" if choices else "times"
        choose = f"set study.story to one of {choices}, or " if choices else ""
        raise UserError(
            f"{self.path}: {len(rows)} events with different {what} and none of trial_type {STORY}; {choose}mark the "
            f"rows of the stimulus as {STORY}"
        )

    def _joined(self, rows: pd.DataFrame, task: str, length: Callable[[str], float | None]) -> Span:
        """One story that is told in several rows, such as its sentences."""
        self._refuse(rows)
        sound = rows["sound"].iloc[0]
        onset = float(rows["onset"].min())
        duration = float((rows["onset"] + rows["duration"]).max()) - onset
        seconds = length(sound) if sound else None
        if not (rows["duration"] > 0).any() and seconds is not None:
            return Span(task, onset, seconds)
        if seconds is not None and duration > seconds + float(rows["duration"].median()):
            raise UserError(
                f"{self.path}: {sound} lasts {seconds:.2f} s and its {len(rows)} rows {duration:.2f} s, so that it was "
                f"heard more than once; mark the row of the stimulus as {STORY}"
            )
        if not duration > 0:
            raise UserError(f"{self.path}: no row says how long {task} lasts; add the durations")
        return Span(task, onset, duration)

    def _span(self, name: str, row: pd.Series, length: Callable[[str], float | None]) -> Span:
        self._refuse(pd.DataFrame([row]))
        duration = float(row["duration"])
        if not duration > 0:
            seconds = length(row["sound"]) if row["sound"] else None
            if seconds is None:
                raise UserError(
                    f"{self.path}: the duration of {name} is {'n/a' if math.isnan(duration) else 0}, and without its "
                    "sound nothing tells how long it lasts; add one of them"
                )
            duration = seconds
        return Span(name, float(row["onset"]), duration)

    def _refuse(self, rows: pd.DataFrame) -> None:
        if rows["onset"].isna().any():
            raise UserError(
                f"{self.path}: the onset of the stimulus is n/a, so nothing tells when it began; add it"
            )
        if (rows["duration"] < 0).any():
            raise UserError(f"{self.path}: the stimulus has a negative duration; correct it, or write n/a")


def _seconds(cell: str) -> float:
    """A time; NaN for ``n/a``; a ValueError for anything that no scan can hold."""
    if cell.strip().lower() in _NOTHING:
        return math.nan
    value = float(cell)
    if not abs(value) <= _LONGEST:
        raise ValueError(cell)
    return value


def _word(cell: str) -> str:
    return "" if cell.strip().lower() in _NOTHING else cell.strip()


def is_sound(name: str) -> bool:
    """Whether a file's name is that of a sound or film."""
    return Path(name).suffix.lower() in _SOUNDS


def _is_aside(kind: str) -> bool:
    return not _ASIDE.isdisjoint(re.split(r"[^a-z]+", kind.lower()))


def _or(rows: pd.DataFrame, otherwise: pd.DataFrame) -> pd.DataFrame:
    return otherwise if rows.empty else rows
