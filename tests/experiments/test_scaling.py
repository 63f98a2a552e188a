"""The grid of subjects and minutes: a small one of it, its limits, and whether its table belongs to this code."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import joblib
import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from fmri_audio.base.errors import UserError
from fmri_audio.base.rows import write_rows
from fmri_audio.base.settings import VOXELS, project_root
from fmri_audio.decoding.identification import FEWEST_SHIFTS
from fmri_audio.experiments import calibration, scaling, scaling_table
from fmri_audio.experiments.calibration import Heard
from fmri_audio.experiments.scaling import Cell, Score


@pytest.fixture(scope="module")
def play() -> Heard:
    """Nine minutes of the play, so that excerpts of six differ."""
    return Heard.of(
        calibration.stimulus.prepare(
            calibration.load_settings("demo", {"stimulus": {"first_tr": 0, "n_trs": 360}})
        )
    )


def test_cells_are_means_with_their_intervals() -> None:
    scores = [
        {("single", 3): Score(0.6, 0.2, 0.1, True, 40, 20)},
        {("single", 3): Score(0.8, 0.4, 0.3, False, 42, 20)},
    ]
    found = {one.quantity: one for one in scaling.cells(scores, 6, 5, "abc")}
    assert {
        (one.minutes, one.subjects, one.decoder, one.n, one.seed, one.made_by) for one in found.values()
    } == {(6, 3, "single", 2, 5, "abc")}
    assert [found[name].value for name in ("pairwise", "ten_way", "correlation", "power")] == pytest.approx(
        [0.7, 0.3, 0.2, 0.5]
    )
    assert (found["pairwise"].segments, found["ten_way"].segments, found["power"].segments) == (41, 20, 41)
    half = 12.7062 * 0.1  # Student's t of one degree of freedom, standard error .1
    assert (found["pairwise"].ci_low, found["pairwise"].ci_high) == pytest.approx(
        (0.7 - half, 0.7 + half), abs=1e-4
    )
    assert (found["power"].ci_low, found["power"].ci_high) == pytest.approx(
        calibration.exact_interval(1, 2, 0.95)
    )


def test_more_subjects_help_the_group_and_not_the_mean_of_single_decoders(play: Heard) -> None:
    scores = [scaling.study(play, 6, seed, (1, 8)) for seed in range(4)]
    gained = {
        decoder: np.mean([one[decoder, 8].correlation - one[decoder, 1].correlation for one in scores])
        for decoder in ("single", "group")
    }
    assert gained["group"] > gained["single"] + 0.03
    for one in scores:
        assert one["single", 1] == one["group", 1]
    assert np.mean([one["group", 8].pairwise for one in scores]) > 0.6


def test_smaller_studies_are_the_first_subjects_of_larger_ones(play: Heard) -> None:
    small, large = scaling.study(play, 6, 3, (2,)), scaling.study(play, 6, 3, (2, 3))
    assert small["single", 2] == large["single", 2]
    assert small["group", 2] == large["group", 2]
    assert scaling.study(play, 6, 4, (2,))["group", 2] != small["group", 2]


def test_the_same_seed_gives_the_same_table_whatever_the_processes(play: Heard, tmp_path: Path) -> None:
    # As many threads in every process: numbers are added up in another order where there are more.
    with threadpool_limits(1), joblib.parallel_config("loky", inner_max_num_threads=1):
        for jobs in (1, 2):
            rows = scaling.scale(play, {6: 2}, 7, jobs, lambda line: None, subjects=(1, 2))
            write_rows(rows, tmp_path / f"{jobs}.csv")
    assert (tmp_path / "1.csv").read_bytes() == (tmp_path / "2.csv").read_bytes()
    assert len(rows) == len(VOXELS) * 2 * 2 * 4 and {one.voxels for one in rows} == set(VOXELS)
    known = scaling_table.read(tmp_path / "1.csv")
    assert [replace(one, value=0, ci_low=0, ci_high=0, segments=0) for one in known] == [
        replace(one, value=0, ci_low=0, ci_high=0, segments=0) for one in rows
    ]


def test_sound_is_neither_repeated_nor_too_short_to_test(play: Heard) -> None:
    with pytest.raises(
        UserError, match=r"10 min: the embedded play lasts 9.0 min, and sound is not repeated"
    ):
        scaling.check(10, play)
    scaling.check(9, play)
    with pytest.raises(UserError, match=rf"3 min: 95 admissible shifts, at least {FEWEST_SHIFTS} are needed"):
        scaling.check(3, play)
    with pytest.raises(UserError, match="1 studies give no interval"):
        scaling.scale(play, {6: 1}, 0, 1, lambda line: None)


def test_what_is_asked_wrongly_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, play: Heard
) -> None:
    monkeypatch.setattr(calibration, "whole_play", lambda: None)
    monkeypatch.setattr(calibration.Heard, "of", classmethod(lambda cls, heard: play))
    sentence = "^48 min: the embedded play lasts 9.0 min, and sound is not repeated; ask for less$"
    with pytest.raises(UserError, match=sentence):
        scaling.main(["--minutes", "48", "--out", str(tmp_path / "t.csv")])
    assert not (tmp_path / "t.csv").exists()


def made(minutes: int, subjects: int, value: float, low: float, quantity: str = "pairwise") -> Cell:
    return Cell(minutes, subjects, "group", quantity, value, low, value + 0.1, 8, 40.0, 0, "abc")


def test_the_cheapest_cell_reaches_the_target_with_its_whole_interval() -> None:
    grid = [
        made(6, 17, 0.85, 0.75),
        made(12, 9, 0.84, 0.81),
        made(23, 3, 0.86, 0.82),
        made(23, 9, 0.9, 0.85, "power"),
    ]
    found = scaling_table.cheapest(grid, "pairwise", 0.8)
    assert found == grid[2]
    assert scaling_table.cheapest(grid, "pairwise", 0.7) == grid[2]
    assert scaling_table.cheapest(grid, "pairwise", 0.9) is None
    everywhere = [replace(one, voxels=name) for name in VOXELS for one in grid]
    said = scaling_table.where_reached(everywhere, "pairwise", 0.8).split("; ")
    assert said == [
        f"with {name} voxels it is reached first with 3 subjects and 23 min (group decoder, 0.86, 0.82 to 0.96)"
        for name in VOXELS
    ]
    assert "it is reached in no cell; the best is 3 " in scaling_table.where_reached(
        everywhere, "pairwise", 0.9
    )


def test_a_span_goes_from_the_lowest_model_of_a_voxel_to_the_highest() -> None:
    grid = [
        replace(made(6, 3, value, value - 0.02), voxels=name)
        for name, value in zip(VOXELS, (0.6, 0.7, 0.65), strict=True)
    ]
    found = scaling_table.span(grid, 6, 3, "group", "pairwise")
    assert (found.low, found.high, found.middle) == pytest.approx((0.6, 0.7, 0.65))
    assert found.said == "0.60 to 0.70 (0.58 to 0.80)"
    with pytest.raises(KeyError, match="there are smooth, between"):
        scaling_table.span(grid[:2], 6, 3, "group", "pairwise")
    with pytest.raises(KeyError, match="there are none"):
        scaling_table.span(grid, 12, 3, "group", "pairwise")


def test_the_table_is_that_of_this_code_and_grid() -> None:
    cells = scaling_table.read()
    decided_by = calibration.decided_by("fmri_audio.experiments.scaling")
    assert {one.made_by for one in cells} == {decided_by}, "stale: run `make scaling`"
    assert {(one.minutes, one.n) for one in cells} == set(scaling.STUDIES.items())
    grid = {(minutes, count) for minutes in scaling.STUDIES for count in scaling.SUBJECTS}
    for voxels, decoder in itertools.product(VOXELS, ("single", "group")):
        for quantity in scaling_table.QUANTITIES:
            asked = (voxels, decoder, quantity)
            found = [one for one in cells if (one.voxels, one.decoder, one.quantity) == asked]
            assert {(one.minutes, one.subjects) for one in found} == grid
            assert all(one.ci_low <= one.value <= one.ci_high for one in found)


def test_a_missing_table_names_its_command(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="make it with `make scaling`"):
        scaling_table.read(tmp_path / "none.csv")
    assert (project_root() / scaling.TABLE).parent.is_dir()
