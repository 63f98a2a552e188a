"""Mel spectrogram through the bottleneck, then Griffin-Lim: the old pipeline."""

from __future__ import annotations

from typing import Self

import torch

from fmri_audio.base.kinds import Block
from fmri_audio.bottleneck.arms.base import Arm, Material, TrainingWindow, frames_of_blocks, registered
from fmri_audio.bottleneck.layers import BoldSpace, TrProjection
from fmri_audio.representations.mel import MelGriffinLim


@registered
class MelArm(Arm):
    """Log-mel powers → bottleneck → Griffin-Lim.

    Griffin-Lim is an iteration without useful gradients, so the loss compares log-mel powers and the phase guess
    comes afterwards. What the projection restores is kept within each band's range in training: a logarithm that
    leaves it would be loud nonsense once it is exponentiated.

    Parameters
    ----------
    mel : MelGriffinLim
    projection : TrProjection
    space : BoldSpace
    """

    name = "mel"
    label = "mel + Griffin-Lim"
    place = 10
    representation = "mel"
    loss_unit = "log-mel difference"
    lowest: torch.Tensor
    highest: torch.Tensor

    def __init__(self, mel: MelGriffinLim, projection: TrProjection, space: BoldSpace) -> None:
        super().__init__(projection, space, mel.sample_rate, mel.hop_length)
        self.mel = mel
        self.register_buffer("lowest", torch.zeros(mel.channels, 1))
        self.register_buffer("highest", torch.zeros(mel.channels, 1))

    @classmethod
    def build(cls, material: Material) -> Self:
        """Make the arm with the edition's mel settings."""
        mel = MelGriffinLim(**material.mel.model_dump(), sample_rate=material.sound.sample_rate)
        grid = material.grid(mel.feature_rate, mel.channels)
        return cls(mel, TrProjection(grid, material.rank), material.space()).to(material.device)

    def analyse(self, waveform: torch.Tensor) -> torch.Tensor:
        """Log-mel powers [B, n_mels, L]."""
        return self.mel.analyse(waveform)

    def prepare(self, features: torch.Tensor, blocks: list[Block]) -> None:
        """Note each band's range in training."""
        frames = frames_of_blocks(features, blocks, self.grid)
        self.lowest.copy_(frames.amin(dim=1, keepdim=True))
        self.highest.copy_(frames.amax(dim=1, keepdim=True))

    def loss(self, restored: torch.Tensor, window: TrainingWindow) -> torch.Tensor:
        """Mean absolute difference of log-mel powers."""
        return (restored.float() - window["features"]).abs().mean()

    def synthesise(self, restored: torch.Tensor, n_samples: int) -> torch.Tensor:
        """Waveform [T] that Griffin-Lim finds for log-mel powers [n_mels, L].

        Its frames are centred, so that sound of whole hops ends with the first half of one frame more than TRs have;
        the last one serves for it.
        """
        within = torch.minimum(torch.maximum(restored, self.lowest), self.highest).cpu()
        n_frames = n_samples // self.hop_length + 1
        index = torch.arange(n_frames).clamp_max(within.shape[-1] - 1)
        return self.mel.synthesise(within[None, :, index], n_samples)[0, 0]
