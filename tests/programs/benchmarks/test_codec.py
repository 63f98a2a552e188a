"""The benchmark of the codec runs, and leaves out what is missing and says so."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pandas as pd
import pytest
import torch

from fmri_audio.codec.replay import Replay
from programs.benchmarks import codec as bench
from programs.benchmarks.table import write

WAVEFORM = 0.1 * torch.randn(24_000 * 2, generator=torch.Generator().manual_seed(0))


def test_every_contender_is_timed_in_both_directions(tmp_path: Path) -> None:
    said: list[str] = []
    rows = bench.measure(bench.random_codec({"n_filters": 2}), WAVEFORM, 2, said.append)
    write(tmp_path / "bench.csv", rows)
    table = pd.read_csv(tmp_path / "bench.csv")
    seconds = table[table.metric == "seconds"]
    present = {"hugging-face"} if importlib.util.find_spec("transformers") else set()
    both = {"ours", "network", "bound", "loop", "package"} | present
    assert set(seconds[seconds.direction == "encode"].contender) == both | {"loop-all"}
    assert set(seconds[seconds.direction == "decode"].contender) == both | {"vocos", "vocos-small"}
    assert (
        (seconds.n == 2).all()
        and (seconds.low <= seconds.value).all()
        and (seconds.value <= seconds.high).all()
    )
    ours = table[table.contender == "ours"].set_index(["direction", "metric"]).value
    assert ours["encode", "times_ours"] == 1 and ours["encode", "codes_differing_first_8"] < 1e-3
    assert ours["decode", "largest_difference"] < 1e-4
    assert table.hardware.str.len().gt(0).all() and (table.threads == torch.get_num_threads()).all()
    assert present or any("transformers is not installed" in line for line in said)


def test_whole_sounds_that_do_not_fit_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "_free", lambda _: 0)
    said: list[str] = []
    rows = bench.measure(bench.random_codec({"n_filters": 2}), WAVEFORM, 1, said.append)
    assert "package" not in {row.contender for row in rows}
    assert any("use --minutes" in line for line in said)


def test_the_bound_takes_all_products_of_all_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its arithmetic, counted in calls, is the stream's own."""
    monkeypatch.setattr(bench, "PIECE_FRAMES", 60)
    model = bench.random_codec({"n_filters": 2}).model
    calls = []
    original = bench.StreamingDecoder.push

    def counted(self: bench.StreamingDecoder, latents: torch.Tensor, last: bool = False) -> torch.Tensor:
        calls.append(len(latents))
        return original(self, latents, last)

    monkeypatch.setattr(bench.StreamingDecoder, "push", counted)
    work = bench._bound(bench.StreamingDecoder(model.decoder), torch.randn(150, 128), 150)
    assert calls == [60, 30]
    work()
    assert calls == [60, 30], "products alone"


def test_what_stands_beside_it_on_a_gpu_is_the_same_work() -> None:
    """Contenders that only a GPU has, on a processor."""
    model = bench.random_codec({"n_filters": 2}).model
    with torch.no_grad():
        latents = model.encoder(WAVEFORM[None, None])
        encoders: dict[str, bench.Work] = {"package": lambda: model.encoder(WAVEFORM[None, None])}
        decoders: dict[str, bench.Work] = {"package": lambda: model.decoder(latents)}
        bench._add_launched(encoders, decoders, model, WAVEFORM, latents[0].t())
        bench._add_float32(encoders, decoders, torch.device("cpu"))
        found = {name: work() for name, work in encoders.items()}
        sound = {name: work() for name, work in decoders.items()}
    assert set(found) == set(sound) == {"package", "launched", "package-float32"}
    assert torch.equal(found["package"], found["package-float32"])
    torch.testing.assert_close(torch.cat(found["launched"]).t()[None], latents, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(
        torch.cat(sound["launched"])[None, None], sound["package"], rtol=1e-4, atol=1e-6
    )


def test_the_first_of_two_rounds_is_noted_before_repetitions() -> None:
    called = []
    first = bench._first_round({"ours": lambda: called.append(1)}, lambda *_: None)
    assert len(called) == 2 and set(first) == {"ours"} and first["ours"] > 0


def test_the_bound_of_a_gpu_replays_a_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for the graph: whole pieces are replayed, what is left is launched."""
    replayed = []

    def record(work: Replay, example: torch.Tensor) -> Replay:
        def replay(rows: torch.Tensor) -> torch.Tensor:
            replayed.append(len(rows))
            return work(rows)

        return replay

    monkeypatch.setattr(bench, "PIECE_FRAMES", 60)
    monkeypatch.setattr(bench, "recorder_of", lambda device: record)
    stream = bench.StreamingEncoder(bench.random_codec({"n_filters": 2}).model.encoder)
    n_calls = len(list(stream.with_arithmetic()))
    work = bench._bound(stream, WAVEFORM, 150)
    [memory] = [layer for layer in stream.with_arithmetic() if hasattr(layer, "lstm")]
    lengths = []
    memory.lstm.register_forward_hook(lambda module, given, out: lengths.append(len(given[0])))
    work()
    assert n_calls > 10 and len(replayed) == 2 and lengths == [60, 60, 30]


@pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None, reason="needs transformers (the extra bench)"
)
def test_hugging_face_has_the_same_weights() -> None:
    model = bench.random_codec({"n_filters": 2}).model
    other = bench.hugging_face(model)
    model.set_target_bandwidth(6.0)
    with torch.no_grad():
        codes = model.encode(WAVEFORM[None, None])[0][0]
        assert torch.equal(other.encode(WAVEFORM[None, None], bandwidth=6.0).audio_codes[0], codes)
