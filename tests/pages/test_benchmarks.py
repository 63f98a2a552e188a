"""The benchmark's tables for readers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fmri_audio.pages import benchmarks
from programs.benchmarks.masking import CONTENDERS as MASKING
from programs.benchmarks.ridge import CONTENDERS as RIDGE
from programs.benchmarks.training import DIRECTIONS
from programs.workflow.plan import STEPS
from programs.workflow.times import PAGES, RESOLVE


def table(*rows: tuple[str, str, str, float]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["direction", "contender", "metric", "value"])
    return frame.assign(n=2, threads=1, hardware="CPU, 2 cores")


def test_everything_measured_has_a_reader_s_name() -> None:
    assert set(benchmarks.CODECS) == set(DIRECTIONS)
    assert set(benchmarks.RIDGE) == set(RIDGE)
    assert {"launched", "package-float32"} < set(benchmarks.CODING)
    assert set(benchmarks.MASKING) == set(MASKING)
    assert set(benchmarks.BOOK_STEPS) == {RESOLVE, *STEPS, PAGES}


def test_training_steps_are_named_by_arm_and_codec() -> None:
    metrics = {
        "steps_per_second": 2.0,
        "processor_seconds": 0.4,
        "times_frozen": 1.5,
        "processor_times_frozen": 1.6,
        "peak_megabytes": 100.0,
    }
    rows = [("train full width", "finetuned", metric, value) for metric, value in metrics.items()]
    shown = benchmarks.training_table(table(("encode", "ours", "seconds", 1.0), *rows))
    assert shown.to_dict("records") == [
        {
            "Arm": "fine-tuned, random weights at full width",
            "steps per second": 2.0,
            "processor seconds per step": 0.4,
            "time relative to frozen": 1.5,
            "processor time relative to frozen": 1.6,
            "memory above the start (MB)": 100.0,
        }
    ]


def test_ridge_names_its_size_and_leaves_undefined_what_ours_has_no_difference_to() -> None:
    metrics = ("seconds", "processor_seconds", "processor_times_ours", "peak_megabytes")
    rows = [("ridge 4000", name, metric, 3.0) for name in RIDGE for metric in metrics]
    others = [
        ("ridge 4000", name, metric, 0.5)
        for name in RIDGE[1:]
        for metric in ("penalties_differing", "largest_difference")
    ]
    shown = benchmarks.ridge_table(table(*rows, *others))
    assert (shown["voxels"] == "4,000").all() and len(shown) == len(RIDGE)
    assert np.isnan(shown["other penalties"].iloc[0]) and (shown["other penalties"].iloc[1:] == 0.5).all()


def test_bandwidths_of_a_chapter_are_one_row_and_shares_add_up() -> None:
    steps = {"encoding": 10.0, "03-encodec-1.5kbps": 20.0, "03-encodec-12kbps": 30.0, "04-bandwidths": 40.0}
    rows = [
        ("book demo", name, metric, value)
        for name, seconds in steps.items()
        for metric, value in (("seconds", seconds), ("processor_seconds", seconds), ("share", seconds / 100))
    ]
    shown = benchmarks.book_table(table(*rows, ("book demo", "whole", "seconds", 60.0)))
    assert shown["Step"].to_list() == ["chapter 03-encodec", "chapter 04-bandwidths", "encoding the sound"]
    assert shown["executions"].to_list() == [2, 1, 1] and shown["seconds"].to_list() == [50, 40, 10]
    assert shown["share"].sum() == pytest.approx(1)
    assert benchmarks.book_table(table(("encode", "ours", "seconds", 1.0))).empty


def test_it_is_said_on_what_and_how_often() -> None:
    rows = table(("train", "mel", "seconds", 1.0))
    assert (
        benchmarks.measured_on(rows) == "CPU, 2 cores, threads used: 1; medians of 2 interleaved repetitions"
    )
    assert benchmarks.measured_on(rows.assign(n=1)).endswith("measured once")


def test_ways_through_the_codec_are_shown_in_a_reader_s_words() -> None:
    bench = benchmarks.read()
    for direction in benchmarks.DIRECTIONS:
        table = benchmarks.speed_table(bench, direction)
        assert table["Way"].iloc[0] == "this paper's stream, all codebooks"
        assert table["time relative to ours"].iloc[0] == 1
        assert table[["times real time", "memory (MB)"]].notna().all(axis=None)
    assert benchmarks.speed_figure(bench, "encode", "bound", "realtime_factor") > 1
    assert np.isnan(benchmarks.speed_figure(bench, "encode", "nobody", "seconds"))


def test_a_gpu_is_told_of_where_it_was_measured_and_as_far_as_it_was() -> None:
    rows = [
        ("encode gpu", "network", "times_bound", 0.8),
        ("decode gpu", "network", "times_bound", 1.3),
        ("encode gpu", "ours", "codes_differing_first_8", 0.002),
        ("encode", "ours", "times_ours", 1.0),
    ]
    bench = pd.DataFrame(rows, columns=["direction", "contender", "metric", "value"])
    told = benchmarks.on_gpu(bench)
    assert "takes 0.80 (encoding) and 1.30 (decoding)" in told and "0.20 % differ" in told
    assert benchmarks.on_gpu(bench[bench["contender"] != "ours"]).endswith("codes were not compared.")
    assert "before the stream replayed" in told and "switched off" not in told
    recorded = pd.DataFrame(
        [
            *rows,
            *((f"{way} gpu", "launched", "seconds", 3.0) for way in ("encode", "decode")),
            *((f"{way} gpu", "network", "seconds", 1.5) for way in ("encode", "decode")),
            *((f"{way} gpu", "ours", "first_seconds", 0.7) for way in ("encode", "decode")),
            ("encode gpu", "ours", "codes_differing_first_8_float32", 0.00001),
        ],
        columns=bench.columns,
    )
    told = benchmarks.on_gpu(recorded)
    assert "takes 2.00 and 2.00 times as long" in told and "takes 0.70 s and 0.70 s" in told
    assert told.endswith("With TF32 switched off 0.001 % differ.") and "before the stream" not in told
    assert benchmarks.on_gpu(bench[bench["direction"] == "encode"]) == "On a GPU it was not measured."


def test_masking_names_files_and_ways() -> None:
    metrics = {"seconds": 2.0, "processor_seconds": 3.0, "peak_megabytes": 100.0, "process_megabytes": 300.0}
    rows = [
        ("mask .nii.gz", way, metric, value)
        for way in benchmarks.MASKING
        for metric, value in metrics.items()
    ]
    shown = benchmarks.masking_table(table(*rows))
    assert shown["file"].to_list() == [".nii.gz, this package", ".nii.gz, nilearn's NiftiMasker"]
    assert shown.iloc[0, 1:].to_list() == [2.0, 3.0, 100.0, 300.0]
