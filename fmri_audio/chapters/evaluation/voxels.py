"""What does a voxel follow? Held-out BOLD predicted from the sound, beside what the brains have in common."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fmri_audio.base.results import Record
from fmri_audio.brain.agreement import leave_one_out_isc, noise_ceiling
from fmri_audio.chapters.common import brains_of
from fmri_audio.chapters.evaluation.segments import study_columns
from fmri_audio.decoding.encoding import Encoded
from fmri_audio.experiments.held_out import HeldOut
from fmri_audio.experiments.whole_study import WholeStudy
from fmri_audio.pages.page import Table
from fmri_audio.study.facts import Subject

ALL, OTHERS = "all together", "mean of the others"
"""Columns of the table beside the kinds of features."""


@dataclass(frozen=True)
class FollowedBySize:
    """What predicts held-out BOLD.

    Attributes
    ----------
    encoded : dict
        Subject → what banded ridge predicts from the sound.
    isc : array, shape [subjects, voxels]
        Correlation with the mean of the other subjects.
    ceiling : array, shape [voxels]
        What a perfect model of all that the subjects share would reach.
    """

    encoded: dict[Subject, Encoded]
    isc: NDArray[np.float64]
    ceiling: NDArray[np.float64]

    @property
    def mean_ceiling(self) -> float:
        """Mean over voxels."""
        return float(np.nanmean(self.ceiling))


def follow(whole: WholeStudy) -> FollowedBySize:
    """Predict every subject's held-out BOLD from the sound, and correlate the subjects with each other."""
    held_out = whole.held_out
    volumes = slice(*held_out.split.bold_test)
    bold = [one[volumes] for one in held_out.brains.all_bold]
    encoded = {subject: whole.encode(subject) for subject in whole.predictions}
    return FollowedBySize(encoded, leave_one_out_isc(bold), noise_ceiling(bold))


def means(followed: FollowedBySize) -> pd.DataFrame:
    """Return means over voxels, a row per subject: every kind's share, all kinds together, and the other brains."""
    return pd.DataFrame(
        [
            {
                "subject": str(subject),
                **{kind: float(np.nanmean(share)) for kind, share in one.parts.items()},
                ALL: float(np.nanmean(one.correlation)),
                OTHERS: float(np.nanmean(others)),
            }
            for (subject, one), others in zip(followed.encoded.items(), followed.isc, strict=True)
        ]
    )


def table(held_out: HeldOut, subjects: pd.DataFrame) -> Table:
    """Show the means of every subject, and theirs."""
    mean = {"subject": "mean", **subjects.drop(columns="subject").mean().to_dict()}
    caption = (
        f"{brains_of(held_out).capitalize()}: held-out correlation of the mask's {held_out.n_units} voxels with what "
        "banded ridge predicts from the sound, and the share of it that each kind of feature gives (latents of "
        f"{held_out.run.checkpoint.id}); beside it, the correlation with the mean of the other subjects' BOLD of the "
        "same volumes. Mean over voxels."
    )
    frame = pd.concat([subjects, pd.DataFrame([mean])], ignore_index=True)
    return Table(frame, caption, dict.fromkeys(subjects.columns[1:], ".3f"))


def values(held_out: HeldOut, subjects: pd.DataFrame, ceiling: float) -> dict[str, float | str]:
    """Return the means over subjects, and the ceiling of this block beside that of the whole run.

    Parameters
    ----------
    held_out : HeldOut
    subjects : DataFrame
        From :func:`means`.
    ceiling : float
        Of this block.
    """
    whole = held_out.run.records("05-dataset").query("metric == 'noise_ceiling'")["value"]
    return {
        "encoding": float(subjects[ALL].mean()),
        "encoding_envelope": float(subjects["envelope"].mean()),
        "encoding_latents": float(subjects["latents"].mean()),
        "isc": float(subjects[OTHERS].mean()),
        "noise_ceiling": ceiling,
        "whole_ceiling": f"{whole.mean():.3f}" if len(whole) else "none",
        "of_ceiling": float(subjects[ALL].mean() / ceiling),
    }


def voxel_records(held_out: HeldOut, followed: FollowedBySize) -> list[Record]:
    """Return the rows of the table of results: every kind of feature, the other brains, the ceiling."""
    columns = {**study_columns(held_out), "fold": "held-out", "n": held_out.n_units}
    bare = {**columns, "arm": None, "representation": None, "control": "other-brains"}
    made: list[Record] = []
    for subject, one in followed.encoded.items():
        for kind, found in {**one.parts, "all": one.correlation}.items():
            own = {**columns, "representation": kind, "subject": str(subject), "control": "none"}
            made.append(Record(metric="encoding_correlation", value=float(np.nanmean(found)), **own))
    for subject, found in zip(followed.encoded, followed.isc, strict=True):
        value = float(np.nanmean(found))
        made.append(Record(metric="encoding_correlation", subject=str(subject), value=value, **bare))
    return [*made, Record(metric="noise_ceiling", value=followed.mean_ceiling, **bare)]
