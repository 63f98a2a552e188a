"""The benchmark in a reader's words: tables of ``results/bench.csv`` for the pages, as they were measured."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from fmri_audio.base.results import select
from fmri_audio.base.settings import project_root
from fmri_audio.bottleneck.arms import ARM_LABELS

GPU = " gpu"
"""What a direction ends on if it was measured on a GPU."""

DIRECTIONS = {
    "encode": "Encoding",
    "decode": "Decoding",
    f"encode{GPU}": "Encoding on a GPU",
    f"decode{GPU}": "Decoding on a GPU",
}
"""Ways through the codec that were timed."""

CODING = {
    "ours": "this paper's stream, all codebooks",
    "network": "the same, without the quantiser",
    "launched": "that without graphs, launch by launch",
    "bound": "bound: its convolutions and LSTM alone",
    "vocos": "Vocos, as large as the released one",
    "vocos-small": "Vocos, as large as the one trained here",
    "loop": "the note's loop, one call per TR",
    "loop-all": "the note's loop, at each bandwidth in turn",
    "package": "the encodec package, whole sound",
    "package-float32": "the same in full single precision",
    "hugging-face": "Hugging Face's EncodecModel, whole sound",
}
"""Ways of coding, by contender."""

CODECS = {"train": "demo weights", "train full width": "random weights at full width"}
"""With which codec training steps were timed, by direction."""

RIDGE = {
    "ours": "this package (himalaya)",
    "scikit-learn": "scikit-learn, a kernel for every fold and penalty",
    "scikit-learn-kernel": "scikit-learn, one kernel beforehand",
}
"""Ways of ridge regression, by contender."""

BOOK_STEPS = {
    "resolve": "checking settings, sound and weights",
    "stimulus": "preparing the sound",
    "encoding": "encoding the sound",
    "study": "laying the study on disk",
    "pages": "rendering the pages",
}
"""Steps of the book that are no chapters."""

MASKING = {"ours": "this package", "nilearn": "nilearn's NiftiMasker"}
"""Ways of masking, by contender."""

FORMATS = {
    "times real time": ".1f",
    "time relative to ours": ".2f",
    "memory (MB)": ",.0f",
    "seconds": ".1f",
    "processor seconds": ".1f",
    "memory above the start (MB)": ",.0f",
    "whole process (MB)": ",.0f",
    "steps per second": ".2f",
    "processor seconds per step": ".2f",
    "time relative to frozen": ".2f",
    "processor time relative to frozen": ".2f",
    "processor time relative to ours": ".2f",
    "other penalties": ".1%",
    "largest difference (SD)": ".1e",
}
"""Formats of what was measured, under the names of the tables' columns."""

BOOK_FORMATS = {"executions": "d", "seconds": ",.0f", "processor seconds": ",.0f", "share": ".1%"}
"""Formats of the columns of :func:`book_table`."""

_BANDWIDTH = re.compile(r"-[0-9.]+kbps$")


def read() -> pd.DataFrame:
    """Return what ``make bench`` measured last, in long form."""
    return pd.read_csv(project_root() / "results" / "bench.csv")


def part_of(bench: pd.DataFrame, word: str) -> pd.DataFrame:
    """Rows of one part of the benchmark: those whose direction begins with a word."""
    return bench[bench["direction"].str.split().str[0] == word]


def machine_of(rows: pd.DataFrame) -> str:
    """Say on what rows were measured."""
    first = rows.iloc[0]
    return f"{first['hardware']}, threads used: {first['threads']}"


def measured_on(rows: pd.DataFrame) -> str:
    """Say on what a part's rows were measured, and how often."""
    most = int(rows["n"].max())
    often = "measured once" if most == 1 else f"medians of {most} interleaved repetitions"
    return f"{machine_of(rows)}; {often}"


def speed_table(bench: pd.DataFrame, direction: str) -> pd.DataFrame:
    """One way through the codec, a row per contender.

    Parameters
    ----------
    bench
        ``results/bench.csv``, in long form.
    direction
        One of ``DIRECTIONS``.
    """
    found = bench[bench["direction"] == direction]
    wide = found.pivot_table(index="contender", columns="metric", values="value")
    wide = wide.reindex([name for name in CODING if name in wide.index])
    wide = wide.reindex(columns=["realtime_factor", "times_ours", "peak_megabytes"])
    wide.columns = pd.Index(["times real time", "time relative to ours", "memory (MB)"])
    return wide.rename(index=CODING).reset_index(names="Way")


def speed_figure(bench: pd.DataFrame, direction: str, contender: str, metric: str) -> float:
    """Return one figure of the benchmark, NaN where it was not measured."""
    found = select(bench, direction=direction, contender=contender, metric=metric)
    return float(found["value"].iloc[0]) if len(found) else float("nan")


def on_gpu(bench: pd.DataFrame) -> str:
    """Say how to read the tables of a GPU: what graphs and the bound are worth there, and how many codes differ."""
    if not bench["direction"].str.endswith(GPU).any():
        return "On a GPU it was not measured."
    encode, decode = (
        speed_figure(bench, f"{way}{GPU}", "network", "times_bound") for way in ("encode", "decode")
    )
    told = (
        f"On the GPU the network without its quantiser takes {encode:.2f} (encoding) and {decode:.2f} (decoding) times "
        "what its convolutions and LSTM take one after the other. Where that is below 1, it is no bound: starting the "
        "operations takes the time, not their arithmetic."
    )
    return " ".join([told, _graphs_told(bench), _codes_told(bench)])


def _graphs_told(bench: pd.DataFrame) -> str:
    """Say what replaying recorded graphs gains, and what it takes to record them."""
    launched = [speed_figure(bench, f"{way}{GPU}", "launched", "seconds") for way in ("encode", "decode")]
    network = [speed_figure(bench, f"{way}{GPU}", "network", "seconds") for way in ("encode", "decode")]
    if np.isnan(launched).any():
        return "It was measured before the stream replayed recorded graphs there."
    first = [speed_figure(bench, f"{way}{GPU}", "ours", "first_seconds") for way in ("encode", "decode")]
    return (
        f"Without graphs it takes {launched[0] / network[0]:.2f} and {launched[1] / network[1]:.2f} times as long; the "
        f"first sound, during which they are recorded, takes {first[0]:.2f} s and {first[1]:.2f} s."
    )


def _codes_told(bench: pd.DataFrame) -> str:
    """Say how many codes differ from the package's on a GPU, and why."""
    differing, precise = (
        speed_figure(bench, f"encode{GPU}", "ours", f"codes_differing_first_8{ending}")
        for ending in ("", "_float32")
    )
    if np.isnan(differing):
        return "The package was left out, so that codes were not compared."
    told = (
        f"Of the first eight codebooks' entries {100 * differing:.2f} % differ from the package's; by default "
        "PyTorch's convolutions, which the package has, round to ten bits there (TF32) and its matrix products, ours, "
        "do not."
    )
    return told if np.isnan(precise) else f"{told} With TF32 switched off {100 * precise:.3f} % differ."


def masking_table(bench: pd.DataFrame) -> pd.DataFrame:
    """One scan from its file to the matrix of a mask, a row per kind of file and way."""
    wide = _wide(part_of(bench, "mask"))
    file = wide["direction"].str.removeprefix("mask ") + ", " + wide["contender"].map(MASKING)
    return pd.DataFrame(
        {
            "file": file,
            "seconds": wide["seconds"],
            "processor seconds": wide["processor_seconds"],
            "memory above the start (MB)": wide["peak_megabytes"],
            "whole process (MB)": wide["process_megabytes"],
        }
    )


def training_table(bench: pd.DataFrame) -> pd.DataFrame:
    """Training steps of every arm, a row per codec and arm."""
    wide = _wide(part_of(bench, "train"))
    return pd.DataFrame(
        {
            "Arm": wide["contender"].map(ARM_LABELS) + ", " + wide["direction"].map(CODECS),
            "steps per second": wide["steps_per_second"],
            "processor seconds per step": wide["processor_seconds"],
            "time relative to frozen": wide["times_frozen"],
            "processor time relative to frozen": wide["processor_times_frozen"],
            "memory above the start (MB)": wide["peak_megabytes"],
        }
    )


def ridge_table(bench: pd.DataFrame) -> pd.DataFrame:
    """Ridge regression of one subject, a row per number of voxels and way."""
    wide = _wide(part_of(bench, "ridge"))
    voxels = wide["direction"].str.split().str[1].astype(int)
    return pd.DataFrame(
        {
            "Way": wide["contender"].map(RIDGE)
            + wide["direction"].str.endswith(GPU).map({True: ", GPU", False: ""}),
            "voxels": voxels.map("{:,}".format),
            "seconds": wide["seconds"],
            "processor seconds": wide["processor_seconds"],
            "processor time relative to ours": wide["processor_times_ours"],
            "memory above the start (MB)": wide["peak_megabytes"],
            "other penalties": wide["penalties_differing"],
            "largest difference (SD)": wide["largest_difference"],
        }
    )


def book_table(bench: pd.DataFrame) -> pd.DataFrame:
    """Where the time of the book went, longest first: a row per chapter, over all its bandwidths, and per other step.

    Empty if no edition's making has been recorded.
    """
    rows = part_of(bench, "book")
    wide = _wide(rows[rows["contender"] != "whole"])
    if wide.empty:
        return pd.DataFrame(columns=["Step", "executions", "seconds", "processor seconds", "share"])
    chapter = wide["contender"].str.replace(_BANDWIDTH, "", regex=True)
    grouped = wide.assign(step=chapter.map(lambda name: BOOK_STEPS.get(name, f"chapter {name}"))).groupby(
        "step"
    )
    table = pd.DataFrame(
        {
            "executions": grouped.size(),
            "seconds": grouped["seconds"].sum(),
            "processor seconds": grouped["processor_seconds"].sum(),
            "share": grouped["share"].sum(),
        }
    )
    return table.sort_values("seconds", ascending=False, kind="stable").reset_index(names="Step")


def _wide(rows: pd.DataFrame) -> pd.DataFrame:
    """A column per metric, rows in the order of the table."""
    return rows.pivot_table(
        index=["direction", "contender"], columns="metric", values="value", sort=False
    ).reset_index()
