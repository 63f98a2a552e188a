"""The sound of an edition: the embedded play or a recording, in one channel and whole TRs, with its segments."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fmri_audio import audio, segments, timeline
from fmri_audio.errors import UserError
from fmri_audio.files import package_digest, replacing, sha256_of, to_json, write_if_changed
from fmri_audio.settings import Settings, project_root

PLAY = "play"
"""Name under which settings ask for the embedded radio play."""

FEWEST_TRS = 40
"""Fewest TRs a stimulus may have: less leaves no room for a test stretch and a gap before it."""

SILENCE_DBFS = -80.0
"""Peak level at or under which a recording counts as silent."""


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
    runs : (first TR, number of TRs) of every run
    """

    waveform: NDArray[np.float32]
    sample_rate: int
    tr: Fraction
    segments: pd.DataFrame
    name: str
    steps: list[str]
    segment_source: str
    runs: list[tuple[int, int]]

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
    known_by = fingerprint(settings)
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
        The sound or its table cannot be used: missing, unreadable, silent, too short, or out of range.
    """
    wanted = settings.stimulus
    if wanted.source is None:
        raise UserError(
            "stimulus.source is not given: name a recording with STIMULUS=FILE or in the edition file"
        )
    whole = _play(settings.tr) if wanted.source == PLAY else _recording(settings, detect)
    sound = _excerpt(whole, wanted.first_tr, wanted.n_trs, wanted.source)
    if float(np.abs(sound.waveform).max()) <= 10 ** (SILENCE_DBFS / 20):
        raise UserError(
            f"{wanted.source} is silent (peak under {SILENCE_DBFS:g} dBFS): give a recording with sound"
        )
    return sound


def _play(tr: Fraction) -> Stimulus:
    """Join the parts of the embedded play: each is a run, cut to whole TRs."""
    folder = project_root() / "stimulus"
    table = segments.read_segments(folder / "segments.tsv")
    waveforms, tables = [], []
    runs: list[tuple[int, int]] = []
    for number in (1, 2):
        waveform, _ = audio.to_mono(audio.read_sound(folder / f"part{number}.ogg"))
        n_trs = timeline.whole_trs(len(waveform), audio.SAMPLE_RATE, tr)
        first = sum(count for _, count in runs)
        waveforms.append(waveform[: timeline.trs_to_samples(n_trs, audio.SAMPLE_RATE, tr)])
        part = segments.cut(table[table["part"] == number], 0.0, float(n_trs * tr))
        tables.append(
            part.assign(onset=part["onset"] + float(first * tr), offset=part["offset"] + float(first * tr))
        )
        runs.append((first, n_trs))
    return Stimulus(
        np.concatenate(waveforms), audio.SAMPLE_RATE, tr, pd.concat(tables, ignore_index=True), "the radio play",
        [f"joined {len(runs)} parts of {' and '.join(str(count) for _, count in runs)} TRs"],
        "the play's own timetable (stimulus/segments.tsv)", runs,
    )  # fmt: skip


def play_waveform(tr: Fraction = Fraction(3, 2)) -> NDArray[np.float32]:
    """Return the whole embedded play as one waveform, its parts cut to whole TRs and joined."""
    return _play(tr).waveform


def _recording(settings: Settings, detect: bool) -> Stimulus:
    """Read a recording of the user's own: one run."""
    path, tr = Path(str(settings.stimulus.source)), settings.tr
    sound = audio.read_sound(path)
    waveform, steps = audio.to_mono(sound)
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
        table = segments.cut(segments.read_segments(table_path), 0.0, len(waveform) / audio.SAMPLE_RATE)
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
    table = segments.cut(whole.segments, float(first_tr * tr), float(stop * tr))
    steps = [*whole.steps, f"took TRs {first_tr + 1} to {stop} of {whole.n_trs}"]
    return Stimulus(whole.waveform[begin:end], rate, tr, table, whole.name, steps, whole.segment_source, runs)


def fingerprint(settings: Settings) -> str:
    """Hash all that decides the prepared sound: its files, the settings that concern it, and the code."""
    wanted = settings.stimulus
    if wanted.source == PLAY:
        sources = sorted((project_root() / "stimulus").glob("part*.ogg"))
        sources.append(project_root() / "stimulus" / "segments.tsv")
    else:
        source = Path(str(wanted.source))
        sources = [source, Path(wanted.segments) if wanted.segments else source.with_suffix(".tsv")]
    facts = [
        wanted.model_dump_json(), str(settings.tr), str(audio.SAMPLE_RATE),
        package_digest("audio.py", "segments.py", "timeline.py", "stimulus.py"),
        *(sha256_of(path) if path.is_file() else "absent" for path in sources),
    ]  # fmt: skip
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()


def _save(stimulus: Stimulus, folder: Path, known_by: str) -> None:
    """Write the prepared sound; ``done.json`` last, so that its presence says the rest is whole."""
    with replacing(folder / "waveform.npy") as temporary:
        np.save(temporary, stimulus.waveform)
    write_if_changed(folder / "segments.tsv", stimulus.segments.to_csv(sep="\t", index=False))
    facts = {
        "name": stimulus.name, "sample_rate": stimulus.sample_rate, "tr": str(stimulus.tr),
        "n_trs": stimulus.n_trs, "seconds": stimulus.seconds, "steps": stimulus.steps,
        "segment_source": stimulus.segment_source, "runs": stimulus.runs, "fingerprint": known_by,
    }  # fmt: skip
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
        np.load(folder / "waveform.npy"), facts["sample_rate"], Fraction(facts["tr"]),
        segments.read_segments(folder / "segments.tsv"), facts["name"], facts["steps"], facts["segment_source"],
        [(int(first), int(count)) for first, count in facts["runs"]],
    )  # fmt: skip
