"""Excerpts of the embedded play: a voice with nothing but a room around it, and what it says."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from fmri_audio.base.kinds import Waveform
from fmri_audio.sound import audio
from fmri_audio.sound.recognition import Passage

LONGEST, SHORTEST = 10.0, 3.0
"""Seconds of an excerpt."""


@dataclass(frozen=True)
class Excerpt:
    """Sentences in a row by one voice, without telephone, radio or music.

    Attributes
    ----------
    name : str
    engine : str
        Synthesiser of the voice, ``kokoro`` or ``pico``.
    speaker : str
    part : int
    onset : float
        Seconds from the start of the part.
    turn : int
        Number of the stretch in which one voice speaks until another does.
    wave : array, shape [samples]
        At 24 kHz.
    passages : list of Passage
        Its sentences, from its start on.
    """

    name: str
    engine: str
    speaker: str
    part: int
    onset: float
    turn: int
    wave: Waveform
    passages: list[Passage]


def plain_excerpts(folder: Path) -> Iterator[Excerpt]:
    """Yield every excerpt of :data:`SHORTEST` to :data:`LONGEST` seconds, in the order of the play.

    Parameters
    ----------
    folder : Path
        Of the play: its parts, ``segments.tsv`` and ``studio/cast.yml``.
    """
    cast = yaml.safe_load((folder / "studio" / "cast.yml").read_text(encoding="utf-8"))
    engines = {role["name"]: role["engine"] for role in cast.values()}
    rows = pd.read_csv(folder / "segments.tsv", sep="\t", keep_default_na=False, quoting=csv.QUOTE_NONE)
    spoken = rows[rows["kind"] == "speech"]
    rows["turn"] = (spoken["speaker"] != spoken["speaker"].shift()).cumsum()
    parts = {part: audio.read_mono(folder / f"part{part}.ogg").waveform for part in rows["part"].unique()}
    for run in _runs(rows):
        if run[-1].offset - run[0].onset >= SHORTEST:
            yield _excerpt(run, engines[run[0].speaker], parts[run[0].part])


def _runs(rows: pd.DataFrame) -> Iterator[list[Any]]:
    """Rows of the play's segments that follow each other in one excerpt."""
    run: list[Any] = []
    row: Any
    for row in rows.itertuples():
        plain = row.kind == "speech" and ";" not in row.background
        goes_on = run and (row.part, row.speaker) == (run[0].part, run[0].speaker)
        if run and not (plain and goes_on and row.offset - run[0].onset <= LONGEST):
            yield run
            run = []
        if plain:
            run.append(row)
    if run:
        yield run


def _excerpt(run: list[Any], engine: str, part: Waveform) -> Excerpt:
    first = run[0]
    begin, end = first.onset, run[-1].offset
    label = f"part {first.part}, {begin:.1f} s, {first.speaker}"
    said = [
        Passage(row.onset - begin, row.offset - begin, row.text, row.speaker, label, row.material)
        for row in run
    ]
    wave = part[round(begin * audio.SAMPLE_RATE) : round(end * audio.SAMPLE_RATE)]
    return Excerpt(label, engine, first.speaker, int(first.part), float(begin), int(first.turn), wave, said)
