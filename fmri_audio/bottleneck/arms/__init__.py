"""The arms: ways for sound through the same bottleneck, behind one interface, one file each."""

from fmri_audio.bottleneck.arms.base import ARM_LABELS, ARMS

__all__ = ["ARMS", "ARM_LABELS"]
