"""The bottleneck: a TR's features → a code of r numbers → as many voxels as the mask has → code → features.

The features of one TR (for EnCodec's latents 128 channels × 113 frames; a frame that two TRs share goes to both and
comes back half from each) become a code of rank r, the bottleneck's real width. The code drives V units, and the
haemodynamic response turns their activity into volumes, as it would in a brain: what passes is BOLD, slow and
mixed over TRs, and a decoder reads a TR's code back from the volumes of its lag window. Every arm has such a
bottleneck, on the grid of its own features.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import cast

import complextorch.nn as complex_nn
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fmri_audio.base.timeline import frame_table, frames_per_tr, n_frames_of_trs


@dataclass(frozen=True)
class TRGrid:
    """The TR grid of a sequence of frames: TR length (s), frames per second, channels."""

    tr: Fraction
    frame_rate: Fraction
    channels: int

    @property
    def step(self) -> int:
        """TRs after which a TR's edge is a frame's edge again (2 for 1.5 s at 75 Hz)."""
        return Fraction(self.tr * self.frame_rate).denominator

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


def cut(features: torch.Tensor, grid: TRGrid, n_trs: int, first_tr: int = 0) -> torch.Tensor:
    """Pieces of features per TR; a frame that two TRs share goes to both.

    Parameters
    ----------
    features : tensor, shape [B, C, L]
        Real or complex, from the first frame that TR ``first_tr`` touches.

    Returns
    -------
    tensor, shape [B, n_trs, C, width]
    """
    index, _ = grid.frames(n_trs, first_tr, features.device)
    return features[:, :, index].transpose(1, 2)


def join(pieces: torch.Tensor, grid: TRGrid, first_tr: int = 0) -> torch.Tensor:
    """Overlap-add pieces [B, n_trs, C, width], shared frames half-weighted, to features [B, C, L].

    The exact inverse of :func:`cut`.
    """
    batch, n_trs, channels, _ = pieces.shape
    index, share = grid.frames(n_trs, first_tr, pieces.device)
    weighted = (pieces * share[:, None]).transpose(1, 2).reshape(batch, channels, -1)
    joined = weighted.new_zeros(batch, channels, grid.n_frames(n_trs, first_tr))
    return joined.index_add(2, index.reshape(-1), weighted)


class BoldSpace(nn.Module):
    """Code of every TR → V units → volumes of BOLD, and from a lag window of volumes back to the code.

    ``volumes = (response · expand(code) − mean) / deviation`` and ``code = collect(volumes of the lag window)``, with
    ``response`` [volumes, TRs] fixed, ``expand`` [V, r] and ``collect`` [r, lags · V] learned, and ``mean`` and
    ``deviation`` [V] those of the training volumes. What either map reads is divided by the root of the number of
    values read, so that a step of one size changes a sum of thousands as little as a sum of a few.

    Parameters
    ----------
    n_units : int
        V, the voxels of the mask.
    rank : int
        r.
    response : array, shape [volumes, TRs]
        From :func:`fmri_audio.brain.response.response_matrix`.
    lags : sequence of int
        That the decoder reads, in TRs of stimulus time.
    shift : int
        TRs by which the study is already shifted.
    """

    response: torch.Tensor
    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(
        self, n_units: int, rank: int, response: NDArray[np.float32], lags: Sequence[int], shift: int
    ) -> None:
        super().__init__()
        if rank > n_units:
            raise ValueError(f"a rank of {rank} does not fit through {n_units} units")
        self.n_units, self.rank, self.lags, self.shift = n_units, rank, tuple(lags), shift
        self.expand = nn.Linear(rank, n_units, bias=False)
        self.collect = nn.Linear(len(self.lags) * n_units, rank)
        self.wide, self.narrow = math.sqrt(len(self.lags) * n_units), math.sqrt(rank)
        self.register_buffer("response", torch.from_numpy(response), persistent=False)
        self.register_buffer("mean", torch.zeros(n_units))
        self.register_buffer("deviation", torch.ones(n_units))

    def volumes(self, code: torch.Tensor, rows: torch.Tensor | None = None) -> torch.Tensor:
        """Volumes [B, n, V], standardised, of a code [B, TRs, r]; ``rows`` [B, n] picks some of them."""
        response = self.response if rows is None else self.response[rows]
        volumes: torch.Tensor = (self.expand(response @ code / self.narrow) - self.mean) / self.deviation
        return volumes

    def read(self, windows: torch.Tensor) -> torch.Tensor:
        """Code [..., r] of lag windows of volumes [..., lags, V]."""
        code: torch.Tensor = self.collect(windows.flatten(-2) / self.wide)
        return code

    def rows(self, trs: torch.Tensor) -> torch.Tensor:
        """Volumes [..., lags] that answer TRs [...]."""
        return trs[..., None] + torch.tensor(self.lags, device=trs.device) - self.shift

    @torch.no_grad()
    def standardise_on(self, code: torch.Tensor, volumes: torch.Tensor) -> None:
        """Take mean and deviation from the training volumes (row numbers) that a code [TRs, r] makes."""
        raw = self.expand(self.response[volumes] @ code / self.narrow)
        self.mean.copy_(raw.mean(dim=0))
        self.deviation.copy_(raw.std(dim=0).clamp_min(1e-8))

    @torch.no_grad()
    def start_from(self, code: torch.Tensor, trs: torch.Tensor, volumes: torch.Tensor, seed: int) -> None:
        """Set the weights from a code [TRs, r], of which only training TRs are read.

        Units are a random rotation of the code, spread over V units. Back from volumes, every component of the code is
        estimated from its own response at the lags read, by least squares over the training TRs: few weights, each
        well determined, where the map from all voxels is not.
        """
        generator = torch.Generator().manual_seed(seed)
        rotation = torch.linalg.qr(torch.randn(self.n_units, self.rank, generator=generator)).Q
        rotation = (rotation * (self.n_units / self.rank) ** 0.5).to(code)
        self.expand.weight.copy_(self.narrow * rotation)
        self.standardise_on(code, volumes)
        answered = (self.response @ code)[self.rows(trs)].permute(2, 0, 1).double()  # [r, training TRs, lags]
        wanted = code[trs].T[..., None].double()
        gram = answered.mT @ answered
        ridge = 1e-3 * gram.diagonal(dim1=1, dim2=2).mean(dim=1)[:, None, None]
        identity = torch.eye(len(self.lags), device=code.device, dtype=torch.float64)
        gains = torch.linalg.solve(gram + ridge.clamp_min(1e-12) * identity, answered.mT @ wanted)[..., 0].to(
            code
        )
        back = torch.linalg.pinv(rotation)
        maps = gains[:, :, None] * back[:, None]  # [r, lags, V]
        self.collect.weight.copy_(self.wide * (maps * self.deviation).flatten(1))
        self.collect.bias.copy_((maps @ self.mean).sum(dim=1))


class TrProjection(nn.Module):
    """Features of a TR → code of rank r → features.

    ``code = reduce(x) / spread`` and ``x = restore(spread · code)`` with ``reduce`` [r, C·width] and ``restore``
    [C·width, r]. ``spread`` is fixed: it keeps the weights on one scale, so that one learning rate suits both maps.
    Complex features are reduced to r / 2 complex numbers, whose real and imaginary parts are the r numbers of the
    code: a code is always real.

    Parameters
    ----------
    grid : TRGrid
    rank : int
        r; even where features are complex.
    complex_valued : bool
        Whether features are complex.
    """

    spread: torch.Tensor

    def __init__(self, grid: TRGrid, rank: int, complex_valued: bool = False) -> None:
        super().__init__()
        size = grid.channels * grid.width
        if complex_valued and rank % 2:
            raise ValueError(f"a rank of {rank} is not a whole number of complex components")
        self.n_components = rank // 2 if complex_valued else rank
        if self.n_components > size:
            raise ValueError(f"{size} features have no {self.n_components} components")
        self.grid, self.rank, self.complex_valued = grid, rank, complex_valued
        linear: type[nn.Module] = complex_nn.Linear if complex_valued else nn.Linear
        self.reduce = linear(size, self.n_components)
        self.restore = linear(self.n_components, size)
        self.register_buffer("spread", torch.ones(rank))

    def to_code(self, features: torch.Tensor, n_trs: int, first_tr: int = 0) -> torch.Tensor:
        """Code [B, n_trs, r] of features [B, C, L]: components of spread 1 in training."""
        components = self.reduce(cut(features, self.grid, n_trs, first_tr).flatten(2))
        return self._real(components) / self.spread

    def from_code(self, code: torch.Tensor, first_tr: int = 0) -> torch.Tensor:
        """Features [B, C, L] of a code [B, n_trs, r]."""
        components = code * self.spread
        if self.complex_valued:
            components = torch.view_as_complex(components.float().unflatten(-1, (-1, 2)))
        pieces = self.restore(components).unflatten(2, (self.grid.channels, self.grid.width))
        return join(pieces, self.grid, first_tr)

    def _real(self, components: torch.Tensor) -> torch.Tensor:
        """Components [..., n_components] as real numbers [..., r]."""
        return torch.view_as_real(components).flatten(-2) if self.complex_valued else components

    @torch.no_grad()
    def start_from(self, features: torch.Tensor, blocks: Sequence[tuple[int, int]]) -> float:
        """Set the weights to a principal-component analysis of training features.

        A run of a few minutes has far fewer TRs than a TR has features (14,464 for EnCodec's latents), so the
        covariance is taken as a product of one over channels and one over time within a TR (2D-PCA), each well
        estimated; the products of their eigenvectors with most variance are kept.

        Parameters
        ----------
        features : tensor, shape [C, L]
            The whole stimulus; only frames of ``blocks`` are read.
        blocks : sequence of (first, last)
            Training TRs.

        Returns
        -------
        float
            Share of the training features' variance that passes.
        """
        pieces = torch.cat([cut(features[None], self.grid, last)[0, first:] for first, last in blocks])
        mean = pieces.mean(dim=(0, 2), keepdim=True)
        centred = (pieces - mean).to(torch.complex128 if self.complex_valued else torch.float64)
        over_channels = torch.einsum("nct,ndt->cd", centred, centred.conj()) / centred[:, 0].numel()
        over_time = torch.einsum("nct,ncs->ts", centred, centred.conj()) / centred[..., 0].numel()
        channel_values, channel_vectors = torch.linalg.eigh(over_channels)
        time_values, time_vectors = torch.linalg.eigh(over_time)
        order = torch.outer(channel_values, time_values).flatten().argsort(descending=True)
        strongest = order[: self.n_components]
        c, t = strongest // len(time_values), strongest % len(time_values)
        basis = torch.einsum("cr,tr->rct", channel_vectors[:, c], time_vectors[:, t])
        scores = torch.einsum("nct,rct->nr", centred, basis.conj())
        passed = float(scores.abs().square().sum() / centred.abs().square().sum())
        spread = self._real(scores).std(dim=0).clamp_min(1e-8)
        self._set(basis.to(pieces.dtype), mean, spread.float())
        return passed

    def _set(self, basis: torch.Tensor, mean: torch.Tensor, spread: torch.Tensor) -> None:
        """Write components [n, C, width], the mean [1, C, 1] and the spread [r] into the maps."""
        everywhere = mean.expand(1, -1, self.grid.width).reshape(-1)
        flat = basis.flatten(1)
        reduce, restore = linear_of(self.reduce), linear_of(self.restore)
        self.spread.copy_(spread)
        reduce.weight.copy_(flat.conj())
        reduce.bias.copy_(-(flat.conj() @ everywhere))
        restore.weight.copy_(flat.T)
        restore.bias.copy_(everywhere)


def linear_of(layer: nn.Module) -> nn.Linear:
    """The layer that holds the weights: the package's complex layer wraps torch's."""
    return cast(nn.Linear, layer.linear if isinstance(layer, complex_nn.Linear) else layer)
