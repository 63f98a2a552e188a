"""Measure the rendered play: level and spectrum, what a recogniser makes of the words, how natural the voices are.

    python stimulus/check.py
    python stimulus/check.py --words [--listed]
    python stimulus/check.py --takes build/voices

By the project's own measures, so in the project's environment. The recogniser hears sentence by sentence, at the
timetable's boundaries, and chooses nothing: takes are kept as they come.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyloudnorm
import soundfile
from scipy.signal import welch

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from fmri_audio.sound.audio import resample  # noqa: E402
from fmri_audio.sound.metrics.base import METRIC_RATE  # noqa: E402
from fmri_audio.sound.metrics.dnsmos_ovrl import dnsmos_ovrl  # noqa: E402
from fmri_audio.sound.recognition import Passage, heard, normalised  # noqa: E402
from fmri_audio.sound.recognition.words import counted  # noqa: E402

PARTS = ("1", "2")
TAKES = 4
SAMPLE_RATE = 24_000
BANDS = ((0, 500), (500, 2000), (2000, 4000), (4000, 8000), (8000, 12_000))


def rows(folder: Path, name: str) -> list[dict[str, str]]:
    """Rows of one of the tables."""
    with (folder / f"{name}.tsv").open() as source:
        return list(csv.DictReader(source, delimiter="\t", quoting=csv.QUOTE_NONE))


def spectrum(samples: np.ndarray) -> str:
    """Share of the power in each band, in dB."""
    frequencies, power = welch(samples, SAMPLE_RATE, nperseg=2048)
    inside = [power[(frequencies >= low) & (frequencies < high)].sum() for low, high in BANDS]
    return " ".join(f"{10 * np.log10(share / power.sum()):4.0f}" for share in inside)


def sound(folder: Path, part: str) -> np.ndarray:
    """A part's samples."""
    return np.asarray(soundfile.read(folder / f"part{part}.ogg", dtype="float32")[0])


def pieces(folder: Path) -> Iterator[tuple[dict[str, str], np.ndarray]]:
    """Every row of the timetable with its sound."""
    whole = {part: sound(folder, part) for part in PARTS}
    for row in rows(folder, "segments"):
        first, last = (round(float(row[edge]) * SAMPLE_RATE) for edge in ("onset", "offset"))
        yield row, whole[row["part"]][first:last]


def path_of(row: dict[str, str]) -> str:
    """How a voice arrives: by phone, by radio, faintly, or (empty) in the room."""
    return next((name for name in ("phone", "radio", "faint") if name in row["background"]), "")


def measure(folder: Path) -> None:
    """Print level and spectrum per voice and path, and per other kind of segment."""
    groups: dict[str, list[np.ndarray]] = defaultdict(list)
    for row, samples in pieces(folder):
        groups[f"{row['kind']} {row['speaker']} {path_of(row)}".strip()].append(samples)
    meter = pyloudnorm.Meter(SAMPLE_RATE)
    print(f"{'':36} seconds  LUFS  peak  power in dB below 0.5, 2, 4, 8, 12 kHz")
    for label, found in sorted(groups.items()):
        joined = np.concatenate(found)
        line = f"{label:36} {len(joined) / SAMPLE_RATE:7.1f} {meter.integrated_loudness(joined):5.1f} "
        print(f"{line}{np.abs(joined).max():5.2f}  {spectrum(joined)}", flush=True)


def recognise(folder: Path, listed: bool) -> None:
    """Print the share of words that the recogniser hears wrongly, per material, voice and path."""
    wrong: dict[tuple[str, str], float] = defaultdict(float)
    total: dict[tuple[str, str], int] = defaultdict(int)
    for part in PARTS:
        found = [row for row in rows(folder, "segments") if row["part"] == part and row["kind"] == "speech"]
        said = [Passage(float(row["onset"]), float(row["offset"]), row["text"]) for row in found]
        texts = heard(sound(folder, part), SAMPLE_RATE, said)
        for row, passage, text in zip(found, said, texts, strict=True):
            words = counted(passage, text)
            for group in ("", f"{row['speaker']} {path_of(row)}".strip()):
                wrong[row["material"], group] += words.errors
                total[row["material"], group] += words.said
            if listed and words.errors and row["material"] == "sentence":
                print(f"  {row['speaker']}: {normalised(row['text'])} | {normalised(text)}", flush=True)
    for (material, group), count in sorted(total.items()):
        share = wrong[material, group] / count
        print(f"{material:14} {group or 'all':28} {count:5d} words, wrong {share:.3f}", flush=True)


def opinions(cache: Path) -> None:
    """Print the mean DNSMOS of every voice's dry takes, heard by groups of four or a few more."""
    from render import company, script_of

    script = script_of(HERE)
    box = company(script, cache)
    takes: dict[str, list[np.ndarray]] = defaultdict(list)
    for cue in (cue for part in script["parts"] for scene in part["scenes"] for cue in scene["cues"]):
        speaker = next(iter(cue))
        if speaker in box.cast:
            takes[speaker] += [take.samples for _, take, _ in box.takes(speaker, cue)]
    for speaker, found in takes.items():
        # A take or two left over join the others: a second of sound, repeated until it fills a window, is no speech.
        edges = np.linspace(0, len(found), max(1, len(found) // TAKES) + 1).round().astype(int)
        joined = [np.concatenate(found[a:b]) for a, b in pairwise(edges)]
        scores = [dnsmos_ovrl(resample(samples, SAMPLE_RATE, METRIC_RATE)) for samples in joined]
        print(f"{box.cast[speaker].name:24} {len(found):4d} takes, DNSMOS {np.mean(scores):.2f}", flush=True)


def main() -> None:
    """Print what is asked for; levels if nothing else is."""
    parser = argparse.ArgumentParser(description="Measure the rendered play.")
    parser.add_argument(
        "--of", type=Path, default=HERE, help="where the play is (default: beside this script)"
    )
    parser.add_argument("--words", action="store_true", help="what a recogniser makes of the words")
    parser.add_argument("--listed", action="store_true", help="with --words: every sentence with an error")
    parser.add_argument(
        "--takes", type=Path, help="DNSMOS of the dry takes that render.py keeps in this folder"
    )
    arguments = parser.parse_args()
    if arguments.words:
        recognise(arguments.of, arguments.listed)
    if arguments.takes:
        opinions(arguments.takes)
    if not arguments.words and not arguments.takes:
        measure(arguments.of)


if __name__ == "__main__":
    main()
