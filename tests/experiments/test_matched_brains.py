"""Simulated brains beside real ones: a fit finds what was put in, and the table is that of this code."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from fmri_audio.base.settings import VOXELS, project_root
from fmri_audio.decoding.series import Recorded
from fmri_audio.experiments import calibration, matched_brains
from fmri_audio.experiments.matched_brains import ALICE, FITTED, MatchedRow, Sounds
from fmri_audio.experiments.region_facts import N_REGIONS, Regions, choose_regions, facts_of
from fmri_audio.simulation.grid import Grid
from fmri_audio.simulation.scanner_noise import Noise
from fmri_audio.simulation.voxel_models import VOXEL_MODELS, VoxelModel
from fmri_audio.sound.acoustics import acoustic_features

TR = Fraction(2)
RUNS = [(0, 150), (150, 320)]


def looked_at(sounds: Sounds, model: VoxelModel, like: Recorded, seed: int) -> dict[str, float]:
    regions = Regions.of(matched_brains.simulated(sounds, model, like, seed))
    return matched_brains.means([facts_of(regions, choose_regions(regions))])


@pytest.fixture(scope="module")
def sounds() -> Sounds:
    heard = calibration.opening_of_the_play()
    return Sounds(acoustic_features(heard.waveform, heard.sample_rate))


def recorded(n_subjects: int) -> Recorded:
    bold = {k: np.zeros((320, 5), np.float32) for k in range(1, n_subjects + 1)}
    return Recorded(bold, {"level": np.zeros(320)}, RUNS, ["1", "2"], TR, 0)


def test_regions_are_compact_cover_everything_and_keep_to_their_part() -> None:
    grid = Grid.of_shape(matched_brains.SHAPE)
    weights = matched_brains.regions_of(grid)
    assert np.allclose(weights.sum(axis=0), 1) and ((weights > 0).sum(axis=1) == 1).all()
    active = grid.active[grid.tissue]
    inside = (weights[active] > 0).any(axis=0)
    assert not (inside & (weights[~active] > 0).any(axis=0)).any()
    assert inside.sum() >= N_REGIONS
    sizes = (weights > 0).sum(axis=0)
    assert 0.5 < sizes.mean() / matched_brains.REGION_VOXELS < 1.5
    spheres = matched_brains.sphere(grid)
    assert spheres.shape[1] == 2 and 25 <= (spheres[:, 0] > 0).sum() <= 40


def test_a_fit_comes_near_the_quantities_of_brains_that_it_did_not_make(sounds: Sounds) -> None:
    """Listeners of another model stand in for real ones; a fit that starts elsewhere brings its own to them."""
    truth = VoxelModel(0.7, 16.0, 0.3, 0.5, 0.3, Noise(5.0, 0.45, 0.06, 0.2))
    like = recorded(8)
    real = looked_at(sounds, truth, like, 7)
    start = replace(VOXEL_MODELS["smooth"], strength=0.1, unheard=0.2, level=0.5)
    said: list[str] = []
    found = matched_brains.fit(sounds, start, like, real, said.append)
    after = looked_at(sounds, found, like, 8)
    for name in FITTED:
        assert after[name] == pytest.approx(real[name], abs=0.12), name
    assert found.smooth == start.smooth and found.noise.fwhm_mm == start.noise.fwhm_mm
    assert len(said) <= matched_brains.ROUNDS


def test_a_step_moves_every_number_towards_its_quantity() -> None:
    model = VOXEL_MODELS["between"]
    found = dict.fromkeys(FITTED, 0.3)
    still = matched_brains.moved(model, found, found)
    assert (still.strength, still.unheard, still.level) == pytest.approx(
        (model.strength, model.unheard, model.level)
    )
    assert still.noise.drift_variance == pytest.approx(model.noise.drift_variance)
    more = matched_brains.moved(model, dict.fromkeys(FITTED, 0.5), found)
    assert more.strength > model.strength and more.unheard < model.unheard and more.level > model.level
    assert more.noise.common > model.noise.common and more.noise.drift_variance > model.noise.drift_variance
    assert more.noise.autocorrelation > model.noise.autocorrelation
    assert (more.smooth, more.noise.fwhm_mm) == (model.smooth, model.noise.fwhm_mm)
    louder = matched_brains.moved(model, found | {"explained by level": 0.4}, found)
    assert louder.level > model.level and replace(louder, level=model.level) == model
    near = {name: value + 0.9 * matched_brains.NEAR for name, value in found.items()}
    assert matched_brains.moved(model, near, found) == model


def test_the_regions_that_follow_the_level_are_those_of_auditory_cortex(sounds: Sounds) -> None:
    like = recorded(4)
    for name in VOXELS:
        regions = Regions.of(matched_brains.simulated(sounds, VOXEL_MODELS[name], like, 3))
        grid = Grid.of_shape(matched_brains.SHAPE)
        weights = matched_brains.regions_of(grid)[:, choose_regions(regions).sound]
        assert not weights[~grid.active[grid.tissue]].any(), name


def test_a_part_is_its_runs_joined() -> None:
    bold = {1: np.arange(640, dtype=np.float32).reshape(320, 2)}
    what = Recorded(bold, {"level": np.arange(320.0)}, RUNS, ["1", "2"], TR, 0)
    some = matched_brains.part(what, ["2"])
    assert some.runs == [(0, 170)] and some.names == ["2"]
    assert np.array_equal(some.bold[1], bold[1][150:]) and some.heard["level"][0] == 150
    both = matched_brains.part(what, ["1", "2"])
    assert both.runs == RUNS and np.array_equal(both.bold[1], bold[1])


def test_rows_say_which_models_agree() -> None:
    made = {"smooth": {"pairs": 0.3}, "between": {"pairs": 0.37}, "fine": {"pairs": 0.5}}
    values = np.array([0.25, 0.31, 0.37])

    def only(of: str, found: np.ndarray, fitted: bool) -> MatchedRow:
        [row] = matched_brains.rows_of(of, {"pairs": found}, made, fitted, "abc")  # type: ignore[arg-type]
        return row

    row = only("runs 1", values, True)
    assert (row.agrees, row.kind, row.fine) == ("smooth between", "fitted", 0.5)
    assert row.real == pytest.approx(0.31) and row.real_low is not None and row.real_low < 0.25
    row = only("runs 2", 0.6 + values, False)
    assert (row.agrees, row.kind) == ("none", "check")
    row = only("published", np.array([0.31]), False)
    assert (row.agrees, row.real_low) == ("smooth between", None)


def table() -> list[MatchedRow]:
    return matched_brains.read()


def test_the_table_is_that_of_this_code_and_these_models() -> None:
    rows = table()
    assert {row.made_by for row in rows} == {matched_brains.decided_by()}, "stale: run `make matched-brains`"
    assert {row.of for row in rows} == {"runs 1, 3, 5, 7", "runs 2, 4, 6", "Alice in Wonderland"}
    assert {row.quantity for row in rows if row.kind == "fitted"} == set(FITTED)
    assert {row.kind for row in rows if row.of == "runs 2, 4, 6"} == {"check", "follows"}
    assert {row.quantity for row in rows if row.of.startswith("Alice")} == set(ALICE)


def test_models_were_brought_to_what_was_fitted() -> None:
    for row in table():
        if row.kind == "fitted":
            assert row.agrees.split() == list(VOXELS), row


def test_a_missing_table_names_its_command(tmp_path: Path) -> None:
    with pytest.raises(matched_brains.UserError, match="make matched-brains"):
        matched_brains.read(tmp_path / "none.csv")
    assert (project_root() / matched_brains.TABLE).parent.is_dir()
