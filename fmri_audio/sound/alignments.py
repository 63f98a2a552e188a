"""Who says what when, as programs that align text with sound write it: TextGrids of Praat, and Gentle's JSON.

Both become a table of segments: what is transcribed is speech, and what is not stays without a label.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from fmri_audio.base.errors import UserError

Interval = tuple[float, float, str]

_TOKEN = re.compile(
    r'"(?P<text>(?:[^"]|"")*)"|(?<!\S)(?P<number>[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)(?!\S)|<(?P<flag>exists|absent)>'
)
"""What counts in a TextGrid, long or short; all other words are for people to read."""

_TIERS = (
    ("words", "word"),
    ("utterances", "utterance", "sentences", "sentence", "transcript", "transcription", "text"),
)
"""Names of tiers that hold what is said, the better ones first."""

_PAUSES = ("", "sp", "sil", "<eps>", "<sil>", "pau", "#")
"""Labels of intervals in which nothing is said."""


def segments_of_textgrid(text: str, path: Path | str, kinds: tuple[str, ...]) -> pd.DataFrame:
    """Return the segments of a TextGrid.

    A tier whose labels are all kinds of sound is taken as it is. Otherwise what is said is looked for in the tiers
    named words (of one speaker or of several: ``anna - words``), else utterances, else in the only tier of intervals.

    Parameters
    ----------
    text, path
        The TextGrid, and how to name it.
    kinds
        Labels that are kinds of segments.

    Returns
    -------
    DataFrame
        onset, offset (seconds), kind, text; sorted.

    Raises
    ------
    UserError
        It is broken, or it is not clear which tier says what is heard.
    """
    tiers = _tiers(text, path)
    labelled = {
        name: [one for one in found if one[2].strip().lower() not in _PAUSES] for name, found in tiers
    }
    said = {name: {one[2].strip().lower() for one in found} for name, found in labelled.items()}
    sorts = [name for name, labels in said.items() if labels and labels <= set(kinds)]
    chosen = sorts if len(sorts) == 1 else []
    for wanted in _TIERS:
        chosen = chosen or [name for name in labelled if name.rpartition(" - ")[2].strip().lower() in wanted]
    chosen = chosen or (list(labelled) if len(labelled) == 1 else [])
    if not chosen or len(labelled) < len(tiers):
        there = ", ".join(name[:40] for name, _ in tiers) or "none"
        raise UserError(
            f"{path} is a TextGrid, and which tier says what is heard is not clear (tiers of intervals: {there}): "
            "name one of them words"
        )
    return _table((one for name in chosen for one in labelled[name]), path, kinds)


def segments_of_gentle(content: Any, path: Path | str) -> pd.DataFrame:
    """Return the words of Gentle's ``align.json`` that were found in the sound, as segments of speech.

    Returns
    -------
    DataFrame
        onset, offset (seconds), kind, text; sorted.

    Raises
    ------
    UserError
        It is JSON of something else, or no word was found in the sound.
    """
    words = content.get("words") if isinstance(content, dict) else None
    if not isinstance(words, list) or not all(isinstance(word, dict) for word in words):
        raise UserError(
            f"{path} is JSON, but not an alignment by Gentle: give a table with onset, offset and kind"
        )
    found = [word for word in words if "start" in word and "end" in word]
    for word in found:
        if not all(type(word[key]) in (int, float) for key in ("start", "end")):
            raise UserError(
                f"{path}: a word's start and end should be seconds, not {str(word)[:60]}; align it again"
            )
    return _table(((float(w["start"]), float(w["end"]), str(w.get("word", ""))) for w in found), path, ())


def _table(intervals: Iterable[Interval], path: Path | str, kinds: tuple[str, ...]) -> pd.DataFrame:
    rows = []
    for onset, offset, label in intervals:
        if not (math.isfinite(onset) and math.isfinite(offset)):
            raise UserError(f"{path}: {label[:40]!r} begins or ends at no number of seconds; align it again")
        kind = label.strip().lower()
        if offset > onset:
            rows.append(
                (onset, offset, kind, "") if kind in kinds else (onset, offset, "speech", label.strip())
            )
    if not rows:
        raise UserError(f"{path}: no word in it has a beginning and an end; align it again")
    table = pd.DataFrame(rows, columns=["onset", "offset", "kind", "text"])
    return table.sort_values("onset", kind="stable", ignore_index=True)


def _tiers(text: str, path: Path | str) -> list[tuple[str, list[Interval]]]:
    """Return the tiers of intervals by their names; tiers of points are passed over."""
    tokens = ((match.lastgroup, match[match.lastgroup or 0]) for match in _TOKEN.finditer(text))

    def take(wanted: str) -> str:
        kind, value = next(tokens, ("end", ""))
        if kind != wanted:
            raise UserError(f"{path} is a TextGrid that is cut off or damaged: save it again in Praat")
        return value.replace('""', '"')

    file_type, object_class = take("text"), take("text")
    if not file_type.startswith("ooTextFile") or object_class != "TextGrid":
        raise UserError(f"{path} is a file of Praat, but no TextGrid ({object_class[:40]}): give a TextGrid")
    take("number"), take("number")
    found: list[tuple[str, list[Interval]]] = []
    if take("flag") == "absent":
        return found
    for _ in range(_count(take("number"))):
        tier, name = take("text"), take("text")
        take("number"), take("number")
        intervals = []
        for _ in range(_count(take("number"))):
            onset = float(take("number"))
            offset = float(take("number")) if tier == "IntervalTier" else onset
            intervals.append((onset, offset, take("text")))
        if tier == "IntervalTier":
            found.append((name, intervals))
    return found


def _count(text: str) -> int:
    """Return how many follow; too many end when the text does."""
    return int(min(float(text), 1e9))
