"""The README's picture and numbers: what is left of speech after the codec."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from fmri_audio.base.files import replacing
from fmri_audio.base.results import once, select

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN = {"stoi": "STOI", "estoi": "ESTOI"}
"""Metrics of the picture, as a reader knows them."""

FLOOR = "modulated-noise"
"""What is compared with: as much of the speech as a noise can have."""


@dataclass(frozen=True)
class Overview:
    """What the picture shows.

    Attributes
    ----------
    codec : scores of EnCodec round trips on speech, a row per bandwidth (kbps) and a column per metric
    mel : the same for a mel spectrogram of as many bits
    floor : STOI and ESTOI of noise with the speech's spectrum and envelope
    checkpoint : whose weights
    """

    codec: pd.DataFrame
    mel: pd.DataFrame
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
        mel=_by_bandwidth(whole, "mel-quantised"),
        floor={metric: float(noise.get(metric, math.nan)) for metric in SHOWN},
        checkpoint=str(encodec["codec"].iloc[0]),
    )


def _by_bandwidth(frame: pd.DataFrame, representation: str) -> pd.DataFrame:
    kept = once(select(frame, representation=representation, control="none"), ["bandwidth_kbps", "metric"])
    wide = kept.pivot_table(index="bandwidth_kbps", columns="metric", values="value", aggfunc="mean")
    return wide.reindex(columns=sorted({*wide.columns, *SHOWN}))


def draw(table: Path, picture: Path) -> None:
    """Draw the overview as a PNG."""
    from matplotlib.figure import Figure

    shown = read(table)
    figure = Figure(figsize=(7.2, 2.9), layout="constrained", dpi=110)
    for axis, (metric, label) in zip(figure.subplots(1, len(SHOWN), sharey=True), SHOWN.items(), strict=True):
        _draw(axis, shown, metric, label)
    figure.suptitle("Speech through the codec", fontsize=11)
    with replacing(picture) as temporary:
        figure.savefig(temporary, metadata={"Software": None})


def _draw(axis: Axes, shown: Overview, metric: str, name: str) -> None:
    for scores, label, colour in (
        (shown.codec, f"EnCodec ({shown.checkpoint})", "#1f6f8b"),
        (shown.mel, "mel + Griffin-Lim, as many bits", "#c8762c"),
    ):
        if len(scores):
            axis.plot(scores.index, scores[metric], "o-", color=colour, label=label)
    axis.axhline(shown.floor[metric], color="grey", linestyle=":", label="noise with its envelope")
    axis.set(xscale="log", xlabel="bandwidth (kbps)", ylabel=name, ylim=(-0.1, 1))
    axis.set_xticks(shown.codec.index, [f"{kbps:g}" for kbps in shown.codec.index])
    axis.minorticks_off()
    axis.legend(frameon=False, fontsize=8)
    axis.spines[["top", "right"]].set_visible(False)
