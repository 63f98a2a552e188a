"""The ladder's tables belong to the code, the weights and the play that are here; stale ones fail."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

from fmri_audio.base.files import sha256_of
from fmri_audio.base.settings import project_root
from fmri_audio.bottleneck.coder_files import coder_file
from fmri_audio.bottleneck.coders import CODERS
from fmri_audio.codec import checkpoints
from fmri_audio.experiments import ladder_training
from fmri_audio.experiments.ladder import Ladder
from fmri_audio.experiments.play_excerpts import plain_excerpts
from programs.bottleneck_training.conditions import MAIN, code_of
from programs.bottleneck_training.run import RECIPES

KEPT = [name for name in CODERS if name != "finetuned-linear"]
"""Arms whose weights are in the repository."""


@pytest.fixture(scope="module")
def tables() -> Ladder:
    return Ladder.read()


def test_every_condition_was_measured_with_this_code(tables: Ladder) -> None:
    stale = [one.condition for one in tables.conditions if code_of(one) != one.code]
    assert not stale, (
        f"{len(stale)} conditions are of other code, {stale[:3]} among them: run `make bottleneck`"
    )


def test_every_condition_was_measured_with_these_weights(tables: Ladder) -> None:
    ids = {name: f"{name}-{sha256_of(coder_file(name))[:8]}" for name in KEPT}
    trained = [one for one in tables.conditions if one.made == "trained" and one.arm in ids]
    assert {one.arm for one in trained} == set(KEPT)
    assert {one.weights for one in trained} == set(ids.values())
    codec = checkpoints.load("demo").id
    assert {one.weights for one in tables.conditions if one.rung == "codec" or one.made == "indices"} == {
        codec
    }


def test_every_arm_has_its_width_with_what_stands_beside_it(tables: Ladder) -> None:
    there = {
        (one.arm, one.made, one.asked) for one in tables.conditions if one.rung == "code" and not one.sigma
    }
    for arm in KEPT:
        assert {(arm, made, float(w)) for made in ("trained", "pca", "start") for w in MAIN} <= there, arm
        assert any(one[:2] == (arm, "single") for one in there), arm


def test_windows_are_of_this_play_and_enough(tables: Ladder) -> None:
    here = {
        one.name: hashlib.sha256(one.wave.astype(np.float32).tobytes()).hexdigest()[:8]
        for one in plain_excerpts(project_root() / "stimulus")
    }
    play = {one.window: one.sha256 for one in tables.windows if one.group != "recorded"}
    assert play == here
    assert len(tables.windows) >= 90 and len({one.voice for one in tables.windows}) >= 4
    assert (
        sum(one.seconds for one in tables.windows) >= 20 * 60
        and sum(one.said for one in tables.windows) >= 600
    )


@pytest.mark.parametrize("arm", KEPT)
def test_an_arm_was_trained_as_its_recipe_says(arm: str) -> None:
    run = ladder_training.main_run(ladder_training.read(), arm)
    with open(coder_file(arm), "rb") as stream:
        header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
    step = json.loads(header["__metadata__"]["summary"])["step"]
    assert run[-1].step == step == RECIPES[arm].steps


def test_a_rung_of_every_arm_was_found_again_where_the_pages_were_made() -> None:
    said = json.loads((project_root() / "results" / "demo" / "glued" / "06-ladder.json").read_text())
    assert said["again_windows"] >= 24 and said["again"] == "every arm is as the tables have it"
