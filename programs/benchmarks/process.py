"""What a piece of work takes: seconds, processor seconds and memory, in this process or in one of its own."""

from __future__ import annotations

import ctypes
import json
import re
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import torch

from fmri_audio.base.errors import UserError

_LOOK_EVERY_SECONDS = 0.02


def in_its_own_process(module: str, *words: str) -> dict[str, float]:
    """Run a contender as a program, so that its peak of memory is its own.

    Parameters
    ----------
    module : str
        A command of :mod:`programs`; it ends by printing :func:`report`'s line.
    *words : str
        Its arguments; the first one names the contender.

    Returns
    -------
    dict
        What it reported.

    Raises
    ------
    UserError
        It failed.
    """
    command = [sys.executable, "-W", "ignore", "-m", "programs", module, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise UserError(
            f"{module}: {words[0]} failed ({last.removeprefix('error: ')}); is there memory enough?"
        )
    return {key: float(value) for key, value in json.loads(done.stdout.splitlines()[-1]).items()}


def report(found: Mapping[str, float]) -> None:
    """Print what a contender took, as the one line that :func:`in_its_own_process` reads."""
    print(json.dumps(dict(found)))


def synchronise() -> None:
    """Wait for the GPU, where there is one, so that its work counts to those who asked for it."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


@contextmanager
def taken() -> Iterator[dict[str, float]]:
    """Give a dictionary that ends up holding what the block took.

    ``seconds``, ``processor_seconds`` (of all threads together, which other work on the machine hardly lengthens),
    ``peak_megabytes`` (above what this process had before) and ``process_megabytes`` (of the whole process).
    """
    found: dict[str, float] = {}
    _let_go()
    before = resident()
    _forget_maximum()
    begin, computed = time.perf_counter(), time.process_time()
    yield found
    synchronise()
    found["seconds"] = time.perf_counter() - begin
    found["processor_seconds"] = time.process_time() - computed
    found["peak_megabytes"], found["process_megabytes"] = maximum() - before, maximum()


@contextmanager
def peak() -> Iterator[list[float]]:
    """Give a list that ends up holding the memory above the present, in megabytes, at its highest.

    For work that shares its process with other work: memory is looked at every 20 ms. On a GPU it is the GPU's.
    """
    megabytes = [0.0]
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        present = torch.cuda.memory_allocated()
        yield megabytes
        megabytes.append((torch.cuda.max_memory_allocated() - present) / 1e6)
        return
    _let_go()
    done, before = threading.Event(), resident()

    def watch() -> None:
        while not done.wait(_LOOK_EVERY_SECONDS):
            megabytes[0] = max(megabytes[0], resident() - before)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield megabytes
    finally:
        done.set()
        watcher.join()


def resident() -> float:
    """Memory that this process has now, in megabytes."""
    return float(psutil.Process().memory_info().rss) / 1e6


def maximum() -> float:
    """Memory that this process had at most, in megabytes: since it started, or since :func:`taken` began (Linux).

    On Linux it is not taken from ``getrusage``, which starts from what the parent process had.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        most = re.search(r"VmHWM:\s*(\d+) kB", status.read_text(encoding="utf-8"))
        if most is not None:
            return int(most[1]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def _forget_maximum() -> None:
    """Have the maximum count from now on, where the system can (Linux)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _let_go() -> None:
    """Give back memory that earlier work freed but the C library kept, which would hide what this work needs."""
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
