"""What was heard, as one number per TR: how loud it was, and how many words were said.

For decoding without any codec. The level comes from the run's sound, or from a table of it where the sound itself may
not be given away (StudyForrest); words come from a table of who says what when.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fmri_audio.base.errors import UserError
from fmri_audio.base.tables import parse_table, read_text
from fmri_audio.sound.audio import SAMPLE_RATE
from fmri_audio.sound.segments import read_segments
from fmri_audio.study.facts import Run, StudyFile
from fmri_audio.study.sync import films_of_runs, joined_sounds, read_film

Target = Literal["level", "words"]
TARGETS: tuple[Target, ...] = get_args(Target)
"""What can be decoded of any study whose sound or annotations are there."""

LABELS = {"level": "sound level", "words": "words"}
UNITS = {"level": "dB re full scale", "words": "words per TR"}

QUIETEST_DB = -60.0
"""What is quieter counts as this: the noise of a silent soundtrack is not heard in a scanner."""


def heard(
    folder: Path, facts: StudyFile, target: Target, trs: Sequence[int] | None = None
) -> NDArray[np.float64]:
    """Return what was heard in every TR of a study that is used.

    Parameters
    ----------
    folder : path
        Of the study.
    facts : StudyFile
    target : {"level", "words"}
        Level in dB re full scale (mean square of a TR, at least :data:`QUIETEST_DB`), or words per TR.
    trs : (first, last), optional
        As in :meth:`~fmri_audio.study.facts.StudyFile.kept`.

    Returns
    -------
    array, shape [TRs used]
        The runs joined.

    Raises
    ------
    UserError
        A run has neither a sound nor a table, or one of them is wrong.
    """
    whole = _levels(folder, facts) if target == "level" else _words(folder, facts)
    return np.concatenate([whole[first:last] for _, (first, last) in facts.kept(trs)])


def level_db(power: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean squares as dB re full scale, at least :data:`QUIETEST_DB`."""
    return np.asarray(10 * np.log10(np.maximum(power, 10 ** (QUIETEST_DB / 10))))


def read_level(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Read a table of a sound's level.

    Its columns are ``onset`` and ``duration`` (s) and ``rms`` (amplitude), its rows frames that follow each other.

    Returns
    -------
    onset, duration, power : arrays, shape [frames]
        Seconds, and mean square.

    Raises
    ------
    UserError
        It is no such table; the sentence names the column.
    """
    table = _columns(path, ("onset", "duration", "rms"), "a table of a sound's level")
    onset, duration, rms = (table[name].to_numpy() for name in ("onset", "duration", "rms"))
    if (duration <= 0).any() or (np.diff(onset) < duration[:-1] - 1e-3).any():
        raise UserError(f"{path}: frames overlap or last no time; give onset and duration of each in seconds")
    return onset, duration, rms**2


def power_of_trs(
    onset: NDArray[np.float64],
    duration: NDArray[np.float64],
    power: NDArray[np.float64],
    n_trs: int,
    tr: Fraction,
) -> NDArray[np.float64]:
    """Mean power of every TR from that of frames, each weighed by how long it lies in the TR, [TRs].

    Where there is no frame there is silence.
    """
    ends = np.stack([onset, onset + duration], axis=1).ravel()
    energy = np.repeat(np.cumsum(np.concatenate([[0.0], duration * power])), 2)[1:-1]
    upto = np.interp(_edges(n_trs, tr), ends, energy)
    return np.asarray(np.diff(upto) / float(tr))


def read_words(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Read who says what when: times and number of words of each stretch of speech.

    A table with ``onset`` and ``duration``, or ``start`` and ``end``, and either ``n_words`` or ``text``; or a file of
    aligned words that :func:`fmri_audio.sound.segments.read_segments` knows.

    Returns
    -------
    onset, offset, words : arrays, shape [stretches]
        Seconds, and how many words.

    Raises
    ------
    UserError
        It is none of these.
    """
    text, kind = read_text(path)
    if kind is not None:
        segments = read_segments(path)
        return _counted(segments["onset"], segments["offset"], segments["text"])
    table, _ = parse_table(text, path, "a table of words")
    names = ("onset", "duration") if "onset" in table and "duration" in table else ("start", "end")
    times = _columns(path, names, "a table of words")
    begin, second = (times[name].to_numpy() for name in names)
    end = begin + second if names[1] == "duration" else second
    if "n_words" in table:
        return begin, end, _columns(path, ("n_words",), "a table of words")["n_words"].to_numpy()
    if "text" not in table:
        raise UserError(f"{path}: has neither a column n_words nor text; add one of them")
    return _counted(begin, end, table["text"])


def words_of_trs(
    onset: NDArray[np.float64],
    offset: NDArray[np.float64],
    words: NDArray[np.float64],
    n_trs: int,
    tr: Fraction,
) -> NDArray[np.float64]:
    """Words per TR, those of a stretch of speech spread evenly over it, [TRs].

    A stretch without length counts where it begins.
    """
    edges = _edges(n_trs, tr)[:, None]
    length = np.maximum(offset - onset, 1e-9)
    said = np.clip((edges - onset) / length, 0.0, 1.0) @ words
    return np.asarray(np.diff(said))


def _edges(n_trs: int, tr: Fraction) -> NDArray[np.float64]:
    """Seconds at which TRs begin, and the last ends; exact before they are rounded, [TRs + 1]."""
    return np.array([float(k * tr) for k in range(n_trs + 1)])


def _levels(folder: Path, facts: StudyFile) -> NDArray[np.float64]:
    if facts.stimulus is not None:
        from fmri_audio.sound.audio import read_mono

        sound = read_mono(folder / facts.stimulus)
        sounds = joined_sounds(sound.waveform, folder / facts.stimulus, [], facts, None)
        power = [_power(one.waveform, one.block[1] - one.block[0], facts.tr) for one in sounds]
        found = np.concatenate(power)
        if len(found) != facts.n_trs:
            raise UserError(
                f"{folder / facts.stimulus}: holds {len(found)} of the study's {facts.n_trs} TRs; give the sound of "
                "all runs"
            )
        return level_db(found)
    return level_db(np.concatenate([_level_of(folder, facts, run) for run in facts.runs]))


def _level_of(folder: Path, facts: StudyFile, run: Run) -> NDArray[np.float64]:
    """Mean power of every TR of a run, from its table or from its sound."""
    if run.level is not None:
        return power_of_trs(*read_level(folder / run.level), run.n_trs, facts.tr)
    if run.stimulus is None:
        raise UserError(
            f"{folder}: run {run.name} has neither a sound nor a table of its level; add one (level, in study.yml)"
        )
    _, path, lead = films_of_runs(folder, facts, [run], None)[0]
    waveform, _ = read_film(path, run, facts.tr, lead, folder)
    return _power(waveform, run.n_trs, facts.tr)


def _power(waveform: NDArray[np.float32], n_trs: int, tr: Fraction) -> NDArray[np.float64]:
    """Mean square of every TR of a sound; where the sound has ended there is silence, [TRs]."""
    upto = np.concatenate([[0.0], np.cumsum(np.square(waveform, dtype=np.float64))])
    edges = [min(round(k * tr * SAMPLE_RATE), len(waveform)) for k in range(n_trs + 1)]
    return np.asarray(np.diff(upto[edges]) / float(tr * SAMPLE_RATE))


def _words(folder: Path, facts: StudyFile) -> NDArray[np.float64]:
    return np.concatenate([_words_of(folder, facts, run) for run in facts.runs])


def _words_of(folder: Path, facts: StudyFile, run: Run) -> NDArray[np.float64]:
    if run.words is None and run.segments is None:
        raise UserError(
            f"{folder}: run {run.name} has no table of words; add one (words, in study.yml), or decode the level"
        )
    onset, offset, words = read_words(folder / (run.words or run.segments or ""))
    # A table of words has a clock of its own; aligned words have the sound's.
    begins = float(run.words_lead if run.words else run.stimulus_lead or 0)
    return words_of_trs(onset - begins, offset - begins, words, run.n_trs, facts.tr)


def _columns(path: Path, names: Sequence[str], what: str) -> pd.DataFrame:
    """The columns of a table as numbers."""
    text, kind = read_text(path)
    if kind is not None:
        raise UserError(f"{path} is {kind}, not {what} with the columns {', '.join(names)}")
    table, lines = parse_table(text, path, what)
    if lacking := [name for name in names if name not in table]:
        raise UserError(f"{path} is not {what}: it has no column {lacking[0]}")
    numbers = table[list(names)].apply(pd.to_numeric, errors="coerce")
    wrong = ~np.isfinite(numbers.to_numpy(float)).all(axis=1)
    if wrong.any():
        raise UserError(f"{path}, line {lines[int(wrong.argmax())]}: not a number; mend it")
    if not len(numbers):
        raise UserError(f"{path} is not {what}: it has no rows")
    return pd.DataFrame(numbers.astype(float))


def _counted(
    onset: pd.Series | NDArray[np.float64], offset: pd.Series | NDArray[np.float64], text: pd.Series
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Times as arrays, and the words of each text."""
    count = [len(str(said).split()) for said in text.fillna("")]
    return np.asarray(onset, np.float64), np.asarray(offset, np.float64), np.asarray(count, np.float64)
