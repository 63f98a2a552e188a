"""``python -m programs vocoder codes`` and ``vocoder mel`` train the two networks of Vocos' architecture."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch

from fmri_audio.base.errors import UserError
from fmri_audio.base.files import check_writable
from fmri_audio.base.settings import project_root
from fmri_audio.codec.checkpoints import load
from fmri_audio.codec.vocoder import DECODER_FILE, MEL_FILE, save
from fmri_audio.sound.audio import SAMPLE_RATE
from programs.codec_training import corpus
from programs.codec_training.export import hardware
from programs.codec_training.run import CORPUS_MINUTES, HELD_OUT_MINUTES
from programs.vocoder_training.features import Codes, Mel, Source
from programs.vocoder_training.trainer import RECIPES, Recipe, Trainer

FILES = {"codes": DECODER_FILE, "mel": MEL_FILE}
CHECK_FRAMES = 300  # of a held-out segment: 4 s and more


def main(words: Sequence[str]) -> None:
    """Train the network that the first word names."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    options = _parser(device).parse_args(list(words))
    kind = options.kind
    if options.corpus is not None and options.data is not None:
        raise UserError("--data adds to a corpus that is rendered here: leave out --corpus, or --data")
    work = options.work or project_root() / "build" / f"vocoder-{kind}"
    out = options.out or project_root() / "checkpoints" / FILES[kind]
    for written in (out, work / "state.pt"):
        check_writable(written)
    torch.set_flush_denormal(True)  # silence makes denormals, and those are slow
    torch.set_float32_matmul_precision("high")  # on a GPU, products with TF32's ten bits
    checkpoint = load(options.codec) if kind == "codes" else None
    source: Source = Mel() if checkpoint is None else Codes(checkpoint, device)
    recipe = _recipe(options, RECIPES[device, kind], checkpoint.id if checkpoint else "")
    contents = _corpora(options, work)
    trainer = Trainer(
        recipe,
        source,
        _segments(_folder(options.corpus, work, "corpus"), source, recipe.frames, recipe.seed),
        _held_out(_folder(options.held_out, work, "held-out"), source, recipe.seed),
        work,
        device,
        options.workers if device == "cuda" else 0,
    )
    if options.resume or options.export_only:
        if not trainer.restore():
            raise UserError(f"{work}: there is no training state to resume; start without --resume")
    else:
        for old in (*work.glob("*.csv"), *work.glob("state.pt")):
            old.unlink()
    if not options.export_only:
        length = f"{recipe.minutes:g} minutes" if recipe.minutes else f"{recipe.steps} steps"
        print(f"training on {device}: {length}", flush=True)
        if not trainer.step:
            trainer.check()
        trainer.run(options.until)
    print(f"wrote {export(trainer, out, contents)}")


def _parser(device: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m programs vocoder",
        description="Train a network of Vocos' architecture: codes, a second decoder for a codec's codes, or mel, a "
        "vocoder for the book's log-mel spectrogram. What is not given here is as the recipe of the device has it "
        "(programs.vocoder_training.trainer.RECIPES).",
    )
    parser.add_argument("kind", choices=sorted(FILES))
    parser.add_argument(
        "--codec", default="demo", help="checkpoint whose codes are learned (default: %(default)s)"
    )
    parser.add_argument("--corpus", type=Path, help="folder of int16 arrays to learn from, rendered before")
    parser.add_argument("--held-out", type=Path, help="folder of int16 arrays for the checks")
    parser.add_argument("--data", type=Path, help="folder of recordings to add to a corpus rendered here")
    parser.add_argument("--out", type=Path, help="file to write (default: in checkpoints/)")
    parser.add_argument(
        "--work", type=Path, help="folder for corpus, state and logs (default: in build/, by the kind)"
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--steps", type=int, help="training steps (on a CPU reproducible)")
    length.add_argument("--minutes", type=float, help="length of the run by the clock (not reproducible)")
    parser.add_argument("--until", type=float, default=1.0, help="stop at this share of the run and export")
    parser.add_argument("--resume", action="store_true", help="go on with the run in the work folder")
    parser.add_argument(
        "--export-only", action="store_true", help="write the file from the run's last saved state"
    )
    parser.add_argument(
        "--adversarial-from",
        type=float,
        metavar="SHARE",
        help="share of the run from which a discriminator takes part; 1: never",
    )
    parser.add_argument("--adversary-filters", type=int, help="width of the discriminator: 32 is EnCodec's")
    parser.add_argument("--judged", type=int, help="items of a batch that the discriminator hears")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--frames", type=int, help="length of a segment")
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--check-every", type=int, help="steps between checks and saved states")
    parser.add_argument(
        "--workers",
        type=int,
        default=min(8, os.cpu_count() or 1),
        help="processes that render a corpus and, on a GPU, prepare segments (default: %(default)s)",
    )
    return parser


def _recipe(options: argparse.Namespace, recipe: Recipe, start: str) -> Recipe:
    """Return the recipe with what is given in its place."""
    given = {
        name: value
        for name in asdict(recipe)
        if name != "kind" and (value := getattr(options, name, None)) is not None
    }
    return replace(recipe, start=start, **given)


def _folder(given: Path | None, work: Path, name: str) -> Path:
    return given or work / name


def _corpora(options: argparse.Namespace, work: Path) -> dict[str, str]:
    """Render what is not given; return what the corpus consists of, in words."""
    seed = options.seed or 1
    if options.held_out is None:
        corpus.render(work / "held-out", HELD_OUT_MINUTES, seed + 1000, None, options.workers)
    if options.corpus is None:
        return corpus.render(work / "corpus", CORPUS_MINUTES, seed, options.data, options.workers)
    return corpus.contents_of(options.corpus)


def _segments(folder: Path, source: Source, frames: int, seed: int) -> corpus.Segments:
    return corpus.Segments(folder, source.samples(frames) / SAMPLE_RATE, seed)


def _held_out(folder: Path, source: Source, seed: int) -> corpus.Segments:
    """Return segments of held-out speech, recorded if there is any: what the scores of a check are defined for."""
    kinds = [kind for kind in ("recordings", "speech") if (folder / f"{kind}.npy").is_file()]
    if not kinds:
        raise UserError(f"{folder}: holds neither recordings.npy nor speech.npy to check the training by")
    return corpus.Segments(
        folder, source.samples(CHECK_FRAMES) / SAMPLE_RATE, seed, {kinds[0]: Trainer.CHECKED}
    )


def export(trainer: Trainer, path: Path, contents: dict[str, str]) -> Path:
    """Write the averaged weights and an account of the run."""
    recipe = trainer.recipe
    does = f"decoder of {recipe.start}'s codes" if recipe.start else "vocoder for log-mel spectrograms"
    taught = "recordings and synthesised sound" if "recordings" in contents else "synthesised sound alone"
    summary = {
        "description": f"Vocos architecture, {does}, trained for this project on {taught}",
        "licence": "MIT (trained for this project)",
        "codec": recipe.start,
        "corpus": contents,
        "recipe": asdict(recipe),
        "step": trainer.step,
        "minutes": round(trainer.seconds / 60, 1),
        "hardware": hardware(trainer.device),
    }
    return save(trainer.average, path, summary)
