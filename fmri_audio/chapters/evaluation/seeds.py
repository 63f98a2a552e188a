"""From another start: the two arms that the book compares, trained from every seed of the edition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from fmri_audio.base.kinds import Waveform
from fmri_audio.base.results import Record
from fmri_audio.bottleneck.arms import ARM_LABELS
from fmri_audio.bottleneck.store import TrainedArm
from fmri_audio.chapters.common import brains_of
from fmri_audio.chapters.evaluation.decodes import ArmScores, ArmSounds, mel_distance
from fmri_audio.chapters.evaluation.opening import kind_of
from fmri_audio.experiments.block_tables import columns_of_arm, records, score
from fmri_audio.experiments.decoded import decoded_from_brains
from fmri_audio.experiments.held_out import HeldOut
from fmri_audio.experiments.noisy_bottleneck import NoisyBottleneck
from fmri_audio.experiments.through_arm import ThroughArm
from fmri_audio.pages.page import Table
from fmri_audio.sound import scoring

SCORED = ("mel_distance_db", "stoi", "estoi")
"""Metrics that are taken of every training."""

CONDITIONS = ("noise-free", "voxel-noise", "measured")

SeedScores = dict[tuple[str, int, str], pd.DataFrame]
"""Arm, seed and condition → scores of all sounds heard under it."""


def score_seeds(held_out: HeldOut, sounds: Mapping[str, ArmSounds]) -> SeedScores:
    """Decode and score every training; those of the first seed are decoded already."""
    found: SeedScores = {}
    for arm, several in held_out.repeated.items():
        for one in several:
            heard = _known(sounds[arm]) if one is sounds[arm].through.trained else _decoded(held_out, one)
            for condition, waves in zip(CONDITIONS, heard, strict=True):
                scores = [score(held_out, wave, SCORED) for wave in waves]
                found[arm, one.seed, condition] = pd.concat(scores)
    return found


def _known(sounds: ArmSounds) -> list[list[Waveform]]:
    """The sounds under each of :data:`CONDITIONS`."""
    return [[sounds.through.noise_free], [sounds.voxel_noise], list(sounds.measured.values())]


def _decoded(held_out: HeldOut, training: TrainedArm) -> list[list[Waveform]]:
    """The same of another training."""
    through = ThroughArm(held_out, training)
    noisy = through.sound_of(NoisyBottleneck(through).decoded().heard)
    measured = [through.sound_of(one.heard) for one in decoded_from_brains(through)]
    return [[through.noise_free], [noisy], measured]


def table(held_out: HeldOut, scores: SeedScores) -> Table:
    """Show the scores of every training."""
    kind = kind_of(held_out)
    rows = []
    for arm, seed in dict.fromkeys((arm, seed) for arm, seed, _ in scores):
        row: dict[str, float | str] = {"arm": ARM_LABELS[arm], "seed": str(seed)}
        for metric in SCORED:
            for condition in CONDITIONS:
                column = f"{scoring.LABELS[metric]}, {condition.replace('-', ' ')}"
                row[column] = scoring.means(scores[arm, seed, condition], kind)[metric]
        rows.append(row)
    frame = pd.DataFrame(rows)
    caption = (
        f"The frozen and the fine-tuned arm from every seed, held-out {kind} of {held_out.stimulus.name}, weights "
        f"{held_out.run.checkpoint.id}. Noise-free and voxel noise are the model's own bottleneck; measured: "
        f"{brains_of(held_out)}, mean of {len(held_out.study.subjects)} subjects."
    )
    return Table(
        frame, caption, {column: ".3f" if "STOI" in column else ".2f" for column in frame.columns[2:]}
    )


def values(kind: str, scores: SeedScores, arms: Mapping[str, ArmScores]) -> dict[str, str]:
    """Say how far seeds lie apart, and how far each arm's decode is from its own training mean.

    Parameters
    ----------
    kind : str
        Of the windows.
    scores : mapping
        From :func:`score_seeds`.
    arms : mapping
        Of the first seed.
    """
    measured: dict[str, list[float]] = {}
    for (arm, _, condition), frame in scores.items():
        if condition == "measured":
            measured.setdefault(arm, []).append(mel_distance(kind, frame))
    nothing = {arm: mel_distance(kind, arms[arm].no_brain) for arm in measured}
    gains = [f"{nothing[arm] - found[0]:+.2f} dB ({ARM_LABELS[arm]})" for arm, found in measured.items()]
    return {
        "own_gains": " and ".join(gains),
        "apart_without": f"{nothing['frozen'] - nothing['finetuned']:+.2f}",
        "seeds_said": seeds_said(measured),
    }


def seeds_said(measured: Mapping[str, Sequence[float]]) -> str:
    """Say over what range the seeds of both arms lie, and from how many the fine-tuned arm is the closer one.

    Parameters
    ----------
    measured : mapping
        Arm (frozen, then fine-tuned) → measured mel distance in dB from every seed.
    """
    closer = [frozen - tuned for frozen, tuned in zip(*measured.values(), strict=True)]
    if len(closer) < 2:
        return (
            "In this edition both were trained from a single seed: how much of the "
            f"{abs(closer[0]):.2f} dB between their measured mel distances is due to the start is not known."
        )
    ranges = [
        f"{min(found):.2f} to {max(found):.2f} dB ({ARM_LABELS[arm]})" for arm, found in measured.items()
    ]
    return (
        f"Over {len(closer)} seeds the measured mel distance ranges from {' and from '.join(ranges)}; the fine-tuned "
        f"arm is the closer one from {sum(gain > 0 for gain in closer)} of them, by {min(closer):+.2f} to "
        f"{max(closer):+.2f} dB."
    )


def seed_records(held_out: HeldOut, scores: SeedScores) -> list[Record]:
    """Return the rows of the table of results: every training under every condition."""
    made: list[Record] = []
    for (arm, seed, condition), frame in scores.items():
        described = columns_of_arm(held_out, arm)
        made += records(
            held_out, frame, condition=condition, control="repeated", seed=seed, wanted=SCORED, **described
        )
    return made
