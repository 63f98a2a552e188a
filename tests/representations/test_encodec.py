"""Codes and latents against the encodec package's own encode and decode."""

from __future__ import annotations

import pytest
import torch

from fmri_audio.codec.checkpoints import Checkpoint
from fmri_audio.representations.encodec import EncodecCodes, EncodecLatents


@pytest.fixture(scope="module")
def waveform() -> torch.Tensor:
    return 0.1 * torch.randn(2, 1, 30_001, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("bandwidth", [1.5, 6.0, 24.0])
def test_codes_and_sound_are_the_packages_own(
    tiny_checkpoint: Checkpoint, waveform: torch.Tensor, bandwidth: float
) -> None:
    model = tiny_checkpoint.model
    model.set_target_bandwidth(bandwidth)
    with torch.no_grad():
        [(expected, scale)] = model.encode(waveform)
        sound = model.decode([(expected, scale)])[..., : waveform.shape[-1]]
    codec = EncodecCodes(tiny_checkpoint, bandwidth)
    codes = codec.analyse(waveform)
    assert torch.equal(codes, expected) and codes.dtype == torch.int64
    torch.testing.assert_close(codec.synthesise(codes, waveform.shape[-1]), sound)


def test_a_prefix_of_one_encoding_is_a_fresh_encoding_at_every_bandwidth(
    tiny_checkpoint: Checkpoint, waveform: torch.Tensor
) -> None:
    model = tiny_checkpoint.model
    stored = EncodecCodes(tiny_checkpoint, 24.0).analyse(waveform)
    counts = []
    for bandwidth in model.target_bandwidths:
        model.set_target_bandwidth(bandwidth)
        with torch.no_grad():
            [(fresh, _)] = model.encode(waveform)
        counts.append(fresh.shape[1])
        assert torch.equal(stored[:, : fresh.shape[1]], fresh)
        assert torch.equal(EncodecCodes(tiny_checkpoint, bandwidth).analyse(waveform), fresh)
    assert counts == [2, 4, 8, 16, 32]


def test_latents_lead_to_the_same_codes(tiny_checkpoint: Checkpoint, waveform: torch.Tensor) -> None:
    latents = EncodecLatents(tiny_checkpoint)
    features = latents.analyse(waveform)
    codes = latents.latents_to_codes(features, 8)
    assert torch.equal(codes, EncodecCodes(tiny_checkpoint, 6.0).analyse(waveform))
    quantised = latents.codes_to_latents(codes)
    expected = tiny_checkpoint.model.quantizer.decode(codes.transpose(0, 1))
    torch.testing.assert_close(quantised, expected)


def test_quantising_in_pieces_changes_nothing(
    tiny_checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, waveform: torch.Tensor
) -> None:
    codec = EncodecCodes(tiny_checkpoint, 6.0)
    whole = codec.analyse(waveform)
    monkeypatch.setattr("fmri_audio.representations.encodec._FRAMES_AT_ONCE", {"cpu": 17})
    assert torch.equal(codec.analyse(waveform), whole)


def test_gradients_reach_the_latents(tiny_checkpoint: Checkpoint) -> None:
    latents = torch.randn(1, 128, 10, requires_grad=True)
    EncodecLatents(tiny_checkpoint).synthesise(latents, 3000).square().sum().backward()
    assert latents.grad is not None and latents.grad.abs().sum() > 0


def test_unknown_bandwidths_and_lengths_are_refused(tiny_checkpoint: Checkpoint) -> None:
    with pytest.raises(ValueError, match=r"has no bandwidth of 5 kbps, only 1.5, 3, 6, 12, 24"):
        EncodecCodes(tiny_checkpoint, 5.0)
    with pytest.raises(ValueError, match="10 frames make 3200 samples, 3201 were asked for"):
        EncodecLatents(tiny_checkpoint).synthesise(torch.zeros(1, 128, 10), 3201)
