"""Measure the rendered play: loudness, level and spectrum per voice, and what a speech recogniser makes of the words.

    python stimulus/check.py [--seconds 60]

Needs this project's environment. A recogniser is a rough guide: it says whether a voice is clear, not whether a
child's voice, or a telephone, is believable.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from pathlib import Path

import numpy as np
import pyloudnorm
import soundfile
from scipy.signal import welch

from fmri_audio.sound.recognition import Passage, word_errors

HERE = Path(__file__).resolve().parent
SAMPLE_RATE = 24_000
BANDS = ((0, 500), (500, 2000), (2000, 4000), (4000, 8000), (8000, 12_000))


def rows(name: str) -> list[dict[str, str]]:
    """Rows of one of the tables."""
    with (HERE / f"{name}.tsv").open() as source:
        return list(csv.DictReader(source, delimiter="\t", quoting=csv.QUOTE_NONE))


def spectrum(samples: np.ndarray) -> str:
    """Share of the power in each band, in dB."""
    frequencies, power = welch(samples, SAMPLE_RATE, nperseg=2048)
    inside = [power[(frequencies >= low) & (frequencies < high)].sum() for low, high in BANDS]
    return " ".join(f"{10 * np.log10(share / power.sum()):4.0f}" for share in inside)


def word_error_rate(pieces: list[tuple[np.ndarray, str]], seconds: float) -> float:
    """Whisper's word error rate over the first lines, up to a number of seconds."""
    errors = said = 0.0
    heard_seconds = 0.0
    for samples, text in pieces:
        if heard_seconds > seconds:
            break
        passage = Passage(0, len(samples) / SAMPLE_RATE, text)
        heard_seconds += passage.offset
        (words,) = word_errors(samples.astype(np.float32), SAMPLE_RATE, [passage])
        errors, said = errors + words.errors, said + words.said
    return errors / said if said else float("nan")


def main() -> None:
    """Print one line per voice and path, and per other kind of segment."""
    parser = argparse.ArgumentParser(description="Measure the rendered play.")
    parser.add_argument(
        "--seconds", type=float, default=60, help="seconds of each voice for the recogniser; 0: none"
    )
    arguments = parser.parse_args()
    sound = {part: soundfile.read(HERE / f"part{part}.ogg")[0] for part in ("1", "2")}
    groups: dict[str, list[tuple[np.ndarray, str]]] = defaultdict(list)
    for row in rows("segments"):
        first, last = (round(float(row[edge]) * SAMPLE_RATE) for edge in ("onset", "offset"))
        path = next((name for name in ("phone", "radio", "faint") if name in row["background"]), "")
        label = f"{row['kind']} {row['speaker']} {path}".strip()
        groups[label].append((sound[row["part"]][first:last], row["text"]))
    meter = pyloudnorm.Meter(SAMPLE_RATE)
    print(f"{'':32} seconds  LUFS  peak  power in dB below 0.5, 2, 4, 8, 12 kHz   WER")
    for label, pieces in sorted(groups.items()):
        joined = np.concatenate([samples for samples, _ in pieces])
        line = f"{label:32} {len(joined) / SAMPLE_RATE:7.1f} {meter.integrated_loudness(joined):5.1f} "
        line += f"{np.abs(joined).max():5.2f}  {spectrum(joined)}"
        if label.startswith("speech") and arguments.seconds:
            line += f"{'':16}{word_error_rate(pieces, arguments.seconds):.2f}"
        print(line, flush=True)


if __name__ == "__main__":
    main()
