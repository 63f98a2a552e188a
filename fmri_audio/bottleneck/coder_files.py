"""Files of trained coders: eight bits a weight, with the codec that each was trained with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from fmri_audio.base.errors import UserError
from fmri_audio.base.files import refuse_unfetched, sha256_of
from fmri_audio.base.settings import project_root
from fmri_audio.bottleneck.coders import CODERS, Coder
from fmri_audio.bottleneck.nested import NestedCode, Size
from fmri_audio.codec.eight_bits import pack, unpack
from fmri_audio.codec.weight_files import Shapes, WeightFile, read, shown, write

if TYPE_CHECKING:
    from fmri_audio.codec.checkpoints import Checkpoint

FORMAT = "fmri-audio coder 1"

_LARGEST = 4096
"""Of anything in a network's size."""


@dataclass(frozen=True)
class LoadedCoder:
    """A trained coder that is ready to use, and where it came from.

    Attributes
    ----------
    id : str
        Name for tables: ``mel-1a2b3c4d``.
    coder : Coder
        In evaluation mode, gradients off.
    source, sha256, licence, description : str
    summary : mapping
        The whole account of its training.
    """

    id: str
    coder: Coder
    source: str
    sha256: str
    licence: str
    description: str
    summary: Mapping[str, Any]


def coder_file(name: str) -> Path:
    """Return where the trained weights of a coder lie, if they do."""
    return project_root() / "checkpoints" / "bottleneck" / f"{name}.safetensors"


def save(coder: Coder, path: Path, summary: Mapping[str, Any]) -> Path:
    """Write a coder.

    Parameters
    ----------
    coder : Coder
    path : Path
        Its folder is created.
    summary : mapping
        JSON-able account of the training; ``description`` and ``licence`` are read again.
    """
    config = {"coder": coder.name, "checkpoint": coder.checkpoint, "size": asdict(coder.code.size)}
    return write(path, FORMAT, WeightFile(config, dict(summary), pack(coder.trained_state())))


def load(name: str, checkpoint: Checkpoint, path: Path | None = None) -> LoadedCoder:
    """Read what :func:`save` wrote, verified.

    Parameters
    ----------
    name : str
        Of the coder.
    checkpoint : Checkpoint
        The codec that it is to work with.
    path : Path, optional
        :func:`coder_file` unless given.

    Raises
    ------
    UserError
        If there is no such coder, or the file is missing, damaged, of another coder or for another codec.
    """
    if name not in CODERS:
        raise UserError(f"there is no arm {name!r}: {', '.join(CODERS)}")
    path = path or coder_file(name)
    refuse_unfetched(path)
    if not path.is_file():
        raise UserError(f"{path} does not exist: restore it with git, or train it with `make bottleneck`")
    coder = CODERS[name].build(checkpoint)
    held = read(path, FORMAT, "coder", partial(_check, path, coder))
    weights = unpack(held.tensors, coder.trained_state())
    for key, value in weights.items():
        if not torch.isfinite(value).all():
            raise UserError(f"{path}: {shown(key)} holds NaN or infinite weights; restore the file")
    coder.load_state_dict(weights, strict=False)
    sha256 = sha256_of(path)
    return LoadedCoder(
        id=f"{name}-{sha256[:8]}",
        coder=coder.eval().requires_grad_(False),
        source=str(path),
        sha256=sha256,
        licence=str(held.summary.get("licence", "not stated in the file")),
        description=str(held.summary.get("description", "trained with this package")),
        summary=held.summary,
    )


def _check(path: Path, coder: Coder, config: dict[str, Any], declared: Shapes) -> None:
    """Give a coder the network that a file declares; raise a UserError unless it is a network for it and its codec."""
    if config.get("coder") != coder.name:
        raise UserError(f"{path}: holds the arm {shown(config.get('coder'))}, not {coder.name}")
    if config.get("checkpoint") != coder.checkpoint:
        raise UserError(
            f"{path}: trained with the codec {shown(config.get('checkpoint'))}, not with {coder.checkpoint}: "
            "train it anew with `make bottleneck CODEC=…`"
        )
    size, own = config.get("size"), asdict(coder.code.size)
    if (
        not isinstance(size, dict)
        or size.keys() != own.keys()
        or not all(isinstance(n, int) and 0 <= n <= _LARGEST for n in size.values())
    ):
        raise UserError(f"{path}: describes no network ({shown(size)}); restore the file")
    if (size["channels"], size["frames"]) != (own["channels"], own["frames"]):
        raise UserError(f"{path}: written for other features than {coder.name} has; restore the file")
    if size != own:
        try:
            coder.code = NestedCode(Size(**size))
        except ValueError as error:
            raise UserError(f"{path}: describes no network: {error}") from None
    if declared != {name: tuple(value.shape) for name, value in pack(coder.trained_state()).items()}:
        raise UserError(f"{path}: its weights do not fit the network that it describes; restore the file")
