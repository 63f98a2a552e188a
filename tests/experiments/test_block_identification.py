"""Segments of the block told apart: perfect copies always, unrelated sound by chance; and bits that fall with noise."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import scipy.signal

from fmri_audio.experiments.block_identification import BlockIdentification, bits_of_code
from fmri_audio.experiments.decoded import decoded_from_brains
from fmri_audio.experiments.held_out import HeldOut
from fmri_audio.experiments.noisy_bottleneck import NoisyBottleneck
from fmri_audio.experiments.through_arm import ThroughArm
from tests.experiments.conftest import N_TRS, RATE, edition


def test_identification_turns_the_sound_over_the_whole_run(held_out: HeldOut) -> None:
    identification, through = BlockIdentification(held_out), ThroughArm(held_out, "mel")
    several = list(decoded_from_brains(through))
    found = identification.by_code(through, several)
    perfect = identification.by_code(through, [dataclasses.replace(one, code=one.true) for one in several])
    assert found.per_subject.shape == (2, 1 + N_TRS - 2 * held_out.split.gap - 1)
    assert perfect.n_segments + perfect.n_left_out == (held_out.block[1] - held_out.block[0]) // 4
    if perfect.n_segments:
        assert perfect.accuracy == 1


def test_bits_fall_with_noise_and_a_code_that_never_changes_has_none(held_out: HeldOut) -> None:
    through = ThroughArm(held_out, "mel")
    own = bits_of_code(through, through.own_code)
    read = bits_of_code(through, through.read_code)
    noisy = bits_of_code(through, NoisyBottleneck(through).decoded(30.0).code)
    assert own.raw > read.raw > noisy.raw >= 0
    assert bits_of_code(through, through.read_code, 2).raw < read.raw
    assert bits_of_code(through, through.mean_code).raw == 0


def resonances(n_trs: int, seed: int) -> np.ndarray:
    """Noise whose three resonances wander from one half of a TR to the next, at one level."""
    rng = np.random.default_rng(seed)
    hertz = np.repeat([[600], [1500], [2800]], 2 * n_trs, axis=1)
    hertz = hertz + 250 * (rng.standard_normal((3, 2 * n_trs)) + rng.standard_normal((3, 2 * n_trs)))
    parts = []
    for moment in hertz.T:
        sound = rng.standard_normal(18_000)
        for centre in np.clip(moment, 200, 3500):
            sound = scipy.signal.lfilter([1], [1, -1.9 * np.cos(2 * np.pi * centre / RATE), 0.9025], sound)
        parts.append(sound / sound.std())
    return np.asarray(0.05 * np.concatenate(parts), np.float32)


@pytest.fixture(scope="module")
def long_block(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint_file: Path) -> HeldOut:
    """A block of many segments; no arm is trained for it."""
    sound = resonances(240, 0)
    return HeldOut(
        edition(tmp_path_factory.mktemp("long"), sound, tiny_checkpoint_file, [(0, 360, "speech")])
    )


def test_noisy_copies_are_identified_by_their_sound_whatever_their_level_and_colour(
    long_block: HeldOut,
) -> None:
    noise = np.random.default_rng(0).standard_normal((2, len(long_block.original)))
    level = long_block.original.std()
    found = BlockIdentification(long_block).by_line_spectra(
        [
            long_block.original,
            1e-3 * long_block.original,
            scipy.signal.lfilter([1], [1, -0.7], long_block.original),
            *(long_block.original + level * np.float32(one) for one in noise),
        ]
    )
    assert found.per_subject.shape == (5, 1 + 240 - 2 * 12 - 1) and found.n_segments >= 10
    assert (found.per_subject[:3, 0] > 0.99).all() and (found.per_subject[3:, 0] > 0.9).all()
    assert found.p == found.smallest_p


def test_unrelated_sound_is_identified_no_better_than_by_chance(long_block: HeldOut) -> None:
    identification = BlockIdentification(long_block)
    unrelated = [resonances(240, seed)[: len(long_block.original)] for seed in range(1, 9)]
    found = [identification.by_line_spectra([one]) for one in unrelated]
    assert abs(np.mean([one.accuracy for one in found]) - 0.5) < 0.08
    assert sum(one.p <= 0.05 for one in found) <= 2  # of 8; more in 1 of 200 runs
    silent = identification.by_line_spectra([np.zeros_like(long_block.original)])
    assert silent.accuracy == 0.5
