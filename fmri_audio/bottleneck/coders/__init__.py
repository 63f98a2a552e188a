"""Ways to write sound as a nested code, one file each, registered."""

from fmri_audio.bottleneck.coders.base import CODERS, Coder

__all__ = ["CODERS", "Coder"]
