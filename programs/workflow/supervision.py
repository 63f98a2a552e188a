"""Whoever dies, the rest goes too: no orphan is left running and no lock has to be removed by hand.

``make`` starts one supervisor, it starts Snakemake, that starts one process per step, and a step may start a
Jupyter kernel. Each of them asks the kernel of the operating system to be killed with its parent (Linux), and
each also polls its parents (everywhere). What slips through both is adopted by the supervisor (Linux), which
ends it. Exclusive use of a build folder is a file lock, which the operating system releases with its holder.

Snakemake leaves jobs running when it is killed itself (its issue 448 is about how it kills them), and its own lock.
``tests/programs/workflow/test_snakemake.py`` tells when that is mended.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import IO

import psutil

from fmri_audio.base.errors import UserError

SUPERVISOR = "FMRI_AUDIO_SUPERVISOR"
JOBS = "FMRI_AUDIO_JOBS"
STOPPED = 130
"""Exit status of what was interrupted."""
RUNTIME = Path("jupyter") / "runtime"
"""Folder, below a build folder, of the files by which kernels are reached."""
TEMPORARY = "tmp"
"""Folder, below a build folder, of Snakemake's temporary files."""
_POLL_SECONDS = 0.5
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_DEBRIS = re.compile(r"\..+-[a-z0-9_]{8}(\.\w+)?")


def _prctl(option: int, value: int) -> None:
    """Call prctl(2) where there is one; polling does the same work, later, where there is none."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def die_with_parent(sent: int = signal.SIGKILL) -> None:
    """Have this process receive a signal when its parent dies (Linux)."""
    _prctl(_PR_SET_PDEATHSIG, sent)


def token() -> str:
    """Identify this process to its descendants: host, process and when it started."""
    process = psutil.Process()
    return f"{socket.gethostname()} {process.pid} {process.create_time()}"


def _alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _supervisor() -> psutil.Process | None:
    """Return the supervisor named in the environment; None if there is none on this machine."""
    host, _, rest = os.environ.get(SUPERVISOR, "").partition(" ")
    if host != socket.gethostname():
        return None  # On a cluster the job's own scheduler watches over it.
    pid, _, started = rest.partition(" ")
    try:
        process = psutil.Process(int(pid))
        if process.create_time() == float(started):
            return process
    except psutil.Error:
        pass
    _end_self()
    return None


def _end_self() -> None:
    """End this process and everything it started, at once."""
    kill_descendants(grace=0)
    os.kill(os.getpid(), signal.SIGKILL)


def kill_descendants(grace: float) -> None:
    """End every descendant of this process; those alive after ``grace`` seconds are killed."""
    deadline = time.monotonic() + grace
    while True:
        children = psutil.Process().children(recursive=True)
        living = [child for child in children if _alive(child)]
        if not living:
            return
        late = time.monotonic() >= deadline
        for child in living:
            with contextlib.suppress(psutil.Error):
                child.send_signal(signal.SIGKILL if late else signal.SIGTERM)
        psutil.wait_procs(living, timeout=0.2 if late else grace / 4)


def watch(others: Sequence[psutil.Process], lost: Callable[[], None]) -> None:
    """Call ``lost`` from a background thread once one of the given processes has gone."""

    def poll() -> None:
        while all(_alive(process) for process in others):
            time.sleep(_POLL_SECONDS)
        lost()

    threading.Thread(target=poll, daemon=True, name="watch").start()


def follow() -> None:
    """Tie this process to those it works for; the first thing every step does.

    It ends, with all it started, when its parent or the supervisor does.
    """
    if SUPERVISOR not in os.environ:
        return
    die_with_parent()
    supervisor = _supervisor()
    parent = psutil.Process().parent()
    watch([process for process in (supervisor, parent) if process is not None], _end_self)


@contextlib.contextmanager
def exclusive(path: Path, patience: float = 10.0) -> Iterator[int]:
    """Hold a lock on a build folder; whoever comes second waits a little, then is refused.

    What it gives is the open file; a process that inherits it holds the lock for as long as it lives.

    Raises
    ------
    UserError
        Another process works in the folder, or it cannot be written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise UserError(
            f"{path.parent} cannot be written to ({error.strerror}): make it writable and try again"
        ) from None
    try:
        deadline = time.monotonic() + patience
        while not _locked(handle):
            if time.monotonic() > deadline:
                owner = os.pread(handle, 32, 0).decode().strip() or "unknown"
                raise UserError(
                    f"{path.parent} is being made by another process ({owner}): wait until it ends or stop it"
                )
            time.sleep(0.2)
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield handle
    finally:
        os.close(handle)


@contextlib.contextmanager
def turn(folder: Path) -> Iterator[None]:
    """Wait until fewer steps are at work than may be, and count as one of them.

    Snakemake does not subtract the cores of a job that was the only one ready, and starts too many (its issue
    3913, mended in 9.17, which asks for an older ``packaging`` than nilearn does). How many there may be is therefore
    kept here, as that many locked files, of which every working step holds one.
    A file is empty unless a step is at work, or ended without success: then nobody begins any more.
    """
    allowed = int(os.environ.get(JOBS, "0"))
    if not allowed or SUPERVISOR not in os.environ:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    handles = [
        os.open(folder / f"turn-{i}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644) for i in range(allowed)
    ]
    try:
        while (mine := _free(handles)) is None:
            time.sleep(0.2)
        os.pwrite(mine, f"{os.getpid()}\n".encode(), 0)
        yield
        os.ftruncate(mine, 0)
    finally:
        for handle in handles:
            os.close(handle)


def _free(handles: Sequence[int]) -> int | None:
    """Lock one of the files that no step holds and return it; end this process if a step has failed."""
    mine = None
    for handle in handles:
        if _locked(handle):
            if os.pread(handle, 1, 0):
                raise SystemExit("not begun, because another step has failed")
            if mine is None:
                mine = handle
            else:
                fcntl.flock(handle, fcntl.LOCK_UN)
    return mine


def _locked(handle: int) -> bool:
    """Lock a file unless another process has; return whether it is ours."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def sweep_debris(folder: Path) -> None:
    """Remove what a killed step left: temporary files beside those it was about to write, and in folders for them."""
    for path in folder.rglob(".*"):
        if _DEBRIS.fullmatch(path.name) and path.is_file():
            path.unlink(missing_ok=True)
    for temporary in (folder / RUNTIME, folder / TEMPORARY):
        shutil.rmtree(temporary, ignore_errors=True)


def _sift(stream: IO[str], log: Path) -> None:
    """Write a stream to a log, and those of its lines that are meant for the user to standard error."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "w", encoding="utf-8") as kept:
        for line in stream:
            kept.write(line)
            kept.flush()
            if line.startswith("error: "):
                print(line, end="", file=sys.stderr, flush=True)


def supervise(
    command: Sequence[str],
    env: Mapping[str, str],
    cwd: Path,
    log: Path,
    parent: psutil.Process | None,
    lock: int | None = None,
) -> int:
    """Run a command in a process group of its own and answer for everything that it starts.

    Standard output passes through. Of standard error only lines that begin with ``error:`` do, for they are
    meant for the user; all of it goes to a log.

    Parameters
    ----------
    command, env, cwd
        What to run, its environment and its working directory.
    log
        File for standard error.
    parent
        Process with which to stop, where it ends first (make was killed).
    lock
        Open file of a lock (see :func:`exclusive`), which the command then holds too: until it has ended, whatever
        becomes of this process, nobody else gets the lock.

    Returns
    -------
    int
        The command's exit status; ``STOPPED`` if it was interrupted.
    """
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    stopped = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        stopped.set()

    before = {
        number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    if parent is not None:
        watch([parent], stopped.set)
    process = subprocess.Popen(
        command,
        env={**env, SUPERVISOR: token()},
        cwd=cwd,
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        pass_fds=() if lock is None else (lock,),
    )
    reader = threading.Thread(target=_sift, args=(process.stderr, log), daemon=True, name="errors")
    reader.start()
    try:
        while process.poll() is None and not stopped.wait(0.05):
            pass
    finally:
        # Snakemake has nothing to tidy that the next run does not, so it is not worth waiting for.
        kill_descendants(grace=0.0 if process.poll() is None else 2.0)
        process.wait()
        reader.join(2.0)
        for number, handler in before.items():
            signal.signal(number, handler)
    return STOPPED if stopped.is_set() else process.returncode
