"""The ceiling, and how many bits per TR that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from fmri_audio.base.results import Record
from fmri_audio.bottleneck.arms import ARM_LABELS
from fmri_audio.chapters.common import brains_of
from fmri_audio.chapters.evaluation.decodes import ArmSounds
from fmri_audio.chapters.evaluation.segments import (
    PRIMARY,
    TEN,
    Comparisons,
    block_columns,
    study_columns,
)
from fmri_audio.decoding import regression
from fmri_audio.decoding.information import identification_bits
from fmri_audio.decoding.lower_bits import LEVEL, MOST_COMPONENTS, LowerBits
from fmri_audio.decoding.regression import Identification
from fmri_audio.experiments.block_identification import bits_of_code
from fmri_audio.experiments.block_tables import columns_of_arm
from fmri_audio.experiments.held_out import HeldOut
from fmri_audio.experiments.whole_study import WholeStudy
from fmri_audio.pages.page import Table
from fmri_audio.study.facts import Subject

CONDITIONS = ("noise-free", "voxel-noise", "measured")

ArmBits = dict[tuple[str, str], list[LowerBits]]
"""Arm and condition → bits, one per subject where brains are decoded."""


def through_arms(sounds: Mapping[str, ArmSounds]) -> ArmBits:
    """Count the bits that every arm's code carries under every condition."""
    found: ArmBits = {}
    for arm, one in sounds.items():
        codes = [one.through.read_code], [one.noisy.code], [decoded.code for decoded in one.decoded]
        for condition, several in zip(CONDITIONS, codes, strict=True):
            found[arm, condition] = [bits_of_code(one.through, code) for code in several]
    return found


def between_brains(whole: WholeStudy) -> list[Identification]:
    """Identify every subject's held-out BOLD from the mean of the others'; nothing with a single subject."""
    held_out = whole.held_out
    if len(held_out.study.subjects) < 2:
        return []
    return regression.brain_to_brain(held_out.brains.all_bold, held_out.split, whole.block.segment_trs)


def subjects_table(held_out: HeldOut, bits: Mapping[Subject, LowerBits]) -> Table:
    """Show the bits about the latents, subject by subject."""
    rows = [
        {
            "subject": str(subject),
            "strongest component": one.strongest.mean(),
            "at least": one.bound,
            "independent components, summed": one.summed.mean(),
            "at least, if independent": one.bound_if_independent,
        }
        for subject, one in bits.items()
    ]
    caption = (
        f"{brains_of(held_out).capitalize()}: bits per TR that held-out predictions carry about the latents "
        f"of {held_out.run.checkpoint.id}. Up to {MOST_COMPONENTS} components of their innovations, made Gaussian and "
        "turned until they are independent, all learnt in training; what turned sound gives in the same way is "
        f"subtracted. At least: one-sided {LEVEL:.0%} limit of the mean over held-out blocks, no less than 0."
    )
    frame = pd.DataFrame(rows)
    return Table(frame, caption, dict.fromkeys(frame.columns[1:], ".2f"))


def arms_table(held_out: HeldOut, through: ArmBits) -> Table:
    """Show the bits of every arm's code, condition by condition."""
    heads = dict(
        zip(
            CONDITIONS,
            (
                "noise-free, no brain",
                "voxel noise, no brain",
                f"measured, mean of {len(held_out.study.subjects)}",
            ),
            strict=True,
        )
    )
    rows: dict[str, dict[str, float]] = {}
    for (arm, condition), several in through.items():
        strongest, summed = _means(several)
        rows.setdefault(arm, {})[f"{heads[condition]}: strongest"] = strongest
        rows[arm][f"{heads[condition]}: summed"] = summed
    frame = pd.DataFrame([{"arm": ARM_LABELS[arm], **row} for arm, row in rows.items()])
    caption = (
        "Estimated bits per TR that the code of an arm carries about the code of the sound, on the held-out block: by "
        f"the strongest of {MOST_COMPONENTS} components, and by all of them if they are independent. One block has no "
        "limit. Noise-free and voxel noise: by the arm's own reader of its volumes. Measured: by ridge regression from "
        f"{brains_of(held_out)}, single subjects. Weights {held_out.run.checkpoint.id}."
    )
    return Table(frame, caption, dict.fromkeys(frame.columns[1:], ".2f"))


def _means(several: Sequence[LowerBits]) -> tuple[float, float]:
    """Mean over subjects and blocks: of the strongest component, of the sum."""
    return (
        float(np.mean([one.strongest.mean() for one in several])),
        float(np.mean([one.summed.mean() for one in several])),
    )


def arms_values(through: ArmBits) -> dict[str, float | str]:
    """Say for every condition between which bits the arms lie, by the sum of components."""
    found: dict[str, float | str] = {"components": MOST_COMPONENTS}
    for condition in CONDITIONS:
        arms = [_means(several)[1] for (_, where), several in through.items() if where == condition]
        found[f"bits_{condition.replace('-', '_')}"] = _with_minus(f"{min(arms):.2f} to {max(arms):.2f}")
    return found


def _with_minus(text: str) -> str:
    return text.replace("-", "−")


def values(
    whole: WholeStudy,
    bits: Mapping[Subject, LowerBits],
    found: Comparisons,
    between: Sequence[Identification],
) -> dict[str, float | str]:
    """Return the bits about the latents, what the codec spends, and the ceiling between brains."""
    ten = found.whole[TEN]
    significant = ten.testable and found.corrected[TEN] <= 0.05
    strongest, summed = _means(list(bits.values()))
    return {
        "bits": summed,
        "bits_strongest": strongest,
        "bits_at_least": _with_minus(_over_subjects([one.bound for one in bits.values()])),
        "bits_if_independent": _with_minus(
            _over_subjects([one.bound_if_independent for one in bits.values()])
        ),
        "codec_bits": 1000 * whole.run.bandwidth * float(whole.study.tr),
        "fano": fano_said(ten.accuracy, whole.block.segment_trs, significant=significant),
        "between": float(np.mean([one.accuracy for one in between])) if between else float("nan"),
    }


def _over_subjects(limits: Sequence[float]) -> str:
    """Limits of single subjects, from the lowest to the highest."""
    low, high = (f"{value:.2f}" for value in (min(limits), max(limits)))
    return low if low == high else f"{low} to {high}"


def fano_said(accuracy: float, segment_trs: int, *, significant: bool) -> str:
    """Say how many bits per TR ten-way identification implies, if it is above chance.

    Parameters
    ----------
    accuracy : float
        Share found among ten.
    segment_trs : int
        TRs of a segment.
    significant : bool
        Whether that is above chance, after correction.
    """
    if not significant:
        return "Ten-way identification is not above chance for certain, and implies no bits."
    implied = identification_bits(accuracy, 10) / segment_trs
    return f"Ten-way identification implies at least {implied:.3f} (Fano's inequality)."


def ceiling_table(held_out: HeldOut, found: Comparisons, between: Sequence[Identification]) -> Table:
    """Show what is told apart subject by subject, beside what the other brains tell."""
    rows = [
        {
            "subject": str(subject),
            "latents, every TR once": found.whole[PRIMARY].per_subject[k, 0],
            **{f"sound, {ARM_LABELS[arm]}": one.per_subject[k, 0] for arm, one in found.sounds.items()},
            "from the other brains": between[k].accuracy if between else float("nan"),
        }
        for k, subject in enumerate(held_out.study.subjects)
    ]
    frame = pd.DataFrame(rows)
    caption = (
        f"{brains_of(held_out).capitalize()}: pairs of segments told apart, subject by subject. Latents: the primary "
        "comparison. Sound: line spectral frequencies of what each arm decodes, on the held-out block. Last column, a "
        "ceiling: the subject's held-out BOLD identified from the mean of the other subjects', distractors of any kind "
        "beyond the gap."
    )
    return Table(frame, caption, dict.fromkeys(frame.columns[1:], ".2f"))


def between_records(held_out: HeldOut, between: Sequence[Identification]) -> list[Record]:
    """Return the rows of the ceiling between brains."""
    columns = {**block_columns(held_out), "units": None, "rank": None, "metric": "identification_of_brains"}
    return [
        Record(**columns, control="other-brains", subject=str(subject), value=one.accuracy, n=one.n_segments)
        for subject, one in zip(held_out.study.subjects, between, strict=False)
    ]


def bits_records(held_out: HeldOut, bits: Mapping[Subject, LowerBits], through: ArmBits) -> list[Record]:
    """Return the rows of bits about the latents, then of those about the arms' codes.

    ``bits_per_tr`` is the sum of components less chance, ``bits_per_tr_strongest`` the strongest alone, and
    ``…_at_least`` their limits over held-out blocks, where there are several.
    """
    columns = {**study_columns(held_out), "unit": "bit", "control": "none"}
    made = [
        Record(**columns, subject=str(subject), metric=metric, value=value, n=len(one.summed))
        for subject, one in bits.items()
        for metric, value in (
            *_estimates(one),
            ("bits_per_tr_strongest_at_least", one.bound),
            ("bits_per_tr_at_least", one.bound_if_independent),
        )
    ]
    for (arm, condition), several in through.items():
        own = {
            **block_columns(held_out, condition),
            **columns_of_arm(held_out, arm),
            "control": "none",
            "unit": "bit",
        }
        subjects = [str(one) for one in held_out.study.subjects] if condition == "measured" else [None]
        made += [
            Record(**own, subject=subject, metric=metric, value=value, n=len(one.summed))
            for subject, one in zip(subjects, several, strict=True)
            for metric, value in _estimates(one)
        ]
    return made


def _estimates(one: LowerBits) -> tuple[tuple[str, float], tuple[str, float]]:
    return (("bits_per_tr", float(one.summed.mean())), ("bits_per_tr_strongest", float(one.strongest.mean())))
