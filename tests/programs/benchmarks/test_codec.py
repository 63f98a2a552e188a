"""The benchmark of the codec runs, and leaves out what is missing and says so."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pandas as pd
import pytest
import torch

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
