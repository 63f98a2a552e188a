"""The README's picture and numbers: what is left of speech after the codec, and after the bottleneck."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from fmri_audio.files import replacing

BOTTLENECK = {
    "latents straight to the decoder": {"arm": "roundtrip"},
    "through the bottleneck without noise, codec frozen": {"arm": "frozen", "condition": "noise-free"},
    "fine-tuned": {"arm": "finetuned", "condition": "noise-free"},
    "decoded from brains, codec frozen": {"arm": "frozen", "condition": "measured"},
    "with no brain at all": {"arm": "frozen", "condition": "measured", "control": "no-brain"},
}
"""Rows of the right-hand panel, and how the table of results names them; control is none unless given."""


@dataclass(frozen=True)
class Overview:
    """What the picture shows.

    Attributes
    ----------
    codec : scores of EnCodec round trips on speech, a row per bandwidth (kbps) and a column per metric
    mel : the same for a mel spectrogram of as many bits
    floor : STOI of noise as loud as the speech
    bottleneck : STOI of held-out sound by what its latents went through; empty if not measured
    checkpoint : whose weights
    """

    codec: pd.DataFrame
    mel: pd.DataFrame
    floor: float
    bottleneck: dict[str, float]
    checkpoint: str


def read(table: Path) -> Overview:
    """Take the overview's numbers from a table of results."""
    frame = pd.read_csv(table).fillna({"control": "none"})
    frame = frame[frame["segment"].fillna("speech") == "speech"]
    encodec = frame[(frame["representation"] == "encodec-codes") & (frame["arm"] == "roundtrip")]
    whole = frame[frame["fold"].isna()]
    held_out = frame[(frame["fold"] == "held-out") & (frame["metric"] == "stoi")]
    noise = whole[(whole["control"] == "noise") & (whole["metric"] == "stoi")]
    return Overview(
        codec=_by_bandwidth(whole, "encodec-codes"),
        mel=_by_bandwidth(whole, "mel-quantised"),
        floor=float(noise["value"].mean()),
        bottleneck=_bottleneck(held_out[held_out["representation"] == "encodec-latents"]),
        checkpoint=str(encodec["codec"].iloc[0]),
    )


def _by_bandwidth(frame: pd.DataFrame, representation: str) -> pd.DataFrame:
    kept = frame[(frame["representation"] == representation) & (frame["control"] == "none")]
    # Two chapters score the codec; the one with more windows is the one that the abstract cites.
    kept = kept.sort_values("n").drop_duplicates(["bandwidth_kbps", "metric"], keep="last")
    return kept.pivot_table(index="bandwidth_kbps", columns="metric", values="value", aggfunc="mean")


def _bottleneck(frame: pd.DataFrame) -> dict[str, float]:
    found = {}
    for label, wanted in BOTTLENECK.items():
        kept = frame
        for column, value in {"control": "none", **wanted}.items():
            kept = kept[kept[column] == value]
        if len(kept):
            found[label] = float(kept["value"].mean())
    return found


def draw(table: Path, picture: Path) -> None:
    """Draw the overview as a PNG."""
    from matplotlib.figure import Figure

    shown = read(table)
    figure = Figure(figsize=(9, 2.9), layout="constrained", dpi=110)
    axes = figure.subplots(1, 2 if shown.bottleneck else 1, squeeze=False)[0]
    for scores, label, colour in (
        (shown.codec, f"EnCodec ({shown.checkpoint})", "#1f6f8b"),
        (shown.mel, "mel + Griffin-Lim, as many bits", "#c8762c"),
    ):
        if len(scores):
            axes[0].plot(scores.index, scores["stoi"], "o-", color=colour, label=label)
    axes[0].axhline(shown.floor, color="grey", linestyle=":", label="noise")
    axes[0].set(xscale="log", xlabel="bandwidth (kbps)", ylabel="STOI", ylim=(0, 1), title="Speech through the codec")
    axes[0].set_xticks(shown.codec.index, [f"{kbps:g}" for kbps in shown.codec.index])
    axes[0].minorticks_off()
    axes[0].legend(frameon=False, fontsize=8)
    if shown.bottleneck:
        labels = [label.replace(", ", ",\n") for label in shown.bottleneck]
        axes[1].barh(labels, list(shown.bottleneck.values()), color="#1f6f8b")
        axes[1].invert_yaxis()
        axes[1].tick_params(axis="y", labelsize=8)
        axes[1].set(xlabel="STOI", xlim=(0, 1), title="Held-out sound")
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
    with replacing(picture) as temporary:
        figure.savefig(temporary, metadata={"Software": None})
