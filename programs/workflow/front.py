"""What make calls: ``python -m programs book|html|sweep|publish``."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import psutil

from fmri_audio.base.errors import UserError
from fmri_audio.base.files import sha256_of, write_text
from fmri_audio.base.settings import edition_path, load_settings, project_root
from programs.workflow.assemble import site_of_published
from programs.workflow.collect import summary
from programs.workflow.digests import Digests
from programs.workflow.plan import HTML, SWEEP, Plan, load_chapters
from programs.workflow.publish import check_published, publish, require_recogniser
from programs.workflow.render import install, render
from programs.workflow.stamps import Stamps
from programs.workflow.supervision import (
    JOBS,
    STOPPED,
    TEMPORARY,
    die_with_parent,
    exclusive,
    supervise,
    sweep_debris,
)
from programs.workflow.times import RESOLVE, from_nothing, keep, noting

_STOPPED = "stopped; the same command goes on from here"


def arguments(words: Sequence[str]) -> argparse.Namespace:
    """Parse the command line; an empty value is a value that was not given."""
    parser = argparse.ArgumentParser(prog="python -m programs", description=__doc__)
    parser.add_argument("command", choices=("book", "html", "sweep", "publish"))
    parser.add_argument("--edition", default="demo", help="a name in config/, or the path of an edition file")
    parser.add_argument("--stimulus", default="", help="a recording in place of the edition's")
    parser.add_argument("--codec", default="", help="demo, released, or the path of a checkpoint")
    parser.add_argument("--decoder", default="", help="own or vocos: what makes sound of the codec's codes")
    parser.add_argument(
        "--bandwidths", default="", help='in kbps, such as "1.5 3 6", in place of the edition\'s'
    )
    parser.add_argument(
        "--jobs", default="", help="notebooks at a time (default: one per core, four at most)"
    )
    parser.add_argument("--profile", default="", help="Snakemake profile, such as slurm")
    parser.add_argument("--build", type=Path, default=Path("build"), help="folder for what editions make")
    parser.add_argument("--html", type=Path, default=Path("_build/html"), help="folder for the pages")
    parser.add_argument("--with-parent", action="store_true", help="stop when the calling process ends")
    return parser.parse_args(words)


def build_folder(options: argparse.Namespace) -> Path:
    """Return the folder of the edition asked for; a name that is none, or bad settings, are a UserError."""
    return Path(options.build / load_settings(options.edition).edition)


def resolve(options: argparse.Namespace, build: Path) -> Plan:
    """Write the edition with the command line's changes, checked against sound and weights, into its build folder.

    Checking reads the weights and the whole sound, so an edition that has been checked as it is now is not
    checked again.
    """
    bandwidths = "all" if options.command == "sweep" and not options.bandwidths else options.bandwidths
    asked = {
        "edition": options.edition,
        "stimulus": options.stimulus,
        "codec": options.codec,
        "bandwidths": bandwidths,
        "decoder": options.decoder,
    }
    request = [f"{name} {value}" for name, value in asked.items()]
    request.append(edition_path(options.edition).read_text(encoding="utf-8"))
    if not _resolved(build, request):
        out = build / "edition.yml"
        command = [sys.executable, "-m", "programs", "tied-resolve", "--out", str(out)]
        command += [f"--{name}={value}" for name, value in asked.items()]
        log = build / "logs" / "resolve.log"
        with noting(build, RESOLVE):
            _refuse_failure(
                supervise(command, environment(), project_root(), log, options.parent, options.lock), log
            )
        write_text(_request(build), _answered(build, request))
    return Plan.read(build)


def _resolved(build: Path, request: list[str]) -> bool:
    """Whether the edition in the build folder is the answer to this request, to the byte."""
    try:
        known = _request(build).read_text(encoding="utf-8")
        # Only what is as it was written is read.
        whole = known.startswith(sha256_of(build / "edition.yml"))
    except (FileNotFoundError, UnicodeDecodeError):
        return False
    return whole and known == _answered(build, request)


def _answered(build: Path, request: list[str]) -> str:
    return "\n".join([sha256_of(build / "edition.yml"), *Digests(Plan.read(build)).resolving(request)])


def _request(build: Path) -> Path:
    return build / "digests" / "resolved.txt"


def _refuse_failure(status: int, log: Path) -> None:
    """End with what a command has said was wrong; raise a UserError where it was stopped or has said nothing."""
    if status == STOPPED:
        raise UserError(_STOPPED)
    if status and not any(
        line.startswith("error: ") for line in log.read_text(encoding="utf-8").splitlines()
    ):
        raise UserError(f"the edition could not be checked (log: {log})")
    if status:
        raise SystemExit(1)


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
        raise UserError(
            f"JOBS={options.jobs}: should be a whole number of notebooks run at a time, such as 2"
        )
    return cores, jobs


def make(plan: Plan, goal: str, options: argparse.Namespace) -> None:
    """Make the pages or the table of the sweep and all that they need, as far as it is not there as it should be.

    What is made anew may be the same as before, and then what stands after it is still right. So what is left to do
    is asked again after each round; in the end there is nothing.

    Raises
    ------
    UserError
        A step failed; it has said why itself. Or something else writes what a step has made.
    """
    stamps = Stamps(plan)
    wrong = stamps.wrong(goal)
    while wrong:
        stamps.discard(wrong)
        stamps.backdate()
        now = plan.at_once(wrong)
        run_graph(plan, now, options)
        wrong = Stamps(plan).wrong(goal, just_made=True)
        for name in filter(wrong.__contains__, now):
            if wrong[name] or not plan.done(name).is_file():
                what = wrong[name][0] if wrong[name] else plan.done(name)
                raise UserError(
                    f"{what} does not stay as {name} wrote it: stop what else writes it, and try again"
                )


def run_graph(plan: Plan, names: Iterable[str], options: argparse.Namespace) -> None:
    """Have Snakemake make steps, runs and what comes after them, none of which has a stamp, in their order.

    Its lock is left out, because one that was killed leaves it behind (its issue 2919).

    Raises
    ------
    UserError
        A step failed; it has said why itself.
    """
    cores, jobs = capacity(options)
    command = [sys.executable, "-m", "programs", "tied", "snakemake", "--snakefile", "Snakefile", "--nolock"]
    command += ["--rerun-incomplete", "--rerun-triggers", "mtime", "--max-checksum-file-size", "0"]
    command += ["--config", f"build={plan.build}", f"cores={cores}", f"threads={max(1, cores // jobs)}"]
    env = environment()
    if options.profile:
        command += ["--profile", options.profile, "--jobs", str(jobs)]
    else:
        # Steps have the system's folder for temporary files; what Snakemake leaves when it is killed is swept up.
        command += [
            "--cores",
            str(max(cores, jobs)),
            "--default-resources",
            f"tmpdir={tempfile.gettempdir()!r}",
        ]
        temporary = (plan.build / TEMPORARY).resolve()
        temporary.mkdir(exist_ok=True)
        env |= {JOBS: str(jobs), "TMPDIR": str(temporary)}
        shutil.rmtree(plan.build / "turns", ignore_errors=True)
    log = plan.build / "logs" / "snakemake.log"
    command += ["--", *(str(plan.done(name)) for name in names)]
    status = supervise(command, env, project_root(), log, options.parent, options.lock)
    # Its solver leaves files even where all goes well (issue 1003).
    shutil.rmtree(plan.build / TEMPORARY, ignore_errors=True)
    if status == STOPPED:
        raise UserError(_STOPPED)
    if status:
        raise UserError(f"{plan.edition} is not finished (log: {log}); the same command goes on from here")


def make_html(options: argparse.Namespace) -> None:
    """Render the published book, if it is what was published; nothing is executed."""
    build = options.build / "published"
    with exclusive(build / ".lock"):
        chapters = load_chapters()
        check_published("demo", chapters)
        site = build / "site"
        shutil.rmtree(site, ignore_errors=True)
        site_of_published(chapters, site)
        render(site, build / "html", build / "logs" / "html.log")
        install(build / "html", options.html)
    print(f"{options.html}/index.html")


def make_edition(options: argparse.Namespace) -> None:
    """Execute an edition and, by command, render it, publish it or print its sweep."""
    build = build_folder(options)
    cores, jobs = capacity(options)  # says what is wrong with JOBS even where nothing is left to be done
    with exclusive(build / ".lock") as options.lock:
        sweep_debris(build)
        begin, cold = time.monotonic(), from_nothing(build)
        plan = resolve(options, build)
        if options.command == "sweep":
            make(plan, SWEEP, options)
            print(summary(plan.table(SWEEP)))
            print(plan.table(SWEEP))
            return
        make(plan, HTML, options)
        install(plan.build / "html", options.html)
        if cold:
            keep(plan, time.monotonic() - begin, jobs, cores)
        if options.command == "publish":
            with exclusive(options.build / "published" / ".lock"):
                publish(plan)
    print(f"{options.html}/index.html")


def main(words: Sequence[str]) -> None:
    """Run the command."""
    options = arguments(words)
    options.edition = options.edition or "demo"
    options.parent = psutil.Process(os.getppid()) if options.with_parent else None
    if options.with_parent:
        die_with_parent(signal.SIGTERM)
    os.chdir(project_root())
    if options.command == "publish" and (
        options.stimulus
        or options.codec
        or options.bandwidths
        or options.decoder
        or options.edition != "demo"
    ):
        raise UserError(
            "make publish publishes the demo edition as it is: leave out EDITION, STIMULUS, CODEC, CODEC_DECODER and "
            "BANDWIDTHS"
        )
    if options.command == "publish":
        require_recogniser()
    try:
        (make_html if options.command == "html" else make_edition)(options)
    except KeyboardInterrupt:
        raise UserError(_STOPPED) from None
