"""What make calls: ``python -m fmri_audio.pipeline book|html|sweep|publish``."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from fmri_audio.command import command
from fmri_audio.errors import UserError
from fmri_audio.files import write_text
from fmri_audio.pipeline.assemble import site_of_published
from fmri_audio.pipeline.collect import summary
from fmri_audio.pipeline.digests import Digests
from fmri_audio.pipeline.plan import Plan, load_chapters
from fmri_audio.pipeline.publish import publish
from fmri_audio.pipeline.render import install, render
from fmri_audio.pipeline.supervision import JOBS, die_with_parent, exclusive, supervise, sweep_debris
from fmri_audio.pipeline.times import RESOLVE, from_nothing, keep, noting
from fmri_audio.settings import edition_path, load_settings, project_root


def arguments() -> argparse.Namespace:
    """Parse the command line; an empty value is a value that was not given."""
    parser = argparse.ArgumentParser(prog="python -m fmri_audio.pipeline", description=__doc__)
    parser.add_argument("command", choices=("book", "html", "sweep", "publish"))
    parser.add_argument("--edition", default="demo", help="a name in config/, or the path of an edition file")
    parser.add_argument("--stimulus", default="", help="a recording in place of the edition's")
    parser.add_argument("--codec", default="", help="demo, released, or the path of a checkpoint")
    parser.add_argument("--bandwidths", default="", help='in kbps, such as "1.5 3 6", in place of the edition\'s')
    parser.add_argument("--jobs", default="", help="notebooks at a time (default: one per core, four at most)")
    parser.add_argument("--profile", default="", help="Snakemake profile, such as slurm")
    parser.add_argument("--build", type=Path, default=Path("build"), help="folder for what editions make")
    parser.add_argument("--html", type=Path, default=Path("_build/html"), help="folder for the pages")
    parser.add_argument("--with-parent", action="store_true", help="stop when the calling process ends")
    return parser.parse_args()


def build_folder(options: argparse.Namespace) -> Path:
    """Return the folder of the edition asked for; a name that is none, or bad settings, are a UserError."""
    return Path(options.build / load_settings(options.edition).edition)


def resolve(options: argparse.Namespace, build: Path) -> Plan:
    """Write the edition with the command line's changes, checked against sound and weights, into its build folder.

    Checking reads the weights and the whole sound, so an edition that has been checked as it is now is not
    checked again.
    """
    bandwidths = "all" if options.command == "sweep" and not options.bandwidths else options.bandwidths
    asked = {"edition": options.edition, "stimulus": options.stimulus, "codec": options.codec, "bandwidths": bandwidths}
    request = [f"{name} {value}" for name, value in asked.items()]
    request.append(edition_path(options.edition).read_text(encoding="utf-8"))
    if not _resolved(build, request):
        command = [sys.executable, "-m", "fmri_audio.edition", "resolve", "--out", str(build / "edition.yml")]
        command += [f"--{name}={value}" for name, value in asked.items()]
        with noting(build, RESOLVE):
            done = subprocess.run(command, cwd=project_root(), env=environment(), check=False)
            if done.returncode:
                raise SystemExit(1)
        plan = Plan.read(build)
        write_text(plan.digest("resolved"), "\n".join(Digests(plan).resolving(request)))
    return Plan.read(build)


def _resolved(build: Path, request: list[str]) -> bool:
    if not (build / "edition.yml").is_file():
        return False
    plan = Plan.read(build)
    known = plan.digest("resolved")
    return known.is_file() and known.read_text(encoding="utf-8") == "\n".join(Digests(plan).resolving(request))


def environment() -> dict[str, str]:
    """Return the environment in which every step finds the package, installed or not."""
    path = os.pathsep.join([str(project_root()), *filter(None, [os.environ.get("PYTHONPATH")])])
    # The encodec package uses a form of weight normalisation that torch would rather it did not.
    quiet = "ignore::FutureWarning:torch.nn.utils.weight_norm"
    return {"PYTHONWARNINGS": quiet, **os.environ, "PYTHONPATH": path}


def capacity(options: argparse.Namespace) -> tuple[int, int]:
    """Return the processor's usable cores and how many steps may be at work at a time.

    Raises
    ------
    UserError
        ``--jobs`` is no such number.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        jobs = int(options.jobs or min(cores, 4))
    except ValueError:
        jobs = 0
    if jobs < 1:
        raise UserError(f"JOBS={options.jobs}: should be a whole number of notebooks run at a time, such as 2")
    return cores, jobs


def run_graph(plan: Plan, target: Path, options: argparse.Namespace) -> None:
    """Make a target and everything it needs, as far as it is out of date.

    Raises
    ------
    UserError
        A step failed; it has said why itself.
    """
    runs = [run for run in plan.runs if options.command != "sweep" or run.bandwidth is not None]
    Digests(plan).write_all(runs)
    cores, jobs = capacity(options)
    command = [sys.executable, "-m", "fmri_audio.pipeline.workflow", "--snakefile", "Snakefile", "--nolock"]
    command += ["--rerun-incomplete", "--rerun-triggers", "mtime", "--max-checksum-file-size", "0"]
    command += ["--config", f"build={plan.build}", f"threads={max(1, cores // jobs)}"]
    env = environment()
    if options.profile:
        command += ["--profile", options.profile, "--jobs", str(jobs)]
    else:
        command += ["--cores", str(max(cores, jobs))]
        env[JOBS] = str(jobs)
        shutil.rmtree(plan.build / "turns", ignore_errors=True)
    log = plan.build / "logs" / "snakemake.log"
    status = supervise([*command, "--", str(target)], env, project_root(), log, options.parent)
    if status == 130:
        raise UserError("stopped; the same command goes on from here")
    if status:
        raise UserError(f"{plan.edition} is not finished (log: {log}); the same command goes on from here")


def make_html(options: argparse.Namespace) -> None:
    """Render the published book; nothing is executed."""
    build = options.build / "published"
    with exclusive(build / ".lock"):
        site = build / "site"
        shutil.rmtree(site, ignore_errors=True)
        site_of_published(load_chapters(), site)
        render(site, build / "html", build / "logs" / "html.log")
        install(build / "html", options.html)
    print(f"{options.html}/index.html")


def make_edition(options: argparse.Namespace) -> None:
    """Execute an edition and, by command, render it, publish it or print its sweep."""
    build = build_folder(options)
    with exclusive(build / ".lock"):
        sweep_debris(build)
        begin, cold = time.monotonic(), from_nothing(build)
        plan = resolve(options, build)
        if options.command == "sweep":
            table = plan.build / "results" / "sweep.csv"
            run_graph(plan, table, options)
            print(summary(table))
            print(table)
            return
        run_graph(plan, plan.done("html"), options)
        install(plan.build / "html", options.html)
        if cold:
            cores, jobs = capacity(options)
            keep(plan, time.monotonic() - begin, jobs, cores)
        if options.command == "publish":
            publish(plan)
    print(f"{options.html}/index.html")


@command()
def main() -> None:
    """Run the command; returns the exit status."""
    options = arguments()
    options.edition = options.edition or "demo"
    options.parent = psutil.Process(os.getppid()) if options.with_parent else None
    if options.with_parent:
        die_with_parent(signal.SIGTERM)
    os.chdir(project_root())
    if options.command == "publish" and (
        options.stimulus or options.codec or options.bandwidths or options.edition != "demo"
    ):
        raise UserError(
            "make publish publishes the demo edition as it is: leave out EDITION, STIMULUS, CODEC and BANDWIDTHS"
        )
    (make_html if options.command == "html" else make_edition)(options)


if __name__ == "__main__":
    sys.exit(main())
