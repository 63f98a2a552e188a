"""kill -9 of any process of a run: nothing lives on, nothing is half written, the same command goes on."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
import psutil
import pytest

from fmri_audio.base.errors import UserError
from programs.workflow.supervision import RUNTIME, TEMPORARY, exclusive
from tests.programs.workflow.conftest import ROOT, Toy

VICTIMS = {
    "make": "make",
    "supervisor": "programs book",
    "snakemake": "programs tied snakemake",
    "papermill": "programs execute",
    "kernel": "programs kernel",
}


def processes(toy: Toy) -> list[psutil.Process]:
    """Return all living processes that work in the toy project."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE and process.cwd() == str(toy.folder):
                found.append(process)
    return found


def find(toy: Toy, words: str) -> list[psutil.Process]:
    """Return the processes whose command line contains some words."""
    found = []
    for process in processes(toy):
        with contextlib.suppress(psutil.Error):
            if words in " ".join(process.cmdline()):
                found.append(process)
    return found


def wait_until(condition: object, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.1)
    return False


@pytest.fixture(autouse=True)
def temporary(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have the temporary folder be one in which a test sees what is left there."""
    folder = toy.folder.parent / "temporary"
    folder.mkdir(exist_ok=True)
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


@pytest.fixture(autouse=True)
def nothing_left(toy: Toy) -> Iterator[None]:
    """End what a failed test has left running."""
    yield
    for process in processes(toy):
        with contextlib.suppress(psutil.Error):
            process.kill()


@pytest.mark.skipif(
    sys.platform != "linux", reason="processes are told apart by their working directory (Linux)"
)
@pytest.mark.parametrize("victim", VICTIMS)
def test_kill_in_mid_notebook(toy: Toy, victim: str, temporary: Path) -> None:
    toy.edit("fmri_audio/tools.py", lambda text: text + f"\n{victim.upper()} = 1\n")
    (toy.folder / "hold").touch()
    run = toy.start("make", "book", f"PYTHON={sys.executable}", "JOBS=1")
    try:
        assert wait_until(lambda: (toy.folder / "runs.log").is_file(), 400), "no notebook was started"
        before = find(toy, VICTIMS[victim])
        assert before, f"no process of the {victim}"
        for process in before[:1]:
            os.kill(process.pid, signal.SIGKILL)
        assert wait_until(lambda: not find(toy, VICTIMS["kernel"]), 3.5)
        # Where a step has been killed, Snakemake lives and has to see it and to end by itself.
        seconds = 30 if victim in ("papermill", "kernel") else 3.5
        assert wait_until(lambda: not processes(toy), seconds), [p.cmdline() for p in processes(toy)]
    finally:
        status = run.wait(10)
    assert status != 0
    ran = toy.ran()
    assert len(ran) == 1, "killed in the first notebook"
    # torch makes an empty folder for its compiler, which it uses again.
    left = [path.name for path in temporary.iterdir() if not path.name.startswith("torchinductor")]
    assert left == [], "what is left lies in the build folder"
    for notebook in (toy.folder / "build" / "demo" / "notebooks").glob("*.ipynb"):
        nbformat.validate(nbformat.read(notebook, as_version=4))

    (toy.folder / "hold").unlink()
    made = toy.make()
    assert made.returncode == 0, made.stderr
    assert ran[0] in toy.ran(), "the interrupted notebook is executed again"
    debris = [path for path in (toy.folder / "build").rglob(".*") if path.name not in {".lock", ".buildinfo"}]
    assert debris == []
    assert list((toy.folder / "build" / "demo" / RUNTIME).glob("*")) == []
    assert not (toy.folder / "build" / "demo" / TEMPORARY).exists() or not list(
        (toy.folder / "build" / "demo" / TEMPORARY).iterdir()
    )


@pytest.mark.skipif(
    sys.platform != "linux", reason="processes are told apart by their working directory (Linux)"
)
@pytest.mark.parametrize("victim", ["make", "supervisor"])
def test_kill_while_the_edition_is_checked(toy: Toy, victim: str) -> None:
    toy.edit("config/demo.yml", lambda text: text + f"# {victim}\n")
    (toy.folder / "hold resolve").touch()
    run = toy.start("make", "book", f"PYTHON={sys.executable}")
    checking = "programs tied-resolve"
    try:
        assert wait_until(lambda: find(toy, checking), 60)
        os.kill(find(toy, VICTIMS[victim])[0].pid, signal.SIGKILL)
        assert wait_until(lambda: not processes(toy), 3.5), [p.cmdline() for p in processes(toy)]
    finally:
        (toy.folder / "hold resolve").unlink()
        assert run.wait(10) != 0
    assert toy.ran() == []


def test_lock_is_held_until_what_was_started_has_ended(tmp_path: Path) -> None:
    code = (
        "import os, subprocess, sys\nfrom pathlib import Path\nfrom programs.workflow.supervision import exclusive\n"
        "with exclusive(Path('lock')) as lock:\n"
        "    child = subprocess.Popen(['sleep', '60'], pass_fds=[lock], stdout=-3)\n"
        "    print(child.pid, flush=True)\n    os.kill(os.getpid(), 9)"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, stdout=subprocess.PIPE, check=False
    )
    refused = pytest.raises(UserError, match="is being made by another process")
    with refused, exclusive(tmp_path / "lock", patience=0.1):
        pass
    os.kill(int(done.stdout), signal.SIGKILL)
    with exclusive(tmp_path / "lock"):
        pass


def test_second_run_of_an_edition_is_refused_while_the_first_works(toy: Toy) -> None:
    toy.edit("fmri_audio/tools.py", lambda text: text + "\nONCE = 1\n")
    (toy.folder / "hold").touch()
    run = toy.start()
    assert wait_until(lambda: (toy.folder / "runs.log").is_file(), 400)
    made = toy.make()
    assert made.returncode == 1
    assert (
        f"build/demo is being made by another process ({run.pid}): wait until it ends or stop it"
        in made.stderr
    )
    (toy.folder / "hold").unlink()
    assert run.wait(400) == 0


def test_interrupt_says_that_it_can_go_on(toy: Toy) -> None:
    toy.edit("fmri_audio/tools.py", lambda text: text + "\nAGAIN = 1\n")
    toy.ran()
    (toy.folder / "hold").touch()
    run = toy.start()
    assert wait_until(lambda: (toy.folder / "runs.log").is_file(), 400)
    run.send_signal(signal.SIGINT)
    assert run.wait(10) == 1
    assert wait_until(lambda: not processes(toy), 3.5)
