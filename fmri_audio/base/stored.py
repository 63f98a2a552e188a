"""What is kept between runs, with its hash: whatever does not match it counts as absent and is made again.

Beside one or several files lies a *seal*, a small text of their SHA-256 that ``sha256sum --check`` can read. It is
written last, so that files cut short by a crash, by a full disk or by a bad one are never taken for results.
"""

from __future__ import annotations

import contextlib
import fcntl
import lzma
import sys
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmri_audio.base.errors import UserError
from fmri_audio.base.files import replacing, sha256_of, write_text

SEAL = ".sha256"
"""Suffix of a seal."""

_checked: set[tuple[object, ...]] = set()
"""Sealed files that this process has already read through, by place, size and times."""


def seal_of(path: Path) -> Path:
    """Where the seal of one file, or of one folder, lies: beside it."""
    return path.with_name(path.name + SEAL)


def write_seal(seal: Path, files: Iterable[Path]) -> None:
    """Hash files that have just been written, and say so in their seal.

    Parameters
    ----------
    seal : Path
        File to write; see :func:`seal_of`.
    files : iterable of Path
        In the seal's folder or below it.
    """
    write_text(seal, _text(seal, files))


def matches(seal: Path, files: Iterable[Path]) -> bool:
    """Whether files are those that were sealed, and hold what they held then.

    What has been found whole is not read again by the same process unless its size or times change.

    Parameters
    ----------
    seal : Path
    files : iterable of Path
        All that the seal should name, and no other.
    """
    listed = sorted(files)
    try:
        state = tuple(_state(path) for path in (seal, *listed))
        if state not in _checked:
            if not listed or seal.read_bytes() != _text(seal, listed).encode():
                return False
            _checked.add(state)
    except OSError:
        return False
    return True


def is_whole(seal: Path, files: Iterable[Path]) -> bool:
    """As :func:`matches`; says on standard error that files which are there but do not match are made again."""
    listed = list(files)
    whole = matches(seal, listed)
    if not whole and any(path.exists() for path in listed):
        print(
            f"{seal.with_suffix('')}: not what was stored there, or stored without its hash; it is made again",
            file=sys.stderr,
            flush=True,
        )
    return whole


def save_array(path: Path, array: NDArray[Any]) -> None:
    """Store an array as ``.npy`` with its seal."""
    with replacing(path) as temporary:
        np.save(temporary, array)
    write_seal(seal_of(path), [path])


def load_array(path: Path, *, mapped: bool = False) -> NDArray[Any] | None:
    """Return an array stored by :func:`save_array`; None if it is absent or is not what was stored.

    Parameters
    ----------
    path : Path
    mapped : bool
        Map it into memory, to be read only, instead of reading it.
    """
    if not is_whole(seal_of(path), [path]):
        return None
    array: NDArray[Any] = np.load(path, mmap_mode="r" if mapped else None)
    return array


def is_sound_archive(path: Path) -> bool:
    """Whether what torch has saved is whole: it is a zip archive with a checksum for each of its parts."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    # A flipped bit can make a part encrypted, which is a RuntimeError, or packed in any way.
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, RuntimeError, zlib.error, lzma.LZMAError):
        return False


@contextlib.contextmanager
def one_at_a_time(lock: Path) -> Iterator[None]:
    """Wait until no other process is within a block of the same lock; the system lets go of it if its process dies.

    Raises
    ------
    UserError
        The lock cannot be made.
    """
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        stream = open(lock, "w")  # noqa: SIM115
    except OSError as error:
        raise UserError(
            f"{lock} cannot be written ({error.strerror}): choose a folder you may write to"
        ) from None
    with stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _text(seal: Path, files: Iterable[Path]) -> str:
    """What a seal says: a line for every file, as ``sha256sum`` writes it."""
    return "".join(
        f"{sha256_of(path)}  {path.relative_to(seal.parent).as_posix()}\n" for path in sorted(files)
    )


def _state(path: Path) -> tuple[object, ...]:
    found = path.stat()
    return str(path.absolute()), found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
