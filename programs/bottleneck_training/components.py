"""Principal components in place of training: the same features, the same way back to sound, nothing learned."""

from __future__ import annotations

from pathlib import Path

import torch

from fmri_audio.base.errors import UserError
from fmri_audio.bottleneck.clock import STEP
from fmri_audio.bottleneck.coders import CODERS, Coder
from fmri_audio.bottleneck.nested import NestedCode, Size
from fmri_audio.codec.checkpoints import Checkpoint
from fmri_audio.sound.audio import SAMPLE_RATE
from programs.bottleneck_training.trainer import Recipe, Trainer, to_learn, whole_steps

BLOCK = 2 * STEP
"""Seconds of a block, whatever the step of the arm is."""

NUMBERS = 328
"""Of a block: 2,050 per TR."""


def pca_of(name: str, checkpoint: Checkpoint, waves: torch.Tensor) -> Coder:
    """A coder whose code is the principal components of :data:`BLOCK`, with its own way back to sound."""
    coder = CODERS[name].build(checkpoint)
    size = coder.code.size
    coder.code = NestedCode(
        Size(size.channels, int(size.frames * BLOCK / coder.step), NUMBERS, NUMBERS, 0, 0)
    )
    coder.step = BLOCK  # type: ignore[misc]
    coder.start(waves)
    return coder.eval()


def training_sound(corpus: Path, name: str) -> torch.Tensor:
    """What a coder's training starts from, [B, 1, T] of whole blocks.

    Raises
    ------
    UserError
        The folder holds no corpus.
    """
    if not (corpus / "corpus.json").is_file():
        raise UserError(
            f"{corpus}: holds no corpus, and the untrained start and the PCA of an arm need training sound: "
            "give --corpus"
        )
    recipe = Recipe(name)
    segments, block = to_learn(corpus, recipe), int(BLOCK * SAMPLE_RATE)
    batches = range(Trainer.FIRST, Trainer.FIRST + -(-Trainer.STARTED_FROM // recipe.batch))
    return torch.cat([whole_steps(segments, step, recipe.batch, block) for step in batches])
