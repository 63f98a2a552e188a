"""What every representation promises: shapes, rates, bits, and the way back."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from fmri_audio.codec.checkpoints import Checkpoint
from fmri_audio.representations.base import REPRESENTATIONS, Representation
from fmri_audio.representations.encodec import EncodecCodes, EncodecLatents
from fmri_audio.representations.mel import MelGriffinLim
from fmri_audio.representations.stft import ComplexStft

GRIFFIN_LIM = ("mel", "mel-quantised", "picture-webp", "picture-avif", "picture-jpeg2000", "cqt-magnitude")
FEWER = {name: {"n_iter": 2} for name in GRIFFIN_LIM}
"""What makes a representation cheaper to try."""

NEEDS = {"cqt": "librosa", "cqt-magnitude": "librosa"}
"""Packages that the lock does not have."""


@pytest.fixture(params=REPRESENTATIONS)
def representation(request: pytest.FixtureRequest, tiny_checkpoint: Checkpoint) -> Representation:
    """Every registered one, with its usual settings."""
    if request.param in NEEDS:
        pytest.importorskip(NEEDS[request.param])
    made = REPRESENTATIONS[request.param].usual(tiny_checkpoint)
    for name, value in FEWER.get(request.param, {}).items():
        setattr(made, name, value)
    return made


def test_every_representation_says_what_it_is() -> None:
    assert list(REPRESENTATIONS) == [
        "encodec-codes",
        "encodec-latents",
        "mel",
        "mel-vocoder",
        "mel-quantised",
        "picture-webp",
        "picture-avif",
        "picture-jpeg2000",
        "complex-stft",
        "cqt",
        "cqt-magnitude",
    ]
    labels = [one.label for one in REPRESENTATIONS.values()]
    assert len(set(labels)) == len(labels) and all(labels)


@pytest.mark.parametrize("n_samples", [24_000, 36_000, 30_001])
@pytest.mark.parametrize("batch", [1, 2])
def test_shapes_and_rates(representation: Representation, n_samples: int, batch: int) -> None:
    waveform = 0.1 * torch.randn(batch, 1, n_samples, generator=torch.Generator().manual_seed(0))
    features = representation.analyse(waveform)
    assert features.shape[:2] == (batch, representation.channels)
    frames = Fraction(n_samples, representation.sample_rate) * representation.feature_rate
    assert abs(features.shape[2] - frames) <= 1
    sound = representation.synthesise(features, n_samples)
    assert sound.shape == waveform.shape and sound.dtype == torch.float32
    assert torch.isfinite(sound).all()


def test_equal_input_gives_equal_output(representation: Representation) -> None:
    waveform = 0.1 * torch.randn(1, 1, 24_000, generator=torch.Generator().manual_seed(1))
    torch.rand(1)  # the global generator's state must not matter
    first = representation.roundtrip(waveform)
    torch.rand(7)
    assert torch.equal(first, representation.roundtrip(waveform))


def test_the_global_generator_is_left_alone(representation: Representation) -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    representation.roundtrip(torch.zeros(1, 1, 12_000))
    assert torch.equal(before, torch.get_rng_state())


def test_silence_stays_finite(representation: Representation) -> None:
    features = representation.analyse(torch.zeros(1, 1, 12_000))
    assert torch.isfinite(features.float()).all()
    assert torch.isfinite(representation.synthesise(features, 12_000)).all()


@pytest.mark.parametrize("shape", [(24_000,), (1, 24_000), (1, 2, 24_000), (1, 1, 0)])
def test_other_shapes_are_refused(representation: Representation, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected a waveform of shape \[B, 1, T\]"):
        representation.analyse(torch.zeros(shape))


def test_bits(tiny_checkpoint: Checkpoint) -> None:
    tr = 1.5
    mel = MelGriffinLim(1024, 360, 128)
    assert mel.values_per_second * tr == pytest.approx(12_800), "the brief's 128 bins × 100 frames"
    assert mel.bits_per_second * tr == pytest.approx(409_600)
    for kbps in (1.5, 3.0, 6.0, 12.0, 24.0):
        assert EncodecCodes(tiny_checkpoint, kbps).bits_per_second == 1000 * kbps
    assert EncodecCodes(tiny_checkpoint, 6.0).channels == 8
    assert EncodecLatents(tiny_checkpoint).bits_per_second == 128 * 75 * 32
    assert ComplexStft(1024, 256).values_per_second == pytest.approx(1026 * 24_000 / 256)


def test_stft_is_exact() -> None:
    waveform = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 1, 30_001)).astype(np.float32))
    for n_fft, hop in ((1024, 360), (512, 500), (400, 100)):
        back = ComplexStft(n_fft, hop).roundtrip(waveform)
        # Where few windows reach, a hop close to n_fft divides by a small number.
        assert (back - waveform).abs().max() < (1e-5 if hop <= n_fft // 2 else 1e-2)


def test_frames_must_overlap() -> None:
    with pytest.raises(ValueError, match="hop_length 512 should be less than n_fft 512"):
        ComplexStft(512, 512)
    with pytest.raises(ValueError, match="hop_length 0"):
        MelGriffinLim(512, 0)
