"""What several chapters say."""

from __future__ import annotations

import pytest

from fmri_audio.bottleneck.arms import ARMS
from fmri_audio.chapters.common import whose

SAID = {
    None: "demo-1",
    "frozen": "demo-1 and the bottleneck trained here",
    "codes": "demo-1 and the bottleneck trained here",
    "finetuned": "demo-1, fine-tuned here",
    "mel": "the bottleneck trained here",
    "mel-vocoder": "the bottleneck and the vocoder trained here",
    "complex-stft": "the bottleneck trained here",
}


@pytest.mark.parametrize("arm", [None, *ARMS])
def test_whose_weights_made_a_sound(arm: str | None) -> None:
    assert whose(arm, "demo-1") == SAID[arm]
