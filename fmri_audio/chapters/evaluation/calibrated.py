"""Can the test be trusted? The same pipeline over simulated studies whose truth is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import pandas as pd

from fmri_audio.experiments import calibration, confirmed_rates
from fmri_audio.experiments.calibration import CalibrationRow
from fmri_audio.pages.page import Table

SHOWN = ("variant", "voxels", "subjects", "quantity", "value", "interval", "n", "expected", "holds")
"""Columns of the table."""


def gathered() -> tuple[list[CalibrationRow], list[CalibrationRow]]:
    """Read the calibration, and what was simulated again of it."""
    return calibration.read(), confirmed_rates.read()


def table(rows: Sequence[CalibrationRow], again: Sequence[CalibrationRow]) -> Table:
    """Show every quantity beside what was expected of it; below a rate that missed, what it was simulated again."""
    fresh = {confirmed_rates.key(row): row for row in again}
    rows = [one for row in rows for one in (row, fresh.get(confirmed_rates.key(row))) if one is not None]
    frame = pd.DataFrame([asdict(row) for row in rows])
    shown = frame.assign(
        interval=[_interval(row) for row in rows],
        quantity=frame["quantity"].str.replace("_", " "),
        holds=["–" if row.holds is None else "yes" if row.holds else "no" for row in rows],
    )
    caption = (
        "Simulated brains: what the decoding does where the truth is known. Intervals: 99 %, exact for rates, "
        "Student's for means. A rate that missed the level was simulated again with other seeds, in the row below it."
    )
    return Table(shown[list(SHOWN)], caption, {"value": ".3f"})


def _interval(row: CalibrationRow) -> str:
    return "–" if row.ci_low is None or row.ci_high is None else f"{row.ci_low:.3f} – {row.ci_high:.3f}"


def values(rows: Sequence[CalibrationRow], again: Sequence[CalibrationRow]) -> dict[str, float | str]:
    """Return the rates of false alarms, what did not hold, and what a single excerpt gives."""
    null = calibration.span(rows, "null", "rejection_rate")
    many = calibration.span(rows, "null-shared", "rejection_rate", calibration.MANY_SUBJECTS)
    one = calibration.accident(rows)
    return {
        "rate_null": null.said,
        "all_null": calibration.together(rows, "null").said,
        "all_null_shared": calibration.together(rows, "null-shared").said,
        "rate_null_shared": calibration.span(rows, "null-shared", "rejection_rate").said,
        "rate_many": many.said,
        "many_subjects": calibration.MANY_SUBJECTS,
        "rate_one_excerpt": calibration.span(rows, "null-one-excerpt", "rejection_rate").said,
        "matched_found": calibration.span(rows, "matched", "rejection_rate").said,
        "calibration_n": null.n,
        "calibration_trs": calibration.N_TRS,
        "calibration_subjects": calibration.N_SUBJECTS,
        "calibration_failed": failed_said(rows, again),
        "missed_said": missed_said(rows, again),
        "one_excerpt": one.value,
        "one_excerpt_expected": one.expected.removeprefix(calibration.TURNED).strip("()"),
        "one_excerpt_n": one.n,
    }


def missed_said(rows: Sequence[CalibrationRow], again: Sequence[CalibrationRow]) -> str:
    """Say which of several rates missed the level by themselves, and what each gave when it was simulated again."""
    missed, n = confirmed_rates.missed(rows), len(confirmed_rates.single_rates(rows))
    if not missed:
        return f"All {n} rates of single models and sizes hold the level."
    fresh = {confirmed_rates.key(row): row for row in again}
    said = [
        f"Of {n} rates, {len(missed)} missed the level alone, as one of {n} does by chance in one table of twelve."
    ]
    for row in missed:
        one = fresh.get(confirmed_rates.key(row))
        name = f"{row.variant} ({row.voxels} voxels, {row.subjects} subjects)"
        if one is None:
            said.append(f"{name} at {row.value:.3f} was not simulated again.")
        else:
            said.append(
                f"{name} was at {row.value:.3f} ({_interval(row)}). Over {one.n} other studies, by a rule written "
                f"before them, it is {one.value:.3f} ({_interval(one)}): it "
                + ("keeps the level." if one.holds else "misses again.")
            )
    return " ".join(said)


def failed_said(rows: Sequence[CalibrationRow], again: Sequence[CalibrationRow]) -> str:
    """Say what did not hold, or that nothing failed to. A rate is done with if it held when it was simulated again."""
    held = {confirmed_rates.key(row) for row in again if row.holds}
    return (
        "; ".join(
            f"{row.quantity.replace('_', ' ')} in {row.variant} studies ({row.voxels} voxels, {row.subjects} "
            f"subjects) is {row.value:.3f} (99 % interval: {_interval(row)}), expected: {row.expected}"
            for row in rows
            if row.holds is False and confirmed_rates.key(row) not in held
        )
        or "nothing"
    )
