"""What several chapters say."""

from __future__ import annotations

from fmri_audio.edition import Edition
from fmri_audio.experiments.held_out import HeldOut


def brains_of(whole: Edition | HeldOut) -> str:
    """Say what an edition's brains are, as it is said wherever they enter."""
    return "simulated brains" if whole.study.simulated else "measured brains"
