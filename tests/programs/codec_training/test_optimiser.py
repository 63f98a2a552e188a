"""Orthogonalised momentum: singular values of one, each matrix by itself, whatever lies beside it."""

from __future__ import annotations

import torch
from torch import nn

from programs.codec_training.optimiser import Orthogonal, orthogonalised


def test_singular_values_come_to_about_one() -> None:
    matrices = torch.randn(3, 20, 50, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalised(matrices))
    assert (values > 0.6).all() and (values < 1.3).all()
    torch.testing.assert_close(orthogonalised(matrices.mT), orthogonalised(matrices).mT)


def test_matrices_of_one_shape_do_not_mix() -> None:
    """A step of two matrices together is the step of each alone, at any scale of the other's gradient."""
    generator = torch.Generator().manual_seed(0)
    grads = [torch.randn(8, 12, generator=generator), 1e4 * torch.randn(8, 12, generator=generator)]
    together = [nn.Parameter(torch.zeros(8, 12)) for _ in grads]
    for weight, grad in zip(together, grads, strict=True):
        weight.grad = grad
    Orthogonal(together, lr=0.1).step()
    for weight, grad in zip(together, grads, strict=True):
        alone = nn.Parameter(torch.zeros(8, 12))
        alone.grad = grad
        Orthogonal([alone], lr=0.1).step()
        torch.testing.assert_close(weight, alone)
        assert 0.1 * 0.1 < weight.square().mean().sqrt() < 0.1 * 0.3  # 0.2 root mean square times the rate
