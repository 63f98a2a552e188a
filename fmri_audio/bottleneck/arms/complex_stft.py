"""The complex STFT through complex-valued layers: no phase is guessed, none is thrown away."""

from __future__ import annotations

from fractions import Fraction
from typing import Self

import complextorch.nn as complex_nn
import torch
from torch import nn

from fmri_audio.base.kinds import Block
from fmri_audio.bottleneck.arms.base import Arm, Material, TrainingWindow, frames_of_blocks, registered
from fmri_audio.bottleneck.arms.losses import SoundLoss
from fmri_audio.bottleneck.layers import BoldSpace, TrProjection, linear_of
from fmri_audio.representations.stft import ComplexStft


@registered
class ComplexStftArm(Arm):
    """Complex STFT → fewer complex channels → bottleneck → complex STFT → inverse STFT.

    A TR of the STFT has several times as many values as one of latents. Complex linear layers (``complextorch``) take
    its bins to as many channels as give the projection the size it has in the other arms, and back; they start
    as the principal components of training frames. A hidden complex layer of rectifiers (CReLU) corrects what came
    back; it starts at zero, so that an arm wide enough starts as the identity.

    Parameters
    ----------
    stft : ComplexStft
    projection : TrProjection
        On the grid of the reduced channels.
    space : BoldSpace
    """

    name = "complex-stft"
    label = "complex STFT"
    place = 50
    rank_multiple = 2
    representation = "complex-stft"
    loss_unit = "mel and waveform distance"
    untrained = ("sound_loss.",)

    def __init__(self, stft: ComplexStft, projection: TrProjection, space: BoldSpace) -> None:
        super().__init__(projection, space, stft.sample_rate, stft.hop_length)
        self.stft = stft
        bins, channels = stft.channels // 2, projection.grid.channels
        self.inward = complex_nn.Linear(bins, channels, bias=False)
        self.correction = nn.Sequential(
            complex_nn.Linear(channels, channels),
            complex_nn.CReLU(inplace=False),  # in place it would overwrite what backward needs
            complex_nn.Linear(channels, channels),
        )
        self.outward = complex_nn.Linear(channels, bins, bias=False)
        self.sound_loss = SoundLoss(stft.sample_rate)

    @classmethod
    def build(cls, material: Material) -> Self:
        """Make the arm with as many channels as give it the latent arms' number of bottleneck weights."""
        stft = ComplexStft(material.mel.n_fft, material.mel.hop_length, material.sound.sample_rate)
        codec = material.checkpoint.model
        latents = material.grid(
            Fraction(codec.sample_rate, int(codec.encoder.hop_length)), len(material.latents)
        )
        width = material.grid(stft.feature_rate, 1).width
        channels = min(stft.channels // 2, round(latents.channels * latents.width / width))
        grid = material.grid(stft.feature_rate, channels)
        projection = TrProjection(grid, material.rank, complex_valued=True)
        return cls(stft, projection, material.space()).to(material.device)

    def analyse(self, waveform: torch.Tensor) -> torch.Tensor:
        """Complex STFT [B, n_fft / 2 + 1, L]."""
        real, imaginary = self.stft.analyse(waveform).chunk(2, dim=1)
        return torch.complex(real, imaginary)

    def prepare(self, features: torch.Tensor, blocks: list[Block]) -> None:
        """Start the layers between bins and channels as principal components of training frames."""
        frames = frames_of_blocks(features, blocks, self.grid).to(torch.complex128)
        _, vectors = torch.linalg.eigh(frames @ frames.conj().T)
        strongest = vectors[:, -self.grid.channels :].to(torch.complex64)
        linear_of(self.inward).weight.copy_(strongest.conj().T)
        linear_of(self.outward).weight.copy_(strongest)
        last = linear_of(self.correction[2])
        last.weight.zero_()
        last.bias.zero_()

    def embed(self, features: torch.Tensor) -> torch.Tensor:
        """Channels [B, D, L] of bins [B, C, L]."""
        return _per_frame(self.inward, features)

    def spectrum(self, restored: torch.Tensor) -> torch.Tensor:
        """Complex STFT [B, C, L] of channels [B, D, L]."""
        return _per_frame(self.outward, restored + _per_frame(self.correction, restored))

    def loss(self, restored: torch.Tensor, window: TrainingWindow) -> torch.Tensor:
        """Distance between the sound of the inverse STFT and the original."""
        with torch.autocast(restored.device.type, enabled=False):
            passed = self._inverse(self.spectrum(restored), window["waveform"].shape[-1])
        loss: torch.Tensor = self.sound_loss(passed, window["waveform"])
        return loss

    def synthesise(self, restored: torch.Tensor, n_samples: int) -> torch.Tensor:
        """Waveform [T] of channels [D, L]."""
        return self._inverse(self.spectrum(restored[None]), n_samples)[0, 0]

    def _inverse(self, spectrum: torch.Tensor, n_samples: int) -> torch.Tensor:
        return self.stft.synthesise(torch.cat([spectrum.real, spectrum.imag], dim=1), n_samples)


def _per_frame(layer: nn.Module, features: torch.Tensor) -> torch.Tensor:
    """Apply a layer to the channels [B, C, L] of every frame."""
    changed: torch.Tensor = layer(features.transpose(1, 2))
    return changed.transpose(1, 2)
