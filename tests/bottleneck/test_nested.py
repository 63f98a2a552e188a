"""The nested code: principal components at its start, a prefix at every width, a channel of known noise."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fmri_audio.bottleneck.nested import NestedCode, Size, prefix, received, white

SIZE = Size(channels=6, frames=4, dimensions=10, inner=16, before=1, after=1)


def features(items: int = 8, steps: int = 40, seed: int = 0) -> torch.Tensor:
    """Features [B, 6, L] of which some mixtures are strong and others weak."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(1).standard_normal((24, 24)) * 0.7 ** np.arange(24)
    blocks = rng.standard_normal((items, steps, 24)) @ mixing.T + 3.0
    return torch.from_numpy(blocks.reshape(items, steps * 4, 6).astype(np.float32)).mT


@pytest.fixture
def started() -> NestedCode:
    torch.manual_seed(0)
    code = NestedCode(SIZE)
    code.start(features())
    return code.eval()


def loosened(code: NestedCode) -> NestedCode:
    """The same after its weights have moved anywhere."""
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in code.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return code


@torch.no_grad()
def test_at_its_start_a_width_is_so_many_principal_components(started):
    seen = features(seed=5)
    blocks = started.blocks(features()).flatten(0, 1).double().numpy()
    mean = blocks.mean(0)
    _, _, components = np.linalg.svd(blocks - mean, full_matrices=False)
    for width in (1, 4, 10):
        kept = prefix(width, 10)
        back = started.decode(started.encode(seen) * kept, kept)
        given = started.blocks(seen).numpy()
        best = (given - mean) @ components[:width].T @ components[:width] + mean
        np.testing.assert_allclose(started.blocks(back).numpy(), best, atol=2e-3)


@torch.no_grad()
def test_every_number_has_mean_0_and_variance_1_once_it_is_standardised(started):
    code = loosened(started)
    parts = [features(16, seed=2), features(16, seed=3)]
    before = code.decode(code.encode(parts[0]), torch.ones(10))
    code.standardise(parts)
    numbers = torch.cat([code.encode(part) for part in parts]).flatten(0, 1)
    torch.testing.assert_close(numbers.mean(0), torch.zeros(10), atol=1e-4, rtol=0)
    torch.testing.assert_close(numbers.var(0), torch.ones(10), atol=1e-3, rtol=0)
    after = code.decode(code.encode(parts[0]), torch.ones(10))
    torch.testing.assert_close(after, before, atol=1e-3, rtol=1e-4)


@torch.no_grad()
def test_a_standardised_code_fits_half_precision_however_large_its_raw_numbers_are(started):
    code, seen = loosened(started), features(seed=2)
    code.to_code.weight.mul_(1e4)
    code.standardise([seen])
    buffers = {name: value for name, value in code.state_dict().items() if name.startswith("unit")}
    assert all(value.abs().max() <= 1 for name, value in buffers.items() if "batches" not in name)
    torch.testing.assert_close(code.encode(seen).flatten(0, 1).var(0), torch.ones(10), atol=1e-3, rtol=0)


def test_while_it_trains_a_loud_batch_is_loud_and_no_number_gains_by_its_size(started):
    unit = started.train().unit
    mean, deviation = unit.running_mean.clone(), unit.running_var.sqrt()
    drawn = torch.Generator().manual_seed(0)
    numbers = 1.5 * torch.randn(4, 10, 50, generator=drawn) + 0.5
    leaf = (numbers * deviation[:, None] + mean[:, None]).requires_grad_()
    out = unit(leaf)
    torch.testing.assert_close(out, numbers, atol=2e-2, rtol=1e-2)
    (out * torch.randn(4, 10, 50, generator=drawn)).sum().backward()
    centred = leaf.detach() - leaf.detach().mean((0, 2), keepdim=True)
    along = (leaf.grad * centred).sum((0, 2)) / (leaf.grad.norm() * centred.norm())
    torch.testing.assert_close(along, torch.zeros(10), atol=1e-4, rtol=0)


@torch.no_grad()
def test_running_statistics_come_after_the_code(started):
    code = started.train()
    for seed in range(600):
        code.encode(2 * features(8, seed=seed))
    expected = code.raw(2 * features(200, seed=7)).flatten(0, 1)
    torch.testing.assert_close(code.unit.running_mean, expected.mean(0), atol=0.1, rtol=0.05)
    torch.testing.assert_close(code.unit.running_var, expected.var(0), atol=0.05, rtol=0.1)


@torch.no_grad()
def test_what_is_made_depends_on_no_sound_beyond_the_look_ahead(started):
    code, whole = loosened(started), features(1, 60)
    moment = 30
    changed = whole.clone()
    changed[..., (moment + code.look_ahead + 1) * 4 :] += 5.0
    before, after = (
        code.decode(code.encode(x), prefix(10, 10))[..., : (moment + 1) * 4] for x in (whole, changed)
    )
    torch.testing.assert_close(before, after)
    nearer = whole.clone()
    nearer[..., (moment + code.look_ahead) * 4 :] += 5.0
    assert not torch.allclose(
        code.decode(code.encode(nearer), prefix(10, 10))[..., : (moment + 1) * 4], before
    )


@torch.no_grad()
def test_numbers_beyond_the_prefix_count_for_nothing(started):
    code = loosened(started)
    sent, kept = code.encode(features(2)), prefix(4, 10)
    other = sent.clone()
    other[..., 4:] = 9.0
    torch.testing.assert_close(
        code.decode(received(sent, kept), kept), code.decode(received(other, kept), kept)
    )


@pytest.mark.parametrize("sigma", [0.1, 0.5, 2.0])
def test_what_is_received_is_the_best_linear_estimate(sigma):
    sent = torch.randn(50, 400, 10, generator=torch.Generator().manual_seed(1))
    r = torch.full((10,), white(sigma))
    got = received(sent, r, torch.Generator().manual_seed(2))
    posterior = sigma**2 / (1 + sigma**2)
    assert float((got - sent).square().mean()) == pytest.approx(posterior, rel=0.02)
    assert float((got * (sent - got)).mean()) == pytest.approx(
        0, abs=0.01
    )  # the error has nothing of the estimate
    assert 1 - white(sigma) == pytest.approx(posterior)


def test_without_noise_all_arrives_and_without_reliability_nothing():
    sent = torch.randn(2, 7, 10)
    torch.testing.assert_close(received(sent, torch.ones(10)), sent)
    torch.testing.assert_close(received(sent, torch.zeros(10)), torch.zeros_like(sent))


def test_a_last_step_that_is_not_full_is_filled_up(started):
    cut = features(1, 5)[..., :-3]
    assert started.blocks(cut).shape == (1, 5, 24)
    assert bool((started.blocks(cut)[0, -1].view(4, 6) == cut[0, :, -1]).all())


def test_sizes_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="each should be at most the next"):
        Size(channels=4, frames=2, dimensions=9, inner=8)
