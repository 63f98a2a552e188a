"""A wider network that computes what a narrower one does (Net2WiderNet, Chen, Goodfellow & Shlens 2016).

Channels of the narrow network appear twice where the wide one has room for more, with the same weights before them.
What follows a channel is shared out among its copies, in random parts for every channel after it: their sum is what it
was, and their gradients differ, so that training tells the copies apart.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from fmri_audio.base.errors import UserError
from fmri_audio.codec.trainable import CausalConv, Down, Memory, Network, Residual, Up


@torch.no_grad()
def widen(narrow: Network, wide: Network, generator: torch.Generator) -> None:
    """Set the weights of ``wide`` in place, so that it computes what ``narrow`` does.

    Parameters
    ----------
    narrow, wide : Network
        Of one topology.
    generator : torch.Generator
        For the parts that copies of a channel get.

    Raises
    ------
    UserError
        If ``wide`` is the narrower one.
    """
    refuse_narrowing(_width(narrow), _width(wide))
    for ours, theirs in ((wide.encoder, narrow.encoder), (wide.decoder, narrow.decoder)):
        for target, source in zip(ours, theirs, strict=True):
            if isinstance(target, Residual):
                for name in ("wide", "narrow", "shortcut"):
                    _widen_conv(getattr(target, name), getattr(source, name), generator)
            elif isinstance(target, CausalConv):
                _widen_conv(target, cast(CausalConv, source), generator)
            elif isinstance(target, Down):
                _widen_down(target, cast(Down, source), generator)
            elif isinstance(target, Up):
                _widen_up(target, cast(Up, source), generator)
            elif isinstance(target, Memory):
                _widen_memory(target, cast(Memory, source), generator)


def refuse_narrowing(before: int, after: int) -> None:
    """Raise an error where a network of ``before`` filters is to go on with ``after``, which are fewer."""
    if after < before:
        raise UserError(
            f"the checkpoint to start from has {before} filters, and no run makes it narrower: give --filters {before} "
            "or more"
        )


def _width(network: Network) -> int:
    return cast(CausalConv, network.encoder[0]).n_out


def _copies(n: int, m: int) -> Tensor:
    """Which of ``n`` channels each of ``m`` is a copy of."""
    return torch.arange(m) % n


def _shared_out(weight: Tensor, n_in: int, generator: torch.Generator) -> Tensor:
    """Weights [..., n, out] of a layer whose ``n`` inputs have become ``n_in``."""
    copy_of = _copies(weight.shape[-2], n_in)
    parts = 0.2 + 0.8 * torch.rand(n_in, weight.shape[-1], generator=generator)
    total = torch.zeros(weight.shape[-2:]).index_add_(0, copy_of, parts)
    return weight[..., copy_of, :] * (parts / total[copy_of])


def _widen_conv(target: CausalConv, source: CausalConv, generator: torch.Generator) -> None:
    out = _copies(source.n_out, target.n_out)
    target.weight.copy_(_shared_out(source.weight[..., out], target.n_in, generator))
    target.bias.copy_(source.bias[out])


def _widen_down(target: Down, source: Down, generator: torch.Generator) -> None:
    out = _copies(source.inner.n_out, target.inner.n_out)
    taps = source.inner.weight[..., out].reshape(2 * source.stride, source.n_in, -1)
    target.inner.weight.copy_(_shared_out(taps, target.n_in, generator).reshape(target.inner.weight.shape))
    target.inner.bias.copy_(source.inner.bias[out])


def _widen_up(target: Up, source: Up, generator: torch.Generator) -> None:
    out = _copies(source.n_out, target.n_out)
    taps = source.weight.reshape(2, source.n_in, source.stride, source.n_out)[..., out]
    target.weight.copy_(_shared_out(taps.reshape(2, source.n_in, -1), target.n_in, generator))
    target.bias.copy_(source.bias[out])


def _widen_memory(target: Memory, source: Memory, generator: torch.Generator) -> None:
    n, m = source.lstm.hidden_size, target.lstm.hidden_size
    gates = torch.cat([gate * n + _copies(n, m) for gate in range(4)])
    for name, weight in target.lstm.named_parameters():
        rows = getattr(source.lstm, name)[gates]
        weight.copy_(rows if name.startswith("bias") else _shared_out(rows.t(), m, generator).t())
