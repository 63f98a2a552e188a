"""The discriminator learns to tell sounds apart, and what it thinks reaches the codec."""

from __future__ import annotations

import torch

from programs.codec_training.adversary import Adversary


def sounds() -> tuple[torch.Tensor, torch.Tensor]:
    t = torch.arange(3000) / 24_000
    generator = torch.Generator().manual_seed(0)
    return torch.sin(2 * torch.pi * 440 * t)[None], torch.randn(1, 3000, generator=generator)


def test_it_learns_to_tell_real_from_made() -> None:
    torch.manual_seed(0)
    adversary = Adversary(filters=4, learning_rate=2e-2)
    real, made = sounds()
    losses = [adversary.learn(real, made) for _ in range(8)]
    assert losses[-1] < 0.7 * losses[0]
    assert adversary.terms(real, made)["adversarial"] > adversary.terms(real, real)["adversarial"]


def test_the_codec_gets_a_gradient_and_the_discriminator_none() -> None:
    torch.manual_seed(0)
    adversary = Adversary(filters=4)
    real, made = sounds()
    made.requires_grad_(True)
    torch.stack(list(adversary.terms(real, made).values())).sum().backward()
    assert made.grad is not None and made.grad.abs().max() > 0
    assert all(p.grad is None for p in adversary.network.parameters())
    assert adversary.terms(real, real)["features"] == 0
