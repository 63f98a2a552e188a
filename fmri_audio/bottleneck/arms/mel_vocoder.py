"""Mel spectrogram through the bottleneck, then a neural vocoder."""

from __future__ import annotations

from typing import Self

from fmri_audio.base.errors import UserError
from fmri_audio.bottleneck.arms.base import Material, registered
from fmri_audio.bottleneck.arms.mel import MelArm
from fmri_audio.bottleneck.layers import TrProjection
from fmri_audio.representations.mel_vocoder import MelVocoder, open_vocoder


@registered
class MelVocoderArm(MelArm):
    """Log-mel powers → bottleneck → vocoder: what :class:`MelArm` learns, with another way back to sound.

    The vocoder is trained beforehand and stays as it is; no gradient goes through it.
    """

    name = "mel-vocoder"
    label = "mel + neural vocoder"
    place = 15

    @classmethod
    def build(cls, material: Material) -> Self:
        """Make the arm; the edition's mel settings have to be those that the vocoder has learned."""
        mel = MelVocoder(open_vocoder())
        asked = material.mel
        if (asked.n_fft, asked.hop_length, asked.n_mels, material.sound.sample_rate) != (
            mel.n_fft,
            mel.hop_length,
            mel.n_mels,
            mel.sample_rate,
        ):
            raise UserError(
                f"mel: the arm mel-vocoder knows n_fft {mel.n_fft}, hop_length {mel.hop_length} and n_mels "
                f"{mel.n_mels} alone: set these, or leave it out of training.arms"
            )
        grid = material.grid(mel.feature_rate, mel.channels)
        return cls(mel, TrProjection(grid, material.rank), material.space()).to(material.device)
