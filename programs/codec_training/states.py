"""What every training keeps to go on exactly where it was: one file, whole or not there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from fmri_audio.base.errors import UserError
from fmri_audio.base.files import replacing
from fmri_audio.base.stored import is_sound_archive

NAME = "state.pt"
"""Of the file in a run's folder."""


def write_state(folder: Path, state: Mapping[str, Any]) -> None:
    """Write everything that a resumed run needs, atomically."""
    with replacing(folder / NAME) as temporary:
        torch.save(dict(state), temporary)


def read_state(folder: Path, device: torch.device | str) -> dict[str, Any] | None:
    """Read what a run in the folder left; None where there is none.

    Raises
    ------
    UserError
        If it is damaged.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    if not is_sound_archive(path):
        raise UserError(f"{path}: damaged; remove it to begin the training anew")
    state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    return state
