"""A nested code: features of a step of sound as numbers in order of what they are worth, and back.

A narrower code is a prefix of a wider one, as a bandwidth is a prefix of codebooks, so one network serves every width.
In training the tail is dropped at random (Rippel et al. 2014, "nested dropout"; Kusupati et al. 2022). Weights are
shared over time. At its start the network *is* a principal-component analysis of single steps; what it learns is added.

A code may arrive incomplete or noisy. The way back is told how much of every number has arrived: its *reliability*,
one less its posterior variance. A number that was never sent has 0, one read without noise 1, one in white noise of
standard deviation s 1 / (1 + s²). What arrives is the posterior mean, which shrinks with reliability.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

KERNEL = 5
"""Steps that a convolution sees: two on either side."""

_LEAST = 1e-6
"""Variance of a component below which it is not made larger, of features of mean square 1."""


@dataclass(frozen=True)
class Size:
    """Of a network.

    Attributes
    ----------
    channels : int
        C, of the features.
    frames : int
        Of the features in a step.
    dimensions : int
        D, numbers per step of the whole code.
    inner : int
        Channels inside, at the rate of steps; at least D.
    before, after : int
        Residual layers on the way to the code and on the way back.
    """

    channels: int
    frames: int
    dimensions: int = 164
    inner: int = 192
    before: int = 2
    after: int = 3

    @property
    def block(self) -> int:
        """Features of a step."""
        return self.channels * self.frames

    def __post_init__(self) -> None:
        if not self.dimensions <= self.inner <= self.block:
            raise ValueError(
                f"{self.dimensions} numbers per step, {self.inner} inside and {self.block} features: "
                "each should be at most the next"
            )


_MOMENTUM = 0.01
"""Share of a batch in the running mean and variance of the code."""

_FURTHEST = 3.0
"""Times by which a batch's deviation may differ from the running one before its numbers are limited."""


class _Residual(nn.Module):
    """A convolution over each channel's steps, then two layers over channels (Liu et al. 2022); at first it adds 0."""

    def __init__(self, inner: int) -> None:
        super().__init__()
        self.over_steps = nn.Conv1d(inner, inner, KERNEL, padding=KERNEL // 2, groups=inner)
        self.norm = nn.LayerNorm(inner)
        self.wide = nn.Linear(inner, 2 * inner)
        self.narrow = nn.Linear(2 * inner, inner)
        nn.init.zeros_(self.narrow.weight)
        nn.init.zeros_(self.narrow.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Steps [B, S, inner] → the same shape."""
        changed = self.norm(self.over_steps(x.mT).mT)
        added: Tensor = self.narrow(nn.functional.gelu(self.wide(changed)))
        return x + added


class _Unit(nn.BatchNorm1d):
    """Mean 0 and variance 1 over training sound: batch renormalisation (Ioffe 2017).

    While it trains, values are those of the running statistics: a small batch's own mean and variance would be noise on
    the code, and its worst. Gradients are those of batch normalisation, so that no number gains by being large.
    """

    @property
    def statistics(self) -> tuple[Tensor, Tensor]:
        """Running mean and variance."""
        return cast(Tensor, self.running_mean), cast(Tensor, self.running_var)

    @property
    def deviation(self) -> Tensor:
        """Standard deviation that numbers are divided by."""
        return (self.statistics[1] + self.eps).sqrt()

    def forward(self, x: Tensor) -> Tensor:
        """Numbers [B, D, S] → the same shape."""
        if not self.training:
            return super().forward(x)
        mean, std = self.statistics[0].clone(), self.deviation
        batch = super().forward(x)  # which moves the running statistics
        with torch.no_grad():
            own_mean = x.mean((0, 2))
            own_std = (x.var((0, 2), unbiased=False) + self.eps).sqrt()
            gain = (own_std / std).clamp(1 / _FURTHEST, _FURTHEST)
            shift = ((own_mean - mean) / std).clamp(-_FURTHEST, _FURTHEST)
        return batch * gain[:, None] + shift[:, None]


class NestedCode(nn.Module):
    """Features [B, C, L] → code [B, S, D] → features.

    Every number of the code has mean 0 and variance 1 over training sound (running statistics), so that a
    noise of given variance is the same share of every number, and none can be made large to drown it.

    Parameters
    ----------
    size : Size
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("mean", torch.zeros(size.block))
        self.register_buffer("scale", torch.ones(()))
        self.inward = nn.Linear(size.block, size.inner)
        self.before = nn.Sequential(*(_Residual(size.inner) for _ in range(size.before)))
        self.to_code = nn.Linear(size.inner, size.dimensions)
        self.unit = _Unit(size.dimensions, affine=False, momentum=_MOMENTUM)
        self.from_code = nn.Linear(size.dimensions, size.inner)
        self.told = nn.Linear(size.dimensions, size.inner, bias=False)
        self.after = nn.Sequential(*(_Residual(size.inner) for _ in range(size.after)))
        self.outward = nn.Linear(size.inner, size.block)

    @property
    def dimensions(self) -> int:
        """D, numbers per step of the whole code."""
        return self.size.dimensions

    @property
    def look_ahead(self) -> int:
        """Steps after one on which its sound depends, by the way to the code and back."""
        return (self.size.before + self.size.after) * (KERNEL // 2)

    @torch.no_grad()
    def start(self, features: Tensor) -> None:
        """Become the principal components of training features [B, C, L], steps taken one by one."""
        blocks = self.blocks(features).flatten(0, 1).double()
        self.mean.copy_(blocks.mean(0))
        self.scale.copy_((blocks - self.mean).square().mean().sqrt())
        centred = (blocks - self.mean) / self.scale
        variances, vectors = torch.linalg.eigh(centred.T @ centred / len(centred))
        # Half of the scale before the code and half behind it: no weight is large.
        root = variances.flip(0)[: self.size.inner].clamp_min(_LEAST) ** 0.25
        components = vectors.flip(1)[:, : self.size.inner].T
        self.inward.weight.copy_(components / root[:, None])
        self.outward.weight.copy_((components * root[:, None]).T)
        kept = self.size.dimensions
        self.to_code.weight.copy_(torch.eye(*self.to_code.weight.shape))
        self.from_code.weight.copy_(torch.eye(*self.from_code.weight.shape) * root[:kept])
        self.told.weight.zero_()
        for layer in (self.inward, self.outward, self.to_code, self.from_code):
            layer.bias.zero_()
        self.unit.reset_running_stats()
        self.unit.statistics[1].copy_(root[:kept] ** 2)

    def blocks(self, features: Tensor) -> Tensor:
        """Features [B, C, L] as steps [B, S, frames · C]; the last step is filled up with the last frame."""
        missing = -features.shape[-1] % self.size.frames
        if missing:
            features = torch.cat([features, features[..., -1:].expand(*features.shape[:2], missing)], -1)
        return features.mT.reshape(len(features), -1, self.size.block)

    def raw(self, features: Tensor) -> Tensor:
        """Code [B, S, D] of features [B, C, L], before it is brought to mean 0 and variance 1."""
        blocks = (self.blocks(features) - self.mean) / self.scale
        code: Tensor = self.to_code(self.before(self.inward(blocks)))
        return code

    def encode(self, features: Tensor) -> Tensor:
        """Code [B, S, D] of features [B, C, L]."""
        unit: Tensor = self.unit(self.raw(features).mT)
        return unit.mT

    @torch.no_grad()
    def standardise(self, features: Iterable[Tensor]) -> None:
        """Bring every number to mean 0 and variance 1 over features [B, C, L].

        While a network learns, its running statistics come after its weights: the code is not quite of unit variance.
        Without noise the way back gives what it gave.
        """
        raw = torch.cat([self.raw(part).flatten(0, 1) for part in features]).double()
        mean, variance = raw.mean(0).float(), raw.var(0).float()
        (old_mean, old_variance), old_deviation = self.unit.statistics, self.unit.deviation
        self.from_code.bias.add_(self.from_code.weight @ ((mean - old_mean) / old_deviation))
        deviation = (variance + self.unit.eps).sqrt()
        self.from_code.weight.mul_(deviation / old_deviation)
        # The way to the code takes them in: a variance of raw numbers may be too large for half precision.
        self.to_code.bias.sub_(mean).div_(deviation)
        self.to_code.weight.div_(deviation[:, None])
        old_mean.zero_()
        old_variance.fill_(1 - self.unit.eps)

    def decode(self, code: Tensor, reliability: Tensor) -> Tensor:
        """Features [B, C, S · frames] of a code.

        Parameters
        ----------
        code : Tensor [B, S, D]
            Posterior means: of numbers that never arrived the mean, 0.
        reliability : Tensor, spreads to [B, S, D]
            1 − posterior variance of each number.
        """
        hidden = self.from_code(code) + self.told(reliability.expand_as(code))
        blocks: Tensor = self.outward(self.after(hidden)) * self.scale + self.mean
        return blocks.reshape(len(blocks), -1, self.size.channels).mT


def prefix(dimensions: int, of: int, device: torch.device | None = None) -> Tensor:
    """Reliability [D] of a code of which the first numbers arrive whole and the others not at all."""
    return (torch.arange(of, device=device) < dimensions).float()


def received(code: Tensor, reliability: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Posterior means of a unit-variance code [B, S, D] in white noise, given their reliability.

    With noise of variance v, the mean is r (z + noise) with r = 1 / (1 + v): the best linear estimate of z. Numbers
    without reliability are 0.

    Parameters
    ----------
    code : Tensor [B, S, D]
    reliability : Tensor, spreads to [B, S, D]
    generator : torch.Generator, optional
        Of the noise; on the CPU.
    """
    r = reliability.expand_as(code)
    deviation = (r * (1 - r)).clamp_min(0).sqrt()  # r² v, with v = 1 / r − 1
    noise = torch.randn(code.shape, generator=generator).to(code.device)
    return r * code + deviation * noise


def white(sigma: float) -> float:
    """Reliability of a unit-variance number in white noise of standard deviation ``sigma``."""
    return 1 / (1 + sigma**2)
