"""The held-out block under every condition: its sounds through every arm, and their scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fmri_audio.base.kinds import Waveform
from fmri_audio.base.results import Record, noise_of
from fmri_audio.chapters.evaluation.opening import kind_of
from fmri_audio.experiments import controls
from fmri_audio.experiments.block_tables import columns_of_arm, records, score, score_other_segment
from fmri_audio.experiments.decoded import Decoded, decoded_from_brains
from fmri_audio.experiments.held_out import HeldOut
from fmri_audio.experiments.noisy_bottleneck import NoisyBottleneck
from fmri_audio.experiments.through_arm import ThroughArm
from fmri_audio.experiments.through_codec import codec_only
from fmri_audio.sound import scoring
from fmri_audio.study.facts import Subject

CONDITIONS = ("noise-free", "voxel noise", "measured", "measured, another segment", "no brain")
"""Under which a block is heard, but for the controls, in the order of figures."""

SILENT_POWER = 1e-6
"""Mean square below which a decoded block counts as silence: −60 dBFS."""


@dataclass(frozen=True)
class ArmSounds:
    """The block through one arm.

    Attributes
    ----------
    through : ThroughArm
        Noise-free, and without a brain.
    bottleneck : NoisyBottleneck
        The arm's own, with voxel noise.
    noisy : Decoded
        The code read from it.
    voxel_noise : array, shape [T]
        The sound of that code.
    decoded : list of Decoded
        The code decoded from every subject's brain.
    measured : dict
        Subject → the sound of that code, [T].
    controls : dict
        Control → sounds of codes that no brain had a part in.
    """

    through: ThroughArm
    bottleneck: NoisyBottleneck
    noisy: Decoded
    voxel_noise: Waveform
    decoded: list[Decoded]
    measured: dict[Subject, Waveform]
    controls: dict[str, list[Waveform]]

    @property
    def silent(self) -> bool:
        """Whether what is decoded from brains is silence, whatever the subject."""
        return all(np.square(sound).mean() < SILENT_POWER for sound in self.measured.values())


@dataclass(frozen=True)
class ArmScores:
    """Scores of the block through one arm: a row per window, as from :func:`scoring.score_windows`.

    Attributes
    ----------
    noise_free, voxel_noise, no_brain : DataFrame
    measured, other_segment : dict
        Subject → scores of the decode, and of the decode of another segment.
    controls : dict
        Control → scores of all its sounds.
    """

    noise_free: pd.DataFrame
    voxel_noise: pd.DataFrame
    no_brain: pd.DataFrame
    measured: dict[Subject, pd.DataFrame]
    other_segment: dict[Subject, pd.DataFrame]
    controls: dict[str, pd.DataFrame]

    @property
    def by_condition(self) -> dict[str, list[pd.DataFrame]]:
        """Scores of every sound that is heard under each of :data:`CONDITIONS`."""
        measured, other = (list(frames.values()) for frames in (self.measured, self.other_segment))
        frames = [self.noise_free], [self.voxel_noise], measured, other, [self.no_brain]
        return dict(zip(CONDITIONS, frames, strict=True))

    @property
    def all_measured(self) -> pd.DataFrame:
        """Scores of all subjects' decodes."""
        return pd.concat(self.measured.values())

    @property
    def all_other(self) -> pd.DataFrame:
        """Scores of all subjects' decodes of another segment."""
        return pd.concat(self.other_segment.values())


def decode(held_out: HeldOut) -> dict[str, ArmSounds]:
    """Decode the block from every brain, from noisy volumes and from controls, through every arm."""
    return {arm: _through(ThroughArm(held_out, arm)) for arm in held_out.arms}


def _through(through: ThroughArm) -> ArmSounds:
    decoded, bottleneck = list(decoded_from_brains(through)), NoisyBottleneck(through)
    noisy = bottleneck.decoded()
    measured = {one.subject: through.sound_of(one.heard) for one in decoded if one.subject is not None}
    return ArmSounds(
        through, bottleneck, noisy, through.sound_of(noisy.heard), decoded, measured, controls.sounds(through)
    )


def said(held_out: HeldOut, sounds: Mapping[str, ArmSounds]) -> str:
    """Say how much was decoded from brains."""
    begin, end = held_out.seconds
    n_subjects = len(held_out.study.subjects)
    n_blocks = sum(len(one.measured) for one in sounds.values())
    return f"{n_blocks} decoded blocks of {end - begin:.0f} s: {n_subjects} subjects × {len(sounds)} arms"


def references(held_out: HeldOut) -> dict[str, Waveform]:
    """Return the scale's upper end: the original sound, and the codec alone at the edition's bandwidth."""
    return {"original": held_out.original, codec_name(held_out): codec_only(held_out, held_out.run.bandwidth)}


def codec_name(held_out: HeldOut) -> str:
    """Name the codec's sound."""
    return f"codec only, {held_out.run.bandwidth:g} kbps"


def score_scale(held_out: HeldOut, known: Mapping[str, Waveform]) -> dict[str, pd.DataFrame]:
    """Score the scale's two ends: the references, and the floors, which know nothing of the sound."""
    floors = scoring.floors(
        held_out.original, held_out.stimulus.sample_rate, held_out.windows, held_out.run.settings.seed
    )
    scores = {name: score(held_out, sound) for name, sound in known.items()}
    return scores | {scoring.floor_label(name, kind_of(held_out)): frame for name, frame in floors.items()}


def score_arms(held_out: HeldOut, sounds: Mapping[str, ArmSounds]) -> dict[str, ArmScores]:
    """Score every arm's sounds."""
    return {arm: _scores(held_out, one) for arm, one in sounds.items()}


def _scores(held_out: HeldOut, sounds: ArmSounds) -> ArmScores:
    return ArmScores(
        score(held_out, sounds.through.noise_free),
        score(held_out, sounds.voxel_noise),
        score(held_out, sounds.through.without_brain),
        {subject: score(held_out, sound) for subject, sound in sounds.measured.items()},
        {subject: score_other_segment(held_out, sound) for subject, sound in sounds.measured.items()},
        {
            control: pd.concat([score(held_out, sound) for sound in several])
            for control, several in sounds.controls.items()
        },
    )


def score_independent_noise(held_out: HeldOut, sounds: ArmSounds) -> pd.DataFrame:
    """Score an arm with noise as strong as that of voxels, but without its covariance."""
    decoded = sounds.bottleneck.decoded(independent=True)
    return score(held_out, sounds.through.sound_of(decoded.heard))


def mel_distance(kind: str, scores: pd.DataFrame) -> float:
    """Return the mean mel distance over all windows of a kind, in dB."""
    return scoring.means(scores, kind)["mel_distance_db"]


def arm_records(held_out: HeldOut, scores: Mapping[str, ArmScores]) -> list[Record]:
    """Return the rows of the table of results: every arm under every condition, with its controls."""
    made: list[Record] = []
    for arm, one in scores.items():
        for subject, frame in one.measured.items():
            columns = {"condition": "measured", "subject": str(subject), **columns_of_arm(held_out, arm)}
            made += records(held_out, frame, control="none", **columns)
            made += records(held_out, one.other_segment[subject], control="other-segment", **columns)
    for arm, one in scores.items():
        described = columns_of_arm(held_out, arm)
        conditions = [
            (one.noise_free, "noise-free", "none"),
            (one.voxel_noise, "voxel-noise", "none"),
            (one.no_brain, "measured", "no-brain"),
            *((one.controls[control], "measured", control) for control in controls.CONTROL_LABELS),
        ]
        for frame, condition, control in conditions:
            made += records(held_out, frame, condition=condition, control=control, **described)
    return made


def independent_records(held_out: HeldOut, arm: str, scores: pd.DataFrame) -> list[Record]:
    """Return the rows of noise without covariance."""
    described = columns_of_arm(held_out, arm)
    described |= {"noise": noise_of(1, independent=True)}
    return records(held_out, scores, condition="voxel-noise", control="independent-noise", **described)
