"""How far sounds are from others, one number for each, with gradients."""

from __future__ import annotations

import warnings

import torch
import torchaudio
from torch import Tensor, nn

_SIZES = (512, 1024, 2048)
_BANDS = 64
_QUIET = 1e-3
"""Magnitude under which a band counts as silent, of sound at unit level."""

_LOUDNESS = 0.4
"""Power of magnitude by which an error counts as it is heard."""

_SILENCE = 1e-3
"""Root mean square under which a sound counts as silent: −60 dBFS."""


class SoundLoss(nn.Module):
    """Mel spectrograms at three resolutions, of sounds brought to the level of the reference.

    Three terms (after Yamamoto et al. 2020): mean absolute difference of logarithms, which hears what is quiet; the
    same weighted by loudness, because most bands and frames hold only noise; and the Frobenius norm of the difference
    relative to the reference's, which hears what is strong.

    Parameters
    ----------
    sample_rate : int
    waveform : float
        Weight of the waveform's own error, relative to its level; 0 where phase is made up.
    """

    def __init__(self, sample_rate: int, waveform: float = 0.0) -> None:
        super().__init__()
        self.waveform = waveform
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the smallest size leaves a few low mel bands empty
            self.mels = nn.ModuleList(
                torchaudio.transforms.MelSpectrogram(
                    sample_rate, size, hop_length=size // 4, n_mels=_BANDS, power=1.0, normalized="window"
                )
                for size in _SIZES
            )

    def forward(self, degraded: Tensor, reference: Tensor) -> Tensor:
        """Loss [B] of ``degraded`` [B, 1, T] against ``reference`` [B, 1, T], in single precision."""
        with torch.autocast(degraded.device.type, enabled=False):
            gain = 1 / (reference.square().mean((1, 2), keepdim=True).sqrt() + _SILENCE)
            degraded, reference = degraded.float() * gain, reference.float() * gain
            total = self.waveform * (degraded - reference).abs().mean((1, 2))
            for mel in self.mels:
                ours, theirs = mel(degraded)[:, 0], mel(reference)[:, 0]
                apart = ((ours + _QUIET).log() - (theirs + _QUIET).log()).abs()
                loudness = (theirs + _QUIET) ** _LOUDNESS
                loud = (loudness * apart).sum((1, 2)) / loudness.sum((1, 2))
                strong = (ours - theirs).flatten(1).norm(dim=1) / (theirs.flatten(1).norm(dim=1) + _QUIET)
                total = total + (apart.mean((1, 2)) + loud + strong) / len(self.mels)
        return total
