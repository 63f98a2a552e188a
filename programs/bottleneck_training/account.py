"""``python -m programs bottleneck-account``: how every run of a work folder was trained, beside principal components.

It writes the table of :mod:`fmri_audio.experiments.ladder_training`, in which runs of other folders keep their rows.
Principal components are sent at the widths, on the segments and by the loss of the runs' own checks.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from fmri_audio.base.errors import UserError
from fmri_audio.base.files import check_writable, write_text
from fmri_audio.base.rows import write_rows
from fmri_audio.base.settings import project_root
from fmri_audio.bottleneck.coders import CODERS
from fmri_audio.bottleneck.nested import prefix
from fmri_audio.codec.checkpoints import Checkpoint, load
from fmri_audio.experiments.ladder_training import TABLE, Checked, read
from programs.bottleneck_training.components import pca_of, training_sound
from programs.bottleneck_training.run import RECIPES
from programs.bottleneck_training.trainer import (
    ACCOUNT,
    Recipe,
    Trainer,
    checked_widths,
    losses,
    of_voices,
    whole_steps,
)


def main(words: Sequence[str]) -> None:
    """Write the table of all runs."""
    parser = argparse.ArgumentParser(
        prog="python -m programs bottleneck-account", description=str(__doc__).split("\n\n")[0]
    )
    parser.add_argument("--codec", default="demo", help="checkpoint (default: %(default)s)")
    parser.add_argument("--work", type=Path, help="folder of the runs (default: build/bottleneck)")
    parser.add_argument("--corpus", type=Path, help="training sound (default: that of the work folder)")
    parser.add_argument("--held-out", type=Path, help="validation voices (default: those of the work folder)")
    parser.add_argument("--out", type=Path, help="table to write (default: the project's)")
    options = parser.parse_args(list(words))
    work = options.work or project_root() / "build" / "bottleneck"
    corpus, held_out = options.corpus or work / "corpus", options.held_out or work / "held-out"
    out = options.out or project_root() / TABLE
    check_writable(out)
    folders = sorted(path.parent for path in work.glob(f"*/{ACCOUNT}"))
    if not folders:
        raise UserError(f"{work}: holds no run; train with `make bottleneck`")
    checkpoint = load(options.codec)
    rows = [row for folder in folders for row in _of_run(folder, work, checkpoint, corpus, held_out)]
    here = {row.run for row in rows}
    rows += [row for row in (read(out) if out.is_file() else []) if row.run not in here]
    write_rows(sorted(rows, key=_place), out, digits=5)
    print(f"wrote {out}: {len(folders)} runs")


def _place(row: Checked) -> tuple[Any, ...]:
    """Where a row comes: arms in their order, an arm's own run before what stands beside it, steps as they came."""
    beside = (row.single, row.control, row.sound or 0.0, row.seed)
    return (list(CODERS).index(row.arm), beside, row.step, row.per_step)


def _of_run(
    folder: Path, work: Path, checkpoint: Checkpoint, corpus: Path, held_out: Path
) -> Iterator[Checked]:
    account = json.loads((folder / ACCOUNT).read_text(encoding="utf-8"))
    recipe = account["recipe"]
    control = _control(recipe)
    with (folder / "checks.csv").open(newline="", encoding="utf-8") as stream:
        lines = list(csv.DictReader(stream))
    widths = [int(name.removeprefix("loss_")) for name in lines[0] if name.removeprefix("loss_").isdigit()]
    pca = _components(recipe["coder"], widths, work, checkpoint, corpus, held_out)
    for line in lines:
        for width in widths:
            yield Checked(
                arm=recipe["coder"],
                control=control,
                single=recipe["width"] is not None,
                sound=recipe["sound"],
                seed=recipe["seed"],
                weights=account["weights"],
                hardware=account["hardware"],
                step=int(float(line["step"])),
                minutes=round(float(line["seconds"]) / 60, 1),
                per_step=width,
                loss=float(line[f"loss_{width}"]),
                pca=pca[width],
            )


def _control(recipe: Mapping[str, Any]) -> str:
    """What a run differs by from that of its arm, but for what has a column of its own."""
    usual = RECIPES.get(recipe["coder"])
    parts = [
        "random codec" if recipe["random_codec"] else "",
        "wide" if recipe["inner"] else "",
        f"{recipe['steps']} steps" if usual and recipe["steps"] != usual.steps else "",
    ]
    return ", ".join(part for part in parts if part)


def _components(
    name: str, widths: Sequence[int], work: Path, checkpoint: Checkpoint, corpus: Path, held_out: Path
) -> dict[int, float]:
    """Losses of principal components at some numbers per step, counted once and kept."""
    kept = work / "components" / f"{name}-{checkpoint.id}.json"
    found: dict[str, float] = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}
    if any(str(width) not in found for width in widths):
        torch.set_flush_denormal(True)
        coder = pca_of(name, checkpoint, training_sound(corpus, name))
        recipe = Recipe(name)
        wave = whole_steps(of_voices(held_out, recipe), 0, Trainer.CHECKED, coder.step_samples)
        asked = {*widths, *checked_widths(CODERS[name].build(checkpoint).code.dimensions)}
        steps = int(coder.step / CODERS[name].step)  # of the arm, in a block
        for width in sorted(asked):
            found[str(width)] = _loss(coder, wave, steps * width)
        write_text(kept, json.dumps(found, indent=1) + "\n")
    return {width: found[str(width)] for width in widths}


@torch.no_grad()
def _loss(coder: Any, wave: torch.Tensor, dimensions: int) -> float:
    reliability = prefix(min(dimensions, coder.code.dimensions), coder.code.dimensions)
    return float(losses(coder, wave, reliability, torch.Generator().manual_seed(0), cheap=False).mean())
