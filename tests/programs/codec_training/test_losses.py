"""What the terms of the loss hear, and what they are deaf to."""

from __future__ import annotations

import pytest
import torch

from programs.codec_training.losses import CodecLoss, levelled

RATE = 24_000


@pytest.fixture(scope="module")
def loss() -> CodecLoss:
    return CodecLoss(RATE)


@pytest.fixture(scope="module")
def noise() -> torch.Tensor:
    return torch.randn(2, 12_000, generator=torch.Generator().manual_seed(0))


def test_perfect_sound_is_the_best(loss: CodecLoss, noise: torch.Tensor) -> None:
    for size in loss.sizes:
        perfect, worse = loss(noise, noise, (size,)), loss(noise, noise + 0.1 * noise.flip(1), (size,))
        assert all(perfect[name] < worse[name] for name in perfect)
        assert perfect["mel"] == 0 and perfect["magnitude"] == 0


def test_coherence_is_deaf_to_level_and_the_others_are_not(loss: CodecLoss, noise: torch.Tensor) -> None:
    loud, quiet = loss(noise, noise, (512, 2048)), loss(noise, 0.2 * noise, (512, 2048))
    assert quiet["coherence"].item() == pytest.approx(loud["coherence"].item(), abs=0.1)
    assert quiet["mel"].item() == pytest.approx(2 * torch.log(torch.tensor(5.0)).item(), rel=0.02)
    assert all(quiet[name] > loud[name] + 0.1 for name in ("wave", "mel", "magnitude"))


def test_turning_down_what_cannot_be_followed_is_not_rewarded(loss: CodecLoss, noise: torch.Tensor) -> None:
    unrelated = torch.randn(noise.shape, generator=torch.Generator().manual_seed(1))
    full, reduced = loss(noise, unrelated, (1024,)), loss(noise, 0.3 * unrelated, (1024,))
    assert full["mel"] < reduced["mel"] and abs(full["coherence"] - reduced["coherence"]) < 0.02


def test_levels_do_not_matter_and_silence_is_finite(loss: CodecLoss, noise: torch.Tensor) -> None:
    x, y = levelled(0.01 * noise, 0.01 * noise + 0.001 * noise.flip(1))
    u, v = levelled(0.1 * noise, 0.1 * noise + 0.01 * noise.flip(1))
    for name, term in loss(x, y, (512,)).items():
        assert term.item() == pytest.approx(loss(u, v, (512,))[name].item(), abs=0.1), name
    output = torch.zeros(1, 4800, requires_grad=True)
    silence = loss(*levelled(torch.zeros(1, 4800), output), (256, 2048))
    torch.stack(list(silence.values())).sum().backward()
    assert output.grad is not None and torch.isfinite(output.grad).all()


def test_loud_weighs_the_sound_and_mel_its_background(loss: CodecLoss, noise: torch.Tensor) -> None:
    """A second as loud as speech is beside a second of its background, 40 dB below: which of them is wrong?"""
    x = torch.cat([noise, 0.01 * noise], 1)
    speech_off = torch.cat([0.5 * noise, 0.01 * noise], 1)
    background_off = torch.cat([noise, 0.005 * noise], 1)
    one, other = loss(x, speech_off, (1024,)), loss(x, background_off, (1024,))
    assert one["mel"] < 2 * other["mel"]
    assert one["loud"] > 4 * other["loud"]
