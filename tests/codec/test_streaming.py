"""The stream against the encodec package's whole-signal encoder and decoder."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from encodec.model import EncodecModel
from hypothesis import example, given, settings
from hypothesis import strategies as st

import fmri_audio
from fmri_audio.codec import checkpoints
from fmri_audio.codec.checkpoints import Checkpoint
from fmri_audio.codec.streaming import StreamingDecoder, StreamingEncoder, decode_in_pieces, encode_in_pieces
from fmri_audio.representations.encodec import EncodecCodes

TOPOLOGIES: list[dict[str, Any]] = [
    {"n_filters": 2},
    {"n_filters": 2, "n_residual_layers": 3, "norm": "none"},
    {"n_filters": 2, "lstm": 0, "ratios": [3, 2]},
]
each_topology = pytest.mark.parametrize("topology", range(len(TOPOLOGIES)))


@cache
def random_model(topology: int) -> EncodecModel:
    with torch.random.fork_rng():
        torch.manual_seed(topology)
        return checkpoints.freeze(checkpoints.build(TOPOLOGIES[topology]))


def noise(*shape: int) -> torch.Tensor:
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(1))


@each_topology
@settings(max_examples=30, deadline=None)
@given(n_samples=st.integers(1, 12_000), piece=st.integers(1, 50))
@example(n_samples=1, piece=1)
@example(n_samples=319, piece=1)
@example(n_samples=320, piece=1)
@example(n_samples=321, piece=1000)
@example(n_samples=8 * 320, piece=8)
@example(n_samples=9 * 320 + 1, piece=1)
def test_pieces_of_any_length_are_the_whole(topology: int, n_samples: int, piece: int) -> None:
    model = random_model(topology)
    sound = noise(1, 1, n_samples)
    latents = model.encoder(sound)
    streamed = encode_in_pieces(model.encoder, sound, piece)
    assert streamed.shape == latents.shape
    torch.testing.assert_close(streamed, latents, rtol=1e-4, atol=1e-6)
    decoded = model.decoder(latents)
    again = decode_in_pieces(model.decoder, latents, piece)
    assert again.shape == decoded.shape
    torch.testing.assert_close(again, decoded, rtol=1e-4, atol=1e-6)


@each_topology
def test_a_long_sound_drifts_nowhere(topology: int) -> None:
    model = random_model(topology)
    sound = noise(2, 1, 200_001)
    latents = model.encoder(sound)
    torch.testing.assert_close(encode_in_pieces(model.encoder, sound, 97), latents, rtol=1e-4, atol=1e-6)
    decoded = model.decoder(latents)
    torch.testing.assert_close(decode_in_pieces(model.decoder, latents, 97), decoded, rtol=1e-4, atol=1e-6)


def test_a_stream_is_pushed_by_hand() -> None:
    model = random_model(0)
    sound = noise(1, 1, 40 * 320 + 7)
    encoder, decoder = StreamingEncoder(model.encoder), StreamingDecoder(model.decoder)
    pieces = [encoder.push(sound[0, 0, : 20 * 320]), encoder.push(sound[0, 0, 20 * 320 :], last=True)]
    assert [len(piece) for piece in pieces] == [20, 21]
    torch.testing.assert_close(torch.cat(pieces).t()[None], model.encoder(sound), rtol=1e-4, atol=1e-6)
    waveform = torch.cat([decoder.push(pieces[0]), decoder.push(pieces[1], last=True)])
    expected = model.decoder(torch.cat(pieces).t()[None])[0, 0]
    torch.testing.assert_close(waveform, expected, rtol=1e-4, atol=1e-6)


def test_the_weights_are_those_of_the_moment() -> None:
    model = checkpoints.freeze(checkpoints.build(TOPOLOGIES[0]))
    sound = noise(1, 1, 5000)
    model.encoder(sound)
    model.encoder.model[0].conv.conv.weight_g.mul_(2)
    streamed = encode_in_pieces(model.encoder, sound)
    torch.testing.assert_close(streamed, model.encoder(sound), rtol=1e-4, atol=1e-6)


def test_what_cannot_be_streamed_is_refused() -> None:
    with pytest.raises(ValueError, match="only a causal network"):
        StreamingEncoder(EncodecModel.encodec_model_48khz(pretrained=False).encoder)
    with pytest.raises(ValueError, match="the first piece has 320 rows|reflection needs"):
        StreamingEncoder(random_model(0).encoder).push(noise(320))
    with pytest.raises(ValueError, match="pieces of 0 frames"):
        encode_in_pieces(random_model(0).encoder, noise(1, 1, 3200), 0)


def test_codes_and_sound_of_full_width() -> None:
    """What the book claims: 99.9 % of the entries of the first 8 codebooks, samples within 1e-4."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = checkpoints.freeze(checkpoints.build())
        for layer in model.quantizer.vq.layers:
            layer._codebook.embed.normal_(std=0.02)
    checkpoint = Checkpoint("random", model, "", "", "", "", "")
    sound = noise(1, 1, 6 * 24_000 + 11)
    model.set_target_bandwidth(6.0)
    [(codes, _)] = model.encode(sound)
    streamed = EncodecCodes(checkpoint, 6.0).analyse(sound)
    assert (streamed == codes).float().mean() >= 0.999
    expected = model.decode([(codes, None)])[..., : sound.shape[-1]]
    assert (EncodecCodes(checkpoint, 6.0).synthesise(codes, sound.shape[-1]) - expected).abs().max() < 1e-4


MEASURE = """
import re, sys, torch
from pathlib import Path
from fmri_audio.codec import checkpoints
from fmri_audio.codec.checkpoints import Checkpoint
from fmri_audio.representations.encodec import EncodecCodes

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text()).group(1)) / 1024

torch.set_num_threads(1)
codec = EncodecCodes(Checkpoint("", checkpoints.freeze(checkpoints.build()), "", "", "", "", ""), 24.0)
codec.roundtrip(torch.zeros(1, 1, 24_000))
before = peak()
codec.roundtrip(torch.zeros(1, 1, int(sys.argv[1]) * 24_000))
print(peak() - before)
"""


@pytest.mark.skipif(
    not Path("/proc/self/status").is_file(), reason="reads the peak memory that Linux records"
)
def test_memory_does_not_grow_with_the_sound() -> None:
    """Full width; the package takes half a GB more for these 30 s, and 40 GB for an hour."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", MEASURE, "30"],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(fmri_audio.__file__).parents[1],
    )
    assert float(done.stdout) < 200, "megabytes above the loaded model and a second of sound"
