"""Where the time of the whole book goes: what the pipeline noted when it last made an edition from nothing.

Steps run side by side, so their seconds add up to more than the book took; shares are of that sum. ``whole`` is the
book from the command to the last page.
"""

from __future__ import annotations

from fmri_audio.base.errors import UserError
from fmri_audio.base.settings import load_settings, project_root
from programs.benchmarks.table import Row
from programs.workflow.times import Times, times_file

WHOLE = "whole"


def recorded(edition: str) -> bool:
    """Say whether there is a record of an edition being made from nothing."""
    name = load_settings(edition).edition
    return times_file(project_root() / "build" / name).is_file()


def measure(edition: str) -> list[Row]:
    """Return the figures of an edition's last making from nothing.

    Parameters
    ----------
    edition : str
        A name in ``config/`` or the path of an edition file.

    Raises
    ------
    UserError
        There is no record of one.
    """
    name = load_settings(edition).edition
    path = times_file(project_root() / "build" / name)
    if not path.is_file():
        raise UserError(
            f"build/{name}/{path.name} does not exist: it is written when an edition is made from nothing to the end "
            f"in one go; run make clean, then make book EDITION={edition}"
        )
    times = Times.read(path)
    total = sum(step.seconds for step in times.steps)
    rows = [
        row
        for step in times.steps
        for row in (
            ("seconds", step.name, step.seconds, "s"),
            ("processor_seconds", step.name, step.processor_seconds, "s"),
            ("share", step.name, step.seconds / total, "share"),
        )
    ]
    rows += [("seconds", WHOLE, times.seconds, "s"), ("jobs", WHOLE, float(times.jobs), "1")]
    rows += [("processor_seconds", WHOLE, sum(step.processor_seconds for step in times.steps), "s")]
    return [
        Row(
            f"book {name}",
            step,
            metric,
            value,
            unit,
            minutes=times.minutes,
            threads=times.cores,
            hardware=times.hardware,
        )
        for metric, step, value, unit in rows
    ]
