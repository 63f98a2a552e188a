"""The arms: ways for sound through the same bottleneck, behind one interface, one file each."""

from fmri_audio.bottleneck.arms.base import ARMS, LABELS

__all__ = ["ARMS", "LABELS"]
