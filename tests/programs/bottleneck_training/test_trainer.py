"""A coder learns; a run that was interrupted ends where one that was not does; what is asked for wrongly is refused."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.signal
import torch

from fmri_audio.base.errors import UserError
from fmri_audio.bottleneck.coder_files import load
from fmri_audio.bottleneck.coders import CODERS
from fmri_audio.codec.checkpoints import Checkpoint
from programs.__main__ import main
from programs.bottleneck_training import run
from programs.bottleneck_training.trainer import Recipe, Trainer, of_voices, to_learn
from programs.codec_training.corpus import Segments

RECIPE = Recipe(
    "mel", steps=8, batch=3, seconds=1.2, warm_up=2, log_every=4, check_every=4, kinds={"speech": 3}
)


pytestmark = pytest.mark.usefixtures("few_to_start")


def trainer(pool: Path, folder: Path, codec: Checkpoint, recipe: Recipe = RECIPE) -> Trainer:
    build = partial(CODERS[recipe.coder].build, codec)
    return Trainer(recipe, build, to_learn(pool, recipe), of_voices(pool, recipe), folder)


@pytest.mark.parametrize("name", ["mel", "finetuned"])
def test_a_resumed_run_is_the_same_run(
    name: str, pool: Path, tmp_path: Path, tiny_checkpoint: Checkpoint
) -> None:
    recipe = replace(RECIPE, coder=name, by_features=0.5)
    whole = trainer(pool, tmp_path / "whole", tiny_checkpoint, recipe)
    whole.run()
    trainer(pool, tmp_path / "parts", tiny_checkpoint, recipe).run(until=0.5)
    resumed = trainer(pool, tmp_path / "parts", tiny_checkpoint, recipe)
    assert resumed.restore() and resumed.step == 4
    resumed.run()
    for one, other in ((whole.network, resumed.network), (whole.average, resumed.average)):
        for key, value in one.state_dict().items():
            assert torch.equal(value, other.state_dict()[key]), key
    tables = [
        pd.read_csv(tmp_path / run / "checks.csv").drop(columns="seconds") for run in ("whole", "parts")
    ]
    pd.testing.assert_frame_equal(*tables)


def test_training_gains_at_every_width(pool: Path, tmp_path: Path, tiny_checkpoint: Checkpoint) -> None:
    # Toy sound has its optimum near its components: small steps, on sound as it is checked.
    recipe = replace(RECIPE, steps=600, check_every=600, warm_up=20, learning_rate=3e-4, augmented=0.0)
    trainer(pool, tmp_path, tiny_checkpoint, recipe).run()
    checks = pd.read_csv(tmp_path / "checks.csv")
    losses = checks.filter(like="loss_")
    assert len(losses.columns) >= 5 and (losses.iloc[-1] < losses.iloc[0]).all()


def test_widths_and_noises_of_a_batch(pool: Path, tmp_path: Path, tiny_checkpoint: Checkpoint) -> None:
    one = trainer(pool, tmp_path, tiny_checkpoint)
    full = one.network.code.dimensions
    drawn = one.reliability(4000, torch.Generator().manual_seed(0))
    kept = (drawn > 0).sum(1)
    assert int(kept.min()) == 1 and int(kept.max()) == full
    assert float((kept == full).float().mean()) == pytest.approx(RECIPE.whole, abs=0.03)
    assert float((drawn.amax(1) < 1).float().mean()) == pytest.approx(RECIPE.noisy, abs=0.03)
    assert bool((drawn.diff(dim=1) <= 0).all())  # a prefix, as reliable throughout
    single = replace(RECIPE, width=5)
    one.recipe = single
    assert bool(((one.reliability(50, torch.Generator()) > 0).sum(1) == 5).all()) and one.widths == [5]


def test_a_folder_of_another_run_is_refused(pool: Path, tmp_path: Path, tiny_checkpoint: Checkpoint) -> None:
    trainer(pool, tmp_path, tiny_checkpoint).run(until=0.5)
    with pytest.raises(UserError, match="the run has seed 1, not 2"):
        trainer(pool, tmp_path, tiny_checkpoint, replace(RECIPE, seed=2)).restore()
    (tmp_path / "state.pt").write_bytes(b"PK")
    with pytest.raises(UserError, match="damaged"):
        trainer(pool, tmp_path, tiny_checkpoint).restore()


def test_the_command_trains_goes_on_and_writes_a_file_that_opens(
    pool: Path,
    tmp_path: Path,
    tiny_checkpoint_file: Path,
    tiny_checkpoint: Checkpoint,
    capsys: pytest.CaptureFixture,
) -> None:
    out = tmp_path / "mel.safetensors"
    command = ["bottleneck", "mel", "--codec", str(tiny_checkpoint_file), "--corpus", str(pool)]
    command += ["--held-out", str(pool), "--work", str(tmp_path / "work"), "--out", str(out), "--steps", "4"]
    command += ["--batch", "3", "--seconds", "1.2", "--sound", "0.4"]
    assert main([*command, "--until", "0.5"]) == 0
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "mel-sound0.4-steps4: goes on at step 2" in said and f"wrote {out}" in said
    loaded = load("mel", tiny_checkpoint, out)
    assert loaded.summary["step"] == 4 and loaded.summary["recipe"]["steps"] == 4
    assert (tmp_path / "work" / "mel-sound0.4-steps4" / "log.csv").is_file()


def test_what_stands_beside_is_kept_apart(
    pool: Path,
    tmp_path: Path,
    tiny_checkpoint_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    monkeypatch.setitem(run.RECIPES, "mel", replace(RECIPE, batch=3))
    monkeypatch.setitem(run.BESIDE, "mel", ["--sound 0.2", "--steps {half}"])
    monkeypatch.setattr(run, "coder_file", lambda name: pytest.fail("an arm's own file"))
    command = ["bottleneck", "mel", "--beside", "--codec", str(tiny_checkpoint_file), "--corpus", str(pool)]
    command += ["--held-out", str(pool), "--work", str(tmp_path)]
    assert main(command) == 0
    written = {path.name for path in tmp_path.glob("*.safetensors")}
    assert written == {f"mel-{name}.safetensors" for name in ("width20", "sound0.2", "steps4")}
    assert main(command) == 0  # each goes on from its end
    assert capsys.readouterr().out.count("goes on at step") == 3


def test_less_sound_is_the_first_of_it(pool: Path) -> None:
    segments = to_learn(pool, replace(RECIPE, sound=0.1))
    assert len(segments.pools["speech"]) == 24_000 * 6
    np.testing.assert_array_equal(segments.pools["speech"], np.load(pool / "speech.npy")[: 24_000 * 6])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing"], "there is no arm 'nothing'"),
        (["mel", "codes", "--out", "x"], "--out is the file of one run"),
        (["mel", "--corpus", "x", "--data", "y"], "leave out --corpus, or --data"),
        (
            ["mel", "--corpus", "{pool}", "--held-out", "{pool}", "--random-codec"],
            "mel has no codec that is trained",
        ),
        (
            ["mel", "--corpus", "{pool}", "--held-out", "{pool}", "--inner", "64"],
            "--inner 64: 164 numbers per step",
        ),
    ],
)
def test_what_is_asked_for_wrongly_is_refused(
    words: list[str], said: str, pool: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    given = [word.format(pool=pool) for word in words]
    assert main(["bottleneck", *given, "--work", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert said in captured.err and captured.err.count("\n") == 1


def test_controls_are_what_they_say(pool: Path, tmp_path: Path, tiny_checkpoint: Checkpoint) -> None:
    wide = run._build(replace(RECIPE, coder="frozen", inner=256), tiny_checkpoint, "cpu")
    assert wide.code.size.inner == 256 and not any(p.requires_grad for p in wide.codec.parameters())
    usual = run._build(replace(RECIPE, coder="finetuned"), tiny_checkpoint, "cpu")
    random = run._build(replace(RECIPE, coder="finetuned", random_codec=True), tiny_checkpoint, "cpu")
    assert all(p.requires_grad for p in random.codec.parameters())
    ours, theirs = (dict(one.codec.named_parameters()) for one in (usual, random))
    assert ours.keys() == theirs.keys()
    assert any(not torch.equal(ours[key], theirs[key]) for key in ours)


def test_segments_are_changed_only_as_often_as_asked(pool: Path) -> None:
    plain = Segments(pool, 1.2, 1, {"speech": 4}, augmented=0.0).batch(0, 4)
    sound = np.load(pool / "speech.npy").astype(float)
    for segment in plain:  # a cut of the corpus, but for gain and sign
        energy = np.convolve(sound**2, np.ones(len(segment)), mode="valid")
        likeness = np.abs(scipy.signal.correlate(sound, segment, mode="valid")) / np.sqrt(energy)
        assert likeness.max() / np.linalg.norm(segment) > 0.9999
