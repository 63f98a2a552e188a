"""A short run of each kind: it learns, and interrupted and resumed it ends where an uninterrupted one does."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fmri_audio.base.errors import UserError
from fmri_audio.codec import checkpoints, weight_files
from fmri_audio.codec.vocoder import FORMAT
from programs.__main__ import main as program
from programs.codec_training.corpus import Segments
from programs.vocoder_training.features import Codes, Mel, Source
from programs.vocoder_training.run import export
from programs.vocoder_training.trainer import RECIPES, Trainer

TINY = {"dim": 16, "intermediate": 24, "layers": 2}
SHORT = {"steps": 8, "batch": 3, "frames": 16, "warm_up": 2, "log_every": 2, "check_every": 4}


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    t = np.arange(24_000 * 6)
    voice = np.sin(t * 0.05) * (1 + np.sin(t * 1e-3)) + np.random.default_rng(0).normal(0, 0.1, len(t))
    np.save(folder / "speech.npy", (8000 * voice / 2).astype(np.int16))
    return folder


@pytest.fixture(scope="module", params=["codes", "mel"])
def source(request: pytest.FixtureRequest) -> Source:
    made: Source = Mel() if request.param == "mel" else Codes(checkpoints.load("demo"), "cpu")
    made.config |= TINY
    return made


def trainer(pool: Path, folder: Path, source: Source, **changes: object) -> Trainer:
    kind = "codes" if isinstance(source, Codes) else "mel"
    recipe = replace(RECIPES["cpu", kind], **{**SHORT, **changes})  # type: ignore[arg-type]
    segments = Segments(pool, source.samples(recipe.frames) / 24_000, 1)
    held_out = Segments(pool, source.samples(40) / 24_000, 2)
    run = Trainer(recipe, source, segments, held_out, folder)
    run._scores = lambda sound, made: {"error": float((sound - made).square().mean())}  # type: ignore[method-assign]
    return run


def test_a_resumed_run_is_the_same_run(pool: Path, tmp_path: Path, source: Source) -> None:
    judged = {"adversarial_from": 0.25, "adversary_filters": 2, "adversary_ahead": 1, "judged": 2}
    whole = trainer(pool, tmp_path / "whole", source, **judged)
    whole.run()
    trainer(pool, tmp_path / "parts", source, **judged).run(until=0.5)
    resumed = trainer(pool, tmp_path / "parts", source, **judged)
    assert resumed.restore() and resumed.step == 4 and resumed.taught == 2
    resumed.run()
    for name, value in whole.average.state_dict().items():
        assert torch.equal(value, resumed.average.state_dict()[name]), name
    assert resumed.balancer.norms == whole.balancer.norms and "adversarial" in whole.balancer.norms
    for table in ("log.csv", "checks.csv"):
        steps = [
            [row["step"] for row in csv.DictReader((tmp_path / run / table).open())]
            for run in ("whole", "parts")
        ]
        assert steps[0] == steps[1]


def test_the_loss_falls(pool: Path, tmp_path: Path, source: Source) -> None:
    run = trainer(pool, tmp_path, source, steps=30, learning_rate=1e-2)
    run.run()
    mel = [float(row["mel"]) for row in csv.DictReader((tmp_path / "log.csv").open())]
    assert mel[-1] < 0.9 * mel[0]


def test_a_run_that_learns_something_else_is_not_gone_on_with(
    pool: Path, tmp_path: Path, source: Source
) -> None:
    trainer(pool, tmp_path, source, start="demo-00000000").run(until=0.25)
    with pytest.raises(UserError, match="learns demo-00000000, not demo-11111111"):
        trainer(pool, tmp_path, source, start="demo-11111111").restore()


def test_what_is_exported_is_what_was_trained(pool: Path, tmp_path: Path, source: Source) -> None:
    run = trainer(pool, tmp_path, source, start="demo-12345678")
    run.run(until=0.25)
    file = export(run, tmp_path / "out.safetensors", {"speech": "a sine"})
    held = weight_files.read(file, FORMAT, "vocoder", lambda *_: None)
    assert held.config == run.source.config and held.summary["codec"] == "demo-12345678"
    for name, value in run.average.state_dict().items():
        torch.testing.assert_close(held.tensors[name].float(), value.half().float())


def test_the_network_sees_features_of_unit_deviation(pool: Path, tmp_path: Path, source: Source) -> None:
    run = trainer(pool, tmp_path, source)
    features = source.lesson(torch.from_numpy(run.segments.batch(0, 40)), torch.Generator()).features
    seen = (features - run.network.mean) / run.network.scale
    assert seen.mean().abs() < 0.5 and 0.5 < seen.std() < 2  # of another batch


def test_the_command_trains_and_exports(
    pool: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pool / "corpus.json").write_text('{"contents": {"speech": "a sine"}}')
    words = [
        "vocoder",
        "mel",
        "--corpus",
        str(pool),
        "--held-out",
        str(pool),
        "--work",
        str(tmp_path / "work"),
    ]
    words += ["--out", str(tmp_path / "out.safetensors"), "--batch", "1", "--frames", "16"]
    assert program([*words, "--steps", "1"]) == 0
    assert "wrote" in capsys.readouterr().out and (tmp_path / "out.safetensors").stat().st_size < 7e6
    assert program([*words, "--export-only", "--data", str(pool)]) == 1
    assert "--data" in capsys.readouterr().err


def test_a_corpus_that_is_not_there_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "vocoder",
        "mel",
        "--corpus",
        str(tmp_path),
        "--held-out",
        str(tmp_path),
        "--work",
        str(tmp_path / "w"),
    ]
    assert program(words) == 1
    assert f"{tmp_path}: holds no corpus.json" in capsys.readouterr().err
