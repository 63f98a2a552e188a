"""The held-out block: where it lies, what is trained beside it, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fmri_audio.base.errors import UserError
from fmri_audio.edition.edition import Edition
from fmri_audio.experiments.held_out import HeldOut
from tests.experiments.conftest import N_TRS, edition


def test_the_block_is_the_end_of_the_sound_behind_a_gap(held_out: HeldOut) -> None:
    (first, last), trained = held_out.block, held_out.split.train
    assert trained.max() + held_out.split.gap < first < last <= N_TRS
    assert held_out.seconds == (1.5 * first, 1.5 * last)
    np.testing.assert_array_equal(
        held_out.original, held_out.stimulus.waveform[36_000 * first : 36_000 * last]
    )


def test_the_two_arms_compared_are_trained_from_every_seed(held_out: HeldOut) -> None:
    assert list(held_out.repeated) == ["frozen", "finetuned"]
    for name, several in held_out.repeated.items():
        first = held_out.run.settings.seed
        assert [one.seed for one in several] == [first, first + 1]
        assert several[0] is held_out.arms[name]
        assert not np.array_equal(several[0].volumes, several[1].volumes)


def test_brains_of_another_clock_are_refused(held_out: HeldOut) -> None:
    slower = Edition(
        held_out.run.settings.model_copy(update={"tr": 2 * held_out.run.settings.tr}), 6.0, held_out.run.build
    )
    slower.__dict__.update(
        stimulus=held_out.stimulus.__class__(**{**vars(held_out.stimulus), "tr": 2 * held_out.stimulus.tr}),
        study=held_out.study,
    )
    with pytest.raises(UserError, match="its TR is 1.5 s, the edition's 3 s"):
        HeldOut(slower)


def test_a_block_without_anything_to_score_is_refused(
    tmp_path: Path, speech: Callable[..., np.ndarray], tiny_checkpoint_file: Path
) -> None:
    kinds = [(0, 60, "speech"), (60, 96, "silence")]
    run = edition(tmp_path, speech(N_TRS * 1.5), tiny_checkpoint_file, kinds)
    with pytest.raises(UserError, match="no stretch of speech, music or ambience long enough"):
        _ = HeldOut(run).windows
