"""The appendix on speed: sentences and numbers of the benchmark."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from fmri_audio.chapters import speed
from fmri_audio.pages import benchmarks


def bench(*rows: tuple[str, str, str, float]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["direction", "contender", "metric", "value"])
    return frame.assign(n=3, minutes=2.0, threads=1, hardware="CPU, 2 cores")


def test_only_what_was_timed_has_a_table() -> None:
    tables = speed.coding_tables(
        bench(("decode", "ours", "times_ours", 1.0), ("train", "mel", "seconds", 1.0))
    )
    assert list(tables) == [
        "Decoding, sound of 2 min at full width (random weights, CPU, 2 cores, threads used: 1): medians of 3 "
        "interleaved repetitions"
    ]


def test_the_faster_of_two_earlier_ways_is_cited() -> None:
    rows = [
        (way, name, "times_ours", value)
        for way, name, value in (
            ("encode", "loop", 2.0),
            ("encode", "package", 1.5),
            ("decode", "loop", 1.1),
            ("decode", "package", 3.0),
            ("encode", "loop-all", 9.0),
        )
    ]
    said = speed.coding_said(bench(*rows, ("encode", "ours", "codes_differing_first_8", 0.0001)))
    assert (said["encode_faster"], said["decode_faster"], said["loop_all"]) == (1.5, 1.1, 9.0)
    assert said["differing"] == pytest.approx(0.01) and math.isnan(float(said["difference"]))
    assert (
        said["on_gpu"] == "On a GPU it was not measured."
        and said["machine"] == "CPU, 2 cores, threads used: 1"
    )


def test_masking_and_training_are_cited_as_multiples() -> None:
    spent = {
        (".nii", "ours"): 2.0,
        (".nii", "nilearn"): 8.0,
        (".nii.gz", "ours"): 10.0,
        (".nii.gz", "nilearn"): 15.0,
    }
    rows = [(f"mask {file}", way, "processor_seconds", value) for (file, way), value in spent.items()]
    said = speed.masking_said(bench(*rows, ("mask .nii", "ours", "least_correlation", 0.999)))
    assert said == {"mask_nii": 4.0, "mask_gz": 1.5, "mask_same": 0.999}
    moved = speed.training_said(bench(("train", "finetuned", "processor_times_frozen", 1.8)))
    assert moved["finetuned_step"] == 1.8 and math.isnan(float(moved["frozen_step_full"]))


def test_ridge_names_its_size_and_the_largest_differences() -> None:
    sizes = {
        "predictors": 4000.0,
        "targets": 128.0,
        "training_trs": 900.0,
        "penalties_tried": 20.0,
        "folds": 5.0,
    }
    rows = [("ridge 1000", "ours", metric, value) for metric, value in sizes.items()]
    for way, times, differing in (("scikit-learn", 6.0, 0.01), ("scikit-learn-kernel", 2.0, 0.02)):
        found = {"processor_times_ours": times, "penalties_differing": differing, "largest_difference": 1e-4}
        rows += [("ridge 1000", way, metric, value) for metric, value in found.items()]
    measured = bench(("ridge 1000", "ours", "processor_times_ours", 1.0), *rows)
    assert speed.ridge_sizes(measured) == (
        "from 4,000 predictors to 128 targets over 900 training TRs, 20 penalties and 5 folds"
    )
    said = speed.ridge_said(measured)
    plain, kernel = benchmarks.RIDGE["scikit-learn"], benchmarks.RIDGE["scikit-learn-kernel"]
    assert said["ridge_times"] == f"{plain}: 6.00; {kernel}: 2.00"
    assert (said["ridge_other"], said["ridge_difference"]) == (2.0, 1e-4)


def test_the_making_of_the_book_is_told_in_minutes() -> None:
    rows = bench(("book demo", "whole", "seconds", 1800.0), ("book demo", "whole", "jobs", 2.0))
    assert speed.book_said(rows) == (
        "Where the time of the demo edition (2 minutes of sound) goes when it is made from nothing: 30 minutes from "
        "the command to the last page, 2 steps at a time (CPU, 2 cores, cores: 1)"
    )


def test_what_was_measured_last_can_be_cited() -> None:
    measured = benchmarks.read()
    cited = {
        **speed.coding_said(measured),
        **speed.masking_said(measured),
        **speed.training_said(measured),
        **speed.ridge_said(measured),
    }
    assert all(math.isfinite(value) for value in cited.values() if isinstance(value, float))
