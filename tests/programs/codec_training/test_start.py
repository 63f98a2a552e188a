"""The network that begins as a cosine transform passes speech-like sound before any training."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fmri_audio.base.errors import UserError
from fmri_audio.codec.trainable import Network
from fmri_audio.sound.metrics import snr
from programs.codec_training.start import pass_through


@pytest.mark.parametrize("filters", [8, 16])
def test_low_frequencies_pass_and_high_ones_do_not(filters: int) -> None:
    torch.manual_seed(0)
    network = Network({"n_filters": filters})
    pass_through(network, torch.Generator().manual_seed(0))
    t = np.arange(24_000) / 24_000
    for frequency, least, most in ((200.0, 12.0, 99.0), (1500.0, 8.0, 99.0), (9000.0, -9.0, 1.0)):
        wave = (0.1 * np.sin(2 * np.pi * frequency * t)).astype(np.float32)
        with torch.no_grad():
            latents = network.encode(torch.from_numpy(wave)[None])
            output = network.decode(latents)[0].numpy()
        assert least < snr.snr_db(wave, output) < most, frequency
        assert latents.shape == (1, 75, 128)


def test_it_is_the_same_network_every_time() -> None:
    latents = []
    for _ in range(2):
        torch.manual_seed(3)
        network = Network({"n_filters": 8})
        pass_through(network, torch.Generator().manual_seed(3))
        latents.append(network.encode(torch.linspace(-0.1, 0.1, 3200)[None]).detach())
    assert torch.equal(*latents)


def test_a_network_too_narrow_for_it_is_one_sentence() -> None:
    with pytest.raises(UserError, match="--start random"):
        pass_through(Network({"n_filters": 4}), torch.Generator())
