"""The benchmark in a reader's words: tables of ``results/bench.csv`` for the pages, as they were measured."""

from __future__ import annotations

import re

import pandas as pd

from fmri_audio.bottleneck.arms import ARM_LABELS

CODECS = {"train": "demo weights", "train full width": "random weights at full width"}
"""With which codec training steps were timed, by direction."""

RIDGE = {
    "ours": "this package (himalaya)",
    "scikit-learn": "scikit-learn, a kernel for every fold and penalty",
    "scikit-learn-kernel": "scikit-learn, one kernel beforehand",
}
"""Ways of ridge regression, by contender."""

STEPS = {
    "resolve": "checking settings, sound and weights",
    "stimulus": "preparing the sound",
    "encoding": "encoding the sound",
    "study": "laying the study on disk",
    "pages": "rendering the pages",
}
"""Steps of the book that are no chapters."""

_BANDWIDTH = re.compile(r"-[0-9.]+kbps$")


def part_of(bench: pd.DataFrame, word: str) -> pd.DataFrame:
    """Rows of one part of the benchmark: those whose direction begins with a word."""
    return bench[bench["direction"].str.split().str[0] == word]


def measured_on(rows: pd.DataFrame) -> str:
    """Say on what a part's rows were measured, and how often."""
    first, most = rows.iloc[0], int(rows["n"].max())
    often = "measured once" if most == 1 else f"medians of {most} interleaved repetitions"
    return f"{first['hardware']}, threads used: {first['threads']}; {often}"


def training_table(bench: pd.DataFrame) -> pd.DataFrame:
    """Training steps of every arm, a row per codec and arm."""
    wide = _wide(part_of(bench, "train"))
    return pd.DataFrame({
        "Arm": wide["contender"].map(ARM_LABELS) + ", " + wide["direction"].map(CODECS),
        "steps per second": wide["steps_per_second"],
        "processor seconds per step": wide["processor_seconds"],
        "time relative to frozen": wide["times_frozen"],
        "processor time relative to frozen": wide["processor_times_frozen"],
        "memory above the start (MB)": wide["peak_megabytes"],
    })  # fmt: skip


def ridge_table(bench: pd.DataFrame) -> pd.DataFrame:
    """Ridge regression of one subject, a row per number of voxels and way."""
    wide = _wide(part_of(bench, "ridge"))
    voxels = wide["direction"].str.split().str[1].astype(int)
    return pd.DataFrame({
        "Way": wide["contender"].map(RIDGE),
        "voxels": voxels.map("{:,}".format),
        "seconds": wide["seconds"],
        "processor seconds": wide["processor_seconds"],
        "processor time relative to ours": wide["processor_times_ours"],
        "memory above the start (MB)": wide["peak_megabytes"],
        "other penalties": wide["penalties_differing"],
        "largest difference (SD)": wide["largest_difference"],
    })  # fmt: skip


def book_table(bench: pd.DataFrame) -> pd.DataFrame:
    """Where the time of the book went, longest first: a row per chapter, over all its bandwidths, and per other step.

    Empty if no edition's making has been recorded.
    """
    rows = part_of(bench, "book")
    wide = _wide(rows[rows["contender"] != "whole"])
    if wide.empty:
        return pd.DataFrame(columns=["Step", "executions", "seconds", "processor seconds", "share"])
    chapter = wide["contender"].str.replace(_BANDWIDTH, "", regex=True)
    grouped = wide.assign(step=chapter.map(lambda name: STEPS.get(name, f"chapter {name}"))).groupby("step")
    table = pd.DataFrame({
        "executions": grouped.size(), "seconds": grouped["seconds"].sum(),
        "processor seconds": grouped["processor_seconds"].sum(), "share": grouped["share"].sum(),
    })  # fmt: skip
    return table.sort_values("seconds", ascending=False, kind="stable").reset_index(names="Step")


def _wide(rows: pd.DataFrame) -> pd.DataFrame:
    """A column per metric, rows in the order of the table."""
    return rows.pivot_table(
        index=["direction", "contender"], columns="metric", values="value", sort=False
    ).reset_index()
