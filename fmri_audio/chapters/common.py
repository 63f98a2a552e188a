"""What several chapters say."""

from __future__ import annotations

from fmri_audio.edition import Edition


def brains_of(run: Edition) -> str:
    """Say what an edition's brains are, as it is said wherever they enter."""
    return "simulated brains" if run.study.simulated else "measured brains"
