"""What a simulated brain lends a code: its drive, through its own response, is its own signal; its noise its own."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import soundfile as sf

from fmri_audio.base.settings import FAMILIES, VOXELS, project_root
from fmri_audio.bottleneck.brain_like import BrainLike
from fmri_audio.bottleneck.voxels import Channel, InTime
from fmri_audio.simulation.brains import UNHEARD, Simulation, plan_simulation
from fmri_audio.simulation.grid import Grid
from fmri_audio.simulation.haemodynamics import above_drift
from fmri_audio.simulation.scanner_noise import noise_chunks
from fmri_audio.sound.acoustics import FEATURE_RATE, Features, acoustic_features
from fmri_audio.study.facts import Run
from tests.study.conftest import SHAPE

TR, N_TRS = Fraction(3, 2), 160
RUNS = [Run(name="1", first_tr=0, n_trs=N_TRS)]


@pytest.fixture(scope="module")
def features() -> Features:
    path = project_root() / "stimulus" / "part1.ogg"
    rate = sf.info(path).samplerate
    sound, _ = sf.read(path, frames=N_TRS * 3 * rate // 2, dtype="float32")
    return acoustic_features(sound, rate)


@pytest.fixture(scope="module", params=VOXELS)
def simulation(request: pytest.FixtureRequest, features: Features) -> Simulation:
    return plan_simulation(
        features, Grid.of_shape(SHAPE), RUNS, TR, seed=3, families=FAMILIES, voxels=request.param
    )


@pytest.fixture(scope="module")
def brain(simulation: Simulation) -> BrainLike:
    return BrainLike.of(simulation)


def test_the_drive_through_the_response_has_the_share_that_listeners_have_in_common(
    simulation: Simulation, brain: BrainLike
) -> None:
    population = simulation.sound
    frames = round(FEATURE_RATE * TR)
    per_tr = population.process.values.reshape(-1, N_TRS, frames).mean(2).T
    # The patterns span the drive, so that numbers that are the drive's own courses give it back.
    patterns = brain.tuning / np.linalg.norm(brain.tuning, axis=0)
    followed = InTime.of(N_TRS, TR, after=0.0).forward @ (per_tr - per_tr.mean(0))
    scale = above_drift(followed, RUNS, TR).std(axis=0)
    scale[scale < 1e-9] = np.inf
    heard = np.array([family != UNHEARD for family in population.process.families])
    weights = population.weights * heard[:, None] * np.sqrt(population.share)
    signal = above_drift(followed, RUNS, TR) / scale @ weights
    left_out = signal - signal @ patterns @ patterns.T
    assert np.square(left_out).sum() < 1e-3 * np.square(signal).sum()
    # A volume of the study is taken within a TR of the response matrix's, hence not exactly.
    by_sound = population.share.mean() * (1 - simulation.voxels.unheard)
    assert np.var(signal, axis=0).mean() == pytest.approx(by_sound, rel=0.12)
    # The response passes slow drive alone: before it there is more.
    assert (brain.deviation**2).mean() > by_sound


def test_a_brain_that_follows_what_nobody_hears_tells_nothing_of_sound(simulation: Simulation) -> None:
    population = simulation.sound
    unheard = np.array([family == UNHEARD for family in population.process.families])
    deaf = replace(simulation, sound=replace(population, weights=population.weights * unheard[:, None]))
    brain = BrainLike.of(deaf)
    assert brain.rank == 0 and not brain.deviation.any()
    time = InTime.of(40, TR, brain.autocorrelation)
    assert Channel(brain.map(8, 0, ideal=False), time).bits(1.0) == 0


def test_the_noise_is_that_of_the_simulator(simulation: Simulation, brain: BrainLike) -> None:
    grid, like = simulation.grid, simulation.voxels.noise
    kept = grid.active[grid.box]
    long = Run(name="1", first_tr=0, n_trs=1500)
    drawn = np.concatenate(
        list(noise_chunks(kept.shape, kept, grid.voxel_mm, long, TR, like, np.random.default_rng(0)))
    )
    drawn = above_drift(drawn, [long], TR) * np.sqrt(simulation.sound.noise_variance)
    found = np.cov(drawn.T)
    for low, high in ((0.7, 2.0), (0.4, 0.7), (0.15, 0.4), (0.0, 0.15)):
        pairs = (brain.covariance > low) & (brain.covariance <= high)
        assert pairs.sum() > 20
        assert found[pairs].mean() == pytest.approx(brain.covariance[pairs].mean(), abs=0.03)
    assert found.mean() == pytest.approx(brain.covariance.mean(), rel=0.25)
    lag = np.mean([np.corrcoef(x[1:], x[:-1])[0, 1] for x in drawn.T[::9]])
    assert lag == pytest.approx(brain.autocorrelation, abs=0.06)


def test_both_maps_keep_to_the_drive_of_the_voxels(brain: BrainLike) -> None:
    few = max(2, brain.rank // 2)
    for n_numbers, ideal in ((few, True), (few, False), (3 * brain.rank, False)):
        weights = brain.map(n_numbers, 0, ideal=ideal).weights
        assert weights.shape == (brain.n_voxels, n_numbers)
        power = np.square(weights).sum(axis=1)
        if ideal:
            assert power.mean() == pytest.approx(np.square(brain.deviation).mean(), rel=0.3)
        else:
            np.testing.assert_allclose(power, brain.deviation**2, rtol=1e-6)
    wide = brain.map(3 * brain.rank, 0, ideal=False).weights
    assert np.linalg.matrix_rank(wide, tol=1e-6) == brain.rank
    # So wide a map has the covariance of the brain's own drive.
    np.testing.assert_allclose(
        wide @ wide.T, brain.tuning @ brain.tuning.T, atol=0.02 * brain.deviation.max() ** 2
    )


def test_more_numbers_than_patterns_tell_no_more(brain: BrainLike) -> None:
    time = InTime.of(60, TR, brain.autocorrelation)
    bits = [Channel(brain.map(n, 0, ideal=False), time).bits(1.0) for n in (brain.rank, 2 * brain.rank)]
    assert bits[1] == pytest.approx(bits[0], rel=0.25)
    with pytest.raises(ValueError, match="do not pass"):
        brain.map(brain.n_voxels + 1, 0, ideal=True)
