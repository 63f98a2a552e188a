"""Pictures of sounds."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from fmri_audio.base.kinds import Waveform
from fmri_audio.representations.mel import MelGriffinLim


def mel_levels(
    waveform: Waveform, sample_rate: int, n_mels: int = 64, hop_length: int = 480, step_db: float = 3.0
) -> NDArray[np.float32]:
    """Return mel levels [n_mels, L] for a picture of a sound [T], in dB under its loudest, in steps an eye can tell."""
    mel = MelGriffinLim(n_mels=n_mels, hop_length=hop_length, sample_rate=sample_rate)
    levels = mel.analyse(torch.from_numpy(np.ascontiguousarray(waveform))[None, None])[0].numpy() * (
        10 / np.log(10)
    )
    return np.asarray(np.round((levels - levels.max()) / step_db) * step_db, dtype=np.float32)
