"""What a run writes as it goes becomes the table of trainings, with principal components beside it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fmri_audio.bottleneck.coders import CODERS
from fmri_audio.codec.checkpoints import Checkpoint
from fmri_audio.experiments import ladder_training
from programs.__main__ import main
from programs.bottleneck_training import components, run

pytestmark = pytest.mark.usefixtures("few_to_start")


def test_every_run_of_a_folder_has_its_rows(
    pool: Path, tmp_path: Path, tiny_checkpoint_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ["--codec", str(tiny_checkpoint_file), "--corpus", str(pool), "--held-out", str(pool)]
    given += ["--work", str(tmp_path)]
    usual = replace(run.RECIPES["mel"], steps=4, batch=3, seconds=1.2, check_every=2)
    monkeypatch.setitem(run.RECIPES, "mel", usual)
    for number, several in enumerate(
        ([], ["--width", "5"], ["--sound", "0.4"], ["--inner", "600"], ["--steps", "2"])
    ):
        out = ["--out", str(tmp_path / f"{number}.safetensors")]
        assert main(["bottleneck", "mel", *given, *several, *out]) == 0
    table = tmp_path / "table.csv"
    assert main(["bottleneck-account", *given, "--out", str(table)]) == 0
    rows = ladder_training.read(table)
    runs = ladder_training.runs(rows)
    assert len(runs) == 5 and [max(row.step for row in one) for one in runs.values()].count(4) == 4
    own = ladder_training.main_run(rows, "mel")
    assert len({row.per_step for row in own}) >= 4 and own[0].hardware and own[0].weights > 1000
    assert [row.sound for row in rows if row.sound] == [0.4] * len(own)
    assert {row.per_step for row in rows if row.single} == {5}
    assert {row.control for row in rows} == {"", "wide", "2 steps"}
    wide = [row for row in rows if row.control == "wide"]
    assert wide[0].weights != own[0].weights
    pca = {row.per_step: row.pca for row in own}
    assert pca == {row.per_step: row.pca for row in wide}  # of the arm, whatever is trained
    assert pca[max(pca)] < pca[min(pca)]
    monkeypatch.setattr(components, "training_sound", None)  # counted once
    written = table.read_bytes()
    assert main(["bottleneck-account", *given, "--out", str(table)]) == 0
    shutil.rmtree(tmp_path / "mel-width5")  # trained elsewhere: its rows stay
    assert main(["bottleneck-account", *given, "--out", str(table)]) == 0
    assert table.read_bytes() == written


def test_components_of_an_arm_with_a_short_step_are_those_of_blocks(
    pool: Path, tiny_checkpoint: Checkpoint
) -> None:
    waves = components.training_sound(pool, "frozen")
    linear, frozen = (components.pca_of(n, tiny_checkpoint, waves) for n in ("finetuned-linear", "frozen"))
    assert linear.step == frozen.step == components.BLOCK
    torch.testing.assert_close(linear.code.outward.weight.abs(), frozen.code.outward.weight.abs())


def test_components_are_as_many_numbers_a_second_as_the_code(pool: Path, tiny_checkpoint: Checkpoint) -> None:
    waves = components.training_sound(pool, "mel")
    pca, own = components.pca_of("mel", tiny_checkpoint, waves), CODERS["mel"].build(tiny_checkpoint)
    assert pca.step == 2 * own.step and pca.code.dimensions == 2 * own.code.dimensions


def test_a_folder_without_runs_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["bottleneck-account", "--work", str(tmp_path), "--out", str(tmp_path / "t.csv")]) == 1
    assert "holds no run; train with `make bottleneck`" in capsys.readouterr().err
    assert not (tmp_path / "t.csv").exists()
