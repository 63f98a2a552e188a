"""What several chapters say."""

from __future__ import annotations

from fmri_audio.bottleneck.arms import ARMS
from fmri_audio.edition import Edition
from fmri_audio.experiments.held_out import HeldOut


def brains_of(whole: Edition | HeldOut) -> str:
    """Say what an edition's brains are, as it is said wherever they enter."""
    return "simulated brains" if whole.study.simulated else "measured brains"


def whose(arm: str | None, codec: str) -> str:
    """Say whose weights made a sound: the codec's alone where no arm had a part in it."""
    if arm is None:
        return codec
    if not ARMS[arm].representation.startswith("encodec"):
        return f"the bottleneck{' and the vocoder' if arm == 'mel-vocoder' else ''} trained here"
    return f"{codec}, fine-tuned here" if arm == "finetuned" else f"{codec} and the bottleneck trained here"
