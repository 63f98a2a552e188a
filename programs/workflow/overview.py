"""The README's picture, and its numbers on what is left of speech after the codec."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from fmri_audio.base.files import replacing
from fmri_audio.base.results import once, select

SHOWN = ("stoi", "estoi")
"""Metrics of the README's sentence."""

LARGEST = 80_000
"""Bytes of the picture."""

FLOOR = "modulated-noise"
"""What is compared with: as much of the speech as a noise can have."""


@dataclass(frozen=True)
class Overview:
    """What the README's sentence says.

    Attributes
    ----------
    codec : scores of EnCodec round trips on speech, a row per bandwidth (kbps) and a column per metric
    floor : STOI and ESTOI of noise with the speech's spectrum and envelope
    checkpoint : whose weights
    """

    codec: pd.DataFrame
    floor: dict[str, float]
    checkpoint: str


def read(table: Path) -> Overview:
    """Take the overview's numbers from a table of results."""
    frame = pd.read_csv(table).fillna({"control": "none"})
    frame = frame[frame["segment"].fillna("speech") == "speech"]
    encodec = select(frame, representation="encodec-codes", arm="roundtrip")
    whole = select(frame, fold=None)
    noise = select(whole, control=FLOOR).groupby("metric")["value"].mean()
    return Overview(
        codec=_by_bandwidth(whole, "encodec-codes"),
        floor={metric: float(noise.get(metric, math.nan)) for metric in SHOWN},
        checkpoint=str(encodec["codec"].iloc[0]),
    )


def _by_bandwidth(frame: pd.DataFrame, representation: str) -> pd.DataFrame:
    kept = once(select(frame, representation=representation, control="none"), ["bandwidth_kbps", "metric"])
    wide = kept.pivot_table(index="bandwidth_kbps", columns="metric", values="value", aggfunc="mean")
    return wide.reindex(columns=sorted({*wide.columns, *SHOWN}))


def draw(picture: Path) -> None:
    """Draw the paper's headline figure, from the ladder's tables, as a PNG."""
    import matplotlib.pyplot as plt

    from fmri_audio.chapters.ladder.voxels import headline
    from fmri_audio.experiments.ladder import Ladder
    from fmri_audio.pages.page import to_png

    drawn = headline(Ladder.read())
    with replacing(picture) as temporary:
        temporary.write_bytes(to_png(drawn, LARGEST))
    plt.close(drawn)
