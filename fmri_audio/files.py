"""Files: written whole or not at all, and known by their hashes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fmri_audio.errors import UserError

_POINTER_BYTES = 512
"""A pointer's first line is shorter than this."""


@contextlib.contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Give a temporary path beside ``path`` and move it there when the block ends well.

    The temporary name keeps the suffix, because writers of sound and arrays choose the format by it.

    Raises
    ------
    UserError
        The folder cannot be made or written to, or ``path`` is a folder.
    """
    path = Path(path)
    if path.is_dir():
        raise UserError(f"{path} is a folder: give the name of a file to write")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror}): choose a folder you may write to"
        ) from None
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror})") from None
    finally:
        temporary.unlink(missing_ok=True)


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


def package_digest(*names: str) -> str:
    """Hash source files of the package, so that results of older code are not taken for the present one's.

    A name may be a pattern (``brain/*.py``); one that matches no file is an error.
    """
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for name in names:
        found = sorted(here.glob(name))
        if not found:
            raise FileNotFoundError(f"{here / name} does not exist")
        for path in found:
            digest.update(path.read_bytes())
    return digest.hexdigest()


def to_json(facts: dict[str, Any]) -> str:
    """Return facts as JSON for people to read."""
    return json.dumps(facts, indent=1, ensure_ascii=False) + "\n"
