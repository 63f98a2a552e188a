"""Which segment was heard? Identification from whole brains, and through the arms' bottlenecks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from fmri_audio.base.results import Record
from fmri_audio.bottleneck.arms import ARM_LABELS
from fmri_audio.chapters.common import brains_of
from fmri_audio.chapters.evaluation.decodes import ArmSounds
from fmri_audio.decoding.identification import (
    FEWEST_SEGMENTS,
    FEWEST_SHIFTS,
    SAME_LEVEL_DB,
    Identified,
    corrected,
)
from fmri_audio.experiments.block_tables import columns_of_arm, columns_of_block
from fmri_audio.experiments.held_out import HeldOut
from fmri_audio.experiments.whole_study import WholeStudy
from fmri_audio.pages.page import Table

PRIMARY = "pairs, same kind and loudness (primary)"
TEN = "one of ten, any distractor"
TEN_MATCHED = "one of ten, same kind and loudness"
BY_SPECTRA = "pairs by line spectra, same kind and loudness"

COMPARED = {
    PRIMARY: "identification_matched",
    "pairs, any distractor": "identification_any",
    TEN_MATCHED: "identification_ten_way_matched",
    TEN: "identification_ten_way",
    BY_SPECTRA: "identification_line_spectra",
}
"""Comparisons over the whole study, in the order of the table → metric of their records."""


@dataclass(frozen=True)
class Comparisons:
    """Everything that is told apart.

    Attributes
    ----------
    whole : dict
        Comparison of :data:`COMPARED` → what was found, every TR held out once.
    codes, sounds : dict
        Arm → pairs of the held-out block, by the code of the arm, and by the line spectra of what it decodes.
    """

    whole: dict[str, Identified]
    codes: dict[str, Identified]
    sounds: dict[str, Identified]

    @property
    def named(self) -> dict[str, Identified]:
        """All of them, under the names of the table."""
        codes = {code_name(arm): one for arm, one in self.codes.items()}
        return self.whole | codes | {sound_name(arm): one for arm, one in self.sounds.items()}

    @cached_property
    def corrected(self) -> dict[str, float]:
        """Corrected p of all but the primary comparison, under their names."""
        return corrected({name: one for name, one in self.named.items() if name != PRIMARY})


def code_name(arm: str) -> str:
    """Name the comparison by an arm's code."""
    return f"code of the {ARM_LABELS[arm]} arm: pairs, same kind and loudness"


def sound_name(arm: str) -> str:
    """Name the comparison by an arm's sound."""
    return f"sound of the {ARM_LABELS[arm]} arm: pairs, same kind and loudness"


def open_study(held_out: HeldOut) -> WholeStudy:
    """Hold every TR of the edition out once."""
    return WholeStudy(held_out)


def compare(whole: WholeStudy, sounds: Mapping[str, ArmSounds]) -> Comparisons:
    """Tell segments apart: from whole brains, then by the code and by the sound of every arm."""
    study = {
        PRIMARY: whole.identify(),
        "pairs, any distractor": whole.identify(matched=False),
        TEN_MATCHED: whole.identify(ways=10),
        TEN: whole.identify(ways=10, matched=False),
        BY_SPECTRA: whole.identify_by_line_spectra(),
    }
    codes = {arm: whole.block.by_code(one.through, one.decoded) for arm, one in sounds.items()}
    heard = {arm: whole.block.by_line_spectra(list(one.measured.values())) for arm, one in sounds.items()}
    return Comparisons(study, codes, heard)


def table(whole: WholeStudy, found: Comparisons) -> Table:
    """Show every comparison with its null and its p."""
    rows = []
    for name, one in found.named.items():
        told = one.n_segments >= FEWEST_SEGMENTS
        rows.append(
            {
                "comparison": name,
                "segments": one.n_segments,
                "found": one.accuracy if told else float("nan"),
                "chance": one.chance,
                "with the sound turned": null_mean(one) if told else float("nan"),
                "shifts": len(one.null),
                "p": one.p,
                "corrected": found.corrected.get(name, float("nan")),
            }
        )
    caption = (
        f"{brains_of(whole.held_out).capitalize()}: identification of segments of {segment_seconds(whole):g} s, mean "
        f"over {len(whole.predictions)} subjects. The first five rows: latents of {whole.run.checkpoint.id}, and line "
        "spectral frequencies, predicted by ridge regression, every TR held out once. Below: the code of each arm's "
        "bottleneck, and the line spectral frequencies of its sound, on its held-out block alone. A dash: not told or "
        f"not tested, because there are under {FEWEST_SHIFTS} admissible shifts, or under {FEWEST_SEGMENTS} segments "
        "that have enough distractors; the primary comparison needs no correction."
    )
    shares, chances = ("found", "chance", "with the sound turned"), ("p", "corrected")
    return Table(pd.DataFrame(rows), caption, dict.fromkeys(shares, ".2f") | dict.fromkeys(chances, ".3f"))


def segment_seconds(whole: WholeStudy) -> float:
    """Return how long a segment is."""
    return whole.block.segment_trs * float(whole.study.tr)


def null_mean(one: Identified) -> float:
    """Return the mean over all shifts of the sound; NaN where none is admissible."""
    return float(np.mean(one.null)) if len(one.null) else float("nan")


def values(whole: WholeStudy, found: Comparisons) -> dict[str, float | str]:
    """Return the numbers and verdicts that the text cites of the table."""
    primary, spectra, ten = (found.whole[name] for name in (PRIMARY, BY_SPECTRA, TEN))
    shown = f"{spectra.accuracy:.2f} ({spectra.verdict}, before correction)"
    return {
        "by_spectra": shown if spectra.n_segments else "no number",
        "n_folds": len(whole.splits),
        "same_level": SAME_LEVEL_DB,
        "segment_seconds": segment_seconds(whole),
        "gap": whole.held_out.split.gap,
        "primary": accuracy_said(primary),
        "primary_verdict": primary.verdict,
        "primary_segments": primary.n_segments,
        "primary_left_out": primary.n_left_out,
        "ten": accuracy_said(ten),
        "ten_matched": ten_matched_said(found.whole[TEN_MATCHED]),
        "arms_verdicts": arms_verdicts(found.codes),
        "primary_subjects": subjects_said(primary),
    }


def accuracy_said(one: Identified) -> str:
    """Say the share that was found, if there was any segment."""
    return f"{one.accuracy:.2f}" if one.n_segments else "no number"


def ten_matched_said(one: Identified) -> str:
    """Say how many are found among ten of the same kind and loudness, or why that says nothing."""
    if one.n_segments >= FEWEST_SEGMENTS:
        return f"Among ten of the same kind and loudness {one.accuracy:.2f} are found ({one.verdict})."
    total = one.n_segments + one.n_left_out
    have = f"Only {one.n_segments} of {total} segments have" if one.n_segments else "No segment has"
    return (
        f"Ten of the same kind and loudness would be the fairer test. {have} so many, which is too few: matched, there "
        "are pairs alone, and the ten-way share says nothing beyond kind and loudness."
    )


def arms_verdicts(codes: Mapping[str, Identified]) -> str:
    """Say what is told apart through every arm's bottleneck, by its code."""
    return "; ".join(
        f"{ARM_LABELS[arm]} " + (f"{one.accuracy:.2f}, " if one.n_segments else "") + one.verdict
        for arm, one in codes.items()
    )


def subjects_said(one: Identified) -> str:
    """Say between which shares the subjects lie."""
    if not one.n_segments:
        return "no number"
    found = one.per_subject[:, 0]
    return f"{np.nanmin(found):.2f} to {np.nanmax(found):.2f}"


def block_columns(held_out: HeldOut, condition: str = "measured") -> dict[str, Any]:
    """Return what records of something read through a bottleneck have in common."""
    return {
        "unit": "1",
        "units": held_out.n_units,
        "rank": held_out.settings.rank,
        "condition": condition,
        **columns_of_block(held_out),
    }


def study_columns(held_out: HeldOut) -> dict[str, Any]:
    """Return what records of ridge regression without a bottleneck have in common."""
    return {
        **block_columns(held_out),
        "units": None,
        "rank": None,
        "fold": "every TR once",
        "arm": "ridge",
        "representation": "encodec-latents",
    }


def code_records(held_out: HeldOut, codes: Mapping[str, Identified]) -> list[Record]:
    """Return the rows of identification by the arms' codes, their null and their p."""
    made: list[Record] = []
    for arm, one in codes.items():
        columns = {**block_columns(held_out), **columns_of_arm(held_out, arm)}
        made.append(found_record(columns, one, "identification_beyond_gap"))
        made += null_records(columns, one, "identification_beyond_gap", "identification_p")
    return made


def found_record(columns: Mapping[str, Any], one: Identified, metric: str) -> Record:
    """Return the row of what is found; no control unless the columns name one."""
    return Record(metric=metric, value=one.accuracy, n=one.n_segments, **{"control": "none", **columns})


def null_records(columns: Mapping[str, Any], one: Identified, metric: str, p: str) -> list[Record]:
    """Return the rows of what is found with the sound turned, and of p."""
    turned = {**columns, "control": "circular-shift", "n": len(one.null)}
    return [Record(metric=metric, value=null_mean(one), **turned), Record(metric=p, value=one.p, **turned)]


def study_records(held_out: HeldOut, found: Mapping[str, Identified]) -> list[Record]:
    """Return the rows of the comparisons over the whole study."""
    columns = study_columns(held_out)
    made: list[Record] = []
    for name, one in found.items():
        _, p = null_records(columns, one, COMPARED[name], f"{COMPARED[name]}_p")
        made += [found_record(columns, one, COMPARED[name]), p]
    return made
