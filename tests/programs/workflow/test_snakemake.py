"""The faults of Snakemake that the workflow works around are still there: where one is gone, its workaround can go."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

MANY = """
rule all:
    input:
        expand("n{i}", i=range(4)),


rule alone:
    output:
        "alone",
    threads: 2
    shell:
        "touch {output}"


rule several:
    input:
        "alone",
    output:
        "n{i}",
    threads: 2
    shell:
        "date +%s.%N > {wildcards.i}.begin; sleep 2; date +%s.%N > {wildcards.i}.end; touch {output}"
"""

LONG = """
rule long:
    output:
        "long",
    shell:
        "echo $$ > pid; exec sleep 60"
"""


def snakemake(folder: Path, rules: str, *options: str) -> subprocess.Popen[str]:
    (folder / "Snakefile").write_text(rules)
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--scheduler", "greedy", *options]
    return subprocess.Popen(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@pytest.fixture
def killed(tmp_path: Path) -> Iterator[psutil.Process]:
    """A job whose Snakemake has been killed."""
    run = snakemake(tmp_path, LONG)
    while not (tmp_path / "pid").is_file() or not (tmp_path / "pid").read_text():
        assert run.poll() is None
        time.sleep(0.1)
    job = psutil.Process(int((tmp_path / "pid").read_text()))
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    yield job
    with contextlib.suppress(psutil.Error):
        job.kill()


def test_more_cores_are_used_than_there_are(tmp_path: Path) -> None:
    """Snakemake's issue 3913; ``supervision.turn`` counts jobs itself."""
    run = snakemake(tmp_path, MANY)
    assert run.wait() == 0, run.stdout and run.stdout.read()
    spans = [
        tuple(float((tmp_path / f"{i}.{end}").read_text()) for end in ("begin", "end")) for i in range(4)
    ]
    at_once = max(sum(begin <= one < end for begin, end in spans) for one, _ in spans)
    assert at_once > 1, (
        "jobs of two threads no longer meet on two cores: supervision.turn and times.noting can go"
    )


def test_a_job_outlives_its_snakemake(tmp_path: Path, killed: psutil.Process) -> None:
    """It kills jobs where it can (issue 448), and leaves them where it is killed; ``supervision.follow`` ties them."""
    time.sleep(1)
    assert killed.is_running() and killed.status() != psutil.STATUS_ZOMBIE, "supervision.follow can go"


def test_a_lock_outlives_its_snakemake(tmp_path: Path, killed: psutil.Process) -> None:
    """Its lock has to be removed by hand (issue 2919); ``supervision.exclusive`` goes with the process."""
    killed.kill()
    again = snakemake(tmp_path, LONG)
    said, _ = again.communicate()
    assert again.returncode != 0 and "cannot be locked" in said, "--nolock and supervision.exclusive can go"
