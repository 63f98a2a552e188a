"""Residual quantiser: k-means, prefixes, gradients, codebooks that follow and dead codes that return."""

from __future__ import annotations

import torch

from fmri_audio.codec.trainable import Network
from programs.codec_training.quantiser import TrainedQuantiser, k_means, nearest


def planted(count: int = 4000, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Sums of one of 8 large and one of 8 small vectors, with a little noise; and the large vectors."""
    generator = torch.Generator().manual_seed(seed)
    large = 10 * torch.eye(8)
    small = torch.eye(8).roll(3, 0)
    picks = torch.randint(8, (2, count), generator=generator)
    noise = 0.01 * torch.randn(count, 8, generator=generator)
    return large[picks[0]] + small[picks[1]] + noise, large


def test_residual_k_means_recovers_planted_codebooks() -> None:
    x, large = planted()
    quantiser = TrainedQuantiser(stages=2, size=32, dimension=8)
    quantiser.initialise(x, torch.Generator().manual_seed(1), iterations=20)
    energy, usage, sums = quantiser.residuals(x)
    assert energy[1] < 1e-3 < energy[0] < 0.05
    first = quantiser.codebooks[0]
    assert (torch.cdist(large + 0.125, first).min(1).values < 1.1).all()
    assert usage[0] > 0.2 and len(sums) == 2


def test_k_means_centres_are_means_of_their_clusters() -> None:
    x, _ = planted(500)
    centres, counts = k_means(x, 8, 30, torch.Generator().manual_seed(0))
    chosen = nearest(x, centres)
    for index in torch.unique(chosen):
        torch.testing.assert_close(centres[index], x[chosen == index].mean(0), atol=1e-3, rtol=1e-3)
    assert counts.sum() == len(x)


def test_fewer_stages_are_a_prefix_of_more() -> None:
    """The package's own encoding with k codebooks is the first k rows of its encoding with all."""
    torch.manual_seed(0)
    books = 0.1 * torch.randn(32, 1024, 128)
    model = Network({"n_filters": 2}).to_package(books).eval()
    wave = 0.1 * torch.randn(1, 1, 9600)
    codes = {}
    for kbps in (1.5, 6.0, 24.0):
        model.set_target_bandwidth(kbps)
        with torch.no_grad():
            codes[kbps] = model.encode(wave)[0][0]
    assert torch.equal(codes[1.5], codes[24.0][:, :2]) and torch.equal(codes[6.0], codes[24.0][:, :8])


def test_training_quantiser_agrees_with_the_package() -> None:
    torch.manual_seed(0)
    quantiser = TrainedQuantiser(32, 1024, 128).eval()
    quantiser.codebooks.normal_(std=0.3)
    model = Network({"n_filters": 2}).to_package(quantiser.codebooks).eval()
    latents = torch.randn(2, 5, 128)
    ours = quantiser(latents, torch.tensor([8, 8]), torch.Generator()).values
    codes = model.quantizer.encode(latents.transpose(1, 2), model.frame_rate, 6.0)
    torch.testing.assert_close(ours, model.quantizer.decode(codes).transpose(1, 2), atol=1e-5, rtol=1e-5)


def test_gradient_passes_straight_through_and_unquantised_items_pass_unchanged() -> None:
    torch.manual_seed(0)
    quantiser = TrainedQuantiser(4, 16, 8).eval()
    quantiser.codebooks.normal_()
    x = torch.randn(2, 6, 8, requires_grad=True)
    sent = quantiser(x, torch.tensor([0, 4]), torch.Generator())
    assert torch.equal(sent.values[0], x[0]) and not torch.allclose(sent.values[1], x[1])
    sent.values.sum().backward()
    assert x.grad is not None and torch.equal(x.grad, torch.ones_like(x))


def test_codebooks_follow_the_frames_and_dead_codes_return() -> None:
    generator = torch.Generator().manual_seed(0)
    quantiser = TrainedQuantiser(1, 16, 8, decay=0.9)
    x, _ = planted(1024)
    quantiser.initialise(x, generator)
    quantiser.codebooks[0, 5] = 100.0  # nobody will choose this one
    quantiser.sums[0, 5], quantiser.counts[0, 5] = 100.0, 0.05
    moved = x + 3.0
    for _ in range(60):
        quantiser(moved[None], torch.tensor([1]), generator)
    assert quantiser.codebooks[0, 5].abs().max() < 50
    energy, _, _ = quantiser.residuals(moved)
    assert energy[0] < 0.1


def test_frames_are_coded_before_the_codebooks_follow_them() -> None:
    torch.manual_seed(0)
    quantiser = TrainedQuantiser(2, 16, 8, decay=0.5)
    quantiser.codebooks.normal_()
    quantiser.counts.fill_(1.0)
    quantiser.sums.copy_(quantiser.codebooks)
    x, stages = torch.randn(1, 40, 8), torch.tensor([1])
    still = quantiser.eval()(x, stages, torch.Generator()).values
    before = quantiser.codebooks.clone()
    trained = quantiser.train()(x, stages, torch.Generator()).values
    assert torch.equal(still, trained) and not torch.equal(before[0], quantiser.codebooks[0])


def test_an_order_that_comes_again_is_not_copied_again() -> None:
    """A GPU that records a step refuses copies; the order is on the device by then."""
    quantiser = TrainedQuantiser(2, 4, 3)
    quantiser.take(torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0)))
    stages, device = torch.tensor([0, 2, 1, 2]), torch.device("cpu")
    order, back = quantiser._order(stages, device)
    assert order.tolist() == [1, 3, 2, 0] and order[back].tolist() == [0, 1, 2, 3]
    again = quantiser._order(stages.clone(), device)
    assert again[0] is order and again[1] is back
    other, _ = quantiser._order(torch.tensor([0, 2, 1, 0]), device)
    assert other.tolist() == [1, 2, 0, 3]
