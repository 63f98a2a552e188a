"""The complex STFT behind a nested code, through complex-valued layers: no phase is guessed, none thrown away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import complextorch.nn as complex_nn
import torch
from torch import Tensor, nn

from fmri_audio.bottleneck.coders.base import Coder, registered
from fmri_audio.bottleneck.coders.losses import SoundLoss
from fmri_audio.bottleneck.layers import linear_of
from fmri_audio.representations.stft import ComplexStft

if TYPE_CHECKING:
    from fmri_audio.codec.checkpoints import Checkpoint

CHANNELS = 48
"""Complex channels of a frame that the code is made of. They leave out 13 % of the energy of held-out speech (of 64 it
would be 10 %, of 96 6 %), far less than a code of some hundred numbers per TR does, and keep the network small."""

_WAVEFORM = 0.3


@registered
class ComplexStftCoder(Coder):
    """Complex STFT → fewer complex channels → nested code → complex STFT → inverse STFT.

    Complex linear layers (``complextorch``) take a frame's bins to channels and back; they start as the principal
    components of training frames. A hidden complex layer of rectifiers (CReLU) corrects what comes back, from zero on.

    Parameters
    ----------
    stft : ComplexStft
    """

    name = "complex-stft"
    label = "complex STFT"
    place = 50
    representation = "complex-stft"
    untrained = ("sound_loss.",)

    def __init__(self, stft: ComplexStft) -> None:
        super().__init__(2 * CHANNELS, stft.hop_length)
        self.stft, self.features_ahead = stft, stft.n_fft // 2
        bins = stft.channels // 2
        self.inward = complex_nn.Linear(bins, CHANNELS, bias=False)
        self.correction = nn.Sequential(
            complex_nn.Linear(CHANNELS, CHANNELS),
            complex_nn.CReLU(inplace=False),  # in place it would overwrite what backward needs
            complex_nn.Linear(CHANNELS, CHANNELS),
        )
        self.outward = complex_nn.Linear(CHANNELS, bins, bias=False)
        self.sound_loss = SoundLoss(self.sample_rate, _WAVEFORM)

    @classmethod
    def build(cls, checkpoint: Checkpoint) -> Self:
        """Make one with the window and hop of the mel spectrogram."""
        return cls(ComplexStft())

    @torch.no_grad()
    def features(self, waveform: Tensor) -> Tensor:
        """Real and imaginary parts [B, C, L]."""
        return self.stft.analyse(waveform)[..., : waveform.shape[-1] // self.hop_length]

    @torch.no_grad()
    def prepare(self, waveform: Tensor) -> None:
        """Start the layers between bins and channels as principal components of training frames."""
        frames = _complex(self.features(waveform)).mT.flatten(0, 1).to(torch.complex128)
        _, vectors = torch.linalg.eigh(frames.mT @ frames.conj())
        strongest = vectors[:, -CHANNELS:].flip(1).to(torch.complex64)
        linear_of(self.inward).weight.copy_(strongest.conj().T)
        linear_of(self.outward).weight.copy_(strongest)
        last = linear_of(self.correction[2])
        last.weight.zero_()
        last.bias.zero_()

    def embed(self, features: Tensor) -> Tensor:
        """Channels [B, E, L] of bins [B, C, L], real parts, then imaginary parts."""
        return _real(self.inward(_complex(features).mT).mT)

    def loss(self, restored: Tensor, features: Tensor, waveform: Tensor) -> Tensor:
        """Distance of the sound of the inverse STFT."""
        heard: Tensor = self.sound_loss(self.synthesise(restored), waveform)
        return heard

    def synthesise(self, restored: Tensor) -> Tensor:
        """Waveform [B, 1, L · hop length] by the inverse STFT."""
        channels = _complex(restored).mT
        bins = self.outward(channels + self.correction(channels)).mT
        one_more = torch.cat([bins, torch.zeros_like(bins[..., -1:])], -1)  # frames are centred
        return self.stft.synthesise(_real(one_more), restored.shape[-1] * self.hop_length)


def _complex(parts: Tensor) -> Tensor:
    return torch.complex(*parts.chunk(2, dim=1))


def _real(numbers: Tensor) -> Tensor:
    return torch.cat([numbers.real, numbers.imag], dim=1)
