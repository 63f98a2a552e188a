"""Runs one step before the notebooks: ``python -m fmri_audio.pipeline.step BUILD STEP``.

It is ``python -m fmri_audio.edition STEP`` tied to the supervisor, and it reports which modules the step used.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from fmri_audio.command import command
from fmri_audio.pipeline.plan import STEPS, Plan
from fmri_audio.pipeline.stamps import Stamps
from fmri_audio.pipeline.supervision import follow, turn
from fmri_audio.pipeline.times import noting


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
    sys.argv = ["fmri_audio.edition", STEPS[step], "--edition", str(plan.edition_file), "--build", str(build)]
    try:
        runpy.run_module("fmri_audio.edition", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code not in (None, 0):
            raise
    modules = {name for name in sys.modules if name.split(".")[:2] != ["fmri_audio", "pipeline"]}
    stamps.write(step, begun, modules | {"fmri_audio.edition"})


if __name__ == "__main__":
    follow()
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
