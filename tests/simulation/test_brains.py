"""Simulated brains in memory: what was put in is found, what was not is not, and sizes are those of real brains."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
import soundfile as sf
from numpy.testing import assert_allclose, assert_array_equal

from fmri_audio.base.errors import UserError
from fmri_audio.base.settings import FAMILIES, VOXELS, Voxels, project_root
from fmri_audio.brain import agreement, cleaning, masks
from fmri_audio.simulation import brains as simulating
from fmri_audio.simulation.brains import (
    INDIVIDUAL_SHARE,
    MAX_SHARE,
    STRONG,
    UNHEARD,
    Simulation,
    plan_simulation,
    simulate_bold,
    strength_of,
    surrogate,
    volumes,
    voxel_shares,
)
from fmri_audio.simulation.grid import VISUAL_SHARE, Grid, box_affine
from fmri_audio.simulation.haemodynamics import CANONICAL, Haemodynamics, above_drift, responses, unit
from fmri_audio.simulation.voxel_models import VOXEL_MODELS, smooth_fields
from fmri_audio.sound.acoustics import FEATURE_RATE, Features, acoustic_features
from fmri_audio.study.facts import Run
from fmri_audio.study.layouts.sherlock import RELEASE_AFFINE
from tests.study.conftest import SHAPE

TR, N_TRS, N_SUBJECTS = Fraction(3, 2), 240, 27
RUNS = [Run(name="1", first_tr=0, n_trs=N_TRS)]


@pytest.fixture(scope="module")
def features() -> Features:
    """Features of the first six minutes of the embedded play."""
    path = project_root() / "stimulus" / "part1.ogg"
    sample_rate = sf.info(path).samplerate
    sound, _ = sf.read(path, frames=N_TRS * 3 * sample_rate // 2, dtype="float32")
    return acoustic_features(sound, sample_rate)


@pytest.fixture(scope="module")
def grid() -> Grid:
    return Grid.of_shape(SHAPE)


@pytest.fixture(scope="module")
def plan(features: Features, grid: Grid):  # type: ignore[no-untyped-def]
    def planned(seed: int = 0, families: tuple[str, ...] = FAMILIES, **options: object) -> Simulation:
        return plan_simulation(features, grid, RUNS, TR, seed=seed, families=families, **options)  # type: ignore[arg-type]

    return planned


def cleaned(simulation: Simulation, n_subjects: int) -> np.ndarray:
    """BOLD in auditory cortex as the reader's users have it, [subjects, TRs, voxels]."""
    blocks = [(run.first_tr, run.last_tr) for run in simulation.runs]
    return np.stack(
        [cleaning.clean_blocks(simulate_bold(simulation, i), blocks, TR) for i in range(1, n_subjects + 1)]
    )


def correlation_with(course: np.ndarray, bold: np.ndarray) -> np.ndarray:
    """Correlation of one course with every subject's voxels, [subjects, voxels]."""
    return np.stack([agreement.correlate(np.broadcast_to(course[:, None], one.shape), one) for one in bold])


# -- Sizes and places ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("voxels", VOXELS)
def test_what_is_heard_and_what_is_not_have_their_shares(plan, voxels: Voxels) -> None:  # type: ignore[no-untyped-def]
    """Counted apart, as they were mixed; the mean over seeds, because a short sound agrees with anything a little."""
    model, shares = VOXEL_MODELS[voxels], []
    for seed in range(6):
        sound = plan(seed, voxels=voxels).sound
        unheard = np.array(sound.process.families) == UNHEARD
        parts = [(sound.design[:, some] @ sound.weights[some]).var(axis=0) for some in (unheard, ~unheard)]
        shares.append((parts[0] / np.sum(parts, axis=0)).mean())
        assert sound.share.mean() == pytest.approx(model.strength)
    assert_allclose(np.mean(shares), model.unheard, atol=0.06)


def test_smooth_tuning_makes_neighbours_alike_and_fine_tuning_does_not(plan, grid: Grid) -> None:  # type: ignore[no-untyped-def]
    positions = grid.positions(grid.active)
    near = np.argwhere(np.abs(np.linalg.norm(positions[:, None] - positions, axis=2) - 3) < 0.1)
    alike = {}
    for voxels in VOXELS:
        shared = plan(voxels=voxels).sound.shared
        alike[voxels] = agreement.correlate(shared[:, near[:, 0]], shared[:, near[:, 1]]).mean()
    assert alike["smooth"] > 0.85 > alike["between"] > alike["fine"] + 0.1
    assert alike["fine"] < 0.5


def test_a_region_of_fine_voxels_keeps_less_of_what_a_voxel_has(plan) -> None:  # type: ignore[no-untyped-def]
    kept = {voxels: plan(voxels=voxels, strength=0.3).sound.shared.mean(axis=1).var() for voxels in VOXELS}
    assert kept["smooth"] > kept["between"] > kept["fine"]


def test_fields_are_smooth_by_the_width_stated_and_have_variance_one(grid: Grid) -> None:
    positions = grid.positions(grid.active)
    fields = smooth_fields(positions, 9.0, 3000, np.random.default_rng(0))
    assert_allclose((fields**2).mean(axis=0), 1, atol=0.12)
    sigma = 9.0 / np.sqrt(8 * np.log(2))
    centre = np.argmin(np.linalg.norm(positions - positions.mean(axis=0), axis=1))
    for apart in (3.0, 6.0):
        ring = np.abs(np.linalg.norm(positions - positions[centre], axis=1) - apart) < 0.1
        found = (fields[:, ring] * fields[:, [centre]]).mean()
        assert_allclose(found, np.exp(-(apart**2) / (4 * sigma**2)), atol=0.08)


def test_a_seed_s_brain_is_the_same_whatever_it_hears(plan, features: Features) -> None:  # type: ignore[no-untyped-def]
    other = surrogate(features, np.random.default_rng(5))
    one, two = (
        plan_simulation(x, plan().grid, RUNS, TR, seed=0, families=FAMILIES) for x in (features, other)
    )
    assert_array_equal(one.sound.share, two.sound.share)
    assert (
        np.mean(
            [np.corrcoef(a, b)[0, 1] for a, b in zip(one.sound.weights.T, two.sound.weights.T, strict=True)]
        )
        > 0.9
    )


def test_strong_brains_share_nothing_but_the_sound(plan) -> None:  # type: ignore[no-untyped-def]
    assert UNHEARD in plan().sound.process.families
    assert UNHEARD not in plan(variant="strong").sound.process.families


@pytest.mark.parametrize("mean", [0.0, 1e-9, 0.05, 0.21, 0.65, 0.74])
def test_shares_of_voxels_have_the_mean_asked_for_and_stay_possible(mean: float) -> None:
    relative = np.random.default_rng(0).lognormal(0, 0.5, 500)
    shares = voxel_shares(relative, mean)
    assert_allclose(shares.mean(), mean, rtol=1e-6)
    assert shares.max() <= MAX_SHARE
    if mean:
        assert (np.diff(shares[np.argsort(relative)]) >= 0).all()


def test_voxels_near_heschls_gyrus_share_more(plan, grid: Grid) -> None:  # type: ignore[no-untyped-def]
    away = np.linalg.norm(grid.positions(grid.active) - masks.AUDITORY_CENTRES[0], axis=1)
    share = plan().sound.share
    assert share[away < 7].mean() > 1.3 * share[away > 13].mean()
    assert share.std() > 0.2 * share.mean()


def test_families_have_equal_parts_on_average_beside_the_level(plan) -> None:  # type: ignore[no-untyped-def]
    """In strong brains, where the level has no share of its own."""
    sound = plan(variant="strong", voxels="smooth").sound
    parts = np.stack(
        [
            (sound.design[:, members] @ sound.weights[members]).var(axis=0)
            for members in (np.array(sound.process.families) == family for family in FAMILIES)
        ]
    )
    assert_allclose((parts / parts.sum(axis=0)).mean(axis=1), 1 / len(FAMILIES), atol=0.04)


# -- Known truth is recovered ----------------------------------------------------------------------------------


def test_the_true_response_reaches_what_is_attainable_and_no_more(plan) -> None:  # type: ignore[no-untyped-def]
    for variant in ("matched", "strong"):
        simulation = plan(variant=variant)
        bold = cleaned(simulation, 12)
        subjects = [simulation.subject(i) for i in range(1, 13)]
        attainable, attainable_full = (
            np.stack(x) for x in zip(*map(simulation.attainable, subjects), strict=True)
        )
        reached = np.stack([agreement.correlate(simulation.sound.shared, one) for one in bold])
        signals = (simulation.signal(simulation.sound, subject) for subject in subjects)
        reached_full = np.stack([agreement.correlate(a, b) for a, b in zip(signals, bold, strict=True)])
        for found, stated in ((reached, attainable), (reached_full, attainable_full)):
            excess = (found - stated).mean(axis=1)
            assert abs(excess.mean()) < 3 * excess.std(ddof=1) / np.sqrt(len(excess)) + 0.003
            assert np.corrcoef(found.mean(axis=0), stated.mean(axis=0))[0, 1] > 0.9
    assert attainable.mean() > 0.75


def test_regression_on_the_true_features_predicts_held_out_volumes_as_well_as_the_truth(plan) -> None:  # type: ignore[no-untyped-def]
    """Weights fitted to 20 subjects' first 160 volumes predict the others nearly as well as the true ones do."""
    simulation = plan(variant="strong")
    bold = cleaned(simulation, 20)
    train, test = np.arange(160), np.arange(172, N_TRS)
    design = simulation.sound.design
    weights = np.linalg.lstsq(design[train], bold[:, train].mean(axis=0), rcond=None)[0]
    fitted, true = (
        np.mean([agreement.correlate(course, one[test]).mean() for one in bold])
        for course in (design[test] @ weights, simulation.sound.shared[test])
    )
    assert 0.9 * true < fitted <= true + 0.01
    assert true > 0.6


def test_shared_is_features_times_weights_and_of_variance_one(plan) -> None:  # type: ignore[no-untyped-def]
    sound = plan().sound
    assert_allclose(sound.design @ sound.weights, sound.shared)
    assert_allclose(sound.shared.std(axis=0), 1)
    assert_allclose(sound.design.std(axis=0), 1)


def test_what_subjects_share_is_as_stated_after_their_delays(plan) -> None:  # type: ignore[no-untyped-def]
    simulation = plan(variant="strong")
    shared = simulation.sound.shared
    share = simulation.sound.share
    signals = []
    for number in range(1, 21):
        subject = simulation.subject(number)
        signal = simulation.signal(simulation.sound, subject)
        assert_allclose((signal * shared).mean(axis=0), subject.gain * np.sqrt(share), rtol=1e-6)
        assert_allclose(signal.var(axis=0), subject.gain**2 * share / (1 - INDIVIDUAL_SHARE), rtol=0.01)
        signals.append(signal / subject.gain)
    covariance = [(a * b).mean() for i, a in enumerate(signals) for b in signals[:i]]
    assert_allclose(np.mean(covariance), share.mean(), rtol=0.02)


def test_subjects_signals_differ_in_size_and_have_the_share_stated_on_average(plan) -> None:  # type: ignore[no-untyped-def]
    simulation = plan()
    gains = [simulation.subject(number).gain for number in range(1, 401)]
    assert_allclose(np.mean(np.square(gains)), 1, atol=0.06)
    assert_allclose(np.std(np.log(gains)), simulating.GAIN_SPREAD, rtol=0.15)


def test_delays_of_subjects_are_found_again(plan) -> None:  # type: ignore[no-untyped-def]
    """The delay at which the shared weights explain a subject best is the one it was given."""
    simulation = plan(variant="strong")
    delays = np.arange(-1.6, 1.61, 0.2)
    sound = simulation.sound
    predictions = [
        unit(above_drift(responses(sound.process.values, RUNS, TR, Haemodynamics(float(d))), RUNS, TR))
        @ sound.weights
        for d in delays
    ]
    found, true = [], []
    for number, bold in enumerate(cleaned(simulation, 12), 1):
        found.append(delays[np.argmax([agreement.correlate(p, bold).mean() for p in predictions])])
        kernel = simulation.subject(number).haemodynamics.kernel()
        true.append((kernel.argmax() - CANONICAL.kernel().argmax()) / FEATURE_RATE)
    assert np.corrcoef(found, true)[0, 1] > 0.85
    assert abs(np.subtract(found, true)).mean() < 0.3


def test_artefacts_are_where_the_truth_says(plan, grid: Grid) -> None:  # type: ignore[no-untyped-def]
    """Volumes in which a head jerks differ from the one before more than others do, mostly at edges."""
    simulation = plan(variant="null")
    change, jerked = [], []
    for number in range(1, 16):
        subject = simulation.subject(number)
        bold = np.concatenate(list(volumes(simulation, subject, grid.tissue)))
        change.append(np.abs(np.diff(bold, axis=0)).mean(axis=1))
        jerked.append(np.isin(np.arange(1, N_TRS), subject.artefacts.rows))
    change, jerked = np.concatenate(change), np.concatenate(jerked)
    assert jerked.sum() > 10
    assert (change[jerked] > np.quantile(change[~jerked], 0.95)).mean() > 0.8


# -- What is not there is not found -----------------------------------------------------------------------------


def test_null_brains_share_nothing_and_do_not_hear(plan) -> None:  # type: ignore[no-untyped-def]
    isc, level = [], []
    for seed in range(6):
        simulation = plan(seed, variant="null")
        bold = cleaned(simulation, 8)
        isc.append(agreement.leave_one_out_isc(bold).mean())
        level.append(correlation_with(simulation.level, bold).mean())
    for found in (isc, level):
        assert abs(np.mean(found)) < 4 * np.std(found, ddof=1) / np.sqrt(len(found))
        assert max(map(abs, found)) < 0.04


def test_null_shared_brains_share_as_much_but_nothing_of_this_sound(plan) -> None:  # type: ignore[no-untyped-def]
    real, null = plan(1), plan(1, variant="null-shared")
    together = [agreement.leave_one_out_isc(cleaned(simulation, 10)).mean() for simulation in (real, null)]
    assert abs(together[0] - together[1]) < 0.06 and together[1] > 0.12
    courses = {
        variant: [plan(seed, variant=variant).sound.shared for seed in range(8)]
        for variant in ("matched", "null-shared")
    }
    lag_one = {
        variant: np.mean([agreement.correlate(x[:-1], x[1:]).mean() for x in shared])
        for variant, shared in courses.items()
    }
    assert abs(lag_one["matched"] - lag_one["null-shared"]) < 0.05
    # Over seeds the level correlates with it no more often one way than the other, at any lag.
    lags = range(-4, 5)
    by_seed = []
    for seed in range(60):
        shared = plan(seed, variant="null-shared").sound.shared
        level = real.level
        by_seed.append(
            [
                agreement.correlate(
                    np.broadcast_to(np.roll(level, lag)[:, None], shared.shape)[4:-4], shared[4:-4]
                ).mean()
                for lag in lags
            ]
        )
    mean, error = np.mean(by_seed, axis=0), np.std(by_seed, axis=0, ddof=1) / np.sqrt(60)
    assert (abs(mean) < 3.5 * error).all()
    assert error.max() * np.sqrt(60) < 0.2
    assert correlation_with(level, real.sound.shared[None]).mean() > 0.25


def test_a_surrogate_keeps_spectra_and_what_features_have_in_common(features: Features) -> None:
    one = surrogate(features, np.random.default_rng(0))
    assert one.values.shape == features.values.shape and one.names == features.names
    heard = features.values - features.values.mean(axis=1, keepdims=True)
    unit = heard / heard.std(axis=1, keepdims=True)
    draws = [
        surrogate(features, np.random.default_rng(i)).values / heard.std(axis=1, keepdims=True)
        for i in range(40)
    ]

    def common(values: np.ndarray, lag: int) -> np.ndarray:
        n = values.shape[1] - lag
        return values[:, lag:] @ values[:, :n].T / n

    for lag in (0, 3, 40):
        kept = np.mean([common(draw, lag) for draw in draws], axis=0)
        assert_allclose(kept, common(unit, lag), atol=0.08)


def test_what_is_learnt_of_a_surrogate_from_the_sound_does_not_last(features: Features) -> None:
    """A lagged regression finds one half's accidents; on the other half they are worth nothing.

    A surrogate that is the sound through one random filter (Fourier components with phases drawn anew) is found.
    """
    step, lags, n_draws = FEATURE_RATE // 2, range(20), 60
    n = features.values.shape[1] // step

    def blocks(values: np.ndarray) -> np.ndarray:
        return values[:, : n * step].reshape(len(values), n, step).mean(axis=2).T

    heard = blocks(features.values[:16])
    design = np.concatenate([np.roll(heard - heard.mean(axis=0), lag, axis=0) for lag in lags], axis=1)[20:]
    train, test = np.array_split(design, 2)
    solution = np.linalg.solve(
        train.T @ train + 30 * np.trace(train.T @ train) / len(train) * np.eye(design.shape[1]), train.T
    )

    def held_out(values: np.ndarray) -> float:
        y = blocks(values[:1])[20:, 0]
        first, second = np.array_split(y, 2)
        return float(np.corrcoef(test @ (solution @ (first - first.mean())), second)[0, 1])

    def one_filter(rng: np.random.Generator) -> np.ndarray:
        lines = np.fft.rfft(features.values[:1])
        return np.fft.irfft(lines * np.exp(2j * np.pi * rng.random(lines.shape[1])), features.values.shape[1])

    def z(draw: Callable[[np.random.Generator], np.ndarray]) -> float:
        r = [held_out(draw(np.random.default_rng(i))) for i in range(n_draws)]
        return float(np.mean(r) / (np.std(r, ddof=1) / np.sqrt(n_draws)))

    assert abs(z(lambda rng: surrogate(features, rng).values)) < 3
    assert z(one_filter) > 4


def test_other_voxels_share_pictures_and_the_rest_share_nothing(plan, grid: Grid) -> None:  # type: ignore[no-untyped-def]
    simulation = plan()
    everywhere = (list(volumes(simulation, simulation.subject(i), grid.tissue)) for i in range(1, 7))
    bold = np.stack([cleaning.clean_blocks(np.concatenate(one), [(0, N_TRS)], TR) for one in everywhere])
    isc = agreement.pairwise_isc(bold).mean(axis=0)
    active, other = grid.active[grid.tissue], grid.other[grid.tissue]
    assert (
        0.7 < isc[other].mean() / VOXEL_MODELS["between"].strength < 1.05
    )  # jerks of the head take the rest
    assert abs(isc[~active & ~other].mean()) < 0.02
    assert not (active & other).any()
    r = [correlation_with(plan(seed).level, plan(seed).pictures.shared[None]).mean() for seed in range(40)]
    assert abs(np.mean(r)) < 3.5 * np.std(r, ddof=1) / np.sqrt(len(r))


# -- Choices and places -----------------------------------------------------------------------------------------


def test_families_can_be_left_out_and_level_is_still_heard_without_bands(plan) -> None:  # type: ignore[no-untyped-def]
    without = plan(families=("envelope", "modulation", "pitch"))
    assert not any(name.startswith("band") for name in without.sound.process.names)
    assert correlation_with(without.level, cleaned(without, 4)).mean() > 0.08
    only = plan(families=("bands",))
    heard = [
        name
        for name, family in zip(only.sound.process.names, only.sound.process.families, strict=True)
        if family != UNHEARD
    ]
    assert len(heard) == 16 and len(only.sound.weights) == len(only.sound.process.names)
    assert_array_equal(only.level, without.level)


def test_frequency_runs_high_low_high_from_back_to_front(plan, grid: Grid) -> None:  # type: ignore[no-untyped-def]
    sound = plan(families=("bands",), variant="strong", voxels="smooth").sound
    best, y = sound.weights.argmax(axis=0), grid.positions(grid.active)[:, 1]
    back, middle, front = (
        best[(y >= low) & (y <= high)].mean() for low, high in ((-35, -31), (-22, -18), (-9, -5))
    )
    assert back > middle + 5 and front > middle + 5


def test_the_same_seed_draws_the_same_subject_whoever_else_there_is(plan, grid: Grid) -> None:  # type: ignore[no-untyped-def]
    simulation = plan(3)
    assert_array_equal(simulate_bold(simulation, 2), simulate_bold(plan(3), 2))
    assert not np.array_equal(simulate_bold(simulation, 2), simulate_bold(simulation, 1))
    assert not np.array_equal(simulate_bold(simulation, 2), simulate_bold(plan(4), 2))
    tissue = np.concatenate(list(volumes(simulation, simulation.subject(2), grid.tissue)))
    assert_array_equal(tissue[:, grid.active[grid.tissue]], simulate_bold(simulation, 2))


def test_regions_lie_where_the_grid_has_them() -> None:
    full = Grid.of_shape((61, 73, 61))
    assert_array_equal(full.affine, RELEASE_AFFINE)
    assert 500 <= full.active.sum() <= 3000
    assert full.other.sum() > 200 and (full.positions(full.other)[:, 1] < -70).all()
    assert (full.active | full.other <= full.tissue).all() and 40_000 < full.tissue.sum() < 70_000
    box = Grid.of_shape((48, 20, 16))
    assert box.active.sum() == full.active.sum()
    away = np.abs(box.positions(box.other) - [0, -20, 8]) - [54, 0, 0]
    assert 0.05 * box.tissue.sum() < box.other.sum() < VISUAL_SHARE * box.tissue.sum()
    assert np.linalg.norm(away, axis=1).min() > masks.AUDITORY_RADIUS


def test_a_box_keeps_the_voxel_centres_of_the_release() -> None:
    offset = np.linalg.solve(RELEASE_AFFINE, box_affine((48, 20, 16))[:, 3])[:3]
    assert_allclose(offset, np.round(offset), atol=1e-9)
    assert (masks.voxel_positions(box_affine(SHAPE), SHAPE)[..., 0] < 0).all()  # a narrow one covers the left


@pytest.mark.parametrize(
    ("variant", "strength", "said"),
    [
        ("matched", 0.75, "strength 0.75: should be at least 0 and below 0.75"),
        ("matched", -0.1, "strength -0.1"),
        ("null", 0.2, "the variant null has no signal"),
        ("loud", None, "variant 'loud': should be one of matched, null, null-shared, strong"),
    ],
)
def test_impossible_strengths_and_variants_are_refused(
    variant: str, strength: float | None, said: str
) -> None:
    with pytest.raises(UserError, match=said):
        strength_of(variant, strength)  # type: ignore[arg-type]


def test_variants_have_strengths_of_their_own() -> None:
    own = {variant: strength_of(variant, None) for variant in simulating.VARIANTS}
    assert own["null"] == 0 and own["null-shared"] == own["matched"] and own["strong"] == STRONG
    assert strength_of("null", 0.0) == 0
    assert [strength_of("matched", None, name) for name in VOXELS] == [
        VOXEL_MODELS[name].strength for name in VOXELS
    ]
    with pytest.raises(UserError, match="voxels 'large': should be one of smooth, between, fine"):
        strength_of("matched", None, "large")  # type: ignore[arg-type]
