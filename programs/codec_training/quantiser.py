"""The residual vector quantiser in training: k-means to begin with, running averages from then on.

Stage k quantises what the stages before it left over. The ``encodec`` package trains its stages one by one with
a commitment that pulls the encoder towards the first codebook alone (its issue 25); here every active stage
counts, the decoder's gradient passes straight through the *sum* of the stages, and codes nobody uses are moved
onto frames that are badly served.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Quantised:
    """``values`` [B, L, D] with the gradient straight through, and the mean ``commitment`` of active stages."""

    values: Tensor
    commitment: Tensor


def nearest(x: Tensor, codebook: Tensor) -> Tensor:
    """Index [N] of the code [size, D] nearest to each vector [N, D], as the ``encodec`` package chooses it."""
    return torch.addmm(codebook.square().sum(1), x, codebook.t(), alpha=-2).argmin(1)


def k_means(x: Tensor, size: int, iterations: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Lloyd's algorithm; empty clusters are put onto random vectors.

    Parameters
    ----------
    x : Tensor [N, D]
    size : int
        Number of clusters, at most N.
    iterations : int
    generator : torch.Generator
        On the CPU.

    Returns
    -------
    centres : Tensor [size, D]
    counts : Tensor [size]
    """
    centres = x[torch.randperm(len(x), generator=generator)[:size].to(x.device)].clone()
    counts = x.new_ones(size)
    for _ in range(iterations):
        chosen = nearest(x, centres)
        counts = torch.bincount(chosen, minlength=size).to(x.dtype)
        sums = torch.zeros_like(centres).index_add_(0, chosen, x)
        spare = x[torch.randint(len(x), (size,), generator=generator).to(x.device)]
        centres = torch.where(counts[:, None] > 0, sums / counts.clamp(min=1)[:, None], spare)
    return centres, counts


class TrainedQuantiser(nn.Module):
    """Codebooks [K, size, D] that follow the encoder."""

    codebooks: Tensor
    counts: Tensor
    sums: Tensor

    def __init__(self, stages: int, size: int, dimension: int, decay: float = 0.99) -> None:
        super().__init__()
        self.decay = decay
        self._known: tuple[tuple[object, ...], tuple[Tensor, Tensor]] = ((), (torch.empty(0), torch.empty(0)))
        self.register_buffer("codebooks", torch.zeros(stages, size, dimension))
        self.register_buffer("counts", torch.zeros(stages, size))
        self.register_buffer("sums", torch.zeros(stages, size, dimension))

    @torch.no_grad()
    def initialise(self, x: Tensor, generator: torch.Generator, iterations: int = 10) -> None:
        """Residual k-means on latents [N, D]; later stages get fewer iterations."""
        residual = x.clone()
        for stage in range(len(self.codebooks)):
            rounds = iterations if stage < 8 else max(1, iterations // 2)
            centres, counts = k_means(residual, self.codebooks.shape[1], rounds, generator)
            self.codebooks[stage] = centres
            self.counts[stage] = (counts / counts.mean()).clamp(min=0.1)
            self.sums[stage] = centres * self.counts[stage][:, None]
            residual -= centres[nearest(residual, centres)]

    @torch.no_grad()
    def take(self, codebooks: Tensor) -> None:
        """Go on with codebooks [K, size, D] of an earlier training."""
        self.codebooks.copy_(codebooks)
        self.counts.fill_(1.0)
        self.sums.copy_(codebooks)

    @property
    def ready(self) -> bool:
        """Whether there are codebooks yet."""
        return bool(self.counts.any())

    def forward(self, x: Tensor, stages: Tensor, generator: torch.Generator) -> Quantised:
        """Quantise each item with its own number of stages and, in training mode, update the codebooks.

        Parameters
        ----------
        x : Tensor [B, L, D]
        stages : Tensor [B]
            Number of codebooks per item, on the CPU; 0 passes an item on unquantised.
        generator : torch.Generator
            For the replacement of unused codes.
        """
        order, back = self._order(stages, x.device)
        sorted_x = x[order]
        length, dimension = x.shape[1:]
        flat = sorted_x.detach().reshape(-1, dimension)
        total, commitment, deepest = torch.zeros_like(flat), x.new_zeros(()), int(stages.max())
        for stage in range(deepest):
            active = length * int((stages > stage).sum())
            residual = flat[:active] - total[:active]
            chosen = nearest(residual, self.codebooks[stage])
            total[:active] += F.embedding(chosen, self.codebooks[stage])
            if self.training:  # afterwards, or the codes would flatter the frames they have just followed
                self._follow(stage, residual, chosen, generator)
            left = sorted_x.reshape(-1, dimension)[:active] - total[:active]
            commitment = commitment + left.square().mean()
        quantised = length * int((stages > 0).sum())
        total[quantised:] = flat[quantised:]
        values = total.view_as(x)[back]
        return Quantised(x + (values - x).detach(), commitment / max(1, deepest))

    def _order(self, stages: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
        """The items by their number of stages, so that those of any stage are the first ones, and the way back.

        Both are kept once they are on the device: while a GPU records a step, nothing may be copied there.
        """
        key = (*stages.tolist(), str(device))
        if key != self._known[0]:
            order = torch.argsort(stages, descending=True, stable=True)
            self._known = key, (order.to(device), torch.argsort(order).to(device))
        return self._known[1]

    @torch.no_grad()
    def _follow(self, stage: int, residual: Tensor, chosen: Tensor, generator: torch.Generator) -> None:
        """Running averages of the frames each code stands for; dead codes restart on frames of this batch."""
        size = self.codebooks.shape[1]
        share = size / len(chosen)  # counts are kept relative to even use, whatever the batch
        fresh = (
            torch.zeros_like(self.counts[stage]).index_add_(0, chosen, torch.ones_like(residual[:, 0]))
            * share
        )
        sums = torch.zeros_like(self.codebooks[stage]).index_add_(0, chosen, residual) * share
        # a stage that few frames reach moves at a rate that fits their number
        decay = self.decay ** (len(chosen) / 384)
        self.counts[stage].lerp_(fresh, 1 - decay)
        self.sums[stage].lerp_(sums, 1 - decay)
        dead = self.counts[stage] < 0.03
        means = self.sums[stage] / self.counts[stage].clamp(min=1e-3)[:, None]
        on_cpu = residual.device.type == "cpu"  # a GPU draws by itself, so that nothing waits
        places = torch.randint(
            len(residual), (size,), generator=generator if on_cpu else None, device=residual.device
        )
        picked = residual[places]
        self.codebooks[stage] = torch.where(dead[:, None], picked, means)
        self.counts[stage] = torch.where(dead, 0.3, self.counts[stage])
        self.sums[stage] = torch.where(dead[:, None], 0.3 * picked, self.sums[stage])

    @torch.no_grad()
    def residuals(self, x: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        """What each stage leaves over, for the log.

        Returns
        -------
        energy : Tensor [K]
            Residual energy after each stage, as a share of the latents' variance.
        usage : Tensor [K]
            Perplexity of the code use over the codebook's size.
        sums : list of Tensor [N, D]
            Quantised latents after each stage.
        """
        total = torch.zeros_like(x)
        energy, usage, sums = [], [], []
        variance = (x - x.mean(0)).square().mean()
        for book in self.codebooks:
            chosen = nearest(x - total, book)
            total = total + book[chosen]
            p = torch.bincount(chosen, minlength=len(book)) / len(chosen)
            energy.append((x - total).square().mean() / variance)
            usage.append(torch.exp(torch.special.entr(p).sum()) / len(book))
            sums.append(total)
        return torch.stack(energy), torch.stack(usage), sums
