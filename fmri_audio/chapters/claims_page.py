"""Chapter 8: the verdicts on the research note's claims, counted, drawn and listed."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import AutoLocator

from fmri_audio.claims.answers import answers
from fmri_audio.claims.claims import VERDICTS, Verdict, tally, to_frame
from fmri_audio.edition import Edition
from fmri_audio.experiments import ladder_answer

COLOURS = ("#009e73", "#d55e00", "#f0e442", "#cc79a7", "#56b4e9", "#bbbbbb", "#777777")
"""One for each of the verdicts, in their order."""


def facts(run: Edition, verdicts: Sequence[Verdict], brains: str) -> dict[str, float | str]:
    """Return the answers to the note's questions, the tally, and what they are about.

    Parameters
    ----------
    run
        The edition.
    verdicts
        On all claims.
    brains
        What the edition's brains are.
    """
    return {
        **{f"answer_{name}": text for name, text in answers(verdicts, brains).items()},
        "tally": tally(verdicts),
        "n_claims": len(verdicts),
        "brains": brains,
        "codec": run.checkpoint.id,
        "description": run.checkpoint.description,
        "stimulus": run.stimulus.name,
        "ladder_in_short": ladder_answer.said(),
    }


def counted(verdicts: Sequence[Verdict]) -> pd.DataFrame:
    """Return how many claims have each verdict: a row per part of the note in its order, a column per verdict."""
    table = to_frame(verdicts)
    found = pd.crosstab(table["group"], table["verdict"])
    return found.reindex(index=table["group"].unique(), columns=list(VERDICTS), fill_value=0)


def draw_verdicts(verdicts: Sequence[Verdict]) -> Figure:
    """Draw how many claims have each verdict, a bar for each part of the note, the first on top."""
    figure, axis = plt.subplots(figsize=(7.2, 4.6))
    counted(verdicts)[::-1].plot.barh(
        ax=axis, stacked=True, color=list(COLOURS), edgecolor="white", width=0.8
    )
    axis.set(xlabel="claims", ylabel="")
    whole = AutoLocator()
    whole.set_params(integer=True)
    axis.xaxis.set_major_locator(whole)
    axis.grid(visible=False, axis="y")
    axis.legend(title="", loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=3, fontsize=8, frameon=False)
    return figure


def tables(verdicts: Sequence[Verdict]) -> dict[str, pd.DataFrame]:
    """Return a table for each part of the note: its claims with their lines, what was expected, and what was found."""
    table = to_frame(verdicts)
    table["claim"] += " (line " + table.pop("the note") + ")"
    return {str(group): rows.drop(columns="group") for group, rows in table.groupby("group", sort=False)}
