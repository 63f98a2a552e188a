"""``python -m programs bottleneck CODER …`` trains coders, one after the other, and writes their files."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import torch

from fmri_audio.base.errors import UserError
from fmri_audio.base.files import check_writable
from fmri_audio.base.settings import project_root
from fmri_audio.bottleneck.clock import Clock
from fmri_audio.bottleneck.coder_files import coder_file, save
from fmri_audio.bottleneck.coders import CODERS, Coder
from fmri_audio.bottleneck.coders.latents import LatentCode
from fmri_audio.bottleneck.nested import NestedCode
from fmri_audio.codec.checkpoints import Checkpoint, load
from fmri_audio.codec.trainable import Network
from fmri_audio.experiments.ladder import TR
from fmri_audio.experiments.ladder_training import NESTED_WIDTH
from programs.bottleneck_training.trainer import Recipe, Trainer, of_voices, to_learn
from programs.codec_training import corpus
from programs.codec_training.export import hardware
from programs.codec_training.run import CORPUS_MINUTES, HELD_OUT_MINUTES

RECIPES = {
    "mel": Recipe("mel", steps=18000, check_every=1000),
    "mel-vocoder": Recipe("mel-vocoder", steps=18000, by_features=0.8, check_every=1000),
    "complex-stft": Recipe("complex-stft", steps=12000, check_every=1000),
    "codes": Recipe("codes", steps=2400, check_every=400),
    "frozen": Recipe("frozen", steps=2100, check_every=350),
    "finetuned": Recipe("finetuned", steps=2100, check_every=350),
    "finetuned-linear": Recipe("finetuned-linear", steps=1050, check_every=350),
}
"""How each coder is trained unless told otherwise; where steps are few, a check falls where the last third begins."""

BESIDE: dict[str, list[str]] = {
    "finetuned": ["--random-codec", "--steps {half}"],
    "frozen": ["--inner 448"],
    "mel": ["--sound 10", "--sound 60"],
}
"""Runs beside an arm's own: controls and less sound. Half the steps of a codec that moves take about as long as all of
one that does not. Every arm is trained for one width as well."""


def main(words: Sequence[str]) -> None:
    """Train the coders that are named."""
    options = _parser().parse_args(list(words))
    if unknown := [name for name in options.coders if name not in CODERS]:
        raise UserError(f"there is no arm {unknown[0]!r}: {', '.join(CODERS)}")
    if options.out is not None and (len(options.coders) != 1 or options.beside):
        raise UserError("--out is the file of one run: name one arm")
    if options.corpus is not None and options.data is not None:
        raise UserError("--data adds to a corpus that is rendered here: leave out --corpus, or --data")
    torch.set_flush_denormal(True)  # silence makes denormals, and those are slow
    torch.set_float32_matmul_precision("high")  # on a GPU, products with TF32's ten bits
    names = options.coders or list(RECIPES)
    if not options.beside:
        for name in names:
            _train(name, options)
        return
    for run in beside(names):
        _train(run[0], _parser().parse_args(run, argparse.Namespace(**vars(options))))


def _train(name: str, options: argparse.Namespace) -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    work = options.work or project_root() / "build" / "bottleneck"
    run_name = _run_name(name, options)
    out = options.out or (coder_file(name) if run_name == name else work / f"{run_name}.safetensors")
    folder = work / run_name
    for written in (out, folder / "state.pt"):
        check_writable(written)
    checkpoint = load(options.codec)
    checkpoint.model.to(device)
    contents, learned, checked = _corpora(options, work)
    recipe = _recipe(options, RECIPES.get(name, Recipe(name)), checkpoint.id)
    build = partial(_build, recipe, checkpoint, device)
    trainer = Trainer(recipe, build, to_learn(learned, recipe), of_voices(checked, recipe), folder)
    if trainer.restore():
        print(f"{run_name}: goes on at step {trainer.step}", flush=True)
    trainer.run(options.until)
    print(f"wrote {export(trainer, out, contents, device)}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m programs bottleneck",
        description="Train coders: sound behind a nested code, without a brain. A run that was stopped goes on where "
        "it was. What is not given here is as the recipe of the coder has it (programs.bottleneck_training.run).",
    )
    parser.add_argument("coders", nargs="*", metavar="ARM", help=f"{', '.join(RECIPES)} (default: all)")
    parser.add_argument(
        "--codec", default="demo", help="checkpoint that some start from (default: %(default)s)"
    )
    parser.add_argument("--corpus", type=Path, help="folder of int16 arrays to learn from, rendered before")
    parser.add_argument("--held-out", type=Path, help="folder of int16 arrays for the checks")
    parser.add_argument("--data", type=Path, help="folder of recordings to add to a corpus rendered here")
    parser.add_argument(
        "--sound", type=float, metavar="MINUTES", help="learn from so much of every kind's share only"
    )
    parser.add_argument("--out", type=Path, help="file to write (default: in checkpoints/bottleneck/)")
    parser.add_argument(
        "--work", type=Path, help="folder for corpus, states and logs (default: build/bottleneck)"
    )
    parser.add_argument("--steps", type=int, help="training steps (on a CPU reproducible)")
    parser.add_argument(
        "--width", type=int, metavar="D", help="train one width, D numbers per step of the code"
    )
    parser.add_argument(
        "--inner", type=int, metavar="CHANNELS", help="channels inside the network: a control"
    )
    parser.add_argument(
        "--random-codec",
        action="store_true",
        default=None,
        help="begin with a codec of random weights, of an arm whose codec moves: a control",
    )
    parser.add_argument(
        "--beside",
        action="store_true",
        help="train what stands beside the arms instead: one width each, controls, less sound",
    )
    parser.add_argument("--until", type=float, default=1.0, help="stop at this share of the run and export")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--seconds", type=float, help="length of a segment")
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--by-features", type=float, help="share of the steps without sound in the loss")
    parser.add_argument("--check-every", type=int, help="steps between checks and saved states")
    parser.add_argument("--seed", type=int)
    parser.add_argument(
        "--workers",
        type=int,
        default=min(8, os.cpu_count() or 1),
        help="processes that render a corpus (default: %(default)s)",
    )
    return parser


def _build(recipe: Recipe, checkpoint: Checkpoint, device: str) -> Coder:
    """The coder of a recipe, or the control that it asks for."""
    coder = CODERS[recipe.coder].build(checkpoint)
    if recipe.inner is not None:
        try:
            coder.code = NestedCode(replace(coder.code.size, inner=recipe.inner))
        except ValueError as error:
            raise UserError(f"--inner {recipe.inner}: {error}") from None
    if recipe.random_codec:
        if not isinstance(coder, LatentCode) or not coder.codec_moves:
            raise UserError(f"--random-codec: {recipe.coder} has no codec that is trained")
        coder.codec = Network(coder.codec.config)
    return coder.to(device)


def _run_name(name: str, options: argparse.Namespace) -> str:
    """Folder of a run: what differs from the usual one is in its name."""
    numbers = ("width", "inner", "sound", "steps", "seed")
    parts = [name, *(f"{key}{value:g}" for key in numbers if (value := getattr(options, key)))]
    parts += ["random"] if options.random_codec else []
    return "-".join(parts)


def beside(names: Sequence[str]) -> Iterator[list[str]]:
    """Yield the words of every run that stands beside some arms."""
    for name in names:
        recipe, clock = RECIPES[name], Clock(TR, CODERS[name].step)
        yield [name, "--width", str(clock.dimensions(NESTED_WIDTH))]
        for several in BESIDE.get(name, []):
            yield [name, *several.format(half=recipe.steps // 2).split()]


def _recipe(options: argparse.Namespace, recipe: Recipe, start: str) -> Recipe:
    """Return the recipe with what is given in its place."""
    given = {
        name: value
        for name in asdict(recipe)
        if name != "coder" and (value := getattr(options, name, None)) is not None
    }
    return replace(recipe, start=start, **given)


def _corpora(options: argparse.Namespace, work: Path) -> tuple[dict[str, str], Path, Path]:
    """Render what is not given; return what the corpus consists of, and both folders."""
    learned, checked = options.corpus or work / "corpus", options.held_out or work / "held-out"
    seed = options.seed or 1
    if options.held_out is None:
        corpus.render(
            checked, HELD_OUT_MINUTES, seed + 1000, options.data, options.workers, held_out=bool(options.data)
        )
    if options.corpus is None:
        return (
            corpus.render(learned, CORPUS_MINUTES, seed, options.data, options.workers),
            learned,
            checked,
        )
    return corpus.contents_of(learned), learned, checked


def export(trainer: Trainer, path: Path, contents: dict[str, str], device: str) -> Path:
    """Write the averaged weights and an account of the run."""
    recipe = trainer.recipe
    taught = "recordings and synthesised sound" if "recordings" in contents else "synthesised sound alone"
    summary = {
        "description": f"{trainer.network.label} behind a nested code, trained for this project on {taught}",
        "licence": "MIT (trained for this project)",
        "corpus": contents,
        "recipe": asdict(recipe),
        "step": trainer.step,
        "minutes": round(trainer.seconds / 60, 1),
        "hardware": hardware(device),
    }
    return save(trainer.settled(), path, summary)
