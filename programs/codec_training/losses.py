"""What the codec is trained to keep: the waveform where it can be followed, the spectrogram everywhere.

Five terms, each of sound brought to unit level:

``wave``
    logarithm of the noise-to-signal ratio of the waveform. The energy of speech lies below a kilohertz, and
    so does what this term hears.
``coherence``
    the same ratio in every mel band and frame of a short-time spectrum, after the best gain for that band:
    ``log(1 - rho^2)`` of the correlation ``rho``, weighted by loudness. Being blind to level it never rewards
    turning down what cannot be followed, as an error of the complex spectrum does.
``mel``
    mean absolute difference of logarithmic mel spectrograms (EnCodec, section 3.4): levels, at every frequency.
``loud``
    the same, weighted by loudness as the coherence is. Most of the bands and frames of a recording hold its noise;
    without this term they outvote the formants.
``magnitude``
    mean absolute difference of compressed magnitudes ``|X|^0.3``, bin by bin: harmonics between the bands.

How much each term counts is settled on their gradients, by :class:`programs.codec_training.balancer.Balancer`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torchaudio
from torch import Tensor, nn

_FLOOR = 1e-3  # root mean square under which a segment counts as silence: −60 dBFS
BANDS = {256: 32, 512: 48, 1024: 80, 2048: 96}


@dataclass(frozen=True)
class Weights:
    """Share of the gradient that each term gets; only their proportions count."""

    wave: float = 0.1
    coherence: float = 1.0
    mel: float = 5.0
    loud: float = 0.0
    magnitude: float = 2.0
    adversarial: float = 1.5
    features: float = 1.5
    error: float = 0.0  # squared, of the waveform: of those items alone that Recipe.exact counts


def levelled(reference: Tensor, output: Tensor) -> tuple[Tensor, Tensor]:
    """Waveforms ``[B, T]`` times the gain that gives the reference unit level."""
    gain = 1 / (reference.square().mean(1, keepdim=True).sqrt() + _FLOOR)
    return reference * gain, output * gain


class CodecLoss(nn.Module):
    """The five terms, at FFT sizes chosen by the caller."""

    def __init__(self, sample_rate: int, compression: float = 0.3) -> None:
        super().__init__()
        self.sizes, self.compression = tuple(BANDS), compression
        for size, bands in BANDS.items():
            window = torch.hann_window(size) / (0.375 * size) ** 0.5  # white noise of unit level: 1 per bin
            mel = torchaudio.functional.melscale_fbanks(
                size // 2 + 1, 0.0, sample_rate / 2, bands, sample_rate
            )
            self.register_buffer(f"window{size}", window, persistent=False)
            self.register_buffer(f"mel{size}", mel[:, mel.any(0)], persistent=False)

    def forward(self, x: Tensor, y: Tensor, sizes: tuple[int, ...]) -> dict[str, Tensor]:
        """Terms of a reference and an output ``[B, T]`` of unit level, means over FFT ``sizes``."""
        spectral = [self._spectral(x, y, size) for size in sizes]
        terms = {name: torch.stack([s[name] for s in spectral]).mean() for name in spectral[0]}
        return {"wave": _noise_to_signal(x, x - y, 1e-3), **terms}

    def _spectral(self, x: Tensor, y: Tensor, size: int) -> dict[str, Tensor]:
        mel = getattr(self, f"mel{size}")
        a, b = self._spectrum(x, size), self._spectrum(y, size)
        power_a, power_b = _power(a), _power(b)
        mel_a, mel_b = power_a.mT @ mel, power_b.mT @ mel  # [B, frames, bands]
        shared = (a * b).sum(-1).mT @ mel
        rho = shared * ((mel_a + 1e-4) * (mel_b + 1e-4)).rsqrt()
        loudness = (mel_a + 1e-4) ** 0.2
        ratio = torch.log10(1.02 - rho * rho.abs())
        levels = ((mel_a + 1e-5).log() - (mel_b + 1e-5).log()).abs()
        half = self.compression / 2
        return {
            "coherence": (loudness * ratio).sum() / loudness.sum(),
            "mel": levels.mean(),
            "loud": (loudness * levels).sum() / loudness.sum(),
            "magnitude": (power_a**half - power_b**half).abs().mean(),
        }

    def _spectrum(self, x: Tensor, size: int) -> Tensor:
        """Short-time spectrum ``[B, bins, frames, 2]``."""
        window = getattr(self, f"window{size}")
        return torch.view_as_real(torch.stft(x, size, size // 4, window=window, return_complex=True))


def _power(spectrum: Tensor) -> Tensor:
    return spectrum.square().sum(-1) + 1e-5


def _noise_to_signal(signal: Tensor, noise: Tensor, floor: float) -> Tensor:
    """Mean logarithm of the power ratio; ``floor`` bounds the gain from silence and from near-perfection."""
    return torch.log10((noise.square().mean(1) + floor) / (signal.square().mean(1) + floor)).mean()
