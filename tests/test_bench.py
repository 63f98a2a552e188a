"""The benchmark runs, leaves out what is missing and says so, and writes a tidy table."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pandas as pd
import pytest
import torch

from fmri_audio import bench, bench_masking

WAVEFORM = 0.1 * torch.randn(24_000 * 2, generator=torch.Generator().manual_seed(0))


def test_every_contender_is_timed_in_both_directions(tmp_path: Path) -> None:
    said: list[str] = []
    rows = bench.measure(bench.random_codec({"n_filters": 2}), WAVEFORM, 2, said.append)
    bench.write(tmp_path / "bench.csv", rows)
    table = pd.read_csv(tmp_path / "bench.csv")
    seconds = table[table.metric == "seconds"]
    present = {"hugging-face"} if importlib.util.find_spec("transformers") else set()
    both = {"ours", "network", "bound", "loop", "package"} | present
    assert set(seconds[seconds.direction == "encode"].contender) == both | {"loop-all"}
    assert set(seconds[seconds.direction == "decode"].contender) == both
    assert (seconds.n == 2).all() and (seconds.low <= seconds.value).all() and (seconds.value <= seconds.high).all()
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


@pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="needs transformers (the extra bench)")
def test_hugging_face_has_the_same_weights() -> None:
    model = bench.random_codec({"n_filters": 2}).model
    other = bench.hugging_face(model)
    model.set_target_bandwidth(6.0)
    with torch.no_grad():
        codes = model.encode(WAVEFORM[None, None])[0][0]
        assert torch.equal(other.encode(WAVEFORM[None, None], bandwidth=6.0).audio_codes[0], codes)


def test_nonsense_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, said in (
        (["--minutes", "0"], "give positive numbers"),
        (["--repetitions", "0"], "give positive numbers"),
        (["--only", "masking", "--trs", "5"], "--trs 5: give at least 40"),
    ):
        assert bench.main([*arguments, "--out", str(tmp_path / "b.csv")]) == 1
        assert said in capsys.readouterr().err
    assert not (tmp_path / "b.csv").exists()


def test_a_part_is_replaced_and_the_other_keeps_its_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bench.csv"
    codec = bench.Row("encode", "ours", "seconds", 1.23456, "s", 1.0, 2.0, 3, hardware="CPU, 2 cores")
    old = bench.Row("mask .nii", "ours", "seconds", 9.0, "s")
    bench.write(path, [codec, old])
    lines = path.read_text().splitlines()
    new = bench.Row("mask .nii", "nilearn", "seconds", 7.0, "s")
    monkeypatch.setattr(bench_masking, "measure", lambda *_: [new])
    assert bench.main(["--only", "masking", "--out", str(path)]) == 0
    assert path.read_text().splitlines() == [*lines[:2], "mask .nii,nilearn,seconds,7,s,,,1,0,0,"]
    path.write_text("direction,value\nencode,1\n")
    assert bench.main(["--only", "masking", "--out", str(path)]) == 1
    assert "other columns" in capsys.readouterr().err
    assert path.read_text() == "direction,value\nencode,1\n"
