"""``make bench``: how fast things are beside the ways there were before, in one run on one machine.

Its parts, each of which can be measured alone while the figures of the others stay:

``codec`` : :mod:`programs.benchmarks.codec`
``masking`` : :mod:`programs.benchmarks.masking`
``training`` : :mod:`programs.benchmarks.training`
``ridge`` : :mod:`programs.benchmarks.ridge`
``book`` : :mod:`programs.benchmarks.book`, which measures nothing: it takes over what the pipeline noted
"""

from __future__ import annotations

import argparse
import math
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch

from fmri_audio.base.errors import UserError
from fmri_audio.base.files import check_writable
from fmri_audio.base.kinds import Say
from fmri_audio.pages.benchmarks import GPU
from programs.benchmarks import book, codec, masking, ridge, training
from programs.benchmarks.table import Row, as_text, read, write

TRAINED = "demo"
"""Edition by whose settings training steps are timed."""

BENCHMARKS: dict[str, tuple[str, Callable[[argparse.Namespace, Say], list[Row]]]] = {
    "codec": (
        "encode|decode",
        lambda given, say: codec.measure_codec(given.minutes, given.repetitions, say),
    ),
    "masking": (
        "mask",
        lambda given, say: masking.measure(given.trs, given.repetitions, say),
    ),
    "training": (
        "train",
        lambda given, say: training.measure(TRAINED, given.repetitions, say),
    ),
    "ridge": (
        "ridge",
        lambda given, say: ridge.measure(given.repetitions, say, given.voxels),
    ),
    "book": (
        "book",
        lambda given, say: book.measure(given.edition),
    ),
}
"""Parts of the table: the first words of their directions, and what measures them."""


def parts_of(given: argparse.Namespace, say: Say) -> list[str]:
    """Parts that are to be measured: the one asked for, else all; the book only if there is a record of its making."""
    if given.only:
        return [given.only]
    if book.recorded(given.edition):
        return list(BENCHMARKS)
    say(f"book: left out, no record of the {given.edition} edition being made from nothing; its figures stay")
    return [name for name in BENCHMARKS if name != "book"]


def _of_another_device(row: dict[str, str]) -> bool:
    """Whether a row is the codec's or of ridge, on a GPU where this machine has none or the other way round."""
    named = "|".join(BENCHMARKS[part][0] for part in ("codec", "ridge")).split("|")
    of_them = row["direction"].split()[0] in named
    return of_them and row["direction"].endswith(GPU) != torch.cuda.is_available()


def main(words: Sequence[str]) -> int:
    """Run the benchmark; return the exit status."""
    # A stop from outside unwinds like one from the keyboard, so that nothing large stays behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    parser = argparse.ArgumentParser("python -m programs bench", description="How fast it is.")
    parser.add_argument(
        "--only", choices=sorted(BENCHMARKS), help="measure this part alone; the others' rows stay"
    )
    parser.add_argument("--minutes", type=float, help="codec: of the embedded play (default: all of it)")
    parser.add_argument(
        "--trs",
        type=int,
        default=masking.N_TRS,
        help="masking: of the scan (default: the release's)",
    )
    parser.add_argument(
        "--voxels",
        type=int,
        default=ridge.N_VOXELS,
        help="ridge: of the brain (default: %(default)s)",
    )
    parser.add_argument(
        "--edition", default="demo", help="book: the one that was made (default: %(default)s)"
    )
    parser.add_argument("--repetitions", type=int, default=3, metavar="N")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.csv")
    given = parser.parse_args(words)
    say = partial(print, flush=True)
    rows: list[Row] = []
    if not (given.minutes is None or 0 < given.minutes < math.inf) or not 1 <= given.repetitions <= 1_000_000:
        raise UserError("--minutes and --repetitions: give positive numbers")
    parts = parts_of(given, say)
    stay = "|".join(words for name, (words, _) in BENCHMARKS.items() if name not in parts).split("|")
    # Before anything is measured, which may take an hour: a table that cannot be added to is found out now.
    check_writable(given.out)
    kept = [row for row in read(given.out) if row["direction"].split()[0] in stay or _of_another_device(row)]
    for name in parts:
        rows += BENCHMARKS[name][1](given, say)
    write(given.out, rows, kept)
    print(as_text(rows))
    return 0
