"""By the sound alone: whether an arm keeps the line spectra at all, and what loudness alone would do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from fmri_audio.base.results import Record
from fmri_audio.bottleneck.arms import ARM_LABELS
from fmri_audio.chapters.common import brains_of
from fmri_audio.chapters.evaluation.decodes import ArmSounds
from fmri_audio.chapters.evaluation.opening import in_arms
from fmri_audio.chapters.evaluation.segments import (
    Comparisons,
    block_columns,
    found_record,
    null_records,
    sound_name,
)
from fmri_audio.decoding.identification import Identified
from fmri_audio.experiments import controls
from fmri_audio.experiments.block_tables import columns_of_arm
from fmri_audio.experiments.controls import CONTROL_LABELS
from fmri_audio.experiments.held_out import HeldOut
from fmri_audio.experiments.whole_study import WholeStudy
from fmri_audio.pages.page import Table

BySound = dict[str, dict[str, Identified]]
"""Arm → condition or control → pairs told apart."""


def compare(whole: WholeStudy, sounds: Mapping[str, ArmSounds], found: Comparisons) -> BySound:
    """Tell pairs apart by the sound under every condition and control; measured they are told already."""
    by_spectra = whole.block.by_line_spectra
    return {
        arm: {
            "measured": found.sounds[arm],
            "noise-free": by_spectra([one.through.noise_free]),
            "voxel-noise": by_spectra([one.voxel_noise]),
            **{control: by_spectra(one.controls[control]) for control in CONTROL_LABELS},
        }
        for arm, one in sounds.items()
    }


def table(held_out: HeldOut, found: BySound) -> Table:
    """Show the share of pairs told apart, arm by arm."""
    heads = {
        "measured": f"measured, mean of {len(held_out.study.subjects)} subjects",
        "noise-free": "noise-free, no brain",
        "voxel-noise": "voxel noise, no brain",
        **CONTROL_LABELS,
    }
    rows = [
        {"arm": ARM_LABELS[arm], **{words: several[name].accuracy for name, words in heads.items()}}
        for arm, several in found.items()
    ]
    first = next(iter(found.values()))["measured"]
    caption = (
        "Share of pairs of held-out segments told apart by the line spectral frequencies of the sound, distractors of "
        f"the same kind and loudness; chance .5. Measured: {brains_of(held_out)}; the other columns involve none. "
        f"{first.n_segments} segments, {first.n_left_out} without a distractor of their kind and loudness. A dash: no "
        "segment has one."
    )
    return Table(pd.DataFrame(rows), caption, dict.fromkeys(heads.values(), ".2f"))


def overlap(whole: WholeStudy) -> float:
    """Return what share of the line spectra's variance the features foretell that simulated brains are made of."""
    sound = whole.stimulus
    features = controls.acoustics(sound.waveform, sound.sample_rate, sound.n_trs)
    return max(controls.foretold(whole.held_out, features, whole.block.line_spectra), 0.0)


def sound_said(brains: str, found: BySound, corrected: Mapping[str, float]) -> str:
    """Say what is told apart by the sound: from brains, after correction, and beside level and noise-free sound.

    Parameters
    ----------
    brains : str
        Simulated or measured brains.
    found : mapping
        From :func:`compare`.
    corrected : mapping
        Name of every comparison of the chapter → its corrected p; NaN where it is not tested.
    """
    measured = {arm: several["measured"] for arm, several in found.items()}
    n_segments = measured["frozen"].n_segments
    if not n_segments:
        return (
            "Too little sound is held out here: no segment has a distractor of its kind and loudness, and nothing "
            f"heard from {brains} can be told apart."
        )
    verdicts = "; ".join(
        f"{ARM_LABELS[arm]} {one.accuracy:.2f}, {one.verdict}" for arm, one in measured.items()
    )
    told = [f"Decoded from {brains}, before correction: {verdicts}."]
    if any(one.testable for one in measured.values()):
        told.append(_after_correction(list(found), corrected))
    return " ".join([*told, _beside_level_and_noise_free(found), _above_noise_free(found, n_segments)])


def _after_correction(arms: Sequence[str], corrected: Mapping[str, float]) -> str:
    n_tested = sum(np.isfinite(p) for p in corrected.values())
    significant = [ARM_LABELS[arm] for arm in arms if corrected[sound_name(arm)] <= 0.05]
    held = in_arms(significant, len(arms))
    return f"After correction for {n_tested} comparisons, segments are told apart at .05 {held}."


def _beside_level_and_noise_free(found: BySound) -> str:
    above = [
        ARM_LABELS[arm]
        for arm, several in found.items()
        if several["measured"].accuracy > several["envelope-only"].accuracy
    ]
    free = "; ".join(
        f"{ARM_LABELS[arm]} {several['noise-free'].accuracy:.2f}" for arm, several in found.items()
    )
    return (
        f"The share is above that of the sound's level alone {in_arms(above, len(found))}, which was not tested. "
        f"Without noise and without a brain the shares are {free}: an arm near one half has lost the feature on the "
        "way, whatever a brain may say."
    )


def _above_noise_free(found: BySound, n_segments: int) -> str:
    excess = {
        ARM_LABELS[arm]: several["measured"].accuracy - several["noise-free"].accuracy
        for arm, several in found.items()
    }
    over = {label: value for label, value in excess.items() if value > 0}
    if not over:
        return "No arm has a measured share above its noise-free one."
    return (
        f"The measured share is above the noise-free one for {', '.join(over)}, by {max(over.values()):.2f} at most, "
        f"where one segment more or less weighs {1 / n_segments:.2f}; differences of a few segments order nothing."
    )


def sound_records(held_out: HeldOut, found: BySound) -> list[Record]:
    """Return the rows of the table of results: subject by subject, under every condition, and the null."""
    metric = "identification_by_sound"
    made: list[Record] = []
    for arm, several in found.items():
        measured = several["measured"]
        columns = {**block_columns(held_out), **columns_of_arm(held_out, arm)}
        single = {**columns, "metric": metric, "control": "none", "n": measured.n_segments}
        for subject, value in zip(held_out.study.subjects, measured.per_subject[:, 0], strict=True):
            made.append(Record(**single, subject=str(subject), value=float(value)))
        for name, one in several.items():
            where = {"control": name} if name in CONTROL_LABELS else {"condition": name}
            made.append(found_record({**columns, **where}, one, metric))
        made += null_records(columns, measured, metric, f"{metric}_p")
    return made
