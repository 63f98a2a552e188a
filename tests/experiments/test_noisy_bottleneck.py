"""The bottleneck with voxel noise: a little changes little, much of it leaves the training mean."""

from __future__ import annotations

import numpy as np

from fmri_audio.experiments.held_out import HeldOut
from fmri_audio.experiments.noisy_bottleneck import NoisyBottleneck
from fmri_audio.experiments.through_arm import ThroughArm


def test_a_little_noise_of_voxels_changes_little_and_much_of_it_leaves_the_mean(held_out: HeldOut) -> None:
    through = ThroughArm(held_out, "mel")
    noisy = NoisyBottleneck(through)
    none, little, much = (noisy.decoded(level) for level in (0.0, 0.01, 100.0))
    assert none.subject is None and none.code.shape == none.true.shape
    spread = [float(np.square(one.heard - through.mean_code).mean()) for one in (none, little, much)]
    assert np.square(little.heard - none.heard).mean() < 0.1 * spread[0]
    assert spread[2] < 0.05 * spread[0]
    # Without noise nothing but the gain is left to learn, and that is one, but for which volumes standardise.
    own = through.read_code
    assert np.square(none.heard - own).mean() < 1e-3 * np.square(own - through.mean_code).mean()
    assert noisy.noise.reliability.shape == (held_out.n_units,)


def test_volumes_are_standardised_where_the_decoder_is_trained(held_out: HeldOut) -> None:
    noisy = NoisyBottleneck(ThroughArm(held_out, "mel"))
    for level in (0.0, 1.0):
        volumes = noisy.volumes(level)
        assert volumes.shape == held_out.arms["mel"].volumes.shape
        np.testing.assert_allclose(volumes[held_out.split.bold_train_rows].std(axis=0), 1, atol=2e-2)
    assert not np.array_equal(noisy.volumes(), noisy.volumes(independent=True))


def test_every_training_has_noise_of_its_own(held_out: HeldOut) -> None:
    first, second = (NoisyBottleneck(ThroughArm(held_out, one)) for one in held_out.repeated["frozen"])
    assert not np.array_equal(first.noise.residuals, second.noise.residuals)
