"""``python -m programs data STUDY`` fetches an open data set file by file, and checks each against its hash.

What is there already and right is left alone; what broke off goes on where it stopped. A file appears under its own
name only when its hash is right.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from fmri_audio.base.errors import UserError
from fmri_audio.base.files import check_writable, sha256_of
from fmri_audio.base.settings import project_root

ADDRESS = "https://raw.githubusercontent.com/"
PART = ".part"
_CHUNK = 1 << 18
_TIMEOUT = 30


@dataclass(frozen=True)
class Listed:
    """A file of a data set: where it goes, where it comes from, how long it is, and its hash."""

    path: str
    repository: str
    commit: str
    n_bytes: int
    sha256: str

    def url(self, address: str) -> str:
        """Where it is fetched from."""
        return f"{address.rstrip('/')}/{self.repository}/{self.commit}/{self.path}"


def studies() -> dict[str, Path]:
    """Lists of files by the name of the data set."""
    return {path.stem: path for path in sorted(Path(__file__).parent.glob("*.tsv"))}


def listed(path: Path) -> list[Listed]:
    """Read a list of files."""
    with path.open(newline="", encoding="utf-8") as stream:
        return [
            Listed(row["path"], row["repository"], row["commit"], int(row["bytes"]), row["sha256"])
            for row in csv.DictReader(stream, delimiter="\t")
        ]


def fetch(files: Sequence[Listed], folder: Path, address: str = ADDRESS) -> int:
    """Fetch what is missing of a data set; return how many files were.

    Raises
    ------
    UserError
        A file cannot be reached, breaks off, or is not what was listed. What is whole stays.
    """
    wanted = [one for one in files if not _is_right(folder / one.path, one)]
    total, done = sum(one.n_bytes for one in wanted), 0
    for number, one in enumerate(wanted, start=1):
        target = folder / one.path
        _fetch(one, target, address, f"{number} of {len(wanted)}", done, total)
        done += one.n_bytes
    if wanted:
        print(file=sys.stderr)
    return len(wanted)


def _is_right(path: Path, one: Listed) -> bool:
    return path.is_file() and path.stat().st_size == one.n_bytes and sha256_of(path) == one.sha256


def _fetch(one: Listed, target: Path, address: str, place: str, before: int, total: int) -> None:
    """Fetch one file beside its place, from where it broke off, and put it there when its hash is right."""
    url, part = one.url(address), target.with_name(target.name + PART)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        have = part.stat().st_size if part.is_file() else 0
        if have > one.n_bytes:
            part.unlink()
            have = 0
        if have < one.n_bytes:
            _stream(url, part, have, lambda n: _progress(place, target.name, before + n, total))
        found = sha256_of(part)
        if part.stat().st_size < one.n_bytes:
            raise UserError(
                f"{url}: broke off after {part.stat().st_size:,} of {one.n_bytes:,} bytes; the same command goes on"
            )
        if found != one.sha256:
            part.unlink()
            raise UserError(f"{url}: is not the file that is listed (SHA-256 {found[:8]}…); try again later")
        os.replace(part, target)
    except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", None) or error or type(error).__name__
        raise UserError(f"{url}: cannot be reached ({reason}); the same command goes on from here") from error
    except OSError as error:
        raise UserError(
            f"{target}: cannot be written ({error.strerror or error}); choose another DATA"
        ) from error


def _stream(url: str, part: Path, have: int, said: Callable[[int], None]) -> None:
    """Append what is missing of a file; a server that does not know ranges sends it whole."""
    asked = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(asked, timeout=_TIMEOUT) as reply:
        goes_on = have > 0 and reply.status == 206
        done = have if goes_on else 0
        with part.open("ab" if goes_on else "wb") as stream:
            while block := reply.read(_CHUNK):
                stream.write(block)
                done += len(block)
                said(done)


def _progress(place: str, name: str, done: int, total: int) -> None:
    print(f"\r{place}: {name}, {done / 1e6:.1f} of {total / 1e6:.1f} MB", end="", file=sys.stderr, flush=True)


def main(words: Sequence[str]) -> None:
    """Fetch the data set that is named."""
    known = studies()
    parser = argparse.ArgumentParser(
        prog="python -m programs data",
        description="Fetch an open data set and check every file against its hash.",
    )
    parser.add_argument("study", choices=sorted(known))
    parser.add_argument("--out", type=Path, help="folder for it (default: data/STUDY)")
    parser.add_argument("--address", default=ADDRESS, help=argparse.SUPPRESS)
    options = parser.parse_args(list(words))
    folder = options.out or project_root() / "data" / options.study
    files = listed(known[options.study])
    check_writable(folder / files[0].path)
    n = fetch(files, folder, options.address)
    print(
        f"{folder}: {len(files)} files, {n} of them fetched now; fmri-audio data check {folder} looks at them"
    )
