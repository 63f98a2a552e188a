"""Runs one step before the notebooks: ``python -m programs step BUILD STEP``.

It is ``python -m programs STEP`` with its time and its stamp noted.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fmri_audio.edition import steps
from programs.workflow.plan import STEPS, Plan
from programs.workflow.stamps import Stamps
from programs.workflow.supervision import turn
from programs.workflow.times import noting


def main(words: Sequence[str]) -> None:
    """Make one step's results, in its turn, and note how long that took."""
    build, step = Path(words[0]), words[1]
    with turn(build / "turns"), noting(build, step):
        make(build, step)


def make(build: Path, step: str) -> None:
    """Make one step's results and record what they were made with."""
    plan = Plan.read(build)
    stamps = Stamps(plan)
    begun = stamps.begun(step)
    print(f"{step} …", flush=True)
    steps.main([STEPS[step], "--edition", str(plan.edition_file), "--build", str(build)])
    stamps.write(step, begun)
