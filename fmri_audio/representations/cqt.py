"""The constant-Q transform: bins a fixed part of an octave apart, with phase, or without and by Griffin-Lim.

Brown (1991), as computed octave by octave in librosa (Schörkhuber and Klapuri 2010), and librosa's inverse, which is
not exact: it sums what each bin adds, scaled bin by bin, as if the filters of two bins or frames had nothing in common.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from fmri_audio.base.extras import from_extra
from fmri_audio.representations.base import Representation, check_waveform, registered
from fmri_audio.sound.audio import SAMPLE_RATE

if TYPE_CHECKING:
    from fmri_audio.codec.checkpoints import Checkpoint

POWER_FLOOR = 1e-10
"""Smallest power of a bin told apart, so that silence stays finite in logarithms."""

LOWEST = 440 * 2 ** (-40 / 12)
"""Frequency of the lowest bin in Hz: F1, from which eight whole octaves end under half of 24 kHz."""


@registered
class ComplexCqt(Representation):
    """Real and imaginary parts of the constant-Q transform.

    Features are [B, 2 · bins, L]: all real parts, then all imaginary parts. Octaves are whole, because the inverse of
    librosa 0.11 takes other bins for an octave than its transform where the topmost is not. Sound under the lowest bin
    and over the highest is not in the features. The highest filters are the shortest, and the hop has to be shorter
    still: with a longer one the sound between frames is in none.

    The inverse is not exact. At the usual settings the tests hold it to 40 dB of SNR in the band for speech and to
    28 dB for white noise; and to 20 dB in the first and last second, where the lowest filters reach beyond the sound.
    ``refinements`` tells the inverse's error from what the features do not hold: what the sound made so far leaves of
    them is inverted and added.

    Parameters
    ----------
    hop_length : samples between frames, a multiple of 2^(octaves − 1) for speed
    bins_per_octave : int
    octaves : int
    lowest : frequency of the lowest bin in Hz
    refinements : times that this is done; each gains 15 dB or more at the usual settings; a hop too long harms
    sample_rate : Hz
    """

    name = "cqt"
    label = "complex constant-Q transform"
    place = 51

    def __init__(
        self,
        hop_length: int = 64,
        bins_per_octave: int = 36,
        octaves: int = 8,
        lowest: float = LOWEST,
        refinements: int = 0,
        sample_rate: int = SAMPLE_RATE,
    ) -> None:
        self.hop_length = hop_length
        self.bins_per_octave = bins_per_octave
        self.octaves = octaves
        self.lowest = lowest
        self.refinements = refinements
        self.sample_rate = sample_rate
        self.bins = bins_per_octave * octaves
        if self.highest >= sample_rate / 2:
            raise ValueError(
                f"{octaves} octaves from {lowest:g} Hz reach {self.highest:.0f} Hz, which {sample_rate} Hz do not hold"
            )
        self.feature_rate = Fraction(sample_rate, hop_length)
        self.channels = 2 * self.bins

    @classmethod
    def usual(cls, checkpoint: Checkpoint) -> ComplexCqt:
        """Make one that covers 44 Hz to 11 kHz in steps of a third of a semitone."""
        return cls()

    @property
    def highest(self) -> float:
        """Frequency of the highest bin in Hz."""
        return float(self.lowest * 2 ** ((self.bins - 1) / self.bins_per_octave))

    def analyse(self, waveform: torch.Tensor) -> torch.Tensor:
        """Return real and imaginary parts [B, 2 · bins, L] of a waveform [B, 1, T].

        Raises
        ------
        UserError
            librosa is not installed.
        """
        check_waveform(waveform)
        spectrum = self.transform(waveform[:, 0].cpu().numpy())
        parts = np.concatenate([spectrum.real, spectrum.imag], axis=1)
        return torch.from_numpy(parts).to(waveform.device)

    def synthesise(self, features: torch.Tensor, n_samples: int) -> torch.Tensor:
        """Return the waveform [B, 1, n_samples] that the inverse makes of real and imaginary parts.

        Raises
        ------
        UserError
            librosa is not installed.
        """
        real, imaginary = features.cpu().float().chunk(2, dim=1)
        spectrum = torch.complex(real, imaginary).numpy()
        waveform = self.inverse(spectrum, n_samples)
        for _ in range(self.refinements):
            waveform += self.inverse(spectrum - self.transform(waveform), n_samples)
        return torch.from_numpy(waveform[:, None]).to(features.device)

    def transform(self, waveform: NDArray[np.float32]) -> NDArray[np.complex64]:
        """Return the complex transform [B, bins, L] of waveforms [B, T]."""
        with from_extra("bench"):
            import librosa
        with _short_sounds():
            found = librosa.cqt(waveform, n_bins=self.bins, **self._settings())
        return np.asarray(found, np.complex64)

    def inverse(self, spectrum: NDArray[np.complex64], n_samples: int) -> NDArray[np.float32]:
        """Return the waveforms [B, n_samples] that librosa's inverse makes of transforms [B, bins, L]."""
        with from_extra("bench"):
            import librosa
        with _short_sounds():
            found = librosa.icqt(spectrum, length=n_samples, **self._settings())
        return np.asarray(found, np.float32)

    def _settings(self) -> dict[str, Any]:
        return {
            "sr": self.sample_rate,
            "hop_length": self.hop_length,
            "fmin": self.lowest,
            "bins_per_octave": self.bins_per_octave,
        }


@registered
class CqtGriffinLim(ComplexCqt):
    """Magnitudes of the constant-Q transform, their phase found by Griffin-Lim's iteration.

    Features [B, bins, L] are natural logarithms of power. Back to sound: librosa's ``griffinlim_cqt`` (momentum 0.99)
    from a random phase drawn with ``seed``, so equal features give equal sound.

    Parameters
    ----------
    n_iter : iterations of Griffin-Lim
    seed : of the phase that the iteration starts from
    others : as for :class:`ComplexCqt`
    """

    name = "cqt-magnitude"
    label = "constant-Q magnitudes + Griffin-Lim"
    place = 52

    def __init__(
        self,
        hop_length: int = 64,
        bins_per_octave: int = 36,
        octaves: int = 8,
        lowest: float = LOWEST,
        n_iter: int = 32,
        seed: int = 0,
        sample_rate: int = SAMPLE_RATE,
    ) -> None:
        super().__init__(hop_length, bins_per_octave, octaves, lowest, sample_rate=sample_rate)
        self.n_iter = n_iter
        self.seed = seed
        self.channels = self.bins

    @classmethod
    def usual(cls, checkpoint: Checkpoint) -> CqtGriffinLim:
        """Make one that covers 44 Hz to 11 kHz in steps of a third of a semitone."""
        return cls()

    def analyse(self, waveform: torch.Tensor) -> torch.Tensor:
        """Return log powers [B, bins, L] of a waveform [B, 1, T].

        Raises
        ------
        UserError
            librosa is not installed.
        """
        check_waveform(waveform)
        power = np.square(np.abs(self.transform(waveform[:, 0].cpu().numpy())))
        return torch.from_numpy(np.log(power.clip(min=POWER_FLOOR))).to(waveform.device)

    def synthesise(self, features: torch.Tensor, n_samples: int) -> torch.Tensor:
        """Return the waveform [B, 1, n_samples] that Griffin-Lim finds for log powers [B, bins, L].

        Raises
        ------
        UserError
            librosa is not installed.
        """
        with from_extra("bench"):
            import librosa
        with _short_sounds():
            found = librosa.griffinlim_cqt(
                np.exp(features.cpu().numpy().astype(np.float32) / 2),
                n_iter=self.n_iter,
                momentum=0.99,
                random_state=self.seed,
                length=n_samples,
                **self._settings(),
            )
        return torch.from_numpy(np.asarray(found, np.float32)[:, None]).to(features.device)


@contextlib.contextmanager
def _short_sounds() -> Iterator[None]:
    """Keep librosa from warning of sounds shorter than the lowest filters: it puts silence around them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "n_fft=.* is too large for input signal", UserWarning)
        yield
