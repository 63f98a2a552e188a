"""What the note counts with: its TR and bandwidth, EnCodec at full width without its weights, and noise to code."""

from __future__ import annotations

from fractions import Fraction
from functools import cache

import torch
from encodec.model import EncodecModel
from torch import nn

from fmri_audio.codec import checkpoints

TR = Fraction(3, 2)
"""The TR that the note counts with, in seconds."""

NOTE_TRS = 920
"""The TRs that the note counts with."""

NOTE_KBPS = 6.0
"""The note's own bandwidth."""

PCM_BITS = 16
"""Bits of a sample in uncompressed sound, against which a codec's compression is counted."""

SEED = 0


@cache
def full_width() -> EncodecModel:
    """Return EnCodec's 24 kHz topology at full width, random weights, at the note's bandwidth."""
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        model = checkpoints.freeze(checkpoints.build())
    model.set_target_bandwidth(NOTE_KBPS)
    return model


@cache
def both_models() -> dict[str, EncodecModel]:
    """Return the topologies of everything that Meta released, by a reader's name."""
    built = [release.build() for release in checkpoints.RELEASED.values()]
    return {f"{model.sample_rate / 1000:g} kHz model": model for model in built}


def white_noise(n_samples: int) -> torch.Tensor:
    """Return a tenth of full scale of white noise, [1, 1, T]."""
    return 0.1 * torch.randn(1, 1, n_samples, generator=torch.Generator().manual_seed(SEED))


def tr_samples() -> int:
    """Return the samples of one TR."""
    return round(TR * full_width().sample_rate)


def tr_frames() -> Fraction:
    """Return the frames of one TR, which need not be whole."""
    model = full_width()
    return TR * Fraction(model.sample_rate, int(model.encoder.hop_length))


@cache
def lone_codes() -> torch.Tensor:
    """Return the codes [K, L] of one TR that is encoded on its own."""
    with torch.inference_mode():
        [(codes, _)] = full_width().encode(white_noise(tr_samples()))
    return codes[0]


def count_of(module: nn.Module) -> float:
    """Count trainable real numbers; a complex one is two."""
    return float(
        sum(p.numel() * (2 if p.is_complex() else 1) for p in module.parameters() if p.requires_grad)
    )
