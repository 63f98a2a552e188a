"""What chapters 2 and 3 share: a mel spectrogram there and back, plain and at the bits of the codec."""

from __future__ import annotations

from typing import Any

from fmri_audio.edition import Edition
from fmri_audio.experiments.problem import MelSetting, at_bits
from fmri_audio.representations.mel import MelGriffinLim, QuantisedMel


def setting_of(run: Edition) -> MelSetting:
    """Return the edition's own setting of the mel spectrogram."""
    return MelSetting.of(run.settings.mel)


def plain_mel(run: Edition) -> MelGriffinLim:
    """Return the uncompressed mel spectrogram at the edition's own setting."""
    return setting_of(run).build(run.stimulus.sample_rate, run.settings.seed)


def equal_mel(run: Edition) -> QuantisedMel:
    """Return a mel spectrogram that takes no more bits than the codec."""
    return at_bits(run.bandwidth, setting_of(run), run.stimulus.sample_rate, run.settings.seed)


def split_said(run: Edition) -> str:
    """Say how the mel spectrogram of equal bits spends them."""
    split = equal_mel(run).split
    return f"{split.n_mels} bands, {split.pool} frames pooled, {split.bits} bits per value"


def columns(run: Edition) -> dict[str, Any]:
    """Return what all results of a roundtrip without brains have in common."""
    return {
        "arm": "roundtrip",
        "condition": "none",
        "seed": run.settings.seed,
        "study": run.stimulus.name,
    }
