"""Files: written whole or not at all, and known by their hashes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fmri_audio.base.errors import UserError

_POINTER_BYTES = 512
"""A pointer's first line is shorter than this."""

_PROBE_BYTES = 1 << 16
"""Written to find out whether there is room."""

_STREAMS = (Path("/dev"), Path("/dev/fd"), Path("/proc/self/fd"))
"""Where the system keeps open streams, which may be files of other names."""

LIBRARIES = ("soundfile", "safetensors", "safetensors_rust", "zipfile", "sqlite3", "nibabel", "av", "zlib")
"""Libraries whose own errors, not the system's, tell that a file could not be written."""

_TORCH_WRITER = re.compile(r"inline_container|PytorchStreamWriter|file write failed")
"""What torch says then, in an error that has no type of its own."""


@contextlib.contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Give a temporary path beside ``path`` and move it there when the block ends well.

    The temporary name keeps the suffix, because writers of sound and arrays choose the format by it. A device or a
    pipe (``/dev/stdout``) is written to and never replaced.

    Raises
    ------
    UserError
        The folder cannot be made or written to, ``path`` is a folder, or what a library wrote did not arrive whole.
    """
    path = Path(path)
    if path.is_dir():
        raise UserError(f"{path} is a folder: give the name of a file to write")
    through = _is_device(path)
    folder = Path(tempfile.gettempdir()) if through else path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem[:64]}-", suffix=path.suffix, dir=folder)
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror}): choose a folder you may write to"
        ) from None
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        if through:
            with open(temporary, "rb") as source, open(path, "wb") as target:
                shutil.copyfileobj(source, target)
        else:
            temporary.chmod(0o644)
            os.replace(temporary, path)
    except Exception as error:
        reason = _why_not_written(error, temporary)
        if reason is None:
            raise
        raise UserError(f"{path} cannot be written ({reason})") from None
    finally:
        temporary.unlink(missing_ok=True)


def check_writable(path: Path | str) -> None:
    """Raise a UserError if a file could not be written now; for what is to be written after long work.

    Nothing is left behind, and a file that is there already stays as it is.

    Raises
    ------
    UserError
        ``path`` is a folder, its folder may not be written to or cannot be made, or the disk is full.
    """
    path = Path(path)
    if path.is_dir():
        raise UserError(f"{path} is a folder: give the name of a file to write")
    if _is_device(path):
        return
    try:
        # A folder that is not there yet is made in the nearest one that is.
        folder = next(folder for folder in path.absolute().parents if os.path.lexists(folder))
        with tempfile.NamedTemporaryFile(
            prefix=f".{path.stem[:64]}-", suffix=path.suffix, dir=folder
        ) as probe:
            probe.write(bytes(_PROBE_BYTES))
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({_reason(error)}): choose a folder with room that you may write to"
        ) from None


def _is_device(path: Path) -> bool:
    """Whether a path leads to a device, a pipe or an open stream, which must not be replaced by a file."""
    return path.parent in _STREAMS or (path.exists() and not path.is_file() and not path.is_dir())


def _why_not_written(error: Exception, temporary: Path) -> str | None:
    """Say why a block that writes ended early, or None where writing was not the cause.

    Libraries have errors of their own for a disk that is full, some without a word about the disk; so the disk is
    asked again, by writing a little more.
    """
    if isinstance(error, OSError):
        if error.strerror:
            return error.strerror
    elif type(error).__module__.partition(".")[0] not in LIBRARIES and not (
        isinstance(error, RuntimeError) and _TORCH_WRITER.search(str(error))
    ):
        return None
    try:
        with open(temporary, "ab") as probe:
            probe.write(bytes(_PROBE_BYTES))
    except OSError as found:
        return _reason(found)
    return _reason(error)


def _reason(error: Exception) -> str:
    """Return what went wrong, in the system's words where it has some."""
    return getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__


def refuse_unfetched(path: Path | str) -> None:
    """Raise a UserError if a file is only a pointer to content that was not fetched.

    DataLad and git-annex leave a link into ``.git/annex/objects`` that leads nowhere, or a small text that names such
    a place; Git LFS leaves a small text too.

    Raises
    ------
    UserError
        The content is elsewhere; the sentence names the command that fetches it.
    """
    path = Path(path)
    annexed = f"{path}: its content has not been fetched (git-annex, DataLad); run datalad get {path.name} beside it"
    if path.is_symlink() and not path.exists():
        if "annex/objects" in os.readlink(path).replace("\\", "/"):
            raise UserError(annexed)
        return
    if not path.is_file():
        return  # opening a named pipe would wait for ever
    try:
        with open(path, "rb") as stream:
            begins = stream.read(_POINTER_BYTES)
    except OSError:
        return  # whoever reads it says what is wrong
    if re.match(rb"[!-~]*annex/objects/[!-~]+\s*$", begins.partition(b"\n")[0]):
        raise UserError(annexed)
    if begins.startswith(b"version https://git-lfs.github.com/spec/"):
        raise UserError(f"{path}: its content has not been fetched (Git LFS); run git lfs pull beside it")


def write_text(path: Path | str, text: str) -> None:
    """Write a text file whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_if_changed(path: Path | str, text: str) -> bool:
    """Write a text file only if its content would change; return whether it was written."""
    path = Path(path)
    if path.is_file() and path.read_bytes() == text.encode():
        return False
    write_text(path, text)
    return True


def sha256_of(path: Path | str) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def to_json(facts: dict[str, Any]) -> str:
    """Return facts as JSON for people to read."""
    return json.dumps(facts, indent=1, ensure_ascii=False) + "\n"
