"""The complex short-time Fourier transform: magnitude and phase, and therefore exact."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import torch

from fmri_audio.representations.base import Representation, check_waveform, registered
from fmri_audio.sound.audio import SAMPLE_RATE

if TYPE_CHECKING:
    from fmri_audio.codec.checkpoints import Checkpoint


@registered
class ComplexStft(Representation):
    """Real and imaginary parts of the STFT (Hann window, centred frames, orthonormal scale).

    Features are [B, 2 · (n_fft / 2 + 1), L]: all real parts, then all imaginary parts. The inverse is the
    least-squares overlap-add of Griffin and Lim (1984), exact up to rounding.

    Parameters
    ----------
    n_fft : window length in samples
    hop_length : samples between frames, less than n_fft
    sample_rate : Hz
    """

    name = "complex-stft"
    label = "complex STFT"
    place = 50

    def __init__(self, n_fft: int = 1024, hop_length: int = 360, sample_rate: int = SAMPLE_RATE) -> None:
        if not 0 < hop_length < n_fft:
            raise ValueError(f"hop_length {hop_length} should be less than n_fft {n_fft}")
        self.n_fft = n_fft
        self.hop_length = hop_length
        self.sample_rate = sample_rate
        self.feature_rate = Fraction(sample_rate, hop_length)
        self.channels = 2 * (n_fft // 2 + 1)

    @classmethod
    def usual(cls, checkpoint: Checkpoint) -> ComplexStft:
        """Make one with the window and hop of the mel spectrogram."""
        return cls()

    def analyse(self, waveform: torch.Tensor) -> torch.Tensor:
        """Return real and imaginary parts [B, C, L] of a waveform [B, 1, T]."""
        check_waveform(waveform)
        spectrum = torch.stft(
            waveform[:, 0],
            self.n_fft,
            self.hop_length,
            window=self._window(waveform),
            center=True,
            pad_mode="constant",
            normalized=True,
            return_complex=True,
        )
        return torch.cat([spectrum.real, spectrum.imag], dim=1)

    def synthesise(self, features: torch.Tensor, n_samples: int) -> torch.Tensor:
        """Return the waveform [B, 1, n_samples] whose STFT is nearest to the features."""
        real, imaginary = features.chunk(2, dim=1)
        waveform = torch.istft(
            torch.complex(real, imaginary),
            self.n_fft,
            self.hop_length,
            window=self._window(features),
            center=True,
            normalized=True,
            length=n_samples,
        )
        return waveform[:, None]

    def _window(self, like: torch.Tensor) -> torch.Tensor:
        return torch.hann_window(self.n_fft, dtype=like.dtype, device=like.device)
