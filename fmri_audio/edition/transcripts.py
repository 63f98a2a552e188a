"""What is said in a stretch of the stimulus, for the line under its players."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import soundfile

from fmri_audio.base.settings import Settings, project_root
from fmri_audio.base.tables import read_table
from fmri_audio.sound.segments import Window
from fmri_audio.study.stimulus import PLAY, is_measured, part_trs

if TYPE_CHECKING:
    from fmri_audio.edition.edition import Edition


def transcript(run: Edition, window: Window) -> str:
    """Return what is said in a window: the words of the play that begin in it, or the passages of a table with text.

    Empty where nobody speaks or nobody wrote it down.
    """
    # Its words are timed in the excerpt that simulated brains hear; with measured ones the table's passages serve.
    if run.settings.stimulus.source == PLAY and not is_measured(run.settings):
        words = play_words(project_root() / "stimulus", run.settings)
        inside = words[(words["onset"] >= window.onset - 0.1) & (words["onset"] < window.offset - 0.1)]
        return _with_dots(inside, words) if len(inside) else ""
    table = run.stimulus.segments
    if "text" not in table.columns:
        return ""
    heard = table[
        (table["offset"] > window.onset) & (table["onset"] < window.offset) & (table["kind"] == "speech")
    ]
    return " ".join(str(text).strip() for text in heard["text"] if str(text).strip())


def play_words(folder: Path, settings: Settings) -> pd.DataFrame:
    """Return the play's words with their onsets in the edition's excerpt.

    Parameters
    ----------
    folder
        With ``part1.ogg``, ``part2.ogg``, ``words.tsv`` and ``segments.tsv``.
    settings
        Whose TR and first TR count.

    Returns
    -------
    DataFrame
        ``onset`` (seconds from the start of the excerpt), ``word`` as written in the play, with its punctuation, and
        ``segment``, the passage it belongs to.
    """
    words, _ = read_table(folder / "words.tsv", "a table of words", ("part", "onset", "word"))
    passages, _ = read_table(
        folder / "segments.tsv", "a table of passages", ("part", "kind", "onset", "offset", "text")
    )
    start = -float(settings.stimulus.first_tr * settings.tr)
    parts = []
    for part in sorted(words["part"].unique()):
        spoken = passages[(passages["part"] == part) & (passages["kind"] == "speech")]
        written = _written(words[words["part"] == part], spoken)
        passage = str(part) + "-" + written["segment"].astype(str)
        parts.append(written.assign(shift=start, segment=passage))
        sound = soundfile.info(str(folder / f"part{part}.ogg"))
        start += float(part_trs(int(part), sound.frames, sound.samplerate, settings.tr) * settings.tr)
    joined = pd.concat(parts, ignore_index=True)
    return joined.assign(onset=joined["onset"] + joined["shift"])[["onset", "word", "segment"]]


def _written(words: pd.DataFrame, passages: pd.DataFrame) -> pd.DataFrame:
    """Put the written word, capitals and punctuation included, in place of the bare one, passage by passage."""
    found = []
    columns = (passages["onset"], passages["offset"], passages["text"])
    for number, (onset, offset, text) in enumerate(zip(*columns, strict=True)):
        said = words[(words["onset"] >= float(onset) - 0.01) & (words["onset"] < float(offset))]
        written = str(text).split()
        if len(written) == len(said):  # a number may be one word in writing and several in speech
            said = said.assign(word=written)
        found.append(said.assign(segment=number))
    return pd.concat(found, ignore_index=True) if found else words.assign(segment=0)


def _with_dots(inside: pd.DataFrame, words: pd.DataFrame) -> str:
    """Join words, with an ellipsis where a passage goes on before or after the stretch."""
    first, last = inside.iloc[0], inside.iloc[-1]
    before = words[(words["segment"] == first["segment"]) & (words["onset"] < first["onset"])]
    after = words[(words["segment"] == last["segment"]) & (words["onset"] > last["onset"])]
    return ("… " if len(before) else "") + " ".join(inside["word"]) + (" …" if len(after) else "")
