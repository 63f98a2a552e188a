"""Chapter 13: the arms as they were trained, and held-out sound behind their bottlenecks, noise-free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from fmri_audio.base.kinds import Waveform
from fmri_audio.base.results import Record
from fmri_audio.bottleneck.arms import ARM_LABELS
from fmri_audio.bottleneck.store import TrainedArm
from fmri_audio.bottleneck.training import SPLITS, set_apart
from fmri_audio.chapters.common import brains_of, whose
from fmri_audio.edition import Edition
from fmri_audio.experiments import block_tables, ladder_answer
from fmri_audio.experiments.held_out import SEEDED, HeldOut
from fmri_audio.experiments.played_clip import PlayedClip
from fmri_audio.experiments.through_arm import ThroughArm
from fmri_audio.experiments.through_codec import codec_only
from fmri_audio.sound import scoring

ScoreTables = Mapping[str, pd.DataFrame]
"""What a sound is called → its scores, one row per window."""


def opened(run: Edition) -> HeldOut:
    """Open the held-out block with the arms that are trained on the rest."""
    return HeldOut(run)


def facts(held_out: HeldOut) -> dict[str, float | str]:
    """Return what the text says of the edition and its training."""
    run, settings, grid = held_out.run, held_out.settings, held_out.grid
    fitted, validation = set_apart(held_out.split, settings.validation_fraction)
    return {
        "kbps": run.bandwidth,
        "codec": run.checkpoint.id,
        "stimulus": run.stimulus.name,
        "units": held_out.n_units,
        "rank": settings.rank,
        "steps": settings.steps,
        "seed": run.settings.seed,
        "train_trs": len(fitted.train),
        "validation_trs": validation[1] - validation[0],
        "test_trs": len(held_out.split.test),
        "latents": grid.channels * grid.width,
        "channels": grid.channels,
        "frames": grid.width,
        "batch": settings.batch_size,
        "window_trs": settings.window_trs,
        "n_codebooks": len(held_out.material.codes),
        "balance": settings.balance,
        "shift": held_out.study.shift,
        "lags": ", ".join(map(str, settings.lag_trs)),
        "brains": brains_of(run),
        "ladder_in_short": ladder_answer.said(),
    }


# How training went ------------------------------------------------------------------------------------------------


def weights(held_out: HeldOut) -> pd.DataFrame:
    """Return how many weights every arm has, and where."""
    return block_tables.parameters(held_out)


def verdict_lines(held_out: HeldOut) -> list[str]:
    """Say of every arm whether training was over when it ended."""
    return [f"{ARM_LABELS[name]:18} {arm.convergence.verdict}" for name, arm in held_out.arms.items()]


def draw_curves(held_out: HeldOut) -> Figure:
    """Draw the losses against steps, a panel per kind of loss; circles mark the epochs that are kept."""
    arms = held_out.arms
    curves = pd.concat(
        [arm.curves.assign(arm=ARM_LABELS[name], kind=arm.model.loss_unit) for name, arm in arms.items()],
        ignore_index=True,
    )
    grid = sns.relplot(
        curves,
        x="step",
        y="loss",
        hue="arm",
        style="part",
        style_order=SPLITS,
        col="kind",
        kind="line",
        errorbar=None,
        height=2.9,
        aspect=0.85,
        facet_kws={"sharey": False},
    )
    for arm in arms.values():
        kept = arm.curves[(arm.curves["step"] == arm.selected) & (arm.curves["part"] == "validation")]
        grid.axes_dict[arm.model.loss_unit].plot(
            kept["step"], kept["loss"], "o", color="none", markeredgecolor="0.2", markersize=8
        )
    grid.set_axis_labels("training steps", "loss").set_titles("{col_name}", size="small")
    figure: Figure = grid.figure
    return figure


def learning_said(held_out: HeldOut) -> dict[str, float | str]:
    """Return how far training came, arm by arm and seed by seed."""
    arms, repeated = held_out.arms, held_out.repeated
    return {
        **convergence_said(arms, repeated),
        "passed": 100 * arms["frozen"].variance_passed,
        **distances_said(arms),
        "other_verdicts": others_verdicts(arms),
        "seeds": held_out.settings.seeds,
        **seeds_said(repeated),
    }


def convergence_said(
    arms: Mapping[str, TrainedArm], repeated: Mapping[str, Sequence[TrainedArm]]
) -> dict[str, float | str]:
    """Return what every arm's training came to.

    Its verdict, how many trainings were not over, and its loss at the beginning, at the step that is kept, at the end.

    Parameters
    ----------
    arms
        Of the edition, trained from its first seed.
    repeated
        Trainings from all seeds, of the arms that were trained several times.
    """
    said: dict[str, float | str] = {}
    for name, arm in arms.items():
        several = repeated.get(name, [arm])
        falling = sum(not one.convergence.converged for one in several)
        said |= {
            f"{name}_verdict": f"not converged from {falling} of {len(several)} seeds"
            if falling and len(several) > 1
            else arm.convergence.verdict,
            f"{name}_unfinished": falling,
            f"{name}_falling": 100 * arm.convergence.falling,
            f"{name}_selected": arm.selected,
        }
        for part, rows in arm.curves.groupby("part"):
            said |= {
                f"{name}_{part}_first": float(rows["loss"].iloc[0]),
                f"{name}_{part}_kept": _at(arm, arm.selected, str(part), "loss"),
                f"{name}_{part}_last": float(rows["loss"].iloc[-1]),
            }
    return said


def distances_said(arms: Mapping[str, TrainedArm]) -> dict[str, str]:
    """Say how far the arms' own volumes are from measured BOLD, from the start to the step that is kept."""
    return {
        f"distance_{part}": "; ".join(
            f"{ARM_LABELS[name]} {_at(arm, 0, part, 'bold_error'):.2f} to "
            f"{_at(arm, arm.selected, part, 'bold_error'):.2f}"
            for name, arm in arms.items()
        )
        for part in ("training", "held-out")
    }


def others_verdicts(arms: Mapping[str, TrainedArm]) -> str:
    """Say whether the arms converged beside which frozen and fine-tuned stand."""
    told = [
        f"{ARM_LABELS[name]} {arms[name].convergence.verdict}, kept from step {arms[name].selected}"
        for name in _others(arms)
    ]
    return "; ".join(told) or "none was trained"


def seeds_said(repeated: Mapping[str, Sequence[TrainedArm]]) -> dict[str, str]:
    """Return what other seeds gave, and whether the fine-tuned arm ends lower than the frozen one."""
    ends = {
        name: [_at(one, one.selected, "held-out", "loss") for one in several]
        for name, several in repeated.items()
    }
    undecided = [
        ARM_LABELS[name]
        for name, several in repeated.items()
        if not all(one.convergence.converged for one in several)
    ]
    lower = [tuned < frozen for frozen, tuned in zip(ends["frozen"], ends["finetuned"], strict=True)]
    from_seeds = (
        "every seed" if all(lower) else "no seed" if not any(lower) else f"{sum(lower)} of {len(lower)} seeds"
    )
    return {
        "seeds_said": "; ".join(
            f"{ARM_LABELS[name]} {min(losses):.3f} to {max(losses):.3f}" for name, losses in ends.items()
        ),
        "seeds_verdict": f"no verdict, because not every training of {' and '.join(undecided)} has converged"
        if undecided
        else f"the fine-tuned arm ends lower than the frozen one from {from_seeds}",
    }


def _at(arm: TrainedArm, step: int, part: str, column: str) -> float:
    """A value of an arm's curve."""
    curves = arm.curves
    return float(curves.loc[(curves["step"] == step) & (curves["part"] == part), column].iloc[0])


def _others(arms: Mapping[str, TrainedArm]) -> list[str]:
    """Arms beside those that the chapter compares."""
    return [name for name in arms if name not in SEEDED]


# What the codes arm predicts --------------------------------------------------------------------------------------


def code_bits(held_out: HeldOut) -> pd.DataFrame | None:
    """Return what the codes arm needs for every code, beside training frequencies; None where there is no such arm."""
    return block_tables.bits_per_code(held_out) if "codes" in held_out.arms else None


def bits_table(bits: pd.DataFrame) -> pd.DataFrame:
    """Return bits per code for readers: a row per codebook."""
    wide = bits.pivot(index="codebook", columns="part", values=["bits", "unigram_bits"])
    names = {"bits": "bottleneck and coarser codes", "unigram_bits": "unigram"}
    wide.columns = wide.columns.map(lambda pair: f"{names[pair[0]]}, {pair[1]}")
    return wide.reset_index()


def code_gain(bits: pd.DataFrame | None) -> str:
    """Say how many bits per code of held-out sound the bottleneck saves."""
    if bits is None:
        return "no codes arm was trained in this edition"
    held_out = bits[bits["part"] == "held-out"]
    gains = (held_out["unigram_bits"] - held_out["bits"]).to_numpy()
    return (
        f"on held-out sound the bottleneck and the true coarser codes together "
        f"{'save' if gains.mean() > 0 else 'cost'} {abs(gains.mean()):.2f} bits per code against the unigram baseline "
        f"of {held_out['unigram_bits'].mean():.2f}; of the first code, which has no coarser one, the bottleneck alone "
        f"{'saves' if gains[0] > 0 else 'costs'} {abs(gains[0]):.2f}"
    )


# Held-out sound ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Condition:
    """A way in which the held-out block is heard.

    Attributes
    ----------
    key
        In the names of cited values.
    name
        For readers.
    columns
        Of its records.
    kbps
        Bandwidth of the quantiser in it, where it is not the edition's main one.
    """

    key: str
    name: str
    columns: Mapping[str, Any]
    kbps: float | None = None


def conditions(held_out: HeldOut) -> list[Condition]:
    """Return the conditions that this chapter compares, in the order of its tables."""
    run = held_out.run
    latents = {"representation": "encodec-latents", "condition": "noise-free", "control": "none"}
    codes = {**latents, "representation": "encodec-codes"}
    alone, frozen = {"arm": "roundtrip", "condition": "none"}, {"arm": "frozen"}

    def at_bandwidths(key: str, name: str, columns: Mapping[str, Any]) -> list[Condition]:
        return [
            Condition(
                key if kbps == run.bandwidth else f"{key}-{kbps:g}",
                f"{name} {kbps:g} kbps",
                {**codes, **columns, "bandwidth_kbps": kbps},
                None if kbps == run.bandwidth else kbps,
            )
            for kbps in run.bandwidths
        ]

    return [
        *at_bandwidths("codec", "codec only,", alone),
        Condition("plain", "codec only, not quantised", {**latents, **alone}),
        Condition("frozen", ARM_LABELS["frozen"], {**latents, **frozen}),
        *at_bandwidths("requantised", "frozen, quantised again at", frozen),
        Condition("finetuned", ARM_LABELS["finetuned"], {**latents, "arm": "finetuned"}),
        *(
            Condition(
                name,
                ARM_LABELS[name],
                {
                    "condition": "noise-free",
                    "control": "none",
                    **block_tables.columns_of_arm(held_out, name),
                },
            )
            for name in _others(held_out.arms)
        ),
        Condition("mean", "mean sound", {**latents, **frozen, "control": "mean"}),
        Condition(
            "other", "frozen, another segment's sound", {**latents, **frozen, "control": "other-segment"}
        ),
    ]


def sounds(held_out: HeldOut) -> dict[str, Waveform]:
    """Return the held-out block in every condition that has a sound of its own, by the condition's name."""
    through = {name: ThroughArm(held_out, name) for name in held_out.arms}
    made = {
        "plain": codec_only(held_out),
        "mean": through["frozen"].without_brain,
        **{name: one.noise_free for name, one in through.items()},
    }
    found = {}
    for one in conditions(held_out):
        kbps = one.kbps or held_out.run.bandwidth
        if one.key.startswith("codec"):
            found[one.name] = codec_only(held_out, kbps)
        elif one.key.startswith("requantised"):
            found[one.name] = through["frozen"].requantised(kbps)
        elif one.key in made:
            found[one.name] = made[one.key]
    return found


def scored(held_out: HeldOut, heard: Mapping[str, Waveform]) -> dict[str, pd.DataFrame]:
    """Score every sound against its own window, and the frozen arm's against the next window too."""
    *_, other = conditions(held_out)
    found = {name: block_tables.score(held_out, sound) for name, sound in heard.items()}
    return {**found, other.name: block_tables.score_other_segment(held_out, heard[ARM_LABELS["frozen"]])}


def floors(held_out: HeldOut) -> dict[str, pd.DataFrame]:
    """Score what carries nothing of the sound: silence, noise, another window."""
    return scoring.floors(
        held_out.original, held_out.stimulus.sample_rate, held_out.windows, held_out.run.settings.seed
    )


def scores_table(held_out: HeldOut, scores: ScoreTables, of_floors: ScoreTables) -> pd.DataFrame:
    """Return the means over windows for readers, floors last."""
    kind = held_out.windows[0].kind
    named = {scoring.floor_label(name, kind): frame for name, frame in of_floors.items()}
    return scoring.means_table({**scores, **named})


def scores_said(held_out: HeldOut, scores: ScoreTables, of_floors: ScoreTables) -> dict[str, float | str]:
    """Return the means of every condition, and which arm comes nearest by the mel distance."""
    kind = held_out.windows[0].kind
    means = {one.key: scoring.means(scores[one.name], kind) for one in conditions(held_out) if not one.kbps}
    said: dict[str, float | str] = {
        f"{key}_{metric}": values[metric] for key, values in means.items() for metric in scoring.METRIC_NAMES
    }
    for name, frame in of_floors.items():
        floor = scoring.means(frame, kind)
        said |= {f"{name}_{metric}": floor[metric] for metric in ("stoi", "estoi")}
    return {
        **said,
        **nearest_said({name: means[name] for name in ("frozen", "finetuned", *_others(held_out.arms))}),
        "n_windows": len(held_out.windows),
        "kind": kind,
    }


def nearest_said(means: Mapping[str, Mapping[str, float]]) -> dict[str, str]:
    """Say whether fine-tuning brings the sound closer, how the other arms do, and which one is best.

    Parameters
    ----------
    means
        Arm → metric → mean over windows.
    """
    distance = {arm: values["mel_distance_db"] for arm, values in means.items()}
    others = [
        f"{ARM_LABELS[arm]} {means[arm]['stoi']:.3f}, {means[arm]['estoi']:.3f} and {distance[arm]:.2f} dB"
        for arm in means
        if arm not in SEEDED
    ]
    return {
        "better_arm": "closer" if distance["finetuned"] < distance["frozen"] else "no closer",
        "others_said": "; ".join(others) or "none was trained",
        "best_arm": ARM_LABELS[min(distance, key=lambda arm: distance[arm])],
    }


@dataclass(frozen=True)
class Played:
    """The clip of the held-out block that the chapter plays.

    Attributes
    ----------
    name
        Its window's.
    sounds
        Condition → waveform [T], the original first.
    weights
        Condition → whose weights made it.
    transcript
        What is said in it.
    """

    name: str
    sounds: Mapping[str, Waveform]
    weights: Mapping[str, str]
    transcript: str


def played(held_out: HeldOut, heard: Mapping[str, Waveform]) -> Played:
    """Cut the clip out of every sound that is played: quantised ones at the main bandwidth alone."""
    clip = PlayedClip(held_out)
    shown = [one for one in conditions(held_out) if one.name in heard and one.key != "plain" and not one.kbps]
    return Played(
        clip.window.name,
        clip.hear({"original": held_out.original, **{one.name: heard[one.name] for one in shown}}),
        {one.name: whose(_arm_of(one), held_out.run.checkpoint.id) for one in shown},
        clip.transcript,
    )


def _arm_of(condition: Condition) -> str | None:
    arm = str(condition.columns["arm"])
    return None if arm == "roundtrip" else arm


def records(held_out: HeldOut, scores: ScoreTables, of_floors: ScoreTables) -> list[Record]:
    """Return the rows of the chapter's table."""
    made = []
    for one in conditions(held_out):
        made += block_tables.records(held_out, scores[one.name], **one.columns)
    for name, frame in of_floors.items():
        made += block_tables.records(held_out, frame, arm="roundtrip", condition="none", control=name)
    return made
