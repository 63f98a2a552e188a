"""A toy book on a real Slurm of one node: what a cluster kills is done again, and the result is that of one machine.

Debian's ``munge``, ``slurmctld``, ``slurmd`` and ``slurm-client`` are what it takes; it runs as whoever runs the tests.
"""

from __future__ import annotations

import getpass
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.programs.workflow.conftest import Toy, lay_out

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "srun")
PLUGIN = "snakemake_executor_plugin_slurm"


def _which(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        sys.platform != "linux" or not all(map(_which, PROGRAMS)),
        reason="needs a Slurm of its own: apt-get install munge slurmctld slurmd slurm-client",
    ),
    pytest.mark.skipif(importlib.util.find_spec(PLUGIN) is None, reason=f"needs {PLUGIN.replace('_', '-')}"),
]


def wait_until(condition: Callable[[], object], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Cluster:
    """One node that runs two jobs at a time, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.user, self.host = folder, getpass.getuser(), socket.gethostname().split(".")[0]
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        for name in ("state", "spool", "munge"):
            (folder / name).mkdir(mode=0o700)
        (folder / "munge").chmod(0o755)
        key = folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)
        (folder / "cgroup.conf").write_text("CgroupPlugin=autodetect\n")
        (folder / "slurm.conf").write_text(
            f"""ClusterName=toy
SlurmctldHost={self.host}(127.0.0.1)
SlurmUser={self.user}
SlurmdUser={self.user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
SlurmctldPort={free_port()}
SlurmdPort={free_port()}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
MailProg=/bin/true
MpiDefault=none
MinJobAge=600
SlurmdTimeout=10
KillWait=2
InactiveLimit=0
JobRequeue=0
SchedulerParameters=sched_interval=2,bf_interval=2
NodeName={self.host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=2000 State=UNKNOWN
PartitionName=toys Nodes=ALL Default=YES MaxTime=60 State=UP
"""
        )
        # Snakemake takes Slurm's variables from jobs, and this Slurm is not where all clients look for one.
        (folder / "bin").mkdir()
        srun = folder / "bin" / "srun"
        srun.write_text(f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {_which("srun")} "$@"\n')
        srun.chmod(0o755)
        self.env = {
            "SLURM_CONF": str(folder / "slurm.conf"),
            "PATH": f"{folder}/bin:{os.environ['PATH']}:/usr/sbin:/sbin",
        }

    def start(self, name: str) -> None:
        """Start one of its programs."""
        words = {
            "munged": [
                f"--key-file={self.folder}/munge.key",
                f"--socket={self.folder}/munge/socket",
                f"--pid-file={self.folder}/munged.pid",
                f"--log-file={self.folder}/munged.log",
                f"--seed-file={self.folder}/munged.seed",
                "--foreground",
                "--force",
            ],
            "slurmctld": ["-D", "-c"],
            "slurmd": ["-D", "-c"],
        }[name]
        with (self.folder / f"{name}.out").open("ab") as out:
            self.running[name] = subprocess.Popen(
                [str(_which(name)), *words], env={**os.environ, **self.env}, stdout=out, stderr=out
            )

    def stop(self, name: str, sent: signal.Signals = signal.SIGTERM) -> None:
        """End one of its programs."""
        process = self.running.pop(name)
        process.send_signal(sent)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)

    def say(self, *words: str) -> str:
        """What a client says."""
        return subprocess.run(
            words, env={**os.environ, **self.env}, capture_output=True, text=True, check=False
        ).stdout

    def up(self) -> None:
        """Start everything and wait for the node."""
        self.start("munged")
        wait_until(lambda: (self.folder / "munge" / "socket").exists(), 20, "munged does not come up")
        self.start("slurmctld")
        self.start("slurmd")
        wait_until(lambda: "idle" in self.say("sinfo", "-h", "-o", "%T"), 60, "the node does not come up")

    def down(self) -> None:
        """End everything."""
        self.say("scancel", "--user", self.user)
        for name in ("slurmd", "slurmctld", "munged"):
            if name in self.running:
                self.stop(name)

    def jobs(self, state: str = "RUNNING") -> list[str]:
        """Numbers of the jobs in a state."""
        return self.say("squeue", "-h", "-t", state, "-o", "%i").split()

    def logs(self) -> str:
        """What the programs have written."""
        return "\n".join(path.read_text(errors="replace")[-1500:] for path in self.folder.glob("*.log"))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A Slurm of one node."""
    made = Cluster(tmp_path_factory.mktemp("slurm"))
    try:
        made.up()
        yield made
    finally:
        made.down()


class OnCluster(Toy):
    """A toy project whose steps are Slurm's jobs."""

    cluster: Cluster

    @property
    def env(self) -> dict[str, str]:
        return {**super().env, **self.cluster.env}

    def begin(self) -> subprocess.Popen[bytes]:
        """Start the book."""
        return self.start(*self.command("book", "--profile", str(self.folder / "profile"), "--jobs", "2"))


@pytest.fixture
def book(cluster: Cluster, tmp_path: Path) -> OnCluster:
    """A toy project with a profile for the cluster."""
    made = OnCluster(lay_out(tmp_path / "project").folder)
    made.cluster = cluster
    (made.folder / "profile").mkdir()
    (made.folder / "profile" / "config.yaml").write_text(
        "executor: slurm\n"
        "default-resources: [slurm_partition=toys, slurm_account=toy, runtime=10, mem_mb=500]\n"
        "latency-wait: 10\n"
        "slurm-init-seconds-before-status-checks: 2\n"
        "slurm-status-command: squeue\n"
    )
    return made


def results(toy: Toy) -> dict[str, bytes]:
    """What a book leaves, but for times and notebooks' own marks."""
    build = toy.folder / "build" / "demo"
    return {
        str(path.relative_to(build)): path.read_bytes()
        for folder in ("results", "audio", "cache")
        for path in sorted((build / folder).rglob("*"))
        if path.is_file()
    }


def finish(book: OnCluster) -> None:
    run = book.begin()
    status = run.wait(500)
    log = book.folder / "build" / "demo" / "logs" / "snakemake.log"
    assert status == 0, log.read_text()[-3000:] + book.cluster.logs()


def test_a_book_on_a_cluster_is_that_of_one_machine(book: OnCluster, tmp_path: Path) -> None:
    finish(book)
    alone = lay_out(tmp_path / "alone")
    made = alone.make()
    assert made.returncode == 0, made.stderr
    assert results(book) == results(alone) and len(results(book)) >= 5
    assert sorted(book.ran()) == sorted(alone.ran())
    assert "all is done" not in book.page("02-middle") and "twice" in book.page("02-middle")


@pytest.mark.parametrize("what", ["job", "node"])
def test_what_a_cluster_kills_is_done_again_and_nothing_else(book: OnCluster, what: str) -> None:
    (book.folder / "hold").touch()
    run = book.begin()
    wait_until(lambda: (book.folder / "runs.log").is_file(), 300, book.cluster.logs())
    held = book.cluster.jobs()
    assert held
    steps = (book.folder / "steps.log").read_text().split()
    if what == "job":
        book.cluster.say("scancel", "--signal=KILL", "--full", *held)
    else:
        book.cluster.stop("slurmd", signal.SIGKILL)
        book.cluster.say("scontrol", "update", f"nodename={book.cluster.host}", "state=down", "reason=gone")
    assert run.wait(300) != 0, "a book whose step was killed is not finished"
    begun = book.ran()
    if what == "node":
        book.cluster.start("slurmd")
        book.cluster.say("scontrol", "update", f"nodename={book.cluster.host}", "state=resume")
        wait_until(lambda: "idle" in book.cluster.say("sinfo", "-h", "-o", "%T"), 60, book.cluster.logs())
    assert not list((book.folder / "build" / "demo" / "results").glob("*.csv")), "nothing half-made stays"

    (book.folder / "hold").unlink()
    finish(book)
    assert set(begun) <= set(book.ran()), "what was killed is executed again"
    assert (book.folder / "steps.log").read_text().split() == steps, "and what was done is not"
