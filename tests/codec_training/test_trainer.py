"""A short run, interrupted and resumed, ends where an uninterrupted one does."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from fmri_audio import checkpoints
from fmri_audio.codec_training.corpus import Segments
from fmri_audio.codec_training.export import export
from fmri_audio.codec_training.trainer import Recipe, Trainer

RECIPE = Recipe(
    n_filters=2,
    steps=20,
    batch=2,
    seconds=0.16,
    share_a=0.4,
    quiet=2,
    warm_up=2,
    init_frames=1100,
    init_rounds=1,
    log_every=5,
    check_every=10,
)


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    t = np.arange(24_000 * 4)
    np.save(folder / "synthetic.npy", (8000 * np.sin(t * 0.05) * np.sin(t * 1e-3)).astype(np.int16))
    return folder


def trainer(pool: Path, folder: Path) -> Trainer:
    return Trainer(RECIPE, Segments(pool, RECIPE.seconds, 1), Segments(pool, 0.32, 2), folder)


def test_a_resumed_run_is_the_same_run(pool: Path, tmp_path: Path) -> None:
    whole = trainer(pool, tmp_path / "whole")
    whole.run()
    trainer(pool, tmp_path / "parts").run(until=10)
    resumed = trainer(pool, tmp_path / "parts")
    assert resumed.restore() and resumed.step == 10
    resumed.run()
    for name, value in whole.average.state_dict().items():
        assert torch.equal(value, resumed.average.state_dict()[name]), name
    assert torch.equal(whole.quantiser.codebooks, resumed.quantiser.codebooks)


def test_the_log_tells_about_every_stage_and_bandwidth(pool: Path, tmp_path: Path) -> None:
    run = trainer(pool, tmp_path)
    run.run()
    log = list(csv.DictReader((tmp_path / "log.csv").open()))
    assert [int(row["step"]) for row in log] == [5, 10, 15, 20]
    last = list(csv.DictReader((tmp_path / "checks-b.csv").open()))[-1]
    energies = [float(last[f"residual_{k}"]) for k in (2, 4, 8, 16, 32)]
    assert energies == sorted(energies, reverse=True) and energies[-1] < energies[0]
    assert all(0 < float(last[f"usage_{k}"]) <= 1 for k in (2, 4, 8, 16, 32))


def test_what_is_exported_is_what_was_trained(pool: Path, tmp_path: Path) -> None:
    run = trainer(pool, tmp_path)
    run.run()
    loaded = checkpoints.load(str(export(run, tmp_path / "tiny.safetensors", {"synthetic": "a sine"})))
    assert "2 filters" in loaded.description and loaded.licence.startswith("MIT")
    books = torch.stack([layer._codebook.embed for layer in loaded.model.quantizer.vq.layers])
    torch.testing.assert_close(books, run.quantiser.codebooks.half().float())
    assert checkpoints.bandwidths(loaded.model) == [1.5, 3.0, 6.0, 12.0, 24.0]
