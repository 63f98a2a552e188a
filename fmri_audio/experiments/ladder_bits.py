"""``python -m programs bottleneck-bits``: what simulated brains tell of numbers that drive their voxels, in bits.

Nothing is simulated and nothing divided: every figure is that of the linear Gaussian model of
:mod:`fmri_audio.bottleneck.voxels`, whose noise has the simulator's own covariance. A real reader has to estimate that,
so these are what the best reader would have, for independent numbers. Numbers of speech are not quite independent.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fmri_audio.base.files import check_writable
from fmri_audio.base.fingerprint import fingerprint
from fmri_audio.base.rows import write_rows
from fmri_audio.base.settings import VOXELS, project_root
from fmri_audio.bottleneck.passing import BRAIN_SHAPE, simulated_brain
from fmri_audio.bottleneck.voxels import Channel, InTime, capacity
from fmri_audio.experiments.ladder import BITS, TR, Told

TRS = (TR, Fraction(2), Fraction(71, 100))

PARTS = {"both hemispheres": BRAIN_SHAPE, "left hemisphere": (BRAIN_SHAPE[0] // 2, *BRAIN_SHAPE[1:])}
"""Parts of auditory cortex, by the box around them: what twice the voxels change."""

SCANS = (1, 4, 16, 64)
"""Of the same sound by one brain, averaged."""

SECONDS, N_NUMBERS = 360, 512
"""Length of the run, and numbers per TR of 1.5 s; at another TR as many per second."""


def told(trs: Sequence[Fraction] = TRS, seconds: int = SECONDS, n_numbers: int = N_NUMBERS) -> Iterator[Told]:
    """Yield a row for every TR, part of auditory cortex, model of a voxel and number of scans."""
    code = code_hash()
    for tr in trs:
        numbers, n_trs = round(n_numbers * tr / TR), round(seconds / tr)
        for part, shape in PARTS.items():
            for name in VOXELS:
                brain = simulated_brain(name, tr, 0, shape)
                time = InTime.of(n_trs, tr, brain.autocorrelation)
                own = Channel(brain.map(numbers, 0, ideal=False), time)
                passes = numbers <= brain.n_voxels
                ideal = Channel(brain.map(numbers, 0, ideal=True), time) if passes else None
                exact = _largest_error(ideal) if ideal else None
                for scans in SCANS:
                    k = 1 / scans
                    yield Told(
                        voxels=name,
                        part=part,
                        tr=float(tr),
                        n_voxels=brain.n_voxels,
                        patterns=brain.rank,
                        numbers=numbers,
                        scans=scans,
                        own=own.bits(k),
                        ideal=ideal.bits(k) if ideal else None,
                        bound=capacity(brain.covariance, brain.deviation, time, k),
                        condition=time.condition,
                        own_usable=own.usable(k) / (n_trs * numbers),
                        ideal_usable=ideal.usable(k) / (n_trs * numbers) if ideal else None,
                        own_error=unknown(own, k),
                        ideal_error=unknown(ideal, k) if ideal else None,
                        exact=exact,
                        code=code,
                    )


def unknown(channel: Channel, k: float) -> float:
    """Mean posterior variance of the numbers of a run, whose prior variance is 1."""
    gain = np.multiply.outer(channel.time.decomposed[1], channel.space.decomposed[1]) / np.sqrt(k)
    known = float((gain**2 / (1 + gain**2)).sum())
    n: int = channel.time.n_trs * channel.space.weights.shape[1]
    return 1 - known / n


def _largest_error(channel: Channel) -> float:
    """Of numbers that are sent without noise and read by the linear inverse."""
    shape = (channel.time.n_trs, channel.space.weights.shape[1])
    sent: NDArray[np.float64] = np.random.default_rng(0).standard_normal(shape)
    return float(np.abs(channel.read_exactly(channel.send(sent)) - sent).max())


def code_hash() -> str:
    """Hash of all that computes the table."""
    return fingerprint("fmri_audio.experiments.ladder_bits")[:16]


def main(words: Sequence[str]) -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(
        prog="python -m programs bottleneck-bits", description=str(__doc__).split("\n\n")[0]
    )
    parser.add_argument("--out", type=Path, help="root of the table (default: the project)")
    table = (parser.parse_args(list(words)).out or project_root()) / BITS
    check_writable(table)
    table.parent.mkdir(parents=True, exist_ok=True)
    rows = list(told())
    write_rows(rows, table)
    print(f"wrote {table}: {len(rows)} rows")
