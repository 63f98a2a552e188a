"""From a training state to a checkpoint file."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from fmri_audio.base.files import replacing
from fmri_audio.codec.checkpoints import DEMO_LICENCE, save
from programs.codec_training.trainer import STARTS, Trainer


def export(trainer: Trainer, path: Path, contents: dict[str, str]) -> Path:
    """Write the averaged weights and the codebooks as the package's model (see :func:`checkpoints.save`)."""
    recipe = trainer.recipe
    model = trainer.average.cpu().to_package(trainer.quantiser.codebooks.cpu())
    taught = "recordings and synthesised sound" if "recordings" in contents else "synthesised sound alone"
    summary = {
        "description": f"EnCodec topology with {recipe.n_filters} filters, trained for this project on {taught}",
        "licence": DEMO_LICENCE,
        "corpus": contents,
        "recipe": asdict(recipe),
        "step": trainer.step,
        "minutes": round(trainer.seconds / 60, 1),
        "hardware": hardware(trainer.device),
    }
    return save(model, path, trainer.config, summary)


def write_log(trainer: Trainer, path: Path) -> Path:
    """The run's curve, small: one row per check, with the losses logged at that step.

    Columns: ``start`` (what the run began with), ``step, seconds, lr``, the mean losses of the steps before, and per
    check the held-out SI-SDR (dB) unquantised and with k codebooks, the residual energy after k stages (share of the
    latents' variance) and the k-th codebook's use (perplexity over its size). A run that began from a checkpoint
    goes on with the log that is there, its steps counted on.
    """
    start = trainer.recipe.start
    log = pd.read_csv(trainer.folder / "log.csv")
    checks = [pd.read_csv(f) for f in sorted(trainer.folder.glob("checks-*.csv"))]
    table = log.merge(pd.concat(checks).drop(columns="seconds"), on="step", how="inner")
    table.insert(0, "start", start)
    if start not in STARTS and path.is_file():
        before = pd.read_csv(path).query("start != @start")  # this run may have been exported before
        table["step"] += before["step"].max()
        table = pd.concat([before, table])
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.4g")
    return path


def hardware(device: str) -> str:
    """What the run used, in words."""
    if device == "cuda":
        import torch

        return torch.cuda.get_device_name()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{cores} CPU core{'s' if cores != 1 else ''} ({platform.machine()})"
