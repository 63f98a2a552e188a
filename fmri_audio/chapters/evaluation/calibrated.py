"""Can the test be trusted? The same pipeline over simulated studies whose truth is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from fmri_audio.base.settings import project_root
from fmri_audio.experiments import calibration
from fmri_audio.pages.page import Table

SHOWN = ("variant", "voxels", "subjects", "quantity", "value", "interval", "n", "expected", "holds")
"""Columns of the table."""

TURNED = "among 99% of the same sound turned round "
"""How the expectation of a single excerpt begins."""


def read() -> list[dict[str, str]]:
    """Read the calibration's table."""
    return calibration.read(project_root() / calibration.TABLE)


def table(rows: Sequence[Mapping[str, str]]) -> Table:
    """Show every quantity beside what was expected of it."""
    frame = pd.DataFrame(rows)
    bounds = zip(frame["ci_low"], frame["ci_high"], strict=True)
    shown = frame.assign(
        value=frame["value"].astype(float),
        interval=[_interval(low, high) for low, high in bounds],
        quantity=frame["quantity"].str.replace("_", " "),
        holds=np.where(frame["holds"] == "True", "yes", "no"),
    )
    caption = (
        "Simulated brains: what the decoding does where the truth is known. Intervals: 99 %, exact for rates, "
        "Student's for means."
    )
    return Table(shown[list(SHOWN)], caption, {"value": ".3f"})


def _interval(low: str, high: str) -> str:
    return f"{float(low):.3f} – {float(high):.3f}" if low else "–"


def values(rows: Sequence[Mapping[str, str]]) -> dict[str, float | str]:
    """Return the rates of false alarms, what did not hold, and what a single excerpt gives."""
    null = calibration.span(rows, "null", "rejection_rate")
    many = calibration.span(rows, "null-shared", "rejection_rate", calibration.MANY_SUBJECTS)
    matched = calibration.span(rows, "matched", "rejection_rate")
    one = next(
        row
        for row in rows
        if (row["variant"], row["quantity"]) == ("null-one-excerpt", "pairwise_identification")
    )
    return {
        "rate_null": null.said,
        "rate_null_shared": calibration.span(rows, "null-shared", "rejection_rate").said,
        "rate_many": many.said,
        "many_subjects": calibration.MANY_SUBJECTS,
        "rate_one_excerpt": calibration.span(rows, "null-one-excerpt", "rejection_rate").said,
        "matched_found": matched.said,
        "calibration_n": null.n,
        "calibration_trs": calibration.N_TRS,
        "calibration_subjects": calibration.N_SUBJECTS,
        "calibration_failed": failed_said(rows),
        "one_excerpt": float(one["value"]),
        "one_excerpt_expected": one["expected"].removeprefix(TURNED).strip("()"),
        "one_excerpt_n": int(one["n"]),
    }


def failed_said(rows: Sequence[Mapping[str, str]]) -> str:
    """Say what did not hold, or that nothing failed to."""
    failed = [row for row in rows if row["holds"] != "True"]
    return (
        "; ".join(
            f"{row['quantity'].replace('_', ' ')} in {row['variant']} studies ({row['voxels']} voxels, "
            f"{row['subjects']} subjects) is {float(row['value']):.3f} (99 % interval: "
            f"{_interval(row['ci_low'], row['ci_high'])}), "
            f"expected: {row['expected']}"
            for row in failed
        )
        or "nothing"
    )
