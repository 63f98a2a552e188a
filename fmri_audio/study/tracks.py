"""The sound of a whole study in every representation, each computed once, and cut without drift."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch

from fmri_audio.base.timeline import frames_of_tr, trs_to_samples
from fmri_audio.representations.base import Representation
from fmri_audio.representations.mel import MelGriffinLim
from fmri_audio.representations.stft import ComplexStft
from fmri_audio.study.splits import Block


@dataclass(frozen=True)
class Track:
    """Frames of a whole sound.

    Attributes
    ----------
    values : array, shape [channels, frames]
    frame_rate : Fraction
        Frames per second; frame j begins at j / frame_rate.
    """

    values: np.ndarray
    frame_rate: Fraction

    def span(self, first_tr: int, n_trs: int, tr: Fraction) -> tuple[int, int]:
        """First frame that these TRs touch, and the first after them."""
        last = frames_of_tr(first_tr + n_trs - 1, tr, self.frame_rate).last
        return frames_of_tr(first_tr, tr, self.frame_rate).first, last + 1

    def cut(self, first_tr: int, n_trs: int, tr: Fraction, width: int) -> np.ndarray:
        """Frames of some TRs, [channels, width]: where they touch fewer, the last is repeated."""
        start, stop = self.span(first_tr, n_trs, tr)
        return self.values[:, np.minimum(np.arange(start, start + width), stop - 1)]


@dataclass(frozen=True)
class SoundTracks:
    """The same sound in four representations, every one at its own frame rate.

    Attributes
    ----------
    codes : Track of int, [K, frames]
    latents : Track of float32, [C, frames]
    mel : Track of float32, [n_mels, frames]
    stft : Track of complex64, [n_fft / 2 + 1, frames]
    """

    codes: Track
    latents: Track
    mel: Track
    stft: Track

    @classmethod
    def of_sound(
        cls,
        waveform: np.ndarray,
        runs: Sequence[Block],
        tr: Fraction,
        *,
        codes: np.ndarray,
        latents: np.ndarray,
        frame_rate: Fraction,
        mel: MelGriffinLim,
        stft: ComplexStft,
    ) -> SoundTracks:
        """Write a sound as mel and complex STFT, beside the encoding that there is of it.

        Parameters
        ----------
        waveform : array, shape [T]
            At the representations' sample rate; all runs, joined.
        runs : sequence of (first, last)
            TRs ``first <= k < last``. Frames near the border of a run see nothing of the next.
        tr : Fraction
            Seconds.
        codes : array of int, shape [K, L]
        latents : array of float32, shape [C, L]
            One encoding of the whole sound.
        frame_rate : Fraction
            The codec's frames per second.
        mel, stft
            Settings of the two.
        """
        spectrum = _analysed(stft, waveform, runs, tr)
        half = len(spectrum) // 2
        return cls(
            Track(codes, frame_rate), Track(latents, frame_rate),
            Track(_analysed(mel, waveform, runs, tr), mel.feature_rate),
            Track(spectrum[:half] + 1j * spectrum[half:], stft.feature_rate),
        )  # fmt: skip


def _analysed(
    representation: Representation, waveform: np.ndarray, runs: Sequence[Block], tr: Fraction
) -> np.ndarray:
    """Features [C, L] of a sound, run by run, on the one grid of frames that begins with the sound."""
    hop = representation.sample_rate / representation.feature_rate
    pieces = []
    for first, last in runs:
        begin, end = (trs_to_samples(k, representation.sample_rate, tr) for k in (first, last))
        # A run that begins within a frame is analysed from that frame's beginning on, with silence before the run.
        origin = math.floor(begin / hop)
        sound = np.concatenate([np.zeros(begin - int(origin * hop), np.float32), waveform[begin:end]])
        features = representation.analyse(torch.from_numpy(sound)[None, None])[0].numpy()
        pieces.append(features[:, math.ceil(begin / hop) - origin : math.ceil(end / hop) - origin])
    return np.concatenate(pieces, axis=1)
