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
from fmri_audio.decoding.information import MOST_COMPONENTS, Bits, identification_bits
from fmri_audio.decoding.regression import Identification
from fmri_audio.experiments.block_identification import bits_of_code
from fmri_audio.experiments.block_tables import columns_of_arm
from fmri_audio.experiments.held_out import HeldOut
from fmri_audio.experiments.whole_study import WholeStudy
from fmri_audio.pages.page import Table
from fmri_audio.study.facts import Subject

ALL_COMPONENTS = 128
"""As many components as the latents of EnCodec have channels."""

CONDITIONS = ("noise-free", "voxel-noise", "measured")

ArmBits = dict[tuple[str, str, int], list[Bits]]
"""Arm, condition and most components → bits, one per subject where brains are decoded."""


def through_arms(sounds: Mapping[str, ArmSounds]) -> ArmBits:
    """Count the bits that every arm's code carries under every condition, with few components and with all."""
    found: ArmBits = {}
    for arm, one in sounds.items():
        codes = [one.through.read_code], [one.noisy.code], [decoded.code for decoded in one.decoded]
        for condition, several in zip(CONDITIONS, codes, strict=True):
            for most in (MOST_COMPONENTS, ALL_COMPONENTS):
                found[arm, condition, most] = [bits_of_code(one.through, code, most) for code in several]
    return found


def between_brains(whole: WholeStudy) -> list[Identification]:
    """Identify every subject's held-out BOLD from the mean of the others'; nothing with a single subject."""
    held_out = whole.held_out
    if len(held_out.study.subjects) < 2:
        return []
    return regression.brain_to_brain(held_out.brains.all_bold, held_out.split, whole.block.segment_trs)


def subjects_table(held_out: HeldOut, bits: Mapping[Subject, Bits]) -> Table:
    """Show the bits about the latents, subject by subject."""
    rows = [
        {
            "subject": str(subject),
            "bits per TR": one.value,
            "before correction": one.raw,
            "with the sound turned": float(one.null.mean()),
            "p": one.p,
        }
        for subject, one in bits.items()
    ]
    caption = (
        f"{brains_of(held_out).capitalize()}: bits per TR that held-out predictions carry at least about the latents "
        f"of {held_out.run.checkpoint.id} (Gaussian, up to {MOST_COMPONENTS} whitened components and their "
        "innovations). Correlations of few TRs are never nought: what turned sound gives in the same way is "
        "subtracted. p: share of shifts with as many bits, subject by subject and not corrected for their number."
    )
    formats = {"bits per TR": ".2f", "before correction": ".2f", "with the sound turned": ".2f", "p": ".3f"}
    return Table(pd.DataFrame(rows), caption, formats)


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
    for (arm, condition, most), several in through.items():
        rows.setdefault(arm, {})[f"{heads[condition]}: {most}"] = _mean(several)
    frame = pd.DataFrame([{"arm": ARM_LABELS[arm], **row} for arm, row in rows.items()])
    caption = (
        "Bits per TR that the code of an arm carries at least about the code of the sound, on the held-out block, with "
        f"up to {MOST_COMPONENTS} and up to {ALL_COMPONENTS} whitened components; bias subtracted. Noise-free and "
        "voxel noise: by the arm's own reader of its volumes. Measured: by ridge regression from "
        f"{brains_of(held_out)}, single subjects. Weights {held_out.run.checkpoint.id}."
    )
    return Table(frame, caption, dict.fromkeys(frame.columns[1:], ".2f"))


def _mean(several: Sequence[Bits]) -> float:
    return float(np.mean([one.value for one in several]))


def arms_values(through: ArmBits) -> dict[str, float | str]:
    """Say for every condition between which bits the arms lie, and how their mean grows with the components."""
    found: dict[str, float | str] = {}
    for condition in CONDITIONS:
        key, means = condition.replace("-", "_"), []
        for most, name in ((MOST_COMPONENTS, "few"), (ALL_COMPONENTS, "all")):
            arms = [_mean(several) for where, several in through.items() if where[1:] == (condition, most)]
            found[f"bits_{key}_{name}"] = _with_minus(f"{min(arms):.2f} to {max(arms):.2f}")
            means.append(np.mean(arms))
        found[f"growth_{key}"] = _with_minus(f"from {means[0]:.2f} to {means[1]:.2f}")
    return {**found, "few_components": MOST_COMPONENTS, "all_components": ALL_COMPONENTS}


def _with_minus(text: str) -> str:
    return text.replace("-", "−")


def values(
    whole: WholeStudy, bits: Mapping[Subject, Bits], found: Comparisons, between: Sequence[Identification]
) -> dict[str, float | str]:
    """Return the bits about the latents, what the codec spends, and the ceiling between brains."""
    ten = found.whole[TEN]
    significant = ten.testable and found.corrected[TEN] <= 0.05
    return {
        "bits": _mean(list(bits.values())),
        "codec_bits": 1000 * whole.run.bandwidth * float(whole.study.tr),
        "fano": fano_said(ten.accuracy, whole.block.segment_trs, significant=significant),
        "between": float(np.mean([one.accuracy for one in between])) if between else float("nan"),
    }


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


def bits_records(held_out: HeldOut, bits: Mapping[Subject, Bits], through: ArmBits) -> list[Record]:
    """Return the rows of bits about the latents, then of those about the arms' codes."""
    columns = {**study_columns(held_out), "metric": "bits_per_tr", "unit": "bit", "control": "none"}
    made = [
        Record(**columns, subject=str(subject), value=one.value, n=len(one.null))
        for subject, one in bits.items()
    ]
    for (arm, condition, most), several in through.items():
        own = {
            **block_columns(held_out, condition),
            **columns_of_arm(held_out, arm),
            "control": "none",
            "metric": f"bits_per_tr_{most}_components",
            "unit": "bit",
        }
        subjects = [str(one) for one in held_out.study.subjects] if condition == "measured" else [None]
        made += [
            Record(**own, subject=subject, value=one.value, n=len(one.null))
            for subject, one in zip(subjects, several, strict=True)
        ]
    return made
