"""What every command does alike: an error is one sentence and a status, whatever it was that failed."""

from __future__ import annotations

import argparse
import contextlib
import errno
import functools
import io
import os
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec, TextIO, cast

from fmri_audio.base.errors import UserError
from fmri_audio.base.files import LIBRARIES

Arguments = ParamSpec("Arguments")

INTERRUPTED, BROKEN_PIPE = 130, 141
"""Exit statuses that a shell gives for a stop from the keyboard, and for a reader that went away."""

_NO_MEMORY = re.compile(
    r"(can't|cannot|unable to) allocate|out of memory|bad_alloc|failed to map segment|can't start new thread|"
    r"excessive memory usage",
    re.IGNORECASE,
)
"""What libraries say in errors that are no MemoryError."""


def command(name: str = "error") -> Callable[[Callable[Arguments, int | None]], Callable[Arguments, int]]:
    """Make a ``main`` that returns its exit status, and never ends in a traceback that a user could cause.

    A :class:`UserError`, a full disk, a full or closed standard output and too little memory become one line on
    standard error and status 1. A reader that went away (``| head``) is no error of anybody's: nothing is said, and
    the status is 141. A stop from the keyboard is 130.

    Parameters
    ----------
    name : str
        What the line begins with.
    """

    def decorate(main: Callable[Arguments, int | None]) -> Callable[Arguments, int]:
        @functools.wraps(main)
        def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> int:
            _open_streams()
            output = _Watched(sys.stdout)
            try:
                with contextlib.redirect_stdout(cast(TextIO, output)):
                    try:
                        status = main(*args, **kwargs) or 0
                    finally:
                        output.flush_quietly()  # argparse ends the process after its help
                    return status if output.error is None else _end(name, output.error, output)
            except KeyboardInterrupt:
                return INTERRUPTED
            except SystemExit:
                if output.error is None:
                    raise
                return _end(name, output.error, output)
            except Exception as error:
                return _end(name, error, output)

        return run

    return decorate


class _Watched:
    """Standard output that remembers how it failed, because whoever prints may hide it."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.error: OSError | None = None

    def write(self, text: str) -> int:
        with self._noting():
            return self.stream.write(text)

    def flush(self) -> None:
        with self._noting():
            self.stream.flush()

    def flush_quietly(self) -> None:
        with contextlib.suppress(OSError):
            self.flush()
        if self.error is not None:
            _discard(self.stream)

    @contextlib.contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.error = self.error or error
            raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def whole(least: int, most: int) -> Callable[[str], int]:
    """Return a type for argparse: a whole number within bounds, both included."""

    def read(text: str) -> int:
        # int() would read a million digits, and "1_0".
        if not re.fullmatch(r"-?\d{1,18}", text.strip()) or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text[:40]!r} should be a whole number from {least} to {most}")
        return int(text)

    return read


seed = whole(0, 2**31 - 1)
"""Type for argparse: where random numbers start."""

processes = whole(1, 256)
"""Type for argparse: how many at a time."""

repetitions = whole(1, 1_000_000)
"""Type for argparse: how often."""


def _end(name: str, error: Exception, output: _Watched) -> int:
    """Say what went wrong and return the status; an error that is the program's own is raised again."""
    if isinstance(error, UserError):
        sentence = str(error)
    elif isinstance(output.error, BrokenPipeError):
        return BROKEN_PIPE
    elif output.error is not None:
        sentence = f"standard output cannot be written ({output.error.strerror}): give it a file or a program to go to"
    elif _is_memory(error):
        sentence = "there is not enough memory: close other programs, or ask for less at a time"
    elif type(error).__module__.partition(".")[0] in LIBRARIES:
        sentence = f"a file cannot be written or read ({error})"
    elif isinstance(error, OSError):
        sentence = f"{_file_of(error)} cannot be written or read ({error.strerror or error})"
    else:
        raise error
    with contextlib.suppress(OSError, ValueError):
        print(f"{name}: {' '.join(sentence.split())}", file=sys.stderr, flush=True)
    return 1


def _is_memory(error: Exception) -> bool:
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    return isinstance(error, RuntimeError | ImportError) and _NO_MEMORY.search(str(error)) is not None


def _file_of(error: OSError) -> str:
    return os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else "a file"


def _open_streams() -> None:
    """Put something in the place of streams that were closed (``>&-``), and print any name of a file.

    Without it the next file opened would take the number 1, and be written into by whoever prints.
    """
    if sys.stdin is None:
        sys.stdin = _stand_in(os.O_RDONLY, "r")
    if sys.stdout is None:
        sys.stdout = _stand_in(os.O_RDONLY, "w")  # what is printed fails, and that is said
    if sys.stderr is None:
        sys.stderr = _stand_in(os.O_WRONLY, "w")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _stand_in(flags: int, mode: str) -> TextIO:
    return cast(TextIO, open(os.open(os.devnull, flags), mode, encoding="utf-8"))


def _discard(stream: TextIO) -> None:
    """Let what is left in a stream's buffer go nowhere, or the interpreter would fail on it as it ends."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
