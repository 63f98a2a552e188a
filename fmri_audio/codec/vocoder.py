"""Vocos (Siuzdak 2023): a network at the rate of frames that ends in an inverse Fourier transform, and its file.

One architecture, the ``vocos`` package's backbone and head, for two tasks: to decode a codec's codes (a second decoder
for the same bits, :mod:`fmri_audio.codec.second_decoder`) and to turn a log-mel spectrogram into sound
(:mod:`fmri_audio.representations.mel_vocoder`). Of the package only these two classes are used: its feature extractors
download weights when they are made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from vocos.heads import ISTFTHead
from vocos.models import VocosBackbone

from fmri_audio.base.errors import UserError
from fmri_audio.base.files import refuse_unfetched, sha256_of
from fmri_audio.codec.weight_files import Shapes, WeightFile, read, shown, write

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

_BOUNDS = {
    "channels": (1, 2048),
    "dim": (1, 4096),
    "intermediate": (1, 16_384),
    "layers": (1, 64),
    "n_fft": (2, 65_536),
    "hop": (1, 65_536),
}
_SIDE = 3  # frames that a convolution of seven sees on either side
_PIECE = 1024  # frames made into sound at a time


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

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.mean.device


Frames = Callable[[int, int], torch.Tensor]
"""Features [C, l] of the frames from one to another."""


@torch.no_grad()
def sound_in_pieces(
    network: Vocoder, frames: Frames, n_frames: int, bandwidth: int | None = None
) -> Iterator[tuple[int, torch.Tensor]]:
    """Yield the sound of so many frames, L · hop samples, as pairs of first sample and samples [T'].

    Every piece is made with as many frames around it as its samples depend on, so that pieces are the whole up to
    rounding. Of centred frames the last one stands for what would come after it.
    """
    hop, centred = network.config["hop"], network.config["padding"] == "center"
    reach = _SIDE * (network.config["layers"] + 1) + -(-network.config["n_fft"] // hop)
    ids = None if bandwidth is None else torch.tensor([bandwidth], device=network.device)
    for start in range(0, n_frames, _PIECE):
        stop = min(start + _PIECE, n_frames)
        first, last = max(0, start - reach), min(n_frames, stop + reach)
        part = frames(first, last).to(network.device)[None]
        if centred and last == n_frames:
            part = torch.cat([part, part[..., -1:]], dim=-1)
        made = network(part, ids)[0]
        yield start * hop, made[(start - first) * hop : (stop - first) * hop]


@dataclass(frozen=True)
class LoadedVocoder:
    """A vocoder that is ready to use, and where it came from.

    Attributes
    ----------
    id : str
        Name for tables: ``vocos-demo-1a2b3c4d``.
    network : Vocoder
        In evaluation mode, gradients off.
    codec : str
        Id of the codec whose codes it decodes; empty for a mel vocoder.
    source, sha256, licence, description : str
    """

    id: str
    network: Vocoder
    codec: str
    source: str
    sha256: str
    licence: str
    description: str


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


def load(path: Path) -> LoadedVocoder:
    """Read what :func:`save` wrote, verified.

    Raises
    ------
    UserError
        If the file is missing, not fetched, damaged or altered, or no vocoder of this package.
    """
    refuse_unfetched(path)
    if not path.is_file():
        raise UserError(
            f"{path} does not exist: restore it with git, or train it with `make vocoder` (CODEC_DECODER=own "
            "and mel + Griffin-Lim do without)"
        )
    held = read(path, FORMAT, "vocoder", partial(_check_declared, path))
    network = Vocoder(held.config)
    for name, value in held.tensors.items():
        if not torch.isfinite(value).all():
            raise UserError(f"{path}: {shown(name)} holds NaN or infinite weights; restore the file")
    network.load_state_dict({name: value.float() for name, value in held.tensors.items()})
    sha256 = sha256_of(path)
    return LoadedVocoder(
        id=f"{path.stem}-{sha256[:8]}",
        network=network.eval().requires_grad_(False),
        codec=str(held.summary.get("codec", "")),
        source=str(path),
        sha256=sha256,
        licence=str(held.summary.get("licence", "not stated in the file")),
        description=str(held.summary.get("description", "Vocos architecture, trained with this package")),
    )


def check_topology(path: Path, config: Mapping[str, Any]) -> None:
    """Raise a UserError unless a configuration describes a network of a sane size."""
    if unknown := sorted(set(config) - set(TOPOLOGY)):
        raise UserError(f"{path}: {shown(unknown[0])} is no entry of a vocoder's configuration")
    full = {**TOPOLOGY, **config}
    for name, (least, most) in _BOUNDS.items():
        value = full[name]
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise UserError(
                f"{path}: {name} should be a whole number from {least} to {most:,}, not {shown(value)}"
            )
    if full["padding"] not in ("same", "center"):
        raise UserError(f"{path}: padding should be same or center, not {shown(full['padding'])}")
    rates = full["bandwidths"]
    if not isinstance(rates, list) or len(rates) > 64 or not all(isinstance(r, int | float) for r in rates):
        raise UserError(f"{path}: bandwidths should be up to 64 numbers (kbps), not {shown(rates)}")
    if not full["hop"] < full["n_fft"] or full["n_fft"] % 2 or (full["n_fft"] - full["hop"]) % 2:
        raise UserError(f"{path}: frames of {full['n_fft']} samples every {full['hop']} do not make a sound")


def wanted_shapes(config: Mapping[str, Any]) -> Shapes:
    """Return the shapes of a network's weights; nothing is allocated."""
    with torch.device("meta"):
        return {name: tuple(value.shape) for name, value in Vocoder(config).state_dict().items()}


def _check_declared(path: Path, config: dict[str, Any], declared: Shapes) -> None:
    check_topology(path, config)
    if wanted_shapes(config) != declared:
        raise UserError(f"{path}: its weights do not fit the network that it describes; restore the file")
