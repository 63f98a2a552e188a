"""Vocos (Siuzdak 2023): a network at the rate of frames that ends in an inverse Fourier transform, and its file.

One architecture, the ``vocos`` package's backbone and head, for two tasks: to decode a codec's codes (a second decoder
for the same bits) and to turn a log-mel spectrogram into sound. Of the package only these two classes are used: its
feature extractors download weights when they are made.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from vocos.heads import ISTFTHead
from vocos.models import VocosBackbone

from fmri_audio.codec.weight_files import WeightFile, write

FORMAT = "fmri-audio vocoder 1"
DECODER_FILE = "vocos-demo.safetensors"
MEL_FILE = "mel-vocoder.safetensors"

TOPOLOGY: dict[str, Any] = {
    "channels": 128,
    "dim": 256,
    "intermediate": 768,
    "layers": 7,
    "bandwidths": [],
    "n_fft": 1280,
    "hop": 320,
    "padding": "same",
}
"""What a configuration may set, and the second decoder's values: 3.4 M parameters, 6.7 MB in half precision.

Width and depth are what 7 MB allow. Of networks of that size one of seven narrow layers sees 49 frames, two thirds of
a second; four overlapping windows cover every sample, as in the paper.
"""


class Vocoder(nn.Module):
    """Frames [B, C, L] → waveform [B, T]; the input is brought to mean 0 and deviation 1 first.

    Parameters
    ----------
    config : mapping
        Overrides entries of :data:`TOPOLOGY`. ``bandwidths`` (kbps) gives the layer norms as many sets of gains and
        offsets, one per bandwidth; empty means one for all. ``padding`` "same" makes L · hop samples of L frames,
        "center" (L − 1) · hop: frames then stand for the sound around their first sample.
    """

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.config = {**TOPOLOGY, **config}
        known = self.config
        self.backbone = VocosBackbone(
            known["channels"],
            known["dim"],
            known["intermediate"],
            known["layers"],
            adanorm_num_embeddings=len(known["bandwidths"]) or None,
        )
        self.head = ISTFTHead(known["dim"], known["n_fft"], known["hop"], known["padding"])
        self.register_buffer("mean", torch.zeros(known["channels"], 1))
        self.register_buffer("scale", torch.ones(known["channels"], 1))

    def forward(self, features: torch.Tensor, bandwidth: torch.Tensor | None = None) -> torch.Tensor:
        """Return the waveform [B, T] of features [B, C, L].

        Parameters
        ----------
        features : Tensor [B, C, L]
        bandwidth : Tensor [B], int64, optional
            Place of each item's bandwidth in the configuration's list; needed where there is one.
        """
        ids = None if bandwidth is None else bandwidth[:, None]  # to be spread over the frames
        hidden = self.backbone((features - self.mean) / self.scale, bandwidth_id=ids)
        sound: torch.Tensor = self.head(hidden)
        return sound


def save(network: Vocoder, path: Path, summary: Mapping[str, Any]) -> Path:
    """Write a vocoder in half precision.

    Parameters
    ----------
    network : Vocoder
    path : Path
        Its folder is created.
    summary : mapping
        JSON-able account of the training; ``description``, ``licence`` and ``codec`` (the id of the codec whose codes
        it decodes, empty for a mel vocoder) are read again.
    """
    return write(path, FORMAT, WeightFile(network.config, dict(summary), network.state_dict()))
