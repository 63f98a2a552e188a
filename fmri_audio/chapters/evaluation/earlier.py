"""What bandwidth buys, before any brain: the two chapters that ran at every bandwidth, side by side."""

from __future__ import annotations

import pandas as pd

from fmri_audio.chapters.evaluation.opening import kind_of
from fmri_audio.experiments.held_out import HeldOut
from fmri_audio.pages.page import Table
from fmri_audio.sound import scoring

CODEC, BOTTLENECK = "codec, held-out block", "frozen bottleneck, noise-free, quantised again"
"""Rows of the held-out block."""

ROWS = {
    ("roundtrip", "whole"): "codec, whole recording",
    ("roundtrip", "held-out"): CODEC,
    ("frozen", "held-out"): BOTTLENECK,
}
"""Arm and stretch of sound → what its row is called."""


def across_bandwidths(held_out: HeldOut) -> pd.DataFrame:
    """Read the mean scores of all bandwidths from the tables of chapters 3 and 6.

    Returns
    -------
    DataFrame
        ``row`` (of :data:`ROWS`), ``bandwidth_kbps`` and a column per metric.
    """
    found = held_out.run.records("03-encodec", "13-matching")
    found = found[(found["segment"] == kind_of(held_out)) & (found["control"] == "none")]
    found = found[(found["representation"] == "encodec-codes") & (found["arm"] != "codes")]
    stretches = ["held-out" if fold == "held-out" else "whole" for fold in found["fold"].fillna("")]
    named = found.assign(row=[ROWS[where] for where in zip(found["arm"], stretches, strict=True)])
    wide = named.pivot_table(index=["row", "bandwidth_kbps"], columns="metric", values="value").reset_index()
    return wide[["row", "bandwidth_kbps", *(metric for metric in scoring.METRIC_NAMES if metric in wide)]]


def table(held_out: HeldOut, across: pd.DataFrame) -> Table:
    """Show the scores of all bandwidths."""
    run = held_out.run
    caption = (
        f"Means over windows of {kind_of(held_out)} from {run.stimulus.name}, weights {run.checkpoint.id}. Noise-free: "
        f"the model's own bottleneck of {held_out.n_units} units and rank {held_out.settings.rank}; no brain involved."
    )
    frame = across.rename(columns={"row": "", "bandwidth_kbps": "kbps", **scoring.LABELS})
    return Table(frame, caption, {**scoring.FORMATS, "kbps": "g"})


def values(across: pd.DataFrame) -> dict[str, float]:
    """Return over what range bandwidth moves the mel distance, and what the bottleneck costs at the highest."""
    distance = across.set_index(["row", "bandwidth_kbps"])["mel_distance_db"]
    codec, bottleneck = distance[CODEC], distance[BOTTLENECK]
    highest = across["bandwidth_kbps"].max()
    return {
        "nearest": float(bottleneck.index[int(bottleneck.argmin())]),
        "codec_spread": float(codec.max() - codec.min()),
        "bottleneck_spread": float(bottleneck.max() - bottleneck.min()),
        "highest": float(highest),
        "bottleneck_cost": float(bottleneck[highest] - codec[highest]),
    }
