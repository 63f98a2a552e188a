"""The block through an arm: codes and sounds of the block, and the mean that knows no moment."""

from __future__ import annotations

import numpy as np
import pytest

from fmri_audio.bottleneck.arms import ARMS
from fmri_audio.experiments.held_out import HeldOut
from fmri_audio.experiments.through_arm import ThroughArm
from fmri_audio.experiments.through_codec import codec_only
from tests.experiments.conftest import N_TRS


def test_every_sound_is_as_long_as_the_block_and_they_differ(held_out: HeldOut) -> None:
    frozen, finetuned = (ThroughArm(held_out, arm) for arm in ("frozen", "finetuned"))
    sounds = {
        "quantised": codec_only(held_out, held_out.run.bandwidth),
        "plain": codec_only(held_out),
        "frozen": frozen.noise_free,
        "finetuned": finetuned.noise_free,
        "again": frozen.requantised(held_out.run.bandwidth),
        "mean": frozen.without_brain,
    }
    assert {wave.shape for wave in sounds.values()} == {held_out.original.shape}
    del sounds["again"]  # a codec of random weights has a single code, whatever it is given
    assert len({wave.tobytes() for wave in sounds.values()}) == len(sounds)


@pytest.mark.parametrize("arm", ARMS)
def test_every_arm_gives_the_block_back_from_its_units(held_out: HeldOut, arm: str) -> None:
    assert list(held_out.arms) == list(ARMS)
    through = ThroughArm(held_out, arm)
    assert through.name == arm
    assert through.noise_free.shape == held_out.original.shape and np.isfinite(through.noise_free).all()
    n_trs = held_out.block[1] - held_out.block[0]
    assert through.own_code.shape == through.read_code.shape == (n_trs, 8)
    assert through.trained.volumes.shape == (N_TRS, held_out.n_units)
    assert not np.allclose(through.own_code, through.read_code, atol=1e-2)  # volumes are slow


def test_a_training_is_heard_as_its_arm_is(held_out: HeldOut) -> None:
    for arm, (first, second) in held_out.repeated.items():
        named, own, other = (ThroughArm(held_out, one) for one in (arm, first, second))
        assert named.trained is own.trained and other.trained is second and other.name == arm
        np.testing.assert_array_equal(own.noise_free, named.noise_free)
        assert not np.array_equal(other.noise_free, named.noise_free)
        np.testing.assert_array_equal(other.own_code, second.code[slice(*held_out.block)])


def test_nothing_is_read_between_training_and_the_block(held_out: HeldOut) -> None:
    between = slice(held_out.split.train[-1] + 1, held_out.block[0])
    assert np.isnan(ThroughArm(held_out, "frozen").read_codes[between]).all()


def test_sound_without_a_brain_is_the_same_for_every_brain_and_knows_no_moment(held_out: HeldOut) -> None:
    through = ThroughArm(held_out, "frozen")
    assert np.ptp(through.mean_code, axis=0).max() == 0
    np.testing.assert_allclose(
        through.mean_code[0], through.read_codes[held_out.split.train].mean(axis=0), rtol=1e-6
    )
