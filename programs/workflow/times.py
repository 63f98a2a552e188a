"""How long every step took: noted as an edition is made, and kept whole when it was made from nothing in one go.

Nothing of it goes into notebooks, tables of results or pages; ``make bench ONLY=book`` takes it over. Snakemake's
own benchmarks of rules would count the wait for a turn (:func:`~programs.workflow.supervision.turn`) as work, and
look at the processor's time every half minute only.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

from fmri_audio.base.files import to_json, write_text
from programs.workflow.plan import HTML, STEPS, Plan

RESOLVE, PAGES = "resolve", "pages"
"""Names of what is noted besides the steps before the notebooks and their runs: checking settings, rendering."""


@dataclass(frozen=True)
class Step:
    """What one step took.

    Attributes
    ----------
    name : str
        Of a step before the notebooks, of a run, or :data:`RESOLVE` or :data:`PAGES`.
    seconds : float
        While it worked; waiting for its turn does not count.
    processor_seconds : float
        Of all threads of its process and of those that it started.
    """

    name: str
    seconds: float
    processor_seconds: float


@dataclass(frozen=True)
class Times:
    """What an edition took that was made from nothing.

    Attributes
    ----------
    steps : tuple of Step
        In the order in which a reader thinks of them.
    seconds : float
        From the command to the last page.
    jobs, cores : int
        Steps at work at a time at most; processor cores that they shared.
    minutes : float
        Of the edition's sound; 0 where its settings do not say.
    hardware : str
    """

    steps: tuple[Step, ...]
    seconds: float
    jobs: int
    cores: int
    minutes: float
    hardware: str

    @classmethod
    def read(cls, path: Path) -> Times:
        """Read what :func:`keep` wrote."""
        kept = json.loads(path.read_text(encoding="utf-8"))
        return cls(**{**kept, "steps": tuple(Step(**step) for step in kept["steps"])})


def times_file(build: Path) -> Path:
    """Where the times of an edition made from nothing lie."""
    return build / "times.json"


@contextlib.contextmanager
def noting(build: Path, name: str) -> Iterator[None]:
    """Note how long the block takes, if it ends well."""
    begin, computed = time.perf_counter(), sum(os.times()[:4])
    yield
    # The processor time of children counts once they have ended and been waited for.
    step = Step(name, time.perf_counter() - begin, sum(os.times()[:4]) - computed)
    write_text(_note(build, name), to_json(asdict(step)))


def from_nothing(build: Path) -> bool:
    """Say whether neither the edition's folder nor the cache beside it holds anything yet."""
    folders = (build, build.parent / "cache")
    return not any(
        path
        for folder in folders
        if folder.is_dir()
        for path in folder.iterdir()
        if not path.name.startswith(".")
    )


def keep(plan: Plan, seconds: float, jobs: int, cores: int) -> None:
    """Bring the notes of an edition that was made from nothing together."""
    from programs.benchmarks.table import described_hardware

    made = plan.targets(HTML)
    names = [RESOLVE, *(step for step in STEPS if step in made), *(run.name for run in plan.runs), PAGES]
    steps = tuple(Step(**json.loads(_note(plan.build, name).read_text(encoding="utf-8"))) for name in names)
    n_trs = plan.settings.get("stimulus", {}).get("n_trs") or 0
    minutes = float(n_trs * Fraction(str(plan.settings.get("tr", 0))) / 60)
    times = Times(steps, seconds, jobs, cores, minutes, described_hardware())
    write_text(times_file(plan.build), to_json(asdict(times)))


def _note(build: Path, name: str) -> Path:
    return build / "times" / f"{name}.json"
