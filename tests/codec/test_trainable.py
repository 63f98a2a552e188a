"""The fast network computes what the package's network computes."""

from __future__ import annotations

import pytest
import torch

from fmri_audio.codec import checkpoints
from fmri_audio.codec.trainable import CausalConv, Network, product_over_frames

SETTLED = 30  # frames after which the past of the first sample (reflected there, absent here) is forgotten


def test_encoder_and_decoder_are_those_of_the_package() -> None:
    torch.manual_seed(0)
    network = Network({"n_filters": 8})
    package = network.to_package().eval()
    wave = 0.1 * torch.randn(1, 320 * 90)
    with torch.no_grad():
        ours, theirs = network.encode(wave), package.encoder(wave[None]).transpose(1, 2)
        torch.testing.assert_close(ours[:, SETTLED:], theirs[:, SETTLED:], atol=1e-4, rtol=1e-3)
        latents = torch.randn(1, 90, 128)
        ours, theirs = network.decode(latents), package.decoder(latents.transpose(1, 2))[:, 0]
        torch.testing.assert_close(ours[:, SETTLED * 320 :], theirs[:, SETTLED * 320 :], atol=1e-4, rtol=1e-3)


def test_blocks_change_speed_not_results() -> None:
    torch.manual_seed(0)
    plain, blocked = CausalConv(8, 4, 3), CausalConv(8, 4, 3, block=4)
    blocked.load_state_dict(plain.state_dict())
    x = torch.randn(64, 8)
    torch.testing.assert_close(plain(x), blocked(x))


def test_gradients_are_those_of_automatic_differentiation() -> None:
    torch.manual_seed(0)
    conv = CausalConv(3, 2, 3).double()
    torch.autograd.gradcheck(conv, (torch.randn(9, 3, dtype=torch.float64, requires_grad=True),))


def test_convolution_is_causal() -> None:
    conv = CausalConv(3, 2, 7, block=8)
    x = torch.randn(32, 3)
    y = x.clone()
    y[20:] = 0
    assert torch.equal(conv(x)[:20], conv(y)[:20])


def test_parameters_match_the_topology() -> None:
    """Weight norm adds a gain per output channel, which is folded into the weights here."""
    network, package = Network({"n_filters": 8}), checkpoints.build({"n_filters": 8})
    gains = sum(p.numel() for name, p in package.named_parameters() if name.endswith("weight_g"))
    theirs = sum(p.numel() for p in package.parameters()) - gains
    assert sum(p.numel() for p in network.parameters()) == theirs


def test_weights_go_to_the_package_and_come_back() -> None:
    torch.manual_seed(0)
    one, other = Network({"n_filters": 4}), Network({"n_filters": 4})
    other.from_package(one.to_package())
    for name, value in one.state_dict().items():
        torch.testing.assert_close(other.state_dict()[name], value, msg=name)


@pytest.mark.parametrize("parts", [1, 2, 7, 64])
def test_a_product_in_parts_is_the_same_product(parts: int) -> None:
    torch.manual_seed(0)
    x, y = torch.randn(1000, 6)[:997], torch.randn(1000, 5)[3:]  # views, as the taps of a convolution are
    out = torch.empty(6, 5)
    product_over_frames(x, y, out, parts)
    torch.testing.assert_close(out, x.t() @ y, atol=1e-4, rtol=1e-4)
