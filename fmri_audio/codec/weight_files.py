"""Files of trained weights: half precision in safetensors, with configuration, account of the training and hash."""

from __future__ import annotations

import hashlib
import json
import reprlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialise

from fmri_audio.base.errors import UserError
from fmri_audio.base.files import replacing

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class WeightFile:
    """What a file holds: ``config`` of the network, ``summary`` of its training, ``tensors`` in half precision."""

    config: dict[str, Any]
    summary: dict[str, Any]
    tensors: dict[str, torch.Tensor]


def shown(value: object) -> str:
    """Return a value as it may stand in a sentence, however long it is."""
    return reprlib.repr(value)


def write(path: Path, kind: str, held: WeightFile) -> Path:
    """Write a file, whole or not at all; the same content gives the same bytes.

    Parameters
    ----------
    path : Path
        Its folder is created.
    kind : str
        Format that :func:`read` asks for.
    held : WeightFile
        Tensors of any precision.

    Raises
    ------
    ValueError
        A value is too large for half precision.
    """
    tensors = {
        name: value.detach().to("cpu", torch.float16).contiguous() for name, value in held.tensors.items()
    }
    for name, value in held.tensors.items():
        if (value.isfinite().cpu() & ~tensors[name].isfinite()).any():
            raise ValueError(f"{name} holds a value that half precision cannot")
    metadata = {
        "format": kind,
        "config": json.dumps(held.config, sort_keys=True),
        "summary": json.dumps(held.summary, sort_keys=True),
        "tensors_sha256": tensors_sha256(tensors),
    }
    with replacing(path) as temporary:
        temporary.write_bytes(_with_sorted_metadata(serialise(tensors, metadata)))
    return path


def read(path: Path, kind: str, noun: str, check: Callable[[dict[str, Any], Shapes], None]) -> WeightFile:
    """Read a file; what it declares is checked before a weight is read.

    Parameters
    ----------
    path : Path
    kind : str
        Format that it should have.
    noun : str
        What a file of that format is called in sentences.
    check : callable
        Takes the configuration and the shapes that are declared; raises a UserError.

    Raises
    ------
    UserError
        If the file is no such file, truncated, altered, or declares what ``check`` refuses.
    """
    try:
        with safe_open(str(path), framework="pt") as stream:
            metadata = stream.metadata() or {}
            if metadata.get("format") != kind:
                raise UserError(
                    f"{path}: not a {noun} of this package (format {shown(metadata.get('format'))})"
                )
            config, summary = (_entries(path, metadata, name) for name in ("config", "summary"))
            names = list(stream.keys())
            slices = {name: stream.get_slice(name) for name in names}
            for name, part in slices.items():
                if part.get_dtype() != "F16":
                    raise UserError(
                        f"{path}: {shown(name)} should be of half precision, not {part.get_dtype()}"
                    )
            check(config, {name: tuple(part.get_shape()) for name, part in slices.items()})
            tensors = {name: stream.get_tensor(name) for name in names}
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"{path}: the {noun} is truncated or not a safetensors file ({error}); restore it or train it again"
        ) from error
    if metadata.get("tensors_sha256") != tensors_sha256(tensors):
        raise UserError(f"{path}: the weights do not match the hash stored with them; restore the file")
    return WeightFile(config, summary, tensors)


def tensors_sha256(tensors: dict[str, torch.Tensor]) -> str:
    """Return the hash of names, shapes and values."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(f"{name}{tuple(tensors[name].shape)}".encode())
        digest.update(tensors[name].numpy().tobytes())
    return digest.hexdigest()


def _with_sorted_metadata(content: bytes) -> bytes:
    """The same safetensors file; the library leaves the order to chance, and the hash of the file names the weights."""
    begin = 8 + int.from_bytes(
        content[:8], "little"
    )  # of the tensors: a length and that much JSON come first
    header = json.loads(content[8:begin])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[begin:]


def _entries(path: Path, metadata: dict[str, str], name: str) -> dict[str, Any]:
    """Return an entry of the metadata, which is JSON itself."""
    try:
        found = json.loads(metadata[name])
    except (KeyError, ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise UserError(
            f"{path}: its metadata hold no {name} that can be read; restore the file or train it again"
        )
    return found
