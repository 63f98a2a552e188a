"""A start that already lets sound through: the network as a block cosine transform.

From random weights a narrow SEANet spends thousands of steps learning to pass the waveform at all: each of its
ELUs loses part of the signal. Here the weights are set such that all ELUs work where they are straight. The strides
only rearrange samples (spread over the channels by random rotations), and the last one takes the lowest 127
coefficients of the cosine transform of each 320 samples, 0 to 4.8 kHz; the decoder does the inverse. The branches of
the residual blocks begin at nought, the LSTMs small. What is left to learn is what a transform cannot do.
"""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import numpy as np
import torch
from scipy.fft import dct
from torch import Tensor
from torch.nn import functional

from fmri_audio.base.errors import UserError
from fmri_audio.codec.trainable import CausalConv, Down, Memory, Network, Residual, Up

_OFFSET = 0.5  # keeps the signal in the straight part of the ELUs
_DRIVE = 4.0  # of the signal inside: as far from nought as the offset allows
_GAIN = 3.5  # of the latents: speech at −24 dBFS gets about unit size
_SMALL = 0.02  # of the random weights that remain


@torch.no_grad()
def pass_through(network: Network, generator: torch.Generator) -> None:
    """Set the weights of ``network`` in place.

    Parameters
    ----------
    network : Network
        With random weights; a little of them stays.
    generator : torch.Generator
        For the rotations.

    Raises
    ------
    UserError
        If the network is too narrow to hold all samples before its last stride.
    """
    first, into = cast(CausalConv, network.encoder[0]), cast(CausalConv, network.encoder[-1])
    out, last = cast(CausalConv, network.decoder[0]), cast(CausalConv, network.decoder[-1])
    downs = [layer for layer in network.encoder if isinstance(layer, Down)]
    ups = [layer for layer in network.decoder if isinstance(layer, Up)]

    if first.n_out < 8:
        raise UserError("a network of fewer than 8 filters cannot begin as a transform: give --start random")
    # what the channels hold at each level: a matrix times the samples of one frame, plus the offset
    rotations, samples = [_rotation(first.n_out, 1, generator)], 1
    for down in downs[:-1]:
        samples *= down.stride
        rotations.append(_rotation(down.n_out, samples, generator))
    kept = into.n_out - 1
    basis = torch.from_numpy(dct(np.eye(network.hop), axis=0, norm="ortho")[:kept]).float()
    emphasis = 0.15 * (1 + torch.arange(kept)[:, None] / 13) ** 0.75  # 13 coefficients: 500 Hz
    top = _rotation(into.n_in, kept, generator)
    analysis, synthesis = [*rotations, top @ (basis * emphasis)], [*rotations, top @ (basis / emphasis)]

    first.weight.mul_(_SMALL)
    first.weight[0] += _DRIVE * rotations[0].t()
    first.bias.fill_(_OFFSET)
    for down, (before, after) in zip(downs, pairwise(analysis), strict=True):
        _set_down(down, before, after)
    for up, (before, after) in zip(ups, pairwise(reversed(synthesis)), strict=True):
        _set_up(up, before, after)
    for layer in [*network.encoder, *network.decoder]:
        if isinstance(layer, Residual):
            layer.narrow.weight.zero_()
            layer.shortcut.weight.copy_(torch.eye(layer.shortcut.n_in)[None])
        elif isinstance(layer, Memory):
            for name, weight in layer.lstm.named_parameters():
                weight.copy_(_faint(weight.t()).t() if name.startswith("weight") else torch.zeros(()))
    square = into.n_in == into.n_out
    bridge = torch.eye(into.n_out) if square else functional.pad(top, (0, 1))  # from channels to latents
    for conv, matrix in ((into, _GAIN * bridge), (out, bridge.t() / _GAIN)):
        conv.weight.copy_(_faint(conv.weight))
        conv.weight[0] += matrix
    into.bias.copy_(-_OFFSET * into.weight.sum((0, 1)))
    out.bias.fill_(_OFFSET)
    last.weight.zero_()
    last.weight[0] += rotations[0] / _DRIVE
    last.bias.copy_(-_OFFSET * last.weight.sum((0, 1)))


def _rotation(channels: int, samples: int, generator: torch.Generator) -> Tensor:
    """Random [channels, samples] with orthonormal columns that sum to zero: the offset stays out of the signal."""
    columns = torch.cat([torch.ones(channels, 1), torch.randn(channels, samples, generator=generator)], 1)
    return cast(Tensor, torch.linalg.qr(columns)[0][:, 1:])


def _faint(weight: Tensor) -> Tensor:
    """What is left of random weights [..., in, out]: little, and deaf to the offset."""
    return _SMALL * (weight - weight.mean(-2, keepdim=True))


def _set_down(layer: Down, before: Tensor, after: Tensor) -> None:
    """From channels that hold ``before @ samples`` to channels that hold ``after @ samples``, both offset."""
    n = before.shape[1]
    parts = [before @ after[:, i * n : (i + 1) * n].t() for i in range(layer.stride)]
    layer.inner.weight.copy_(_faint(layer.inner.weight))
    layer.inner.weight[0] += torch.cat(parts)
    layer.inner.bias.copy_(_OFFSET - _OFFSET * layer.inner.weight.sum((0, 1)))


def _set_up(layer: Up, before: Tensor, after: Tensor) -> None:
    """The inverse of :func:`_set_down`: from ``before``, a matrix of more samples, to ``after``."""
    n = after.shape[1]
    parts = [before[:, i * n : (i + 1) * n] @ after.t() for i in range(layer.stride)]
    layer.weight.copy_(_faint(layer.weight))
    layer.weight[0] += torch.cat(parts, 1)
    layer.bias.copy_(_OFFSET - _OFFSET * layer.weight.sum((0, 1)).view(layer.stride, -1).mean(0))
