"""The arms: five ways for sound through the same bottleneck, behind one interface."""

from __future__ import annotations

from fmri_audio.bottleneck.arms.base import Arm
from fmri_audio.bottleneck.arms.codes import CodesArm
from fmri_audio.bottleneck.arms.complex_stft import ComplexStftArm
from fmri_audio.bottleneck.arms.latents import FineTuned, FrozenLatents
from fmri_audio.bottleneck.arms.mel import MelArm

ARMS: dict[str, type[Arm]] = {
    kind.name: kind for kind in (MelArm, CodesArm, FrozenLatents, FineTuned, ComplexStftArm)
}
"""All arms by their name in the tables, in the order of the tables."""

ARM_LABELS = {
    "mel": "mel + Griffin-Lim",
    "codes": "codes",
    "frozen": "frozen",
    "finetuned": "fine-tuned",
    "complex-stft": "complex STFT",
}
"""The arms as a reader knows them."""
