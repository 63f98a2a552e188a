"""Weights in eight bits: half of what half precision takes, for files that are kept in a history."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch.nn import functional as F

SCALE = "|scale"
"""After a tensor's name: what a step of its rows' whole numbers is worth."""

_FEWEST = 4096
"""Numbers of a tensor below which eight bits save nothing worth having."""


def pack(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Write large tensors in eight bits: whole numbers from −127 to 127, and a scale for every row (its last axis).

    Two whole numbers lie in the place of one of half precision, the only kind that a file of weights
    (:mod:`fmri_audio.codec.weight_files`) holds; a row of an odd number of them ends in a nought. Of complex numbers
    come first the real parts, then the imaginary ones, along an axis before all others.
    """
    packed: dict[str, torch.Tensor] = {}
    for name, value in tensors.items():
        real = _as_real(value)
        if real.ndim < 2 or real.numel() < _FEWEST:
            packed[name] = real
            continue
        # As it will be read: the half precision of the scale is in the rounding.
        scale = (real.abs().amax(-1).clamp_min(1e-6) / 127).half()
        whole = (real / scale.float()[..., None]).round().clamp(-127, 127).to(torch.int8)
        packed[name] = F.pad(whole, (0, whole.shape[-1] % 2)).view(torch.float16)
        packed[name + SCALE] = scale
    return packed


def unpack(tensors: Mapping[str, torch.Tensor], like: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Read what :func:`pack` wrote, in the precision of tensors of the same names.

    Raises
    ------
    ValueError
        Names or shapes differ.
    """
    wanted = {name: value.shape for name, value in pack(like).items()}
    if {name: value.shape for name, value in tensors.items()} != wanted:
        raise ValueError("the weights do not fit the network")
    found = {}
    for name, value in like.items():
        if name + SCALE in tensors:
            whole = tensors[name].contiguous().view(torch.int8)[..., : value.shape[-1]]
            real = whole.float() * tensors[name + SCALE].float()[..., None]
        else:
            real = tensors[name].float()
        found[name] = (torch.complex(*real) if value.is_complex() else real).to(value.dtype)
    return found


def _as_real(value: torch.Tensor) -> torch.Tensor:
    return torch.stack([value.real, value.imag]) if value.is_complex() else value
