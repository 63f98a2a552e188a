"""Can the test be trusted? The same pipeline over simulated studies whose truth is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import pandas as pd

from fmri_audio.experiments import calibration
from fmri_audio.experiments.calibration import CalibrationRow
from fmri_audio.pages.page import Table

SHOWN = ("variant", "voxels", "subjects", "quantity", "value", "interval", "n", "expected", "holds")
"""Columns of the table."""


def table(rows: Sequence[CalibrationRow]) -> Table:
    """Show every quantity beside what was expected of it."""
    frame = pd.DataFrame([asdict(row) for row in rows])
    shown = frame.assign(
        interval=[_interval(row) for row in rows],
        quantity=frame["quantity"].str.replace("_", " "),
        holds=["–" if row.holds is None else "yes" if row.holds else "no" for row in rows],
    )
    caption = (
        "Simulated brains: what the decoding does where the truth is known. Intervals: 99 %, exact for rates, "
        "Student's for means."
    )
    return Table(shown[list(SHOWN)], caption, {"value": ".3f"})


def _interval(row: CalibrationRow) -> str:
    return "–" if row.ci_low is None or row.ci_high is None else f"{row.ci_low:.3f} – {row.ci_high:.3f}"


def values(rows: Sequence[CalibrationRow]) -> dict[str, float | str]:
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
        "calibration_failed": failed_said(rows),
        "family_said": family_said(rows),
        "one_excerpt": one.value,
        "one_excerpt_expected": one.expected.removeprefix(calibration.TURNED).strip("()"),
        "one_excerpt_n": one.n,
    }


def outside(rows: Sequence[CalibrationRow], together: bool) -> list[CalibrationRow]:
    """Rates of false alarms of single models and sizes whose interval misses the level.

    Parameters
    ----------
    rows : sequence of CalibrationRow
    together : bool
        Whether intervals are so wide that all of them hold with 99 % (Šidák 1967), or each by itself.
    """
    rates = _rates(rows)
    confidence = calibration.CONFIDENCE ** (1 / len(rates)) if together else calibration.CONFIDENCE
    found = []
    for row in rates:
        low, high = calibration.exact_interval(round(row.value * row.n), row.n, confidence)
        if not low <= calibration.ALPHA <= high:
            found.append(row)
    return found


def _rates(rows: Sequence[CalibrationRow]) -> list[CalibrationRow]:
    return [
        row
        for row in rows
        if row.quantity == "rejection_rate"
        and row.variant.startswith("null")
        and row.voxels != calibration.TOGETHER
    ]


def family_said(rows: Sequence[CalibrationRow]) -> str:
    """Say how many rates lie outside their intervals, which some do by chance where there are many."""
    n = len(_rates(rows))
    return (
        f"Of {n} rates, {len(outside(rows, together=False))} miss the level with their own 99 % interval, and "
        f"{len(outside(rows, together=True))} with intervals that hold together with 99 %"
    )


def failed_said(rows: Sequence[CalibrationRow]) -> str:
    """Say what did not hold, or that nothing failed to."""
    return (
        "; ".join(
            f"{row.quantity.replace('_', ' ')} in {row.variant} studies ({row.voxels} voxels, {row.subjects} "
            f"subjects) is {row.value:.3f} (99 % interval: {_interval(row)}), expected: {row.expected}"
            for row in rows
            if row.holds is False
        )
        or "nothing"
    )
