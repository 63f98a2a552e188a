"""Reading what ``fmri-audio codec encode`` wrote, or what somebody else gave that name.

A NumPy archive is a zip of arrays, each with a header that says how large it is and of what kind. All of it is
checked before anything is unpacked, so that no file can ask for more memory than its codes need.
"""

from __future__ import annotations

import math
import struct
import tokenize
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from fmri_audio.base.errors import UserError
from fmri_audio.base.files import refuse_unfetched

KEYS = (
    "codes",
    "bandwidth_kbps",
    "checkpoint",
    "checkpoint_spec",
    "checkpoint_sha256",
    "sample_rate",
    "n_samples",
)
"""What a file of codes holds: codes [K, T], and the codec by its id, how to find it again, and its hash."""

SEGMENT_KEYS = ("segment_frames", "scales")
"""What it holds besides if the codec works in segments (48 kHz): frames of each, which add up to T, and levels."""

_GIVE = "give a file written by fmri-audio codec encode"

_LONGEST_TEXT = 1 << 16
"""Bytes of a text: names and paths are shorter."""

MOST_BYTES = 1 << 29
"""Bytes that an array may unpack to: codes of more than a day."""


@dataclass(frozen=True)
class _Kind:
    """What an array may be: NumPy's letters of its kinds, what they are called, and the number of its dimensions."""

    letters: str
    called: str
    dimensions: int | None


_NUMBER = _Kind("iuf", "a number", 0)
_WHOLE = _Kind("iu", "a whole number", 0)
_TEXT = _Kind("U", "a text", 0)
_KINDS = {
    "codes": _Kind("iu", "whole numbers", 2),
    "bandwidth_kbps": _NUMBER,
    "checkpoint": _TEXT,
    "checkpoint_spec": _TEXT,
    "checkpoint_sha256": _TEXT,
    "sample_rate": _WHOLE,
    "n_samples": _WHOLE,
    "segment_frames": _Kind("iu", "whole numbers", 1),
    "scales": _Kind("f", "numbers", 1),
}


def read_codes(path: Path) -> dict[str, NDArray[Any]]:
    """Read a file of codes.

    Returns
    -------
    dict
        An array under each of :data:`KEYS`, and under those of :data:`SEGMENT_KEYS` that are there.

    Raises
    ------
    UserError
        The file is missing or not fetched, damaged, encrypted, or holds arrays that no codes are.
    """
    refuse_unfetched(path)
    if not path.is_file():
        raise UserError(f"{path} does not exist: give codes written by fmri-audio codec encode")
    try:
        with zipfile.ZipFile(path) as archive:
            held = {part.filename: part for part in archive.infolist()}
            if len(held) < len(archive.infolist()):
                raise UserError(f"{path} holds an array twice: encode the sound again")
            wanted = [*KEYS, *(key for key in SEGMENT_KEYS if f"{key}.npy" in held)]
            missing = [key for key in wanted if f"{key}.npy" not in held]
            if missing:
                raise UserError(f"{path} holds no codes ({missing[0]} is missing): {_GIVE}")
            return {key: _array(path, archive, held[f"{key}.npy"], key) for key in wanted}
    except PermissionError:
        raise UserError(f"{path} cannot be read: you may not open it") from None
    # Encrypted parts are a RuntimeError, unknown compression a NotImplementedError, which is one; NumPy reads headers
    # as Python's own words, which may end too early.
    except (
        OSError,
        ValueError,
        EOFError,
        RuntimeError,
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
        tokenize.TokenError,
    ):
        raise UserError(f"{path} holds no codes, or is damaged: {_GIVE}") from None


def _array(path: Path, archive: zipfile.ZipFile, part: zipfile.ZipInfo, key: str) -> NDArray[Any]:
    """Return one array of an archive once its header has been found to be right."""
    kind = _KINDS[key]
    with archive.open(part) as stream:
        shape, by_columns, dtype = _header(stream)
        if key == "codes" and (len(shape) != kind.dimensions or 0 in shape):
            raise UserError(f"{path}: codes should be of shape [K, T], not {list(shape)[:8]}")
        if dtype.kind not in kind.letters or len(shape) != kind.dimensions:
            raise UserError(
                f"{path}: {key} should be {kind.called}, not an array {list(shape)[:8]} of {dtype}"
            )
        size = math.prod(shape) * dtype.itemsize
        if size > (_LONGEST_TEXT if kind is _TEXT else MOST_BYTES):
            raise UserError(f"{path}: {key} would take {size / 1e6:,.1f} MB: {_GIVE}")
        if size + stream.tell() != part.file_size:
            raise UserError(f"{path}: {key} is not as long as its header says: {_GIVE}")
        content = stream.read(size + 1)  # one more, so that the end is seen and the checksum compared
    if len(content) != size:
        raise UserError(f"{path}: {key} is cut off: {_GIVE}")
    return np.frombuffer(content, dtype).reshape(shape, order="F" if by_columns else "C")


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, whether columns come first, and type of an array; nothing of it is read."""
    version = np.lib.format.read_magic(stream)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"arrays of version {version} are not read")
    shape, by_columns, dtype = readers[version](stream)
    if any(n < 0 for n in shape):
        raise ValueError("an array of negative size")
    return shape, by_columns, dtype
