"""How far a sound is from another, in a way that has gradients."""

from __future__ import annotations

import warnings

import torch
import torchaudio
from torch import nn

_MEL_SIZES = (512, 1024, 2048)
_WAVEFORM_WEIGHT = 0.1


class SoundLoss(nn.Module):
    """How far a sound is from another: mel spectrograms at three resolutions, and lightly the waveforms.

    Spectrograms are compared twice, after Yamamoto et al. (2020): L1 of their logarithms, which hears what is
    quiet, and the Frobenius norm of their difference relative to the reference's, which hears what is strong.

    Parameters
    ----------
    sample_rate : int
    """

    def __init__(self, sample_rate: int) -> None:
        super().__init__()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the smallest size leaves a few low mel bands empty
            self.mels = nn.ModuleList(
                torchaudio.transforms.MelSpectrogram(
                    sample_rate, size, hop_length=size // 4, n_mels=64, power=1.0
                )
                for size in _MEL_SIZES
            )

    def forward(self, degraded: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        """Loss of ``degraded`` [B, 1, T] against ``reference`` [B, 1, T], in single precision whatever surrounds it."""
        with torch.autocast(degraded.device.type, enabled=False):
            degraded, reference = degraded.float(), reference.float()
            loss = _WAVEFORM_WEIGHT * (degraded - reference).abs().mean()
            for mel in self.mels:
                ours, theirs = mel(degraded), mel(reference)
                quiet = (torch.log(ours + 1e-3) - torch.log(theirs + 1e-3)).abs().mean()
                strong = (ours - theirs).norm() / (theirs.norm() + 1e-3)
                loss = loss + (quiet + strong) / len(self.mels)
        return loss
