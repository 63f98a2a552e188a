"""Runs one step before the notebooks: ``python -m programs.workflow.step BUILD STEP``.

It is ``python -m fmri_audio.edition.steps STEP`` tied to the supervisor.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from fmri_audio.base.command import command
from programs.workflow.plan import STEPS, Plan
from programs.workflow.stamps import Stamps
from programs.workflow.supervision import follow, turn
from programs.workflow.times import noting


@command()
def main(build: Path, step: str) -> None:
    """Make one step's results, in its turn, and note how long that took; returns the exit status."""
    with turn(build / "turns"), noting(build, step):
        make(build, step)


def make(build: Path, step: str) -> None:
    """Make one step's results and record what they were made with."""
    plan = Plan.read(build)
    stamps = Stamps(plan)
    begun = stamps.begun(step)
    print(f"{step} …", flush=True)
    sys.argv = ["fmri_audio.edition.steps", STEPS[step], "--edition", str(plan.edition_file), "--build", str(build)]
    try:
        runpy.run_module("fmri_audio.edition.steps", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code not in (None, 0):
            raise
    stamps.write(step, begun)


if __name__ == "__main__":
    follow()
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
