"""What the scores say: how near to the original every condition comes, arm by arm and subject by subject."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from fmri_audio.bottleneck.arms import ARM_LABELS
from fmri_audio.chapters.common import brains_of
from fmri_audio.chapters.evaluation.decodes import CONDITIONS, ArmScores, ArmSounds, mel_distance
from fmri_audio.chapters.evaluation.opening import in_arms, kind_of
from fmri_audio.experiments import controls
from fmri_audio.experiments.block_tables import scored_share
from fmri_audio.experiments.controls import CONTROL_LABELS
from fmri_audio.experiments.held_out import HeldOut
from fmri_audio.pages.page import Table
from fmri_audio.sound import scoring

LEAST_GAIN_DB = 0.005
"""A sound counts as closer if it is by as much as two decimals show."""


def noise_values(
    kind: str, sounds: ArmSounds, scores: ArmScores, independent: pd.DataFrame
) -> dict[str, float | str]:
    """Describe an arm's voxel noise, and say what noise as strong but without covariance leaves of it.

    Parameters
    ----------
    kind : str
        Of the windows.
    sounds : ArmSounds
    scores : ArmScores
    independent : DataFrame
        Scores with noise without covariance.
    """
    noise = sounds.bottleneck.noise
    covarying, without = mel_distance(kind, scores.voxel_noise), mel_distance(kind, independent)
    return {
        "independent_said": independent_said(covarying, without),
        "reliability": float(np.median(noise.reliability)),
        "autocorrelation": noise.autocorrelation,
    }


def independent_said(covarying_db: float, independent_db: float) -> str:
    """Say whether noise without covariance is the upper bound on what passes that it should be.

    Parameters
    ----------
    covarying_db, independent_db : float
        Mel distance of the frozen arm with voxel noise, and with noise as strong but without any covariance.
    """
    farther = independent_db - covarying_db
    bound = (
        f"{farther:.2f} dB farther: by this measure it is no upper bound on what passes."
        if farther > 0
        else f"{-farther:.2f} dB closer, as an upper bound on what passes should be."
    )
    return f"Noise as strong but without any covariance leaves the frozen arm at {independent_db:.2f} dB, {bound}"


def table(
    held_out: HeldOut,
    scores: Mapping[str, ArmScores],
    scale: Mapping[str, pd.DataFrame],
    independent: pd.DataFrame,
) -> Table:
    """Show the scores of every arm under every condition, below the scale's two ends and beside its controls."""
    rows = dict(scale)
    for arm, one in scores.items():
        label = ARM_LABELS[arm]
        rows[f"{label}: noise-free, no brain"] = one.noise_free
        rows[f"{label}: voxel noise, no brain"] = one.voxel_noise
        rows[f"{label}: measured, mean of {len(one.measured)} subjects"] = one.all_measured
        rows[f"{label}: measured, another segment"] = one.all_other
        rows |= {f"{label}: {words}": one.controls[control] for control, words in CONTROL_LABELS.items()}
        rows[f"{label}: no brain, training mean"] = one.no_brain
    rows["frozen: independent noise, no brain"] = independent
    caption = (
        f"{brains_of(held_out).capitalize()}: held-out {kind_of(held_out)} of {held_out.stimulus.name} decoded from "
        f"single subjects, weights {held_out.run.checkpoint.id}, below the scale's two ends (the original, the codec "
        "alone, and what knows nothing), and beside the same bottleneck noise-free and with voxel noise, and its "
        "controls: the decode of another segment, and what the same decoder makes of a code predicted from the "
        f"sound's own level, from speech or silence, of {controls.N_RANDOM} random stretches of training sound, and "
        f"of the training mean, with no brain at all. {len(held_out.windows)} windows per sound. A dash: undefined, "
        "or without end."
    )
    return Table(scoring.means_table(rows), caption, scoring.FORMATS)


def mean_scores(kind: str, scores: Mapping[str, ArmScores]) -> dict[str, float]:
    """Return every arm's mean scores under every condition, as ``arm_condition_metric``."""
    found: dict[str, float] = {}
    for arm, one in scores.items():
        frames = {
            "ceiling": one.noise_free,
            "noisy": one.voxel_noise,
            "nothing": one.no_brain,
            "other": one.all_other,
            **{control.replace("-", "_"): one.controls[control] for control in CONTROL_LABELS},
            "measured": one.all_measured,
        }
        for name, frame in frames.items():
            means = scoring.means(frame, kind)
            found |= {f"{arm}_{name}_{metric}": value for metric, value in means.items()}
    return found


def sentences(
    held_out: HeldOut, sounds: Mapping[str, ArmSounds], scores: Mapping[str, ArmScores]
) -> dict[str, float | str]:
    """Say what the scores amount to: closer than no brain and than the controls, and what could not be scored."""
    kind, stimulus = kind_of(held_out), held_out.stimulus
    speech = controls.speech_share(stimulus.segments, stimulus.n_trs, stimulus.tr)[held_out.split.test]
    silent = [ARM_LABELS[arm] for arm, one in sounds.items() if one.silent]
    return {
        "against_nothing": against_nothing(kind, scores["frozen"]),
        **closer_than(kind, scores),
        "speech_trs": float(speech.mean()),
        "scored_share": scored_share(held_out),
        "silent_said": silent_said(silent),
        "left_out": left_out(kind, pd.concat([one.all_measured for one in scores.values()])),
    }


def against_nothing(kind: str, scores: ArmScores) -> str:
    """Say whether an arm's decode is closer to the original than what it makes of no brain at all."""
    gain = mel_distance(kind, scores.no_brain) - mel_distance(kind, scores.all_measured)
    return "closer to the original than" if gain > 0 else "no closer to the original than"


def closer_than(kind: str, scores: Mapping[str, ArmScores]) -> dict[str, str]:
    """Say of every control in which arms the decode is closer to the original than it, and by how much."""
    told = {}
    for control in CONTROL_LABELS:
        gains = {
            arm: mel_distance(kind, one.controls[control]) - mel_distance(kind, one.all_measured)
            for arm, one in scores.items()
        }
        closer = [
            f"{ARM_LABELS[arm]} by {gain:.2f} dB" for arm, gain in gains.items() if gain >= LEAST_GAIN_DB
        ]
        told[f"closer_than_{control.replace('-', '_')}"] = in_arms(closer, len(scores))
    return told


def silent_said(silent: Sequence[str]) -> str:
    """Say of which arms the decode is silence; nothing where it is of none."""
    if not silent:
        return ""
    arms = f"arm{'' if len(silent) == 1 else 's'} decode{'s' if len(silent) == 1 else ''}"
    return (
        f" What the {' and the '.join(silent)} {arms} is silence, whatever the subject; its scores are those of what "
        "little noise is left."
    )


def left_out(kind: str, scored: pd.DataFrame) -> str:
    """Say how many of the decoded windows have no PESQ or no STOI, and why."""
    if kind != "speech":
        return "Nobody speaks in these windows, so that PESQ and STOI are not defined."
    pesq, stoi = (int(scored[name].isna().sum()) for name in ("pesq_wb", "stoi"))
    if not pesq and not stoi:
        return f"PESQ and STOI are defined in all {len(scored)} decoded windows."
    return (
        f"Of {len(scored)} decoded windows, {pesq} have no PESQ, because it finds no utterance in them, and {stoi} no "
        "STOI, because too little of them is speech."
    )


def figure(held_out: HeldOut, scores: Mapping[str, ArmScores]) -> Figure:
    """Draw the mel distance of every window, arm by arm and condition by condition."""
    points = pd.concat(
        [
            frame.assign(arm=ARM_LABELS[arm], condition=condition)
            for condition in CONDITIONS
            for arm, one in scores.items()
            for frame in one.by_condition[condition]
        ],
        ignore_index=True,
    ).dropna(subset="mel_distance_db")
    drawn, axis = plt.subplots(figsize=(7.2, 1 + 0.6 * len(scores)), layout="constrained")
    sns.stripplot(
        points, x="mel_distance_db", y="condition", hue="arm", dodge=True, jitter=False, alpha=0.7, ax=axis
    )
    axis.set(xlabel=f"mel distance (dB), {brains_of(held_out)}", ylabel="")
    sns.move_legend(axis, "upper left", bbox_to_anchor=(1, 1), title=None)
    return drawn


def subjects_figure(held_out: HeldOut, scores: Mapping[str, ArmScores]) -> Figure:
    """Draw the mel distance of every subject's decode beside that of the training mean, arm by arm."""
    kind = kind_of(held_out)
    beside = {arm: mel_distance(kind, one.no_brain) for arm, one in scores.items()}
    marks = [(arm, "one subject", frame) for arm, one in scores.items() for frame in one.measured.values()]
    for words, control in (("level alone", "envelope-only"), ("speech or silence", "speech-only")):
        marks += [(arm, words, one.controls[control]) for arm, one in scores.items()]
    dots = pd.DataFrame(
        [(ARM_LABELS[arm], words, mel_distance(kind, frame) - beside[arm]) for arm, words, frame in marks],
        columns=["arm", "sound", "value"],
    ).dropna(subset="value")
    drawn, axis = plt.subplots(figsize=(7.2, 0.8 + 0.45 * len(scores)), layout="constrained")
    sns.scatterplot(dots, x="value", y="arm", hue="sound", style="sound", s=70, alpha=0.8, ax=axis)
    axis.axvline(0, linestyle="--", color="0.4", linewidth=1)
    axis.margins(y=0.15)
    axis.set(xlabel=f"mel distance beside that of no brain (dB), {brains_of(held_out)}", ylabel="")
    sns.move_legend(axis, "upper left", bbox_to_anchor=(1, 1), title=None)
    return drawn


def apart(kind: str, scores: Mapping[str, ArmScores]) -> str:
    """Say between which mel distances the subjects of every arm lie."""
    told = []
    for arm, one in scores.items():
        found = [mel_distance(kind, frame) for frame in one.measured.values()]
        told.append(f"{ARM_LABELS[arm]} {min(found):.2f} to {max(found):.2f} dB")
    return "; ".join(told)
