"""What the codec is trained to keep: the waveform, and the spectrogram at a resolution drawn anew each step.

A loss on magnitudes alone never matches the phase, and one on the waveform alone ignores everything above a
kilohertz. Three terms share the work, all relative to the level of the segment:

* the signal-to-noise ratio of the waveform;
* the short-time spectrum with compressed magnitudes ``|X|^0.3``, with and without its phase (as in speech
  enhancement: Braun & Tashev 2021, "A consolidated view of loss functions");
* the logarithm of a mel spectrogram (EnCodec, section 3.4).
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
import torchaudio
from torch import Tensor, nn

_FLOOR = 1e-3  # root mean square under which a segment counts as silence: −60 dBFS


@dataclass(frozen=True)
class Weights:
    """Weight of each term."""

    snr: float = 1.0
    phase: float = 2.0
    magnitude: float = 4.0
    mel: float = 0.3


class SoundLoss(nn.Module):
    """Weighted sum of the three terms; one FFT size per call."""

    def __init__(
        self,
        sample_rate: int,
        sizes: tuple[int, ...] = (256, 512, 1024, 2048),
        compression: float = 0.3,
    ) -> None:
        super().__init__()
        self.sizes, self.compression = sizes, compression
        for size in sizes:
            self.register_buffer(
                f"window{size}", torch.hann_window(size) / (0.375 * size) ** 0.5, persistent=False
            )
            bands = {256: 32, 512: 48, 1024: 64}.get(size, 80)
            mel = torchaudio.functional.melscale_fbanks(
                size // 2 + 1, 0.0, sample_rate / 2, bands, sample_rate
            )
            self.register_buffer(f"mel{size}", mel, persistent=False)

    def forward(
        self, reference: Tensor, output: Tensor, size: int, weights: Weights
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of waveforms ``[B, T]`` at FFT size ``size``; also its unweighted terms."""
        gain = 1 / (reference.square().mean(1, keepdim=True).sqrt() + _FLOOR)
        x, y = reference * gain, output * gain
        terms = {
            "snr": _noise_to_signal(x, x - y, 1e-3),
        }
        a, b = self._spectrum(x, size), self._spectrum(y, size)
        power_a, power_b = _power(a), _power(b)
        terms["phase"], terms["magnitude"] = self._compressed(a, b, power_a, power_b)
        mel = getattr(self, f"mel{size}")
        terms["mel"] = ((power_a.mT @ mel + 1e-5).log() - (power_b.mT @ mel + 1e-5).log()).abs().mean()
        total = torch.stack([getattr(weights, f.name) * terms[f.name] for f in fields(weights)]).sum()
        return total, {name: value.detach() for name, value in terms.items()}

    def _spectrum(self, x: Tensor, size: int) -> Tensor:
        """Short-time spectrum ``[B, bins, frames, 2]``."""
        window = getattr(self, f"window{size}")
        return torch.view_as_real(torch.stft(x, size, size // 4, window=window, return_complex=True))

    def _compressed(self, a: Tensor, b: Tensor, power_a: Tensor, power_b: Tensor) -> tuple[Tensor, Tensor]:
        """Distances of ``X |X|^(c-1)`` and of ``|X|^c``."""
        half = (self.compression - 1) / 2
        scale_a, scale_b = power_a**half, power_b**half
        phase = (a * scale_a[..., None] - b * scale_b[..., None]).square().sum(-1).mean()
        magnitude = (power_a.sqrt() * scale_a - power_b.sqrt() * scale_b).square().mean()
        return phase, magnitude


def _power(spectrum: Tensor) -> Tensor:
    return spectrum.square().sum(-1) + 1e-5


def _noise_to_signal(signal: Tensor, noise: Tensor, floor: float) -> Tensor:
    """Mean logarithm of the power ratio; ``floor`` bounds the gain from silence and from near-perfection."""
    return torch.log10((noise.square().mean(1) + floor) / (signal.square().mean(1) + floor)).mean()
