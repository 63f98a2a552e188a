"""The clip that is played lies in the block."""

from __future__ import annotations

import pytest

from fmri_audio.experiments.held_out import HeldOut
from fmri_audio.experiments.played_clip import PlayedClip
from tests.experiments.conftest import RATE


def test_the_clip_lies_in_the_block(held_out: HeldOut) -> None:
    clip = PlayedClip(held_out)
    assert 0 <= clip.window.onset < clip.window.offset <= len(held_out.original) / RATE
    assert clip.window.offset - clip.window.onset == pytest.approx(2)
    heard = clip.hear({"original": held_out.original})["original"]
    assert len(heard) == 2 * RATE
