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
from fmri_audio.codec.trainable import Network
from programs.codec_training.corpus import Segments
from programs.codec_training.export import export, write_log
from programs.codec_training.trainer import RECIPES, Recipe, Trainer, filters_of

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
    recipe = replace(RECIPE, n_filters=filters_of(demo), start=demo.id, steps=1, share_a=0.0, share_c=share_c)
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


def test_a_run_may_go_on_wider_than_its_checkpoint(
    tiny_checkpoint: checkpoints.Checkpoint, pool: Path, tmp_path: Path
) -> None:
    run = going_on(tiny_checkpoint, pool, tmp_path, 4)
    wave = 0.1 * torch.randn(1, 3200, generator=torch.Generator().manual_seed(0))
    ours = run.network.to_package().eval().encoder(wave[None])
    torch.testing.assert_close(ours, tiny_checkpoint.model.encoder(wave[None]), atol=1e-4, rtol=1e-3)
    books = torch.stack([layer._codebook.embed for layer in tiny_checkpoint.model.quantizer.vq.layers])
    assert torch.equal(run.quantiser.codebooks, books) and filters_of(tiny_checkpoint) == 2
    assert run.network.encoder[0].n_out == 3
    run.run()
    assert loads_as(export(run, tmp_path / "wide.safetensors", {})) == 3


def going_on(checkpoint: checkpoints.Checkpoint, pool: Path, folder: Path, steps: int) -> Trainer:
    """A run of three filters that goes on from a checkpoint of two."""
    recipe = replace(
        RECIPE, n_filters=3, start=checkpoint.id, steps=steps, share_a=0.0, log_every=2, check_every=2
    )
    run = trainer(pool, folder, recipe)
    run.begin_with(checkpoint)
    return run


def loads_as(path: Path) -> int:
    return filters_of(checkpoints.load(str(path)))


def test_a_resumed_run_from_a_checkpoint_is_the_same_run(
    tiny_checkpoint: checkpoints.Checkpoint, pool: Path, tmp_path: Path
) -> None:
    whole = going_on(tiny_checkpoint, pool, tmp_path / "whole", 4)
    whole.run()
    going_on(tiny_checkpoint, pool, tmp_path / "parts", 4).run(until=0.5)
    resumed = going_on(tiny_checkpoint, pool, tmp_path / "parts", 4)
    assert resumed.restore() and resumed.step == 2
    resumed.run()
    assert torch.equal(whole.average.decoder[0].weight, resumed.average.decoder[0].weight)
    assert torch.equal(whole.quantiser.codebooks, resumed.quantiser.codebooks)


def test_the_squared_error_is_that_of_the_last_items(pool: Path, tmp_path: Path) -> None:
    run = trainer(pool, tmp_path, replace(RECIPE, batch=4, exact=2))
    x = torch.from_numpy(run.segments.batch(0, 4))
    for first, expected in ((0, 0.0), (2, 1.0)):
        y = x.clone()
        y[first : first + 2] += 1.0
        terms, gradient = run._judge(x, y.requires_grad_(), torch.Generator())
        assert float(terms["error"]) == pytest.approx(expected) and torch.isfinite(gradient).all()


def test_the_discriminator_hears_the_first_items_alone(pool: Path, tmp_path: Path) -> None:
    run = trainer(
        pool, tmp_path, replace(RECIPE, adversarial_from=0.0, adversary_filters=2, adversary_items=1)
    )
    heard: list[torch.Tensor] = []
    run.adversary.learn = lambda real, made: heard.append(made) or torch.zeros(())  # type: ignore[union-attr, method-assign]
    x = torch.from_numpy(run.segments.batch(0, 2))
    gradients = []
    for louder in (1.0, 2.0):
        y = (torch.tensor([[1.0], [louder]]) * x).requires_grad_()
        terms, _ = run._judge(x, y, torch.Generator())
        gradients.append((terms["adversarial"], terms["features"]))
    assert [made.shape for made in heard] == [(1, x.shape[1])] * 2
    assert gradients[0] == gradients[1], "what only the second item has changes nothing"


def test_the_log_goes_on_where_the_checkpoint_came_from(
    tiny_checkpoint: checkpoints.Checkpoint, pool: Path, tmp_path: Path
) -> None:
    first = trainer(pool, tmp_path / "first")
    first.run()
    path = write_log(first, tmp_path / "log.csv")
    then = going_on(tiny_checkpoint, pool, tmp_path / "then", 4)
    then.run()
    for _ in range(2):  # exported again it is the same
        rows = list(csv.DictReader(write_log(then, path).open()))
        assert [(row["start"], int(row["step"])) for row in rows] == [
            ("random", 10),
            ("random", 20),
            (then.recipe.start, 22),
            (then.recipe.start, 24),
        ]


def test_a_damaged_run_is_not_resumed(pool: Path, tmp_path: Path) -> None:
    (tmp_path / "state.pt").write_bytes(b"PK" + bytes(400))
    with pytest.raises(UserError, match="state.pt: damaged; remove it"):
        trainer(pool, tmp_path, RECIPE).restore()


def test_a_run_that_began_from_other_weights_is_not_resumed(pool: Path, tmp_path: Path) -> None:
    trainer(pool, tmp_path).run(until=0.5)
    with pytest.raises(UserError, match="began from random, not from demo: give --start random"):
        trainer(pool, tmp_path, replace(RECIPE, start="demo")).restore()


def test_a_run_by_the_clock_goes_through_every_stage(pool: Path, tmp_path: Path) -> None:
    run = trainer(pool, tmp_path, replace(RECIPE, minutes=0.05, log_every=1, check_every=10**6))
    run.run()
    assert run.progress >= 1 and run.seconds >= 3
    rates = [float(row["lr"]) for row in csv.DictReader((tmp_path / "log.csv").open())]
    assert rates[-1] < 0.2 * max(rates) and run.quantiser.ready


@pytest.mark.parametrize("device", RECIPES)
def test_each_device_has_a_recipe_that_its_trainer_takes(pool: Path, tmp_path: Path, device: str) -> None:
    recipe = RECIPES[device]
    kinds = [kinds for kinds, count in (recipe.per_batch or {}).items() for _ in range(count)]
    assert len(kinds) == recipe.batch and set(kinds[-recipe.exact :]) == {"tones"}
    assert "tones" not in kinds[: recipe.adversary_items] and recipe.steps % recipe.check_every == 0
    assert recipe.share_a < 1 - recipe.share_c and 0 < sum(recipe.chances) == pytest.approx(1)
    small = replace(recipe, n_filters=8, start="transform", steps=1, batch=1, seconds=0.16)
    values = trainer(pool, tmp_path, small)._advance(torch.zeros(1, 3840))
    assert {"error", "mel", "discriminator"} <= set(values)


@pytest.mark.parametrize("device", RECIPES)
def test_each_recipe_fills_a_checkpoint_that_may_be_committed(device: str) -> None:
    parameters = sum(p.numel() for p in Network({"n_filters": RECIPES[device].n_filters}).parameters())
    assert 15e6 < 2 * (parameters + 32 * 1024 * 128) < 18e6, "bytes in half precision"


def test_on_a_gpu_every_kind_of_sound_has_few_and_many_codebooks(pool: Path, tmp_path: Path) -> None:
    recipe = RECIPES["cuda"]
    run = trainer(pool, tmp_path)
    run.recipe, run.device = recipe, "cuda"
    depths = run._depths(recipe.batch, torch.Generator())
    shares = torch.tensor([(depths == count).sum() for count in recipe.stages_per_item]) / recipe.batch
    torch.testing.assert_close(shares, torch.tensor(recipe.chances), atol=0.03, rtol=0)
    assert torch.equal(depths, run._depths(recipe.batch, torch.Generator().manual_seed(1))), "the same always"
    first = 0
    for kinds, count in (recipe.per_batch or {}).items():
        own = depths[first : first + count]
        assert own.min() <= 2 and own.max() >= 8 and len(own.unique()) >= 3, kinds
        first += count


def test_a_gpu_takes_all_fft_sizes_in_every_step(pool: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="fft_sizes has to be 4"):
        trainer(pool, tmp_path, replace(RECIPE, fft_sizes=2), "cuda")


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
