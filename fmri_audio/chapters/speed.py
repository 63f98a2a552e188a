"""Chapter 11, how fast it is: what ``make bench`` measured, in sentences and numbers that the text cites."""

from __future__ import annotations

import pandas as pd

from fmri_audio.pages.benchmarks import (
    DIRECTIONS,
    RIDGE,
    machine_of,
    on_gpu,
    part_of,
    speed_figure,
    speed_table,
)


def coding_tables(bench: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return a table for each way through the codec that was timed, under what it shows."""
    tables = {}
    for direction, doing in DIRECTIONS.items():
        rows = bench[bench["direction"] == direction]
        if len(rows):
            shown = (
                f"{doing}, sound of {rows['minutes'].iloc[0]:g} min at full width (random weights, "
                f"{machine_of(rows)}): medians of {rows['n'].max()} interleaved repetitions"
            )
            tables[shown] = speed_table(bench, direction)
    return tables


def coding_said(bench: pd.DataFrame) -> dict[str, float | str]:
    """Return what the text cites of the codec's speed, and how far its codes are the package's."""
    said: dict[str, float | str] = {}
    for direction in ("encode", "decode"):
        earlier = [speed_figure(bench, direction, way, "times_ours") for way in ("loop", "package")]
        said[f"{direction}_faster"] = min(earlier)
        said[f"{direction}_bound"] = speed_figure(bench, direction, "network", "times_bound")
    return {
        **said,
        "loop_all": speed_figure(bench, "encode", "loop-all", "times_ours"),
        "on_gpu": on_gpu(bench),
        "machine": machine_of(bench[bench["direction"] == "encode"]),
        "differing": 100 * speed_figure(bench, "encode", "ours", "codes_differing_first_8"),
        "differing_all": 100 * speed_figure(bench, "encode", "ours", "codes_differing_all"),
        "difference": speed_figure(bench, "decode", "ours", "largest_difference"),
    }


def masking_said(bench: pd.DataFrame) -> dict[str, float | str]:
    """Return how many times our processor time nilearn takes to mask a scan, and how alike the results are."""
    rows = part_of(bench, "mask")
    spent = {
        (direction, way): speed_figure(bench, f"mask {direction}", way, "processor_seconds")
        for direction in (".nii", ".nii.gz")
        for way in ("nilearn", "ours")
    }
    return {
        "mask_nii": spent[".nii", "nilearn"] / spent[".nii", "ours"],
        "mask_gz": spent[".nii.gz", "nilearn"] / spent[".nii.gz", "ours"],
        "mask_same": float(rows.loc[rows["metric"] == "least_correlation", "value"].min()),
    }


def training_said(bench: pd.DataFrame) -> dict[str, float | str]:
    """Return what a training step takes when the codec's weights move, and a frozen one at full width."""
    moved, full = "processor_times_frozen", "train full width"
    return {
        "finetuned_step": speed_figure(bench, "train", "finetuned", moved),
        "finetuned_step_full": speed_figure(bench, full, "finetuned", moved),
        "frozen_step_full": speed_figure(bench, full, "frozen", "processor_seconds"),
    }


def ridge_sizes(bench: pd.DataFrame) -> str:
    """Say how large the regression is."""
    rows = part_of(bench, "ridge")
    sizes = rows[rows["contender"] == "ours"].set_index("metric")["value"]
    return (
        f"from {sizes['predictors']:,.0f} predictors to {sizes['targets']:.0f} targets over "
        f"{sizes['training_trs']:.0f} training TRs, {sizes['penalties_tried']:.0f} penalties and "
        f"{sizes['folds']:.0f} folds"
    )


def ridge_said(bench: pd.DataFrame) -> dict[str, float | str]:
    """Return what other ways of ridge regression take, and how far they differ from ours."""
    rows = part_of(bench, "ridge")
    values = {metric: of.set_index("contender")["value"] for metric, of in rows.groupby("metric")}
    times = values["processor_times_ours"].drop("ours")
    return {
        "ridge_times": "; ".join(f"{RIDGE[str(name)]}: {value:.2f}" for name, value in times.items()),
        "ridge_other": 100 * float(values["penalties_differing"].max()),
        "ridge_difference": float(values["largest_difference"].max()),
    }


def book_said(bench: pd.DataFrame) -> str:
    """Say what was made, in how many minutes, and on what."""
    rows = part_of(bench, "book")
    first, edition = rows.iloc[0], str(rows["direction"].iloc[0]).split()[1]
    whole = rows[rows["contender"] == "whole"].set_index("metric")["value"]
    return (
        f"Where the time of the {edition} edition ({first['minutes']:g} minutes of sound) goes when it is made from "
        f"nothing: {whole['seconds'] / 60:.0f} minutes from the command to the last page, {whole['jobs']:.0f} steps "
        f"at a time ({first['hardware']}, cores: {first['threads']})"
    )
