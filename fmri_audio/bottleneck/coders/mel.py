"""Log-mel spectrogram behind a nested code, back to sound by Griffin-Lim."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor

from fmri_audio.bottleneck.coders.base import Coder, registered
from fmri_audio.representations.mel import MelGriffinLim

if TYPE_CHECKING:
    from fmri_audio.codec.checkpoints import Checkpoint

FLOOR = 1e-5
"""Least mel power told apart, some 55 dB below speech: what is quieter would cost numbers and is not heard."""

_LOUDNESS = 0.2
"""Power of mel power by which an error counts as it is heard; of most bands and frames only noise is left."""


class MelCode(Coder):
    """What the two coders of a log-mel spectrogram share: features, code and loss.

    Parameters
    ----------
    mel : MelGriffinLim
        Whose features are written, with its own way back to sound.
    """

    representation = "mel"
    makes_phase = True

    def __init__(self, mel: MelGriffinLim) -> None:
        super().__init__(mel.n_mels, mel.hop_length)
        self.mel = mel
        self.features_ahead = mel.n_fft // 2

    @torch.no_grad()
    def features(self, waveform: Tensor) -> Tensor:
        """Log-mel powers [B, C, L], not below the floor."""
        n_frames = waveform.shape[-1] // self.hop_length
        found: Tensor = self.mel.analyse(waveform)[..., :n_frames]
        return found.clamp_min(torch.tensor(FLOOR).log().item())

    def loss(self, restored: Tensor, features: Tensor, waveform: Tensor) -> Tensor:
        """Mean absolute difference of log-mel powers, and the same weighted by loudness."""
        apart = (restored - features).abs()
        loudness = (_LOUDNESS * features).exp()
        plain = apart.mean((1, 2))
        loud: Tensor = (loudness * apart).sum((1, 2)) / loudness.sum((1, 2))
        return plain + 2 * loud

    def feature_loss(self, restored: Tensor, features: Tensor) -> Tensor:
        """The distance of spectrograms: it costs no sound."""
        return MelCode.loss(self, restored, features, features)

    @torch.no_grad()
    def synthesise(self, restored: Tensor) -> Tensor:
        """Waveform [B, 1, L · hop length] by the representation's own way back."""
        n_samples = restored.shape[-1] * self.hop_length
        return self.mel.synthesise(self._centred(restored), n_samples)

    @staticmethod
    def _centred(features: Tensor) -> Tensor:
        """One frame more: the last sample lies between two centres."""
        return torch.cat([features, features[..., -1:]], -1)


@registered
class MelCoder(MelCode):
    """Log-mel spectrogram and Griffin-Lim: the pipeline of the research note."""

    name = "mel"
    label = "mel + Griffin-Lim"
    place = 10

    @classmethod
    def build(cls, checkpoint: Checkpoint) -> Self:
        """Make one with the settings of the research note."""
        return cls(MelGriffinLim())
