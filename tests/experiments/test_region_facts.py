"""What regions are like: agreement, explained share and residuals of brains whose make-up is known."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from fmri_audio.base.errors import UserError
from fmri_audio.brain.response import canonical_response
from fmri_audio.decoding.series import Pipeline, Recorded
from fmri_audio.experiments import region_facts
from fmri_audio.experiments.region_facts import Chosen, Regions

RUNS = [(0, 200), (200, 400), (400, 620)]
TR = Fraction(2)


def listeners(
    n: int = 6, acoustic: float = 0.2, other: float = 0.2, common_noise: float = 0.0, seed: int = 0
) -> Recorded:
    """Regions of which the first six share so much variance with the level's response, and with something else."""
    rng = np.random.default_rng(seed)
    level = np.convolve(rng.standard_normal(640), np.hanning(9), "same")[:620]
    response = np.concatenate(
        [np.convolve(level[a:b] - level[a:b].mean(), canonical_response(0.5))[: b - a] for a, b in RUNS]
    )
    else_ = np.convolve(rng.standard_normal(640), np.hanning(7), "same")[:620]
    parts = [(x - x.mean()) / x.std() for x in (response, else_)]
    bold = {}
    for k in range(n):
        noise = rng.standard_normal((620, 10)) * np.sqrt(1 - common_noise)
        noise += np.sqrt(common_noise) * rng.standard_normal((620, 1))
        x = noise.copy()
        x[:, :6] = np.sqrt(1 - acoustic - other) * noise[:, :6]
        x[:, :6] += np.sqrt(acoustic) * parts[0][:, None] + np.sqrt(other) * parts[1][:, None]
        bold[k + 1] = x.astype(np.float32)
    return Recorded(bold, {"level": level}, RUNS, ["1", "2", "3"], TR, 0)


FIRST = Chosen(np.arange(4), np.arange(4))


def facts(what: Recorded, chosen: Chosen = FIRST) -> dict[str, float]:
    return {name: float(x.mean()) for name, x in region_facts.facts_of(Regions.of(what), chosen).items()}


def test_agreement_is_that_of_the_shares_and_half_of_it_is_explained() -> None:
    what = listeners()
    chosen = region_facts.choose_regions(Regions.of(what))
    assert set(chosen.sound) | set(chosen.best) <= set(range(6))
    found = facts(what, chosen)
    assert found["pairs"] == pytest.approx(0.4, abs=0.06)
    assert found["agreement"] == pytest.approx(0.4 / np.sqrt(0.4 + 0.6 / 5), abs=0.06)
    assert found["level r"] == pytest.approx(np.sqrt(0.2), abs=0.08)
    assert found["explained by level"] == pytest.approx(0.5, abs=0.15)
    assert found["explained by level"] == found["explained by sound"]
    assert abs(found["residual lag-1"]) < 0.2 and abs(found["residual between regions"]) < 0.1
    assert found["slow"] < 0.1


def test_facts_are_those_of_every_run() -> None:
    what = listeners()
    found = region_facts.facts_of(Regions.of(what), FIRST)
    assert {len(values) for values in found.values()} == {3}
    second = {k: x[200:400] for k, x in what.bold.items()}
    alone = replace(
        what, bold=second, heard={"level": what.heard["level"][200:400]}, runs=[(0, 200)], names=["2"]
    )
    regions = Regions.of(alone)
    assert float(found["pairs"][1]) == pytest.approx(
        float(region_facts.pairwise_isc(regions.bold[:, :, :4]).mean()), abs=1e-5
    )


def test_what_is_slow_is_told_apart_and_changes_no_agreement() -> None:
    """A course of 300 s that all listeners have in common is no agreement that any decoder here could use."""
    what = listeners()
    course = 3 * np.cos(2 * np.pi * np.arange(620) * 2 / 300).astype(np.float32)
    drifting = replace(what, bold={k: x + course[:, None] for k, x in what.bold.items()})
    before, after = facts(what), facts(drifting)
    assert after["slow"] > 0.6 > 0.1 > before["slow"]
    assert after["pairs"] == pytest.approx(before["pairs"], abs=0.03)


def test_all_that_was_heard_explains_what_the_level_does_not() -> None:
    what = listeners()
    response = what.heard["level"] + 0.1 * np.random.default_rng(5).standard_normal(620)
    both = replace(what, heard={"level": np.random.default_rng(6).standard_normal(620), "words": response})
    found = facts(both)
    assert found["explained by sound"] > 0.3 > 0.1 > found["explained by level"]


def test_the_level_is_decoded_from_more_listeners_better() -> None:
    made = region_facts.decoded_facts(listeners(acoustic=0.1), Pipeline(columns=6, folds=3))
    assert {len(values) for values in made.values()} == {3}
    found = {name: float(x.mean()) for name, x in made.items()}
    assert found["level of all averaged"] >= found["level of 3 averaged"] >= found["level within"] > 0.3
    assert 0 < found["level after one run"] < found["level within"]
    assert any(name.startswith("level 8 to") for name in found)


def test_volumes_that_were_moved_back_have_the_same_facts() -> None:
    """Two TRs, within every run; the ends of runs are noise."""
    what = listeners()
    moved = {k: np.concatenate([np.roll(x[a:b], -2, axis=0) for a, b in RUNS]) for k, x in what.bold.items()}
    a, b = (facts(one) for one in (what, replace(what, bold=moved, shift=2)))
    assert a["level r"] == pytest.approx(b["level r"], abs=0.03)
    assert a["explained by sound"] == pytest.approx(b["explained by sound"], abs=0.06)


def test_what_all_regions_of_a_listener_share_shows_between_regions() -> None:
    what = listeners(acoustic=0.1, other=0.1, common_noise=0.4)
    assert facts(what)["residual between regions"] == pytest.approx(0.4, abs=0.08)


def test_noise_agrees_and_explains_nothing() -> None:
    what = listeners(acoustic=0.0, other=0.0)
    found = facts(what)
    assert abs(found["agreement"]) < 0.1 and abs(found["level r"]) < 0.1
    level = region_facts.decoded_facts(what, Pipeline(columns=6, folds=3))["level within"]
    assert abs(level.mean()) < 0.2


def test_too_few_regions_are_one_sentence() -> None:
    with pytest.raises(UserError, match="fewer than the 11 best"):
        region_facts.choose_regions(Regions.of(listeners()), 11)
