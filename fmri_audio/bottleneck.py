"""The models: sound → as many units per TR as the mask has voxels → sound, with the codec frozen or fine-tuned.

EnCodec's quantiser is replaced by a linear projection. The latents of one TR (128 channels × 113 frames; a frame
that two TRs share goes to both and comes back half from each) go to V units, and back; the map is a product of
rank r, which is the bottleneck's real width however many units it has. The two arms differ in one thing only:
whether the codec's own weights move.
"""

from __future__ import annotations

import copy
import io
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from torch import nn

from fmri_audio.timeline import frame_table, frames_per_tr, n_frames_of_trs

if TYPE_CHECKING:
    from encodec.model import EncodecModel


Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class Grid:
    """The TR grid of a sequence of frames: TR length (s), frames per second, latent channels."""

    tr: Fraction
    frame_rate: Fraction
    channels: int

    @property
    def width(self) -> int:
        """Frames that a TR touches at most (113 for 1.5 s at 75 Hz)."""
        return frames_per_tr(self.tr, self.frame_rate)

    def n_frames(self, n_trs: int, first_tr: int = 0) -> int:
        """Frames that ``n_trs`` TRs touch together."""
        return n_frames_of_trs(n_trs, self.tr, self.frame_rate, first_tr)

    def frames(self, n_trs: int, first_tr: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Frame numbers and their shares, both [n_trs, width]; the shares of a frame add up to 1."""
        index, weight = frame_table(n_trs, self.tr, self.frame_rate, first_tr)
        total = np.zeros(self.n_frames(n_trs, first_tr))
        np.add.at(total, index.ravel(), weight.ravel())
        share = torch.as_tensor(weight / total[index], dtype=torch.float32)
        return torch.from_numpy(index).to(device), share.to(device)


def cut(latents: torch.Tensor, grid: Grid, n_trs: int, first_tr: int = 0) -> torch.Tensor:
    """Pieces of latents per TR; a frame that two TRs share goes to both.

    Parameters
    ----------
    latents : tensor, shape [B, C, L]
        From the first frame that TR ``first_tr`` touches.

    Returns
    -------
    tensor, shape [B, n_trs, C, width]
    """
    index, _ = grid.frames(n_trs, first_tr, latents.device)
    return latents[:, :, index].transpose(1, 2)


def join(pieces: torch.Tensor, grid: Grid, first_tr: int = 0) -> torch.Tensor:
    """Overlap-add pieces [B, n_trs, C, width], shared frames half-weighted, to latents [B, C, L].

    The exact inverse of :func:`cut`.
    """
    batch, n_trs, channels, _ = pieces.shape
    index, share = grid.frames(n_trs, first_tr, pieces.device)
    weighted = (pieces * share[:, None]).transpose(1, 2).reshape(batch, channels, -1)
    joined = weighted.new_zeros(batch, channels, grid.n_frames(n_trs, first_tr))
    return joined.index_add(2, index.reshape(-1), weighted)


class TrProjection(nn.Module):
    """Latents of a TR → V units → latents, both ways of rank r.

    ``units = expand(reduce(x) / spread)`` and ``x = restore(spread · collect(units))`` with ``reduce``
    [r, C·width], ``expand`` [V, r], ``collect`` [r, V] and ``restore`` [C·width, r]. ``spread`` is fixed: it
    keeps the weights on one scale, so that one learning rate suits all four maps.

    Parameters
    ----------
    grid : Grid
    n_units : int
        V, the voxels of the mask.
    rank : int
        r.
    """

    spread: torch.Tensor

    def __init__(self, grid: Grid, n_units: int, rank: int) -> None:
        super().__init__()
        if rank > n_units:
            raise ValueError(f"a rank of {rank} does not fit through {n_units} units")
        self.grid, self.n_units, self.rank = grid, n_units, rank
        size = grid.channels * grid.width
        self.reduce = nn.Linear(size, rank)
        self.expand = nn.Linear(rank, n_units, bias=False)
        self.collect = nn.Linear(n_units, rank, bias=False)
        self.restore = nn.Linear(rank, size)
        self.register_buffer("spread", torch.ones(rank))

    def to_units(self, latents: torch.Tensor, n_trs: int, first_tr: int = 0) -> torch.Tensor:
        """Units [B, n_trs, V] of latents [B, C, L]."""
        pieces = cut(latents, self.grid, n_trs, first_tr).flatten(2)
        units: torch.Tensor = self.expand(self.reduce(pieces) / self.spread)
        return units

    def from_units(self, units: torch.Tensor, first_tr: int = 0) -> torch.Tensor:
        """Latents [B, C, L] of units [B, n_trs, V]."""
        pieces = self.restore(self.collect(units) * self.spread)
        return join(pieces.unflatten(2, (self.grid.channels, self.grid.width)), self.grid, first_tr)

    @torch.no_grad()
    def start_from(self, latents: torch.Tensor, blocks: list[tuple[int, int]], seed: int) -> float:
        """Set the weights to a principal-component analysis of training latents.

        A run of a few minutes has far fewer TRs than a TR has latents (14,464), so the covariance is taken as
        a product of one over channels and one over time within a TR (2D-PCA), each well estimated; the r
        products of their eigenvectors with most variance are kept. Units are a random rotation of the r
        components, spread over V units with variance 1 in training.

        Parameters
        ----------
        latents : tensor, shape [C, L]
            The whole run; only frames of ``blocks`` are read.
        blocks : list of (first, last)
            Training TRs.
        seed : int
            Of the rotation.

        Returns
        -------
        float
            Share of the training latents' variance that passes.
        """
        pieces = torch.cat([cut(latents[None], self.grid, last)[0, first:] for first, last in blocks])
        mean = pieces.mean(dim=(0, 2), keepdim=True)
        centred = (pieces - mean).double()
        over_channels = torch.einsum("nct,ndt->cd", centred, centred) / centred[:, 0].numel()
        over_time = torch.einsum("nct,ncs->ts", centred, centred) / centred[..., 0].numel()
        channel_values, channel_vectors = torch.linalg.eigh(over_channels)
        time_values, time_vectors = torch.linalg.eigh(over_time)
        strongest = torch.outer(channel_values, time_values).flatten().argsort(descending=True)[: self.rank]
        c, t = strongest // len(time_values), strongest % len(time_values)
        basis = torch.einsum("cr,tr->rct", channel_vectors[:, c], time_vectors[:, t])
        scores = torch.einsum("nct,rct->nr", centred, basis)
        spread = scores.std(dim=0).clamp_min(1e-8)
        passed = float((scores**2).sum() / (centred**2).sum())
        self._set(basis.float(), mean.float(), spread.float(), seed)
        return passed

    def _set(self, basis: torch.Tensor, mean: torch.Tensor, spread: torch.Tensor, seed: int) -> None:
        """Write components [r, C, width], the mean [1, C, 1] and the components' spread [r] into the four maps."""
        generator = torch.Generator().manual_seed(seed)
        rotation = torch.linalg.qr(torch.randn(self.n_units, self.rank, generator=generator)).Q
        rotation = rotation * (self.n_units / self.rank) ** 0.5
        everywhere = mean.expand(1, -1, self.grid.width).reshape(-1)
        flat = basis.flatten(1)
        self.spread.copy_(spread)
        self.reduce.weight.copy_(flat)
        self.reduce.bias.copy_(-(flat @ everywhere))
        self.expand.weight.copy_(rotation)
        self.collect.weight.copy_(torch.linalg.pinv(rotation))
        self.restore.weight.copy_(flat.T)
        self.restore.bias.copy_(everywhere)


class SoundBottleneck(nn.Module):
    """Encoder → projection to units and back → decoder.

    Parameters
    ----------
    codec : EncodecModel
        Copied: the original is never touched.
    projection : TrProjection
        Copied as well, so that two arms can start from the same one.
    """

    #: Name in the tables.
    arm: str = ""
    #: Whether the codec's own weights are trained; the only difference between the arms.
    codec_moves: bool = False

    def __init__(self, codec: EncodecModel, projection: TrProjection) -> None:
        super().__init__()
        self.encoder = _copy_of(codec.encoder).eval().requires_grad_(self.codec_moves)
        self.decoder = _copy_of(codec.decoder).eval().requires_grad_(self.codec_moves)
        device = next(self.decoder.parameters()).device
        self.projection = copy.deepcopy(projection).to(device).requires_grad_(True)
        self.hop_length = int(codec.encoder.hop_length)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        device: torch.device = next(self.decoder.parameters()).device
        return device

    @property
    def grid(self) -> Grid:
        """The TR grid."""
        return self.projection.grid

    def codec_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters of encoder and decoder."""
        yield from self.encoder.parameters()
        yield from self.decoder.parameters()

    def encode(self, waveform: torch.Tensor) -> torch.Tensor:
        """Latents [B, C, L] of a waveform [B, 1, T]; gradients only where the codec's weights move."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.codec_moves):
            latents: torch.Tensor = self.encoder(waveform)
        return latents

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Waveform [B, 1, L × hop] of latents [B, C, L]."""
        waveform: torch.Tensor = self.decoder(latents)
        return waveform

    def to_units(self, latents: torch.Tensor, n_trs: int, first_tr: int = 0) -> torch.Tensor:
        """Units [B, n_trs, V] of latents [B, C, L] that begin with TR ``first_tr``."""
        return self.projection.to_units(latents, n_trs, first_tr)

    def from_units(self, units: torch.Tensor, first_tr: int = 0) -> torch.Tensor:
        """Waveform [B, 1, T] of units [B, n_trs, V] that begin with TR ``first_tr``."""
        return self.decode(self.projection.from_units(units, first_tr))

    def forward(self, waveform: torch.Tensor, n_trs: int, first_tr: int = 0) -> torch.Tensor:
        """Sound through the bottleneck: [B, 1, T] → [B, 1, T'] with T' the frames of ``n_trs`` TRs."""
        latents = self.encode(waveform)[..., : self.grid.n_frames(n_trs, first_tr)]
        return self.from_units(self.to_units(latents, n_trs, first_tr), first_tr)


class FrozenLatents(SoundBottleneck):
    """Only the projection is trained; encoder, decoder and codebooks stay as they came."""

    arm = "frozen"
    codec_moves = False


class FineTuned(SoundBottleneck):
    """The projection and the codec's encoder and decoder are trained together, end to end."""

    arm = "finetuned"
    codec_moves = True


ARMS: tuple[type[SoundBottleneck], ...] = (FrozenLatents, FineTuned)


def _copy_of(module: Network) -> Network:
    """A copy that shares nothing with the original.

    ``copy.deepcopy`` refuses modules with weight norm, whose ``weight`` is computed and not a leaf.
    """
    stream = io.BytesIO()
    torch.save(module, stream)
    stream.seek(0)
    copied: Network = torch.load(stream, weights_only=False)
    return copied
