"""Can the test be trusted? The same pipeline over simulated studies whose truth is known."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fmri_audio.base.settings import project_root
from fmri_audio.experiments import calibration
from fmri_audio.pages.page import Table

SHOWN = ("variant", "quantity", "value", "interval", "n", "expected", "holds")
"""Columns of the table."""

TURNED = "among 99% of the same sound turned round "
"""How the expectation of a single excerpt begins."""


def read() -> pd.DataFrame:
    """Read the calibration's table.

    Returns
    -------
    DataFrame
        As calibration wrote it, ``value`` a number, ``quantity`` and ``interval`` in words, and
        ``holds`` yes or no.
    """
    rows = pd.DataFrame(calibration.read(project_root() / calibration.TABLE))
    bounds = zip(rows["ci_low"], rows["ci_high"], strict=True)
    return rows.assign(
        value=rows["value"].astype(float),
        interval=[f"{float(low):.3f} – {float(high):.3f}" if low else "–" for low, high in bounds],
        quantity=rows["quantity"].str.replace("_", " "),
        holds=np.where(rows["holds"] == "True", "yes", "no"),
    )


def table(rows: pd.DataFrame) -> Table:
    """Show every quantity beside what was expected of it."""
    caption = (
        "Simulated brains: what the decoding does where the truth is known. Intervals: 99 %, exact for rates, "
        "Student's for means."
    )
    return Table(rows[list(SHOWN)], caption, {"value": ".3f"})


def values(rows: pd.DataFrame) -> dict[str, float | str]:
    """Return the rates of false alarms, what did not hold, and what a single excerpt gives."""
    rates = {row["variant"]: row for _, row in rows[rows["quantity"] == "rejection rate"].iterrows()}
    one = rows[
        (rows["variant"] == "null-one-excerpt") & (rows["quantity"] == "pairwise identification")
    ].iloc[0]
    return {
        "rate_null": rate_said(rates["null"]),
        "rate_null_shared": rate_said(rates["null-shared"]),
        "calibration_n": int(rates["null"]["n"]),
        "calibration_trs": calibration.N_TRS,
        "calibration_subjects": calibration.N_SUBJECTS,
        "calibration_failed": failed_said(rows),
        "one_excerpt": float(one["value"]),
        "one_excerpt_expected": one["expected"].removeprefix(TURNED).strip("()"),
        "one_excerpt_n": int(one["n"]),
    }


def rate_said(row: pd.Series) -> str:
    """Say a rate with its interval."""
    return f"{row['value']:.3f} ({float(row['ci_low']):.3f} to {float(row['ci_high']):.3f})"


def failed_said(rows: pd.DataFrame) -> str:
    """Say what did not hold, or that nothing failed to."""
    failed = rows[rows["holds"] == "no"].to_dict("records")
    return (
        "; ".join(
            f"{row['quantity']} in {row['variant']} studies is {row['value']:.3f} (99 % interval: {row['interval']}), "
            f"expected: {row['expected']}"
            for row in failed
        )
        or "nothing"
    )
