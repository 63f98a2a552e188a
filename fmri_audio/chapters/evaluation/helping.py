"""Did training help? Every arm on validation sound beside its untrained start and a code without training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from fmri_audio.base.results import Record
from fmri_audio.bottleneck.arms import ARM_LABELS
from fmri_audio.experiments import block_tables, helped
from fmri_audio.experiments.held_out import HeldOut
from fmri_audio.experiments.helped import Help
from fmri_audio.pages.page import Table
from fmri_audio.sound import scoring

COMPARED = {helped.TRAINED: "trained", helped.UNTRAINED: "untrained start", helped.LINEAR: "block PCA"}
"""What is compared, by the ``control`` of its records, in a reader's words."""


def compare(held_out: HeldOut) -> list[Record]:
    """Score every arm on validation sound: as trained, as it began, and a block PCA of its width."""
    made: list[Record] = []
    for arm in held_out.arms:
        columns = {**block_tables.columns_of_arm(held_out, arm), "fold": helped.FOLD}
        for control, scores in helped.compare(held_out, arm).items():
            made += block_tables.records(
                held_out,
                scores,
                condition="noise-free",
                control=control,
                wanted=list(helped.DECIDING),
                **columns,
            )
    return made


def helps(compared: Sequence[Record]) -> dict[str, Help]:
    """Say of every arm whether training helped it, from the records of :func:`compare`."""
    return helped.helps(pd.DataFrame(list(compared)))


def table(held_out: HeldOut, found: Mapping[str, Help]) -> Table:
    """Show the deciding scores of every arm, and whether training helped."""
    rows, formats = [], {}
    for arm, one in found.items():
        row: dict[str, float | str] = {"arm": ARM_LABELS[arm]}
        for metric in helped.DECIDING:
            for control, words in COMPARED.items():
                column = f"{scoring.LABELS[metric]}, {words}"
                row[column] = one.scores[control][metric]
                formats[column] = scoring.FORMATS[scoring.LABELS[metric]]
        rows.append({**row, "training helped": "yes" if one.helped else "no"})
    caption = (
        f"Validation sound of {held_out.run.stimulus.name} through each arm's noise-free bottleneck of rank "
        f"{held_out.settings.rank}, as trained and as it began, and through a code of principal components of at most "
        f"as many numbers per TR. Weights {held_out.run.checkpoint.id}; no brain involved. Training helped if the arm "
        "is better than both by every score that is defined."
    )
    return Table(pd.DataFrame(rows), caption, formats)


def verdict(found: Mapping[str, Help]) -> str:
    """Say how many arms training helped, and name those that it did not."""
    unhelped = [ARM_LABELS[arm] for arm, one in found.items() if not one.helped]
    if not unhelped:
        return f"Training helped all {len(found)} arms on validation sound."
    return (
        f"Training did not help {len(unhelped)} of {len(found)} arms ({', '.join(unhelped)}): what follows about them "
        "describes this training."
    )
