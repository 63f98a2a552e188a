"""How much noise can it bear? The bottleneck's volumes with more and with less noise than voxels have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fmri_audio.base.results import Record, noise_of
from fmri_audio.bottleneck.arms import ARM_LABELS
from fmri_audio.chapters.common import brains_of
from fmri_audio.chapters.evaluation.decodes import ArmScores, ArmSounds, codec_name, mel_distance
from fmri_audio.chapters.evaluation.opening import kind_of
from fmri_audio.experiments.block_tables import columns_of_arm, records, score
from fmri_audio.experiments.held_out import HeldOut
from fmri_audio.sound import scoring

LEVELS = (0.0, 0.25, 0.5, 1.0, 2.0)
"""Standard deviations of the noise, in units of that of the brains."""

LevelScores = dict[tuple[str, float], pd.DataFrame]
"""Arm and level → scores."""


def score_levels(
    held_out: HeldOut, sounds: Mapping[str, ArmSounds], scores: Mapping[str, ArmScores]
) -> LevelScores:
    """Score every arm at every level, its gains trained at that level; at 1 it is scored already."""
    return {
        (arm, level): scores[arm].voxel_noise if level == 1 else _score_at(held_out, one, level)
        for arm, one in sounds.items()
        for level in LEVELS
    }


def _score_at(held_out: HeldOut, sounds: ArmSounds, level: float) -> pd.DataFrame:
    decoded = sounds.bottleneck.decoded(level)
    return score(held_out, sounds.through.sound_of(decoded.heard), scoring.CHEAP)


def figure(
    held_out: HeldOut,
    by_level: LevelScores,
    scores: Mapping[str, ArmScores],
    scale: Mapping[str, pd.DataFrame],
) -> Figure:
    """Draw the mel distance against the noise, a panel per arm, between the arm's ceiling and its floor."""
    kind = kind_of(held_out)
    lines = pd.concat(
        [frame.assign(arm=ARM_LABELS[arm], level=level) for (arm, level), frame in by_level.items()],
        ignore_index=True,
    )
    grid = sns.relplot(
        lines,
        x="level",
        y="mel_distance_db",
        col="arm",
        col_wrap=3,
        kind="line",
        marker="o",
        errorbar=None,
        height=2.3,
        aspect=1.05,
        facet_kws={"sharey": False},
    )
    for place, (arm, one) in enumerate(scores.items()):
        heights = (
            (mel_distance(kind, one.no_brain), "no brain", ":"),
            (mel_distance(kind, one.noise_free), "noise-free", ":"),
            (mel_distance(kind, scale[codec_name(held_out)]), "codec alone", "-."),
        )
        _mark(grid.axes_dict[ARM_LABELS[arm]], heights, labelled=place == 0)
    grid.set_axis_labels("", "mel distance (dB)").set_titles("{col_name}", size="small")
    grid.figure.supxlabel(f"noise, in units of that of {brains_of(held_out)}", size="medium", y=-0.02)
    drawn: Figure = grid.figure
    return drawn


def _mark(axis: Axes, heights: Sequence[tuple[float, str, str]], *, labelled: bool) -> None:
    """Draw where the brains' noise is, and what an arm's line lies between."""
    axis.axvline(1, linestyle="--", color="0.4", linewidth=1)
    for height, label, line in heights:
        axis.axhline(height, linestyle=line, color="0.3", linewidth=1)
        if labelled:
            axis.text(2, height, label, ha="right", va="bottom", size="small", color="0.3")


def lost(kind: str, scores: Mapping[str, ArmScores]) -> dict[str, str]:
    """Say what the noise of brains takes of every arm's way from its ceiling to its floor, and where it takes nothing.

    Returns
    -------
    dict
        ``lost`` and ``flat_said``, sentences.
    """
    ceiling = {arm: mel_distance(kind, one.noise_free) for arm, one in scores.items()}
    taken = {arm: mel_distance(kind, one.voxel_noise) - ceiling[arm] for arm, one in scores.items()}
    way = {arm: mel_distance(kind, one.no_brain) - ceiling[arm] for arm, one in scores.items()}
    told = [
        f"{ARM_LABELS[arm]} {value:.2f} of {way[arm]:.2f} dB" for arm, value in taken.items() if value > 0
    ]
    flat = [ARM_LABELS[arm] for arm, value in taken.items() if value <= 0]
    flat_said = (
        f" In the arm{'' if len(flat) == 1 else 's'} {' and '.join(flat)} the sound is no nearer without noise than "
        "with it: by this measure noise-free is no ceiling there."
    )
    return {"lost": "; ".join(told) or "it grows in no arm", "flat_said": flat_said if flat else ""}


def level_records(held_out: HeldOut, by_level: LevelScores) -> list[Record]:
    """Return the rows of the table of results: every level but that of the brains, which is there already."""
    made: list[Record] = []
    for (arm, level), frame in by_level.items():
        if level != 1:
            made += records(
                held_out,
                frame,
                condition="voxel-noise" if level else "noise-free",
                control=f"noise-times-{level:g}",
                noise=noise_of(level),
                wanted=scoring.CHEAP,
                **columns_of_arm(held_out, arm),
            )
    return made
