"""Render the radio play: sound, timetables and transcript, from ``script.yml``.

Needed only to change the play; the rendered files are committed. It uses Debian's ``fluidsynth`` and
``fluid-soundfont-gm``, and the Python packages of ``requirements.txt`` beside it.

    python stimulus/render.py [--out FOLDER] [--cache FOLDER]
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import yaml

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from studio.mixing import UNPREDICTABLE, Segment, Track, Voicebox, render_part  # noqa: E402
from studio.voices import SAMPLE_RATE, Role  # noqa: E402

# libsndfile's Opus takes a quality in place of a bit rate: 1 is 6 kbps, 0 is 256 kbps.
BIT_RATE = 56_000
CHUNK = 10 * SAMPLE_RATE
SEGMENT_COLUMNS = ["part", "onset", "offset", "kind", "speaker", "text", "background", "material"]
WORD_COLUMNS = ["part", "onset", "offset", "word", "speaker"]


def script_of(folder: Path) -> dict[str, Any]:
    """The play's text."""
    return dict(yaml.safe_load((folder / "script.yml").read_text(encoding="utf-8")))


def company(script: dict[str, Any], cache: Path | None) -> Voicebox:
    """All voices of the play."""
    cast = yaml.safe_load((HERE / "studio" / "cast.yml").read_text(encoding="utf-8"))
    return Voicebox({key: Role(**row) for key, row in cast.items()}, script["respelled"], cache)


def write_opus(path: Path, samples: np.ndarray) -> None:
    """Write Ogg Opus in chunks (one long write can crash libsndfile), beside the target and then in its place."""
    temporary = path.with_suffix(".part")
    quality = (256_000 - BIT_RATE) / 250_000
    with soundfile.SoundFile(
        temporary, "w", SAMPLE_RATE, 1, "OPUS", format="OGG", compression_level=quality
    ) as out:
        for start in range(0, len(samples), CHUNK):
            out.write(samples[start : start + CHUNK].astype(np.float32))
    os.replace(temporary, path)


def write_table(path: Path, columns: list[str], rows: list[list[str]]) -> None:
    """Write a tab-separated table; text columns hold no tab, so nothing is quoted."""
    temporary = path.with_suffix(".part")
    with temporary.open("w", newline="") as out:
        table = csv.writer(out, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_NONE, quotechar=None)
        table.writerows([columns, *rows])
    os.replace(temporary, path)


def segment_rows(number: int, segments: list[Segment], names: dict[str, str]) -> list[list[str]]:
    """Rows of ``segments.tsv``; an offset is the next onset, so the table covers the part without a gap."""
    return [
        [
            str(number),
            f"{s.onset:.3f}",
            f"{s.offset:.3f}",
            s.kind,
            names.get(s.speaker, ""),
            s.text,
            s.background,
            s.material,
        ]
        for s in segments
    ]


def word_rows(number: int, track: Track, names: dict[str, str]) -> list[list[str]]:
    """Rows of ``words.tsv``."""
    return [[str(number), f"{w.onset:.3f}", f"{w.offset:.3f}", w.text, names[s]] for w, s in track.words]


def transcript(script: dict[str, Any], names: dict[str, str]) -> str:
    """The play as Markdown, for readers."""
    lines = [f"# {script['title']}", "", "A radio play in two parts, written for this project."]
    for number, part in enumerate(script["parts"], 1):
        lines += ["", f"## Part {number}: {part['title']}"]
        for scene in part["scenes"]:
            lines += ["", f"### {scene['name']}"]
            for cue in scene["cues"]:
                key = next(iter(cue))
                if key in names:
                    via = cue.get("via", "room")
                    manner = "" if via == "room" else {"faint": " (faint, by radio)"}.get(via, f" (by {via})")
                    lines += ["", f"**{names[key]}**{manner}: {' '.join(cue[key].split())}"]
                elif key != "pause":
                    lines += ["", f"*[{key}: {cue[key].replace('_', ' ')}]*"]
    return "\n".join(lines) + "\n"


def report(number: int, track: Track) -> str:
    """Duration, words and the share of each kind of segment."""
    total = len(track.samples) / SAMPLE_RATE
    shares = {
        kind: sum(s.offset - s.onset for s in track.segments if s.kind == kind) / total
        for kind in ("speech", "music", "ambience", "silence")
    }
    listed = ", ".join(f"{kind} {share:.1%}" for kind, share in shares.items())
    code = sum(len(s.text.split()) for s in track.segments if s.material == UNPREDICTABLE)
    return (
        f"part {number}: {total:.1f} s, {len(track.words)} words ({code} of them unpredictable), {listed}, "
        f"peak {np.abs(track.samples).max():.2f}"
    )


def main() -> None:
    """Render what the command line asks for."""
    parser = argparse.ArgumentParser(description="Render the radio play.")
    parser.add_argument(
        "--out", type=Path, default=HERE, help="where the files go (default: beside this script)"
    )
    parser.add_argument(
        "--cache", type=Path, help="a folder that keeps synthesised sentences between renderings"
    )
    arguments = parser.parse_args()
    script = script_of(HERE)
    box = company(script, arguments.cache)
    names = {key: role.name for key, role in box.cast.items()}
    arguments.out.mkdir(parents=True, exist_ok=True)
    segments, words = [], []
    for number, part in enumerate(script["parts"], 1):
        track = render_part(part, box, number)
        print(report(number, track), flush=True)
        write_opus(arguments.out / f"part{number}.ogg", track.samples)
        segments += segment_rows(number, track.segments, names)
        words += word_rows(number, track, names)
    write_table(arguments.out / "segments.tsv", SEGMENT_COLUMNS, segments)
    write_table(arguments.out / "words.tsv", WORD_COLUMNS, words)
    (arguments.out / "transcript.md").write_text(transcript(script, names))


if __name__ == "__main__":
    main()
