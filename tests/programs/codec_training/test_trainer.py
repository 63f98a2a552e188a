"""A short run, interrupted and resumed, ends where an uninterrupted one does."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fmri_audio.base.errors import UserError
from fmri_audio.codec import checkpoints
from programs.__main__ import main as program
from programs.codec_training.corpus import Segments
from programs.codec_training.export import export, write_log
from programs.codec_training.losses import Weights
from programs.codec_training.trainer import MENDING, RECIPES, Recipe, Trainer

RECIPE = Recipe(
    n_filters=2,
    steps=20,
    batch=2,
    seconds=0.16,
    share_a=0.4,
    start="random",
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


def trainer(pool: Path, folder: Path, recipe: Recipe = RECIPE, device: str = "cpu") -> Trainer:
    return Trainer(recipe, Segments(pool, recipe.seconds, 1), Segments(pool, 0.32, 2), folder, device)


def test_a_resumed_run_is_the_same_run(pool: Path, tmp_path: Path) -> None:
    whole = trainer(pool, tmp_path / "whole")
    whole.run()
    trainer(pool, tmp_path / "parts").run(until=0.5)
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


def test_stage_c_trains_the_decoder_alone(pool: Path, tmp_path: Path) -> None:
    run = trainer(pool, tmp_path)
    run.run(until=1 - RECIPE.share_c)
    encoder = {name: value.clone() for name, value in run.average.encoder.state_dict().items()}
    books, decoder = run.quantiser.codebooks.clone(), run.network.decoder[0].weight.detach().clone()
    run.run()
    for name, value in run.network.encoder.state_dict().items():
        assert torch.equal(value, encoder[name]), name
        torch.testing.assert_close(run.average.encoder.state_dict()[name], encoder[name])
    assert torch.equal(run.quantiser.codebooks, books)
    assert not torch.equal(run.network.decoder[0].weight, decoder)


def test_a_discriminator_joins_and_survives_an_interruption(pool: Path, tmp_path: Path) -> None:
    recipe = replace(RECIPE, steps=10, adversarial_from=0.4, adversary_filters=2, log_every=1, check_every=6)
    whole = trainer(pool, tmp_path / "whole", recipe)
    whole.run()
    assert {"adversarial", "features", "mel"} <= set(whole.balancer.norms)
    trainer(pool, tmp_path / "parts", recipe).run(until=0.6)
    resumed = trainer(pool, tmp_path / "parts", recipe)
    assert resumed.restore()
    resumed.run()
    assert torch.equal(whole.average.decoder[0].weight, resumed.average.decoder[0].weight)
    assert resumed.balancer.norms == whole.balancer.norms


@pytest.mark.parametrize("share_c", [0.0, 1.0], ids=["all of it", "the decoder alone"])
def test_a_run_may_go_on_from_a_checkpoint_of_its_width(pool: Path, tmp_path: Path, share_c: float) -> None:
    demo = checkpoints.load("demo")
    recipe = replace(RECIPE, n_filters=12, start=demo.id, steps=1, share_a=0.0, share_c=share_c)
    run = trainer(pool, tmp_path, recipe)
    assert not run.quantiser.ready
    run.begin_with(demo)
    wave = 0.1 * torch.randn(1, 3200, generator=torch.Generator().manual_seed(0))
    theirs = run.network.to_package().eval().encoder(wave[None])
    torch.testing.assert_close(theirs, demo.model.encoder(wave[None]), atol=1e-4, rtol=1e-4)
    books, weight = run.quantiser.codebooks.clone(), run.network.encoder[-1].weight.clone()
    assert torch.equal(books[3], demo.model.quantizer.vq.layers[3]._codebook.embed)
    run.run()
    moved = float((run.quantiser.codebooks - books).norm() / books.norm())
    assert moved < 0.2  # at most they followed one batch; made anew they would have nothing in common
    still = (moved == 0, torch.equal(run.network.encoder[-1].weight, weight))
    assert still == ((True, True) if share_c else (False, False))


def test_a_checkpoint_of_another_width_is_refused(pool: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has 12 filters, this run 2"):
        trainer(pool, tmp_path).begin_with(checkpoints.load("demo"))


def test_the_decoder_alone_needs_a_checkpoint_to_keep(capsys: pytest.CaptureFixture[str]) -> None:
    assert program(["codec", "--decoder-only"]) == 1
    assert "--start" in capsys.readouterr().err


@pytest.fixture(scope="module")
def kinds(pool: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of every kind that mending asks for."""
    folder = tmp_path_factory.mktemp("kinds")
    for kind in MENDING.per_batch or ():
        np.save(folder / f"{kind}.npy", np.load(pool / "synthetic.npy"))
    return folder


def mending(kinds: Path, folder: Path, steps: int) -> Trainer:
    demo = checkpoints.load("demo")
    recipe = replace(MENDING, steps=steps, seconds=0.16, start=demo.id, log_every=2, check_every=2)
    segments = Segments(kinds, recipe.seconds, 1, recipe.per_batch)
    run = Trainer(recipe, segments, Segments(kinds, 0.32, 2), folder)
    run.begin_with(demo)
    return run


def test_mending_holds_speech_to_what_the_checkpoint_makes_of_it(kinds: Path, tmp_path: Path) -> None:
    run = mending(kinds, tmp_path, 4)
    wave = torch.from_numpy(run.segments.batch(0, run.recipe.batch))
    stages = torch.full((len(wave),), 8)
    target, held = run._kept(wave, stages)
    kept = run.recipe.kept
    assert held is not None and len(held) == kept
    fresh = mending(kinds, tmp_path / "fresh", 4)
    with torch.no_grad():
        codes = fresh.quantiser.eval()(fresh.network.encode(wave[:kept]), stages[:kept], torch.Generator())
        assert torch.equal(target[:kept], fresh.network.decode(codes.values))
    assert torch.equal(target[kept:], wave[kept:])
    run.run()
    again, _ = run._kept(wave, stages)
    assert torch.equal(again, target)  # however far the run has come
    assert torch.equal(run.quantiser.codebooks, fresh.quantiser.codebooks)
    assert not torch.equal(run.average.decoder[0].weight, run.kept[0].decoder[0].weight)  # type: ignore[index]


def test_the_squared_error_is_that_of_the_last_items(kinds: Path, tmp_path: Path) -> None:
    run = mending(kinds, tmp_path, 4)
    x = torch.from_numpy(run.segments.batch(0, run.recipe.batch))
    for first, expected in ((0, 0.0), (len(x) - run.recipe.exact, 1.0)):
        y = x.clone()
        y[first : first + 2] += 1.0
        terms, gradient = run._judge(x, y.requires_grad_(), torch.Generator())
        assert float(terms["error"]) == pytest.approx(expected) and torch.isfinite(gradient).all()


def test_the_log_goes_on_where_the_checkpoint_came_from(kinds: Path, pool: Path, tmp_path: Path) -> None:
    first = trainer(pool, tmp_path / "first")
    first.run()
    path = write_log(first, tmp_path / "log.csv")
    then = mending(kinds, tmp_path / "then", 4)
    then.run()
    for _ in range(2):  # exported again it is the same
        rows = list(csv.DictReader(write_log(then, path).open()))
        assert [(row["start"], int(row["step"])) for row in rows] == [
            ("random", 10),
            ("random", 20),
            (then.recipe.start, 22),
            (then.recipe.start, 24),
        ]


def test_a_resumed_mending_is_the_same_mending(kinds: Path, tmp_path: Path) -> None:
    whole = mending(kinds, tmp_path / "whole", 4)
    whole.run()
    mending(kinds, tmp_path / "parts", 4).run(until=0.5)
    resumed = mending(kinds, tmp_path / "parts", 4)
    assert resumed.restore() and resumed.step == 2
    resumed.run()
    assert torch.equal(whole.average.decoder[0].weight, resumed.average.decoder[0].weight)
    assert torch.equal(whole.quantiser.codebooks, resumed.quantiser.codebooks)


def test_a_damaged_run_is_not_resumed(pool: Path, tmp_path: Path) -> None:
    (tmp_path / "state.pt").write_bytes(b"PK" + bytes(400))
    with pytest.raises(UserError, match="state.pt: damaged; remove it"):
        trainer(pool, tmp_path, RECIPE).restore()


def test_a_run_that_began_from_other_weights_is_not_resumed(pool: Path, tmp_path: Path) -> None:
    trainer(pool, tmp_path).run(until=0.5)
    with pytest.raises(UserError, match="began from random, not from demo: give --start random"):
        trainer(pool, tmp_path, replace(RECIPE, start="demo")).restore()


@pytest.mark.parametrize(
    ("options", "said"),
    [(["--start", "random"], "goes on from a checkpoint"), (["--batch", "4"], "batches of 9")],
)
def test_mending_says_what_it_cannot_do(
    options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program(["codec-mend", *options]) == 1
    assert said in capsys.readouterr().err


def test_a_run_by_the_clock_goes_through_every_stage(pool: Path, tmp_path: Path) -> None:
    run = trainer(pool, tmp_path, replace(RECIPE, minutes=0.05, log_every=1, check_every=10**6))
    run.run()
    assert run.progress >= 1 and run.seconds >= 3
    rates = [float(row["lr"]) for row in csv.DictReader((tmp_path / "log.csv").open())]
    assert rates[-1] < 0.2 * max(rates) and run.quantiser.ready


def test_the_loss_changes_its_weights_on_the_way(pool: Path, tmp_path: Path) -> None:
    run = trainer(
        pool, tmp_path, replace(RECIPE, steps=4, weights_first=Weights(mel=1.0, wave=9.0), share_first=0.5)
    )
    run.run(until=0.5)
    assert run.balancer.weights["wave"] == 9.0
    run.run()
    assert run.balancer.weights["wave"] == RECIPE.weights.wave


def test_each_device_has_a_recipe_that_its_trainer_takes(pool: Path, tmp_path: Path) -> None:
    for recipe in RECIPES.values():
        assert recipe.share_a < 1 - recipe.share_c and 0 < sum(recipe.chances) == pytest.approx(1)
        small = replace(recipe, n_filters=8, steps=1, batch=1, seconds=0.16)
        trainer(pool, tmp_path, small)._advance(torch.zeros(1, 3840))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_recorded_step_is_the_step(pool: Path, tmp_path: Path) -> None:
    """The first three steps on a GPU run as they are, the others are replayed: both make the loss fall as on a CPU."""
    recipe = replace(RECIPE, batch=16, share_a=0.0, share_c=0.0, steps=40, fft_sizes=4)
    runs = [trainer(pool, tmp_path / device, recipe, device) for device in ("cpu", "cuda")]
    for run in runs:
        run.quantiser.take(0.1 * torch.randn(32, 1024, 128, generator=torch.Generator().manual_seed(0)))
    wave = torch.from_numpy(runs[0].segments.batch(0, 16))
    losses = torch.tensor([[float(run._advance(wave)["mel"]) for _ in range(20)] for run in runs])
    torch.testing.assert_close(losses[0], losses[1], rtol=0.1, atol=0.0)
