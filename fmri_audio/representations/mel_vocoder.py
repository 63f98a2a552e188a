"""Mel spectrogram and neural vocoder: the same features as Griffin-Lim's, another way back (Siuzdak 2023)."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from fmri_audio.base.errors import UserError
from fmri_audio.base.settings import project_root
from fmri_audio.codec.vocoder import MEL_FILE, LoadedVocoder, load, sound_in_pieces
from fmri_audio.representations.base import registered
from fmri_audio.representations.mel import MelGriffinLim, QuantisedMel

if TYPE_CHECKING:
    from fmri_audio.codec.checkpoints import Checkpoint


@registered
class MelVocoder(MelGriffinLim):
    """Log-mel power spectrogram, turned into sound by a network of Vocos' architecture.

    Features [B, n_mels, L] are those of :class:`~fmri_audio.representations.mel.MelGriffinLim`. The network has
    learned one setting of them, which is therefore not to be chosen: window 1024, hop 360, 128 bands, 24 kHz.

    Parameters
    ----------
    vocoder : LoadedVocoder
        Of ``checkpoints/mel-vocoder.safetensors`` as a rule: :func:`open_vocoder`.
    """

    name = "mel-vocoder"
    label = "mel + neural vocoder"
    place = 21

    def __init__(self, vocoder: LoadedVocoder) -> None:
        super().__init__()
        check_fit(vocoder, self)
        self.vocoder = vocoder

    @classmethod
    def usual(cls, checkpoint: Checkpoint) -> MelVocoder:
        """Make one with the trained file."""
        return cls(open_vocoder())

    @torch.no_grad()
    def synthesise(self, features: torch.Tensor, n_samples: int) -> torch.Tensor:
        """Return the waveform [B, 1, n_samples] of log-mel powers [B, n_mels, L], in bounded memory."""
        if n_samples > features.shape[-1] * self.hop_length:
            raise ValueError(
                f"{features.shape[-1]} frames make {features.shape[-1] * self.hop_length} samples, "
                f"{n_samples} were asked for"
            )
        sound = features.new_zeros(len(features), 1, features.shape[-1] * self.hop_length)
        for frames, out in zip(features, sound, strict=True):
            pieces = sound_in_pieces(self.vocoder.network, partial(_cut, frames), frames.shape[1])
            for start, samples in pieces:
                out[0, start : start + len(samples)] = samples
        return sound[..., :n_samples]


class QuantisedMelVocoder(QuantisedMel):
    """A mel spectrogram at a bit budget, its levels those of :class:`QuantisedMel`, with the vocoder's way back.

    What the levels say of the spectrum is written as the log-mel powers that the vocoder knows.

    Parameters
    ----------
    kbps : bit budget
    way_back : MelVocoder
    """

    name = "mel-vocoder-quantised"
    label = "mel + neural vocoder, at a bit budget"

    def __init__(self, kbps: float, way_back: MelVocoder) -> None:
        super().__init__(kbps, way_back.n_fft, way_back.hop_length, sample_rate=way_back.sample_rate)
        self.way_back = way_back

    def synthesise(self, features: torch.Tensor, n_samples: int) -> torch.Tensor:
        """Return the waveform [B, 1, n_samples] of quantised levels [B, n_mels, L]."""
        magnitude = self.magnitude_of_levels(features, n_samples)
        return self.way_back.synthesise(self.way_back.log_mel(magnitude), n_samples)


def _cut(frames: torch.Tensor, start: int, stop: int) -> torch.Tensor:
    return frames[:, start:stop]


def open_vocoder(path: Path | None = None) -> LoadedVocoder:
    """Open the mel vocoder: ``checkpoints/mel-vocoder.safetensors`` unless a file is given.

    Raises
    ------
    UserError
        If it is missing, damaged, or no vocoder of a mel spectrogram.
    """
    return load(path or vocoder_file())


def vocoder_file() -> Path:
    """Return where the trained mel vocoder lies, if it does."""
    return project_root() / "checkpoints" / MEL_FILE


def check_fit(vocoder: LoadedVocoder, mel: MelGriffinLim) -> None:
    """Raise a UserError unless a vocoder has learned such a spectrogram."""
    config = vocoder.network.config
    known = (config["channels"], config["hop"], config["padding"], config["bandwidths"], vocoder.codec)
    if known != (mel.n_mels, mel.hop_length, "center", [], ""):
        raise UserError(
            f"{vocoder.source}: has not learned a mel spectrogram of {mel.n_mels} bands and a hop of "
            f"{mel.hop_length} samples; restore the file, or train it with `make vocoder`"
        )
