"""The sweep: one setting at a time, the edition's own models among the points."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fmri_audio.base import results
from fmri_audio.base.errors import UserError
from fmri_audio.base.settings import SweepSettings
from fmri_audio.bottleneck import store
from fmri_audio.brain.masks import AUDITORY_CENTRES, voxel_positions
from fmri_audio.experiments import training_sweep
from fmri_audio.experiments.block_tables import score
from fmri_audio.experiments.decoded import decoded_from_brains
from fmri_audio.experiments.held_out import HeldOut
from fmri_audio.experiments.through_arm import ThroughArm
from fmri_audio.experiments.training_sweep import (
    BOLD_DISTANCES,
    FACTORS,
    SCORED,
    Point,
    Sweep,
    VariedBlock,
    mean_of_subjects,
    region,
)
from tests.experiments.conftest import N_TRS, edition

LEVELS = SweepSettings(arms=["frozen"], balances=[0.0, 0.1], ranks=[6], units=[40], bandwidths=[1.5])
N_CONDITIONS = 3


def sweep_of(own: HeldOut, settings: SweepSettings, lines: list[str] | None = None) -> Sweep:
    own.run.settings = own.run.settings.model_copy(update={"sweep": settings})
    return Sweep(own, say=(lines if lines is not None else []).append)


@pytest.fixture(scope="module")
def own(
    tmp_path_factory: pytest.TempPathFactory, speech: Callable[..., np.ndarray], tiny_checkpoint_file: Path
) -> HeldOut:
    wave = speech(N_TRS * 1.5)
    return HeldOut(edition(tmp_path_factory.mktemp("sweep"), wave, tiny_checkpoint_file, [(0, 96, "speech")]))


@pytest.fixture(scope="module")
def sweep(own: HeldOut) -> Sweep:
    made = sweep_of(own, LEVELS)
    assert made.outcomes
    return made


def models(own: HeldOut, arm: str) -> set[str]:
    return {path.name for path in (own.run.build / "models").glob(f"{arm}-*") if path.is_dir()}


def test_every_point_changes_one_thing_and_its_own_settings_change_none(own: HeldOut) -> None:
    found = sweep_of(own, LEVELS).points
    seed = own.run.settings.seed
    assert found == [
        Point("frozen", seed),
        Point("frozen", seed + 1),
        Point("codes", seed),
        Point("frozen", seed, "balance", 0.0),
        Point("frozen", seed, "rank", 6),
        Point("frozen", seed, "units", 40),
        Point("codes", seed, "bandwidth", 1.5),
        Point("frozen", seed, "bandwidth", 1.5),
        Point("frozen", seed, "bandwidth", 6.0),
    ]
    before = pd.json_normalize(own.run.settings.model_dump(mode="json")).iloc[0].map(str)
    changed = {}
    for point in found:
        after = pd.json_normalize(point.applied_to(own.run.settings).model_dump(mode="json")).iloc[0].map(str)
        changed[point] = {name: after[name] for name in before.index if after[name] != before[name]}
    nothing = [point for point in found if point.factor in (None, "units") or point.requantised]
    assert {point: change for point, change in changed.items() if point not in nothing} == {
        found[3]: {"training.balance": "0.0"},
        found[4]: {"training.rank": "6"},
        found[6]: {"main_bandwidth": "1.5"},
    }
    assert not any(changed[point] for point in nothing)


def test_points_grow_by_levels_and_seeds_not_by_their_product(own: HeldOut) -> None:
    few, many = (
        sweep_of(own, SweepSettings(arms=["mel"], balances=balances, ranks=[4, 6], seeds=3)).points
        for balances in ([0.0], [0.0, 1.0, 10.0])
    )
    assert len(few) == 3 * (1 + 1 + 2)
    assert len(many) == 3 * (1 + 3 + 2)


def test_at_its_own_settings_a_point_is_the_edition_s_own_model(own: HeldOut, sweep: Sweep) -> None:
    before = models(own, "frozen")
    mine = VariedBlock(own, Point("frozen", own.run.settings.seed)).arms["frozen"]
    np.testing.assert_array_equal(mine.volumes, own.arms["frozen"].volumes)
    np.testing.assert_array_equal(
        own.repeated["frozen"][1].volumes, VariedBlock(own, sweep.points[1]).arms["frozen"].volumes
    )
    # The edition's two seeds, and one model each for balance, rank and voxels: quantising again trains nothing.
    assert models(own, "frozen") == before
    assert len(before) == 5 and len(models(own, "codes")) == 2


def test_what_is_varied_reaches_the_model(own: HeldOut, sweep: Sweep) -> None:
    rank, units, codes = (VariedBlock(own, sweep.points[k]) for k in (4, 5, 6))
    assert rank.arms["frozen"].code.shape == (N_TRS, 6)
    assert units.arms["frozen"].volumes.shape == (N_TRS, 40) and units.n_units == 40
    assert len(codes.material.codes) == 2 < len(own.material.codes)  # 1.5 kbps
    balance = VariedBlock(own, sweep.points[3])
    assert not np.array_equal(balance.arms["frozen"].volumes, own.arms["frozen"].volumes)
    np.testing.assert_array_equal(balance.brains.group_bold, own.brains.group_bold)


def test_nothing_is_trained_or_made_twice(
    own: HeldOut, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_train_into", lambda *_: pytest.fail("trained twice"))
    monkeypatch.setattr("fmri_audio.edition.edition._encode", lambda *_: pytest.fail("encoded twice"))
    monkeypatch.setattr("fmri_audio.edition.edition._simulate", lambda *_: pytest.fail("simulated twice"))
    monkeypatch.setattr(training_sweep, "outcome_of", lambda varied: varied.arms)
    lines: list[str] = []
    again = sweep_of(own, LEVELS, lines).outcomes
    assert len(again) == len(sweep.points) == len(lines)
    assert lines[3] == f"sweep, 4 of 9: frozen, balance=0, seed {own.run.settings.seed}"


def test_the_table_has_a_row_for_every_point_condition_and_metric(own: HeldOut, sweep: Sweep) -> None:
    table = sweep.table
    scored = table[table["metric"].isin(SCORED)]
    conditions = sum(1 if point.requantised else N_CONDITIONS for point in sweep.points)
    assert len(scored) == conditions * len(SCORED)
    heard = scored[~(scored["arm"].eq("frozen") & scored["factor"].eq("bandwidth"))]
    assert set(heard.groupby(["arm", "factor"])["condition"].nunique()) == {N_CONDITIONS}
    for part, rows in (
        ("training", own.split.bold_train_rows),
        ("held-out", np.arange(*own.split.bold_test)),
    ):
        found = table[table["metric"] == BOLD_DISTANCES[part]]
        assert len(found) == 7  # of what was trained
        expected = np.square(own.arms["frozen"].volumes[rows] - own.brains.group_bold[rows]).mean()
        assert found["value"].iloc[0] == pytest.approx(expected)


def test_the_edition_s_own_level_belongs_to_every_curve(sweep: Sweep) -> None:
    levels = {
        "balance": [0.0, 0.1],
        "rank": [6, 8],
        "units": [40, sweep.own.n_units],
        "bandwidth": [1.5, 6.0],
    }
    for factor, expected in levels.items():
        rows = sweep.along(factor)  # type: ignore[arg-type]
        assert sorted(rows["level"].unique()) == expected == sweep.levels[factor]  # type: ignore[index]
        arms = {"codes", "frozen, quantised again"} if factor == "bandwidth" else {"frozen"}
        assert set(rows["label"]) == arms
    own = sweep.along("balance").query("level == 0.1")
    assert sorted(own["seed"].unique()) == [sweep.own.run.settings.seed, sweep.own.run.settings.seed + 1]
    pd.testing.assert_series_equal(
        own["value"].reset_index(drop=True),
        sweep.along("rank").query("level == 8")["value"].reset_index(drop=True),
    )


def test_scores_are_those_of_the_chapters_before(own: HeldOut, sweep: Sweep) -> None:
    first, again = sweep.outcomes[0], sweep.outcomes[-1]
    assert (again.point.factor, again.point.level) == ("bandwidth", 6.0)
    through = ThroughArm(own, "frozen")
    whole = score(own, through.noise_free)
    pd.testing.assert_frame_equal(first.scores["noise-free"], whole[["window", "kind", *SCORED]])
    brains = [score(own, through.sound_of(one.heard)) for one in decoded_from_brains(through)]
    expected = np.mean([one[list(SCORED)].to_numpy() for one in brains], axis=0)
    np.testing.assert_allclose(first.scores["measured"][list(SCORED)], expected, rtol=1e-6)
    pd.testing.assert_frame_equal(
        again.scores["noise-free"], score(own, through.requantised(6.0))[["window", "kind", *SCORED]]
    )


def test_records_never_pass_for_the_edition_s_own(own: HeldOut, sweep: Sweep, tmp_path: Path) -> None:
    table = results.read(own.run.write_records("10-sweep", sweep.records()))
    assert set(table["control"]) == {
        "own settings",
        "balance=0",
        "rank=6",
        "units=40",
        "bandwidth=1.5",
        "bandwidth=6",
    }
    assert table["hardware"].notna().all()
    by = table.drop_duplicates("control").set_index("control")
    assert by.loc["rank=6", "rank"] == 6 and by.loc["units=40", "units"] == 40
    again = table[table["control"].str.startswith("bandwidth") & table["arm"].eq("frozen")]
    assert set(again["representation"]) == {"encodec-codes"} and set(again["bandwidth_kbps"]) == {1.5, 6.0}
    assert set(table["metric"]) == {*SCORED, "bold_distance", "converged"}
    assert set(table.loc[table["metric"] == "bold_distance", "fold"]) == {"training", "held-out"}
    assert set(table.loc[table["metric"] == "converged", "value"]) <= {0.0, 1.0}


def test_an_edition_that_varies_nothing_trains_nothing_and_says_so(
    own: HeldOut, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_train_into", lambda *_: pytest.fail("trained"))
    none = sweep_of(own, SweepSettings(balances=[0.1]))
    assert none.points == [] == none.records() and none.table.empty
    assert not any(none.is_varied(factor) for factor in FACTORS)


@pytest.mark.parametrize(
    ("levels", "sentence"),
    [
        ({"bandwidths": [5.0]}, "bandwidth 5 kbps: .* does not have it"),
        ({"ranks": [6, 500]}, "sweep.ranks: 500 does not fit through the 422 voxels of the mask"),
        (
            {"units": [100_000]},
            "sweep.units: 100000 is more than the .* voxels of the mask and of grey matter",
        ),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_is(
    own: HeldOut, levels: dict[str, list[float]], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        sweep_of(own, SweepSettings.model_validate(levels))


def test_regions_are_nested_and_grow_from_auditory_cortex(own: HeldOut) -> None:
    small, large = (region(own.study, own.mask, count) for count in (40, 200))
    assert (small.sum(), large.sum()) == (40, 200)
    assert (large >= small).all() and (own.mask >= large).all()
    np.testing.assert_array_equal(region(own.study, own.mask, own.n_units), own.mask)
    beyond = region(own.study, own.mask, own.n_units + 50)
    assert beyond.sum() == own.n_units + 50 and (beyond >= own.mask).all()
    positions = voxel_positions(own.study.affine, own.mask.shape)
    distance = np.min([np.linalg.norm(positions - centre, axis=-1) for centre in AUDITORY_CENTRES], axis=0)
    assert distance[small].max() <= distance[own.mask & ~small].min()


def test_scores_of_subjects_are_averaged_within_a_window() -> None:
    one, other = (
        pd.DataFrame(
            {"window": ["a", "b"], "kind": "speech", "mel_distance_db": values, "stoi": [np.nan, 0.5]}
        ).assign(estoi=0.4)
        for values in ([1.0, 2.0], [3.0, 6.0])
    )
    mean = mean_of_subjects([one, other])
    assert mean["mel_distance_db"].tolist() == [2.0, 4.0]
    assert np.isnan(mean["stoi"].iloc[0]) and mean["stoi"].iloc[1] == 0.5
