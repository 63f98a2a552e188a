"""Streams in recorded steps, with a tape in place of a GPU's graph; and on a GPU, where there is one."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from encodec.model import EncodecModel
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from fmri_audio.codec import checkpoints, replay, streaming
from fmri_audio.codec.replay import Replay, Steps
from fmri_audio.codec.streaming import StreamingDecoder, StreamingEncoder, decode_in_pieces, encode_in_pieces
from fmri_audio.representations.encodec import EncodecCodes
from programs.benchmarks.codec import random_codec
from tests.codec.test_streaming import each_topology, noise, random_model

SIZES, USUAL = (12, 3), streaming.STEP_FRAMES


class Tape(TorchDispatchMode):
    """Every operation with the memory it worked on, done again in that memory: what a GPU's graph does.

    Recording leaves no trace, as on a GPU, where nothing is computed meanwhile.
    """

    replayed = 0

    def __init__(self, work: Replay, example: torch.Tensor) -> None:
        super().__init__()
        self.operations: list[tuple[Any, Any, Any, Any]] = []
        self.before: list[tuple[torch.Tensor, torch.Tensor]] = []
        self.given = example.clone()
        with self:
            self.result = work(self.given)
        for changed, content in reversed(self.before):
            changed.copy_(content)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func._schema.is_mutable:
            self.before.append((args[0], args[0].clone()))
        out = func(*args, **(kwargs or {}))
        self.operations.append((func, args, kwargs or {}, out))
        return out

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        Tape.replayed += 1
        self.given.copy_(rows)
        for func, args, kwargs, out in self.operations:
            for old, new in zip(tree_leaves(out), tree_leaves(func(*args, **kwargs)), strict=True):
                if isinstance(old, torch.Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)
        return self.result.clone()


@pytest.fixture(autouse=True, scope="module")
def tapes() -> Iterator[None]:
    """Steps are short, and recorded on a processor too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streaming, "recorder_of", lambda device: Tape)
        patch.setattr(streaming, "STEP_FRAMES", SIZES)
        yield


def random_network(topology: dict[str, Any] | None = None) -> EncodecModel:
    with torch.random.fork_rng():
        torch.manual_seed(4)
        return checkpoints.freeze(checkpoints.build(topology or {"n_filters": 2}))


def launched(stream: StreamingEncoder | StreamingDecoder, rows: torch.Tensor) -> torch.Tensor:
    """Take rows through a stream that records nothing, cut as steps are."""
    unit = stream.frame_rows
    lengths = Steps([unit * size for size in SIZES], Tape)._lengths(len(rows), stream.least * unit)
    parts = rows.split(lengths)
    return torch.cat([stream.push(part, n == len(parts) - 1) for n, part in enumerate(parts)])


def test_the_tape_knows_what_stays_where_it_is() -> None:
    """What is bound anew is lost to a graph, and would be on a GPU; so the tests below can fail."""
    kept = {"moved": torch.zeros(1), "stays": torch.zeros(1)}

    def work(rows: torch.Tensor) -> torch.Tensor:
        kept["moved"] = kept["moved"] + rows
        kept["stays"].add_(rows)
        return kept["moved"] + 100 * kept["stays"]

    tape = Tape(work, torch.ones(1))
    assert kept["stays"] == 0, "recording leaves no trace"
    assert [float(tape(torch.ones(1))) for _ in range(3)] == [101, 201, 301]


@settings(max_examples=200, deadline=None)
@given(n_rows=st.integers(1, 5000), ahead=st.integers(0, 9), sizes=st.sets(st.integers(1, 400), min_size=1))
def test_steps_are_all_of_a_piece(n_rows: int, ahead: int, sizes: set[int]) -> None:
    lengths = Steps(list(sizes), Tape)._lengths(n_rows, ahead)
    assert sum(lengths) == n_rows and min(lengths) > 0
    steps = lengths[1:] if ahead else lengths
    assert steps == sorted(steps, reverse=True)
    assert all(length in sizes for length in steps[:-1]) and (not steps or steps[-1] <= max(sizes))


def test_a_size_is_recorded_when_it_is_met_again() -> None:
    recorded = []

    def record(work: Replay, example: torch.Tensor) -> Replay:
        recorded.append(len(example))
        return work

    steps = Steps([4, 2], record)
    seen = []

    def advance(rows: torch.Tensor, last: bool) -> torch.Tensor:
        seen.append((len(rows), last))
        return rows

    rows = torch.arange(11.0)
    assert torch.equal(steps(advance, rows, True, 0), rows)
    assert seen == [(4, False), (4, False), (2, False), (1, True)] and recorded == [4]
    assert torch.equal(steps(advance, rows[:5], False, 3), rows[:5])
    assert seen[4:] == [(3, False), (2, False)] and recorded == [4, 2]


@each_topology
@settings(max_examples=15, deadline=None)
@given(frames=st.integers(0, 75), rest=st.integers(1, 320), piece=st.integers(1, 50))
def test_recorded_pieces_are_the_whole(topology: int, frames: int, rest: int, piece: int) -> None:
    model = random_model(topology)
    hop = int(model.encoder.hop_length)
    sound = noise(1, 1, frames * hop + min(rest, hop))
    latents = model.encoder(sound)
    streamed = encode_in_pieces(model.encoder, sound, piece)
    torch.testing.assert_close(streamed, latents, rtol=1e-4, atol=1e-6)
    again = decode_in_pieces(model.decoder, latents, piece)
    torch.testing.assert_close(again, model.decoder(latents), rtol=1e-4, atol=1e-6)


@each_topology
def test_replayed_steps_are_those_that_run_as_they_come(topology: int) -> None:
    """Bit for bit, one sound after the other."""
    model = random_model(topology)
    hop, before = int(model.encoder.hop_length), Tape.replayed
    for seconds in (90, 61, 90):
        sound = noise(seconds * hop + 5)
        latents = encode_in_pieces(model.encoder, sound[None, None])[0].t()
        assert torch.equal(latents, launched(StreamingEncoder(model.encoder), sound))
        decoded = decode_in_pieces(model.decoder, latents.t()[None])[0, 0]
        assert torch.equal(decoded, launched(StreamingDecoder(model.decoder), latents))
    assert Tape.replayed >= before + 40


def test_a_stream_used_again_has_the_weights_of_the_moment() -> None:
    model = random_network()
    sound = noise(1, 1, 100 * 320)
    for _ in range(3):
        latents = encode_in_pieces(model.encoder, sound)
        torch.testing.assert_close(latents, model.encoder(sound), rtol=1e-4, atol=1e-6)
        decoded = decode_in_pieces(model.decoder, latents)
        torch.testing.assert_close(decoded, model.decoder(latents), rtol=1e-4, atol=1e-6)
        for network in (model.encoder, model.decoder):
            for weight in network.parameters():
                weight.data = 1.05 * weight.data  # elsewhere, as a network that was moved
    assert len(streaming._at_home()[model.encoder]) == 1, "one stream served them all"


def test_streams_of_one_network_do_not_meet() -> None:
    """Two sounds at a time, and one that is given up."""
    model = random_network()
    first, second = noise(2, 100 * 320)
    streams = [StreamingEncoder.ready(model.encoder) for _ in range(3)]
    streams[2].push(second[: 60 * 320])
    halves = [
        [stream.push(sound[: 50 * 320]) for stream, sound in zip(streams, (first, second), strict=False)],
        [
            stream.push(sound[50 * 320 :], True)
            for stream, sound in zip(streams, (first, second), strict=False)
        ],
    ]
    for n, sound in enumerate((first, second)):
        found = torch.cat([halves[0][n], halves[1][n]]).t()[None]
        torch.testing.assert_close(found, model.encoder(sound[None, None]), rtol=1e-4, atol=1e-6)
    assert streaming._at_home()[model.encoder] == streams[:2]


def test_a_stream_serves_in_and_out_of_inference_mode() -> None:
    model = random_network()
    sound = noise(1, 1, 100 * 320)
    expected = model.encoder(sound)
    for inference in (True, False, True):
        with torch.inference_mode(inference):
            found = encode_in_pieces(model.encoder, sound.clone())
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_streams_go_when_their_network_goes() -> None:
    model = random_network()
    encode_in_pieces(model.encoder, noise(1, 1, 100 * 320))
    [stream] = streaming._at_home()[model.encoder]
    gone = weakref.ref(stream)
    del model, stream
    gc.collect()
    assert gone() is None


def test_full_precision_is_for_a_while() -> None:
    """The settings are PyTorch's own and can be made without a GPU."""
    try:
        torch.set_float32_matmul_precision("medium")
        with replay.full_precision(torch.device("cpu")):
            assert torch.get_float32_matmul_precision() == "medium"
        with replay.full_precision(torch.device("cuda")):
            assert torch.get_float32_matmul_precision() == "highest"
            assert not torch.backends.cudnn.allow_tf32 and torch.backends.cudnn.enabled
        assert torch.get_float32_matmul_precision() == "medium" and torch.backends.cudnn.allow_tf32
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_codes_and_sound_are_the_package_s() -> None:
    """At full width: the first sound runs as it comes and is recorded, the others are replayed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streaming, "recorder_of", replay.recorder_of)
        patch.setattr(streaming, "STEP_FRAMES", USUAL)
        checkpoint = random_codec()
        model, codec = checkpoint.model.to("cuda"), EncodecCodes(checkpoint, 6.0)
        model.set_target_bandwidth(6.0)
        for n_samples in (50 * 24_000 + 11, 21 * 24_000, 50 * 24_000 + 11, 100):
            sound = noise(1, 1, n_samples).to("cuda")
            with torch.no_grad(), replay.full_precision(sound.device):
                [(codes, _)] = model.encode(sound)
                expected = model.decode([(codes, None)])[..., :n_samples]
            assert (codec.analyse(sound) == codes).float().mean() >= 0.999
            assert (codec.synthesise(codes, n_samples) - expected).abs().max() < 1e-4
        [stream] = streaming._at_home()[model.encoder]
        assert stream.steps is not None and all(stream.steps.replays.values())
