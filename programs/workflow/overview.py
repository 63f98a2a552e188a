"""The README's picture and numbers: what is left of speech after the codec."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from fmri_audio.base.files import replacing
from fmri_audio.base.results import once, select


@dataclass(frozen=True)
class Overview:
    """What the picture shows.

    Attributes
    ----------
    codec : scores of EnCodec round trips on speech, a row per bandwidth (kbps) and a column per metric
    mel : the same for a mel spectrogram of as many bits
    floor : STOI of noise as loud as the speech
    checkpoint : whose weights
    """

    codec: pd.DataFrame
    mel: pd.DataFrame
    floor: float
    checkpoint: str


def read(table: Path) -> Overview:
    """Take the overview's numbers from a table of results."""
    frame = pd.read_csv(table).fillna({"control": "none"})
    frame = frame[frame["segment"].fillna("speech") == "speech"]
    encodec = select(frame, representation="encodec-codes", arm="roundtrip")
    whole = select(frame, fold=None)
    noise = select(whole, control="noise", metric="stoi")
    return Overview(
        codec=_by_bandwidth(whole, "encodec-codes"),
        mel=_by_bandwidth(whole, "mel-quantised"),
        floor=float(noise["value"].mean()),
        checkpoint=str(encodec["codec"].iloc[0]),
    )


def _by_bandwidth(frame: pd.DataFrame, representation: str) -> pd.DataFrame:
    kept = once(select(frame, representation=representation, control="none"), ["bandwidth_kbps", "metric"])
    return kept.pivot_table(index="bandwidth_kbps", columns="metric", values="value", aggfunc="mean")


def draw(table: Path, picture: Path) -> None:
    """Draw the overview as a PNG."""
    from matplotlib.figure import Figure

    shown = read(table)
    figure = Figure(figsize=(6, 2.9), layout="constrained", dpi=110)
    axis = figure.subplots()
    for scores, label, colour in (
        (shown.codec, f"EnCodec ({shown.checkpoint})", "#1f6f8b"),
        (shown.mel, "mel + Griffin-Lim, as many bits", "#c8762c"),
    ):
        if len(scores):
            axis.plot(scores.index, scores["stoi"], "o-", color=colour, label=label)
    axis.axhline(shown.floor, color="grey", linestyle=":", label="noise")
    axis.set(
        xscale="log", xlabel="bandwidth (kbps)", ylabel="STOI", ylim=(0, 1), title="Speech through the codec"
    )
    axis.set_xticks(shown.codec.index, [f"{kbps:g}" for kbps in shown.codec.index])
    axis.minorticks_off()
    axis.legend(frameon=False, fontsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    with replacing(picture) as temporary:
        figure.savefig(temporary, metadata={"Software": None})
