"""Chapter 12, second part: which test keeps its level where real brains hear something else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from fmri_audio.base.errors import UserError
from fmri_audio.base.settings import project_root
from fmri_audio.experiments import false_alarms
from fmri_audio.experiments.false_alarms import SETTINGS, AlarmRow, Settings

HOW = {
    "turned": "sound turned round after fitting",
    "refitted": "sound turned round, fitted anew",
    "phases": "sound with other phases, fitted anew",
    "blocks": "blocks of sound in another order, fitted anew",
    "corrected": "turned round, at a lower level",
}
FORMATS = {"false alarms": ".3f", "independent replacements": ".0f"}


def gathered(folder: Path | None = None) -> tuple[list[AlarmRow], Settings]:
    """The table, and the rules that stood before it.

    Raises
    ------
    UserError
        There is no table, or what was chosen was not confirmed yet.
    """
    root = folder or project_root()
    rows = false_alarms.read(root / false_alarms.TABLE)
    if lacking := {"development", "confirmation"} - {row.stage for row in rows}:
        raise UserError(
            f"{false_alarms.TABLE}: holds no {min(lacking)}; run `make false-alarms STAGE={min(lacking)}`"
        )
    return rows, Settings.read(root / SETTINGS)


def table(rows: Sequence[AlarmRow], stage: str) -> pd.DataFrame:
    """Rates of one stage: a row per test and number of listeners, with power beside it."""
    shown = []
    for row in rows:
        if row.stage != stage or row.effect:
            continue
        power = {
            f"found, {other.effect:g} of the effect": f"{other.rate:.2f}"
            for other in rows
            if (other.stage, other.test, other.n_subjects) == (stage, row.test, row.n_subjects)
            and other.effect
        }
        shown.append(
            {
                "test": f"{HOW[row.test]}, {row.n_subjects} listener{'s' if row.n_subjects > 1 else ''}",
                "false alarms": row.rate,
                "99 % interval": f"{row.low:.3f} to {row.high:.3f}",
                "independent replacements": row.effective_shifts,
                **power,
            }
        )
    return pd.DataFrame(shown)


def caption(rows: Sequence[AlarmRow], stage: str, settings: Settings) -> str:
    """Standalone."""
    some = [row for row in rows if row.stage == stage and not row.effect]
    return (
        "Share of studies of real BOLD with the sound of something else in which a test of the held-out correlation of "
        f"level rejects at {settings.level:g} ({stage}; {some[0].n_runs} runs of StudyForrest, {some[0].n_pairings} "
        "pairings of scans and wrong sounds), with 99 % intervals over pairings; and the share found where a response "
        "to the wrong sound was planted, as a share of the size that listeners' own sound has."
    )


def said(rows: Sequence[AlarmRow], settings: Settings) -> dict[str, float | str]:
    """What the rule takes, and whether it holds."""
    development = [row for row in rows if row.stage == "development"]
    chosen = false_alarms.choose(development, settings.limit)
    found: dict[str, float | str] = {
        "limit": settings.limit,
        "chosen": HOW[chosen] if chosen else "none of them",
        "turned_worst": max(r.rate for r in rows if r.test == "turned" and not r.effect),
    }
    confirmed = [r for r in rows if r.stage == "confirmation" and r.test == chosen and not r.effect]
    if not confirmed:
        found["confirmed_said"] = (
            "No test keeps the limit, so p is called approximate, with the sizes of the table"
        )
        return found
    worst = max(confirmed, key=lambda row: row.high)
    rates = sorted(row.rate for row in confirmed)
    holds = worst.high <= settings.limit
    size = f"{rates[0]:.3f} to {rates[-1]:.3f} where it says {settings.level:g}"
    found["confirmed_said"] = (
        f"On runs and listeners that had no part in the choice it {'keeps' if holds else 'does not keep'} the limit: "
        f"{worst.rate:.3f} ({worst.low:.3f} to {worst.high:.3f}) at worst, with {worst.n_subjects} listeners. "
        + (f"It rejects {size}" if holds else f"So its p is approximate: it rejects {size}")
    )
    return found
