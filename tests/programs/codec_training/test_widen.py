"""A widened network computes what the narrow one did, and training tells its copies apart."""

from __future__ import annotations

import pytest
import torch

from fmri_audio.base.errors import UserError
from fmri_audio.codec.trainable import CausalConv, Network
from programs.codec_training.widen import widen


def networks(narrow: int, wide: int) -> tuple[Network, Network]:
    torch.manual_seed(0)
    return Network({"n_filters": narrow}), Network({"n_filters": wide})


@pytest.mark.parametrize(("narrow", "wide"), [(4, 4), (4, 6), (4, 12)])
def test_a_widened_network_computes_what_the_narrow_one_did(narrow: int, wide: int) -> None:
    before, after = networks(narrow, wide)
    widen(before, after, torch.Generator().manual_seed(1))
    wave = 0.1 * torch.randn(2, 3200, generator=torch.Generator().manual_seed(2))
    latents = before.encode(wave)
    torch.testing.assert_close(after.encode(wave), latents, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(after.decode(latents), before.decode(latents), rtol=1e-4, atol=1e-5)


def test_copies_of_a_channel_get_gradients_of_their_own() -> None:
    before, after = networks(4, 8)
    widen(before, after, torch.Generator().manual_seed(1))
    wave = 0.1 * torch.randn(1, 3200, generator=torch.Generator().manual_seed(2))
    after.decode(after.encode(wave)).square().sum().backward()
    first = after.encoder[0]
    assert isinstance(first, CausalConv) and first.weight.grad is not None
    one, other = first.weight.grad[..., 0].flatten(), first.weight.grad[..., 4].flatten()
    assert torch.equal(first.weight[..., 0], first.weight[..., 4])
    assert torch.cosine_similarity(one, other, dim=0) < 0.999


def test_a_network_is_not_made_narrower() -> None:
    wide, narrow = networks(6, 4)
    with pytest.raises(
        UserError, match="has 6 filters, and no run makes it narrower: give --filters 6 or more"
    ):
        widen(wide, narrow, torch.Generator())
