"""From a training state to a checkpoint file."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict
from pathlib import Path

from fmri_audio.checkpoints import DEMO_LICENCE, save
from fmri_audio.codec_training.trainer import Trainer


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


def hardware(device: str) -> str:
    """What the run used, in words."""
    if device == "cuda":
        import torch

        return torch.cuda.get_device_name()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{cores} CPU core{'s' if cores != 1 else ''} ({platform.machine()})"
