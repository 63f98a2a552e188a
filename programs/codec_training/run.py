"""``python -m programs codec`` trains the demo codec."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from fmri_audio.base.errors import UserError
from fmri_audio.base.files import check_writable
from fmri_audio.base.settings import project_root
from fmri_audio.codec.checkpoints import DEMO_FILE, load
from programs.codec_training import corpus
from programs.codec_training.export import export, write_log
from programs.codec_training.trainer import RECIPES, STARTS, Recipe, Trainer, filters_of
from programs.codec_training.widen import refuse_narrowing

CORPUS_MINUTES = {
    "synthetic": 20.0,
    "tones": 10.0,
    "bands": 5.0,
    "music": 30.0,
    "speech": 70.0,
    "natural": 160.0,
}
HELD_OUT_MINUTES = {"synthetic": 2.0, "music": 1.2, "speech": 2.0, "natural": 3.0}


def main(words: Sequence[str]) -> None:
    """Train the demo codec."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    _train(_parser(RECIPES[device]).parse_args(words), RECIPES[device], device)


def _parser(recipe: Recipe) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m programs codec",
        description="Train EnCodec's topology on synthesised sound, and on recordings if a folder is given. What is "
        "not given here is as the recipe of the device has it (programs.codec_training.trainer.RECIPES).",
    )
    parser.add_argument("--data", type=Path, help="folder of recordings to add to the synthesised sound")
    parser.add_argument("--out", type=Path, help=f"checkpoint to write (default: checkpoints/{DEMO_FILE})")
    parser.add_argument("--work", type=Path, help="folder for corpus, state and logs (default: build/codec)")
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--steps", type=int, default=recipe.steps, help="training steps (on a CPU reproducible)"
    )
    length.add_argument("--minutes", type=float, help="length of the run by the clock (not reproducible)")
    parser.add_argument("--until", type=float, default=1.0, help="stop at this share of the run and export")
    parser.add_argument("--resume", action="store_true", help="go on with the run in the work folder")
    parser.add_argument(
        "--export-only", action="store_true", help="write the checkpoint from the run's last saved state"
    )
    parser.add_argument(
        "--start",
        default=recipe.start,
        help="what to begin with: transform, random, or a checkpoint of at most this width, codebooks included "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--decoder-only",
        action="store_true",
        help="hold encoder and codebooks of the checkpoint to start from as they are",
    )
    parser.add_argument(
        "--adversarial-from",
        type=float,
        default=recipe.adversarial_from,
        metavar="SHARE",
        help="share of the run from which a discriminator takes part; 1: never",
    )
    parser.add_argument("--filters", type=int, default=recipe.n_filters, help="width: 32 is EnCodec's own")
    parser.add_argument("--batch", type=int, default=recipe.batch)
    parser.add_argument("--seconds", type=float, default=recipe.seconds, help="length of a segment")
    parser.add_argument("--learning-rate", type=float, default=recipe.learning_rate)
    parser.add_argument("--seed", type=int, default=recipe.seed)
    parser.add_argument(
        "--workers",
        type=int,
        default=min(8, os.cpu_count() or 1),
        help="processes that render the corpus and, on a GPU, prepare segments (default: %(default)s)",
    )
    return parser


def _train(options: argparse.Namespace, recipe: Recipe, device: str) -> None:
    if recipe.per_batch and options.batch != sum(recipe.per_batch.values()):
        raise UserError(
            f"--batch {options.batch}: a batch has {sum(recipe.per_batch.values())} segments, a set number of each "
            "kind of sound (per_batch of the recipe): leave --batch out"
        )
    if options.decoder_only and options.start in STARTS:
        raise UserError("--decoder-only keeps a checkpoint's encoder and codebooks: name one with --start")
    work = options.work or project_root() / "build" / "codec"
    out = options.out or project_root() / "checkpoints" / DEMO_FILE
    log = out.with_name("training-log.csv")
    for written in (out, log, work / "state.pt"):
        check_writable(written)
    if (options.resume or options.export_only) and not (work / "state.pt").is_file():
        raise UserError(f"{work}: there is no training state to resume; start without --resume")
    known = None
    if options.start not in STARTS:
        known = load(options.start)
        refuse_narrowing(filters_of(known), options.filters)
        recipe = replace(recipe, share_a=0.0)
    torch.set_flush_denormal(True)  # silence makes denormals, and those are slow
    torch.set_float32_matmul_precision("high")  # on a GPU, products with TF32's ten bits
    torch.backends.cudnn.benchmark = True
    corpus_folder, held_out_folder = work / "corpus", work / "held-out"
    contents = corpus.render(corpus_folder, CORPUS_MINUTES, options.seed, options.data, options.workers)
    corpus.render(
        held_out_folder, HELD_OUT_MINUTES, options.seed + 1000, options.data, options.workers, held_out=True
    )
    recipe = replace(
        recipe,
        n_filters=options.filters,
        batch=options.batch,
        seconds=options.seconds,
        seed=options.seed,
        learning_rate=options.learning_rate,
        steps=options.steps,
        start=known.id if known else options.start,
        minutes=options.minutes,
        adversarial_from=options.adversarial_from,
        share_c=1.0 if options.decoder_only else recipe.share_c,
    )
    segments = corpus.Segments(corpus_folder, recipe.seconds, recipe.seed, recipe.per_batch)
    held_out = corpus.Segments(held_out_folder, 2.0, recipe.seed)
    trainer = Trainer(recipe, segments, held_out, work, device, options.workers if device == "cuda" else 0)
    if known is not None:
        trainer.begin_with(known)
    if options.resume or options.export_only:
        trainer.restore()
    if not options.export_only:
        if not options.resume:
            for old in (*work.glob("log.csv"), *work.glob("checks-*.csv"), *work.glob("state.pt")):
                old.unlink()
        length = f"{recipe.minutes:g} minutes" if recipe.minutes else f"{recipe.steps} steps"
        print(f"training on {device}: {length}, {recipe.n_filters} filters", flush=True)
        trainer.run(options.until)
    print(f"wrote {export(trainer, out, contents)} and {write_log(trainer, log)}")
