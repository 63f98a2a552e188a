"""Decodes of single brains: of the block, of the code that the way back to sound was trained behind."""

from __future__ import annotations

import numpy as np
import pytest

from fmri_audio.decoding import regression
from fmri_audio.experiments.decoded import decoded_from_brains
from fmri_audio.experiments.held_out import HeldOut
from fmri_audio.experiments.noisy_bottleneck import NoisyBottleneck
from fmri_audio.experiments.through_arm import ThroughArm


def test_decodes_are_of_the_block_and_of_single_subjects(held_out: HeldOut) -> None:
    several = list(decoded_from_brains(ThroughArm(held_out, "frozen")))
    assert [one.subject for one in several] == list(held_out.study.subjects)
    n_trs = held_out.block[1] - held_out.block[0]
    for one in several:
        assert one.code.shape == one.true.shape == (n_trs, 8)
        assert one.heard.shape == one.code.shape and np.isfinite([one.heard, one.code]).all()
    assert not np.array_equal(several[0].code, several[1].code)
    np.testing.assert_array_equal(several[0].true, several[1].true)


def test_every_training_is_decoded_on_its_own(held_out: HeldOut) -> None:
    second = held_out.repeated["frozen"][1]
    several = [list(decoded_from_brains(ThroughArm(held_out, one))) for one in ("frozen", second)]
    assert [[one.arm for one in decoded] for decoded in several] == [["frozen"] * 2] * 2
    assert not np.array_equal(several[0][0].heard, several[1][0].heard)


def test_every_condition_predicts_the_code_that_the_way_back_was_trained_behind(
    held_out: HeldOut, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict, targets = regression.decode_units, []

    def watched(bold: np.ndarray, units: np.ndarray, *rest: object, **options: object) -> object:
        targets.append(units)
        return predict(bold, units, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(regression, "decode_units", watched)
    through = ThroughArm(held_out, "frozen")
    [*_, from_a_brain] = decoded_from_brains(through)
    for units in targets:
        np.testing.assert_array_equal(units[:, :8], through.read_codes)
        np.testing.assert_array_equal(units[:, 8:], through.trained.code)
    assert len(targets) == 2
    assert from_a_brain.heard.shape == NoisyBottleneck(through).decoded(0.0).heard.shape
    np.testing.assert_array_equal(through.sound_of(through.read_code), through.noise_free)
