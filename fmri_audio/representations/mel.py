"""Mel spectrogram and Griffin-Lim: what the brief's pipeline does, plain and at a bit budget."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import torch
import torchaudio

from fmri_audio.representations.base import Representation, check_waveform, registered
from fmri_audio.sound.audio import SAMPLE_RATE

if TYPE_CHECKING:
    from fmri_audio.codec.checkpoints import Checkpoint

POWER_FLOOR = 1e-10
"""Smallest mel power told apart: 100 dB under a full-scale sine's, and silence stays finite in logarithms."""


@registered
class MelGriffinLim(Representation):
    """Log-mel power spectrogram, inverted by least squares and Griffin-Lim's iteration.

    Features [B, n_mels, L] are natural logarithms of mel power (HTK scale, Hann window, centred frames). Back
    to sound: least-squares inversion of the filter bank (torchaudio's ``InverseMelScale``, driver "gelsd",
    because the bank is rank-deficient), then the fast Griffin-Lim iteration (Perraudin et al. 2013,
    torchaudio, momentum 0.99) from a random phase drawn with ``seed``, so equal features give equal sound.

    Parameters
    ----------
    n_fft : window length in samples
    hop_length : samples between frames
    n_mels : mel bands
    n_iter : iterations of Griffin-Lim; 0 leaves the random phase
    sample_rate : Hz
    seed : of the phase that the iteration starts from
    """

    name = "mel"
    label = "mel + Griffin-Lim"
    place = 20

    def __init__(
        self,
        n_fft: int = 1024,
        hop_length: int = 360,
        n_mels: int = 128,
        n_iter: int = 32,
        sample_rate: int = SAMPLE_RATE,
        seed: int = 0,
    ) -> None:
        if not 0 < hop_length < n_fft:
            raise ValueError(f"hop_length {hop_length} should be less than n_fft {n_fft}")
        self.n_fft = n_fft
        self.hop_length = hop_length
        self.n_mels = n_mels
        self.n_iter = n_iter
        self.sample_rate = sample_rate
        self.seed = seed
        self.feature_rate = Fraction(sample_rate, hop_length)
        self.channels = n_mels
        n_stft = n_fft // 2 + 1
        with warnings.catch_warnings():
            # Narrow bands at the bottom may hold no FFT bin; that is the setting's own cost, and is measured.
            warnings.filterwarnings("ignore", "At least one mel filterbank has all zero values", UserWarning)
            self._to_mel = torchaudio.transforms.MelScale(n_mels, sample_rate, n_stft=n_stft)
            self._from_mel = torchaudio.transforms.InverseMelScale(
                n_stft, n_mels, sample_rate, driver="gelsd"
            )

    @classmethod
    def usual(cls, checkpoint: Checkpoint) -> MelGriffinLim:
        """Make one with the settings of the research note."""
        return cls()

    def analyse(self, waveform: torch.Tensor) -> torch.Tensor:
        """Return log-mel powers [B, n_mels, L] of a waveform [B, 1, T]."""
        check_waveform(waveform)
        return self.log_mel(self.spectrum(waveform).abs())

    def log_mel(self, magnitude: torch.Tensor) -> torch.Tensor:
        """Return the log-mel powers [B, n_mels, L] of STFT magnitudes [B, n_fft / 2 + 1, L]."""
        mel: torch.Tensor = self._to_mel.to(magnitude.device)(magnitude.square())
        return mel.clamp(min=POWER_FLOOR).log()

    def synthesise(self, features: torch.Tensor, n_samples: int) -> torch.Tensor:
        """Return the waveform [B, 1, n_samples] that Griffin-Lim finds for log-mel powers [B, n_mels, L]."""
        return self.griffin_lim(self.magnitude(features), n_samples)

    def spectrum(self, waveform: torch.Tensor) -> torch.Tensor:
        """Return the complex STFT [B, n_fft / 2 + 1, L] of a waveform [B, 1, T]."""
        return torch.stft(
            waveform[:, 0],
            self.n_fft,
            self.hop_length,
            window=self._window(waveform),
            center=True,
            pad_mode="constant",
            return_complex=True,
        )

    def magnitude(self, features: torch.Tensor) -> torch.Tensor:
        """Return the STFT magnitude [B, n_fft / 2 + 1, L] that least squares finds for log-mel powers."""
        power: torch.Tensor = self._from_mel(features.exp())
        return power.sqrt()

    def griffin_lim(self, magnitude: torch.Tensor, n_samples: int) -> torch.Tensor:
        """Return a waveform [B, 1, n_samples] whose STFT magnitude comes close to the one given."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            waveform: torch.Tensor = torchaudio.functional.griffinlim(
                magnitude,
                self._window(magnitude),
                self.n_fft,
                self.hop_length,
                self.n_fft,
                power=1.0,
                n_iter=self.n_iter,
                momentum=0.99,
                length=n_samples,
                rand_init=True,
            )
        return waveform[:, None]

    def with_phase(self, magnitude: torch.Tensor, phase_of: torch.Tensor, n_samples: int) -> torch.Tensor:
        """Return the waveform [B, 1, n_samples] of a magnitude with the phase of a complex STFT."""
        spectrum = torch.polar(magnitude, phase_of.angle())
        waveform = torch.istft(
            spectrum,
            self.n_fft,
            self.hop_length,
            window=self._window(magnitude),
            center=True,
            length=n_samples,
        )
        return waveform[:, None]

    def _window(self, like: torch.Tensor) -> torch.Tensor:
        return torch.hann_window(self.n_fft, dtype=torch.float32, device=like.device)


@dataclass(frozen=True)
class BitSplit:
    """How a bit budget is spent on a mel spectrogram.

    Attributes
    ----------
    n_mels : bands
    pool : frames averaged into one
    bits : bits per value
    """

    n_mels: int
    pool: int
    bits: int

    def bits_per_second(self, frame_rate: Fraction) -> Fraction:
        """Return the bits per second that the split takes at a frame rate before pooling."""
        return self.n_mels * self.bits * frame_rate / self.pool


BITS_PER_LEVEL = 4
"""Bits per value that :func:`split_budget` spends: steps of about 5 dB."""

POOLING = ((3.0, 4), (6.0, 3), (12.0, 2))
"""Frames that :func:`split_budget` averages into one, up to a budget in kbps; above the last, none."""


def split_budget(kbps: float, frame_rate: Fraction) -> BitSplit:
    """Choose bands, frame pooling and bits per value for a bit budget.

    The rule comes from a search on recorded speech (24 kHz, hop 360, PESQ after Griffin-Lim, 2 to 5 bits, 1 to 6
    frames pooled): 4 bits per value did best or close to best at every budget, and the smaller the budget the more
    frames it pays to average (``POOLING``). Bands take what is left, up to 128.

    Raises
    ------
    ValueError
        The budget is too small for eight bands.
    """
    pool = next((frames for limit, frames in POOLING if kbps <= limit), 1)
    per_band = BitSplit(1, pool, BITS_PER_LEVEL).bits_per_second(frame_rate)
    n_mels = min(128, math.floor(Fraction(str(kbps)) * 1000 / per_band))
    if n_mels < 8:
        raise ValueError(f"{kbps:g} kbps is too little for any mel spectrogram")
    return BitSplit(n_mels, pool, BITS_PER_LEVEL)


@registered
class QuantisedMel(MelGriffinLim):
    """A mel spectrogram that takes no more bits than a codec at the same rate.

    Frames are averaged ``pool`` at a time, levels rounded to 2^bits equal steps of dB between ``floor_db`` under
    full scale and full scale. Features [B, n_mels, L] are the integers that would be sent. Back to sound: levels
    to dB, frames interpolated linearly, then as :class:`MelGriffinLim`.

    Parameters
    ----------
    kbps : bit budget; the split is :func:`split_budget`'s unless ``split`` is given
    split : bands, pooling and bits per value
    range_db : lowest and highest level told apart, in dB of mel power
    others : as for :class:`MelGriffinLim`
    """

    name = "mel-quantised"
    label = "mel + Griffin-Lim, at the bits of 6 kbps"
    place = 30

    def __init__(
        self,
        kbps: float,
        n_fft: int = 1024,
        hop_length: int = 360,
        n_iter: int = 32,
        sample_rate: int = SAMPLE_RATE,
        seed: int = 0,
        split: BitSplit | None = None,
        range_db: tuple[float, float] = (-40.0, 40.0),
    ) -> None:
        frame_rate = Fraction(sample_rate, hop_length)
        self.kbps = kbps
        self.split = split_budget(kbps, frame_rate) if split is None else split
        self.range_db = range_db
        super().__init__(n_fft, hop_length, self.split.n_mels, n_iter, sample_rate, seed)
        self.feature_rate = frame_rate / self.split.pool

    @classmethod
    def usual(cls, checkpoint: Checkpoint) -> QuantisedMel:
        """Make one with as many bits as 6 kbps."""
        return cls(6.0)

    @property
    def bits_per_value(self) -> float:
        """Bits that one level takes."""
        return self.split.bits

    def analyse(self, waveform: torch.Tensor) -> torch.Tensor:
        """Return quantised levels [B, n_mels, L], int64, of a waveform [B, 1, T]."""
        level = super().analyse(waveform) * (10 / math.log(10))
        pooled = torch.nn.functional.avg_pool1d(level, self.split.pool, ceil_mode=True)
        low, high = self.range_db
        steps = 2**self.split.bits - 1
        levels: torch.Tensor = ((pooled - low) / (high - low) * steps).round().clamp(0, steps)
        return levels.long()

    def synthesise(self, features: torch.Tensor, n_samples: int) -> torch.Tensor:
        """Return the waveform [B, 1, n_samples] of quantised levels [B, n_mels, L]."""
        return self.griffin_lim(self.magnitude_of_levels(features, n_samples), n_samples)

    def magnitude_of_levels(self, levels: torch.Tensor, n_samples: int) -> torch.Tensor:
        """Return the STFT magnitude [B, n_fft / 2 + 1, frames] of quantised levels [B, n_mels, L]."""
        low, high = self.range_db
        level = low + levels.float() * (high - low) / (2**self.split.bits - 1)
        level = torch.nn.functional.interpolate(level, scale_factor=float(self.split.pool), mode="linear")
        n_frames = n_samples // self.hop_length + 1
        return self.magnitude(level[..., :n_frames] * (math.log(10) / 10))
