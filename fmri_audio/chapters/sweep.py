"""Chapter 10: what the bottleneck's settings change, in words, tables and figures.

The trainings are those of :mod:`fmri_audio.experiments.training_sweep`.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fmri_audio.base import results
from fmri_audio.base.words import joined
from fmri_audio.bottleneck.arms import ARM_LABELS
from fmri_audio.chapters.common import brains_of
from fmri_audio.edition import Edition
from fmri_audio.experiments import ladder_answer
from fmri_audio.experiments.held_out import HeldOut
from fmri_audio.experiments.training_sweep import BOLD_DISTANCES, FACTORS, SCORED, Factor, Outcome, Sweep
from fmri_audio.sound import scoring

LEVELS: dict[Factor, str] = {
    "balance": "balance {:g}",
    "rank": "rank {:g}",
    "units": "{:,.0f} voxels",
    "bandwidth": "{:g} kbps",
}
"""Levels in words."""

LINE_STYLES: dict[str, Literal["-", "--", ":"]] = {"noise-free": "-", "voxel-noise": "--", "measured": ":"}
"""Conditions under which the held-out block is heard, each with its own decoder, and their lines in figures."""

AXIS_LABELS = {
    **{name: scoring.LABELS[name] for name in SCORED},
    **{name: f"distance to BOLD, {part}" for part, name in BOLD_DISTANCES.items()},
}
"""Metrics as a reader knows them."""


def opened(run: Edition) -> Sweep:
    """Open all points of the edition's sweep; nothing is trained yet."""
    return Sweep(HeldOut(run))


def preface() -> dict[str, str]:
    """Return what the page says before anything is trained: what a bottleneck can carry."""
    return {"ladder_in_short": ladder_answer.said()}


def varied(sweep: Sweep) -> list[Factor]:
    """Return what the edition varies."""
    return [factor for factor in FACTORS if sweep.is_varied(factor)]


def others(sweep: Sweep) -> list[Factor]:
    """Return what is varied beside the balance."""
    return [factor for factor in varied(sweep) if factor != "balance"]


def others_said(sweep: Sweep, brains: str) -> str:
    """Say what the other settings change, by the mel distance, or that there are none."""
    said = [f"{FACTORS[factor]}: {verdicts(sweep, factor, brains)}" for factor in others(sweep)]
    return "; ".join(said) or "nothing else is varied"


def convergence_line(sweep: Sweep) -> str:
    """Say how many trainings there are, and how many of them were over when they ended."""
    steps = sweep.own.settings.steps
    return f"{len(_trained(sweep))} trainings of {steps} steps, {_converged(sweep)} of them converged"


def plan(sweep: Sweep) -> pd.DataFrame:
    """Return what is varied, over which levels and for which arms."""
    return pd.DataFrame(
        [
            {
                "setting": name,
                "the edition's own": f"{sweep.own_levels[factor]:g}",
                "levels": ", ".join(f"{level:g}" for level in sweep.levels[factor]),
                "arms": ", ".join(ARM_LABELS[arm] for arm in sweep.arms(factor))
                if sweep.is_varied(factor)
                else "not varied in this edition",
            }
            for factor, name in FACTORS.items()
        ]
    )


def plan_caption(sweep: Sweep) -> str:
    """Say what :func:`plan` lists."""
    run = sweep.own.run
    return (
        f"What is varied in the edition {run.settings.edition}, one setting at a time; weights {run.checkpoint.id}, "
        f"trained on: {results.hardware()}."
    )


def facts(sweep: Sweep) -> dict[str, float | str]:
    """Return what the text says of the edition, of its trainings and of every factor."""
    held_out, run = sweep.own, sweep.own.run
    n_trained, n_converged, brains = len(_trained(sweep)), _converged(sweep), brains_of(run)
    said: dict[str, float | str] = {
        "brains": brains,
        "codec": run.checkpoint.id,
        "stimulus": run.stimulus.name,
        "kind": _kind(sweep),
        "hardware": results.hardware(),
        "steps": held_out.settings.steps,
        "edition": run.settings.edition,
        "n_trained": n_trained,
        "n_converged": n_converged,
        "n_windows": len(held_out.windows),
        "n_subjects": len(held_out.study.subjects),
        "point_seeds": run.settings.sweep.seeds,
        "own_seeds": own_seeds(sweep),
        "convergence_said": "all had converged"
        if n_converged == n_trained
        else f"{n_converged} had converged; the others get no verdict, because what more steps would bring is not "
        "known here",
        "unmoved": unmoved(sweep),
        "others_said": others_said(sweep, brains),
    }
    for factor in FACTORS:
        said[f"{factor}_own"] = float(sweep.own_levels[factor])
        said[f"{factor}_verdicts"] = verdicts(sweep, factor, brains)
    balanced = sweep.is_varied("balance")
    return {
        **said,
        "distances": distances(sweep, "balance") if balanced else "only its own balance was trained",
        "matching": matching(sweep) if balanced else "What another balance would bring is not known here",
    }


def own_seeds(sweep: Sweep) -> str:
    """Say from how many seeds each arm is trained at the edition's own settings."""
    own = [one.point.arm for one in _trained(sweep) if one.point.factor is None]
    counted = [f"{ARM_LABELS[arm]} {own.count(arm)}" for arm in dict.fromkeys(own)]
    return ", ".join(counted) or "none, because nothing is varied"


def _trained(sweep: Sweep) -> list[Outcome]:
    """What came of the points for which something was trained."""
    return [one for one in sweep.outcomes if not one.point.requantised]


def _converged(sweep: Sweep) -> int:
    return sum(one.converged for one in _trained(sweep))


def _kind(sweep: Sweep) -> str:
    """The kind of segment that is scored."""
    return sweep.own.windows[0].kind


def verdict(rows: pd.DataFrame, factor: Factor) -> str:
    """Say which level of a factor has the least mel distance, and whether seeds differ as much.

    Levels are compared at which every training had converged. The yardstick is the largest range over seeds at any
    level compared; with one seed everywhere there is none.

    Parameters
    ----------
    rows : DataFrame
        Of :meth:`Sweep.along`, one arm and one condition.
    factor : str
    """
    rows = rows[(rows["metric"] == "mel_distance_db") & rows["value"].notna()]
    found = rows.groupby("level").agg(
        converged=("converged", "all"),
        mean=("value", "mean"),
        lowest=("value", "min"),
        highest=("value", "max"),
        seeds=("value", "count"),
    )
    words, compared = LEVELS[factor].format, found[found["converged"]]
    left_out = " and ".join(words(level) for level in found.index[~found["converged"]])
    if len(compared) < 2:
        return f"no verdict, because training had not converged at {left_out}" if left_out else "no verdict"
    means = compared["mean"]
    best, worst = (means.index[int(k)] for k in (means.argmin(), means.argmax()))
    gap, yardstick = means.max() - means.min(), (compared["highest"] - compared["lowest"]).max()
    told = f"least at {words(best)} ({means.min():.2f} dB), most at {words(worst)} ({means.max():.2f} dB)"
    if compared["seeds"].max() < 2:
        told += ", from one seed, so that nothing says what chance does"
    else:
        more = round(gap, 2) > round(yardstick, 2)  # as it is printed
        told += f", {'more' if more else 'no more'} apart than seeds are ({yardstick:.2f} dB)"
    return told + (f"; not compared, because training had not converged: {left_out}" if left_out else "")


def verdicts(sweep: Sweep, factor: Factor, brains: str) -> str:
    """Say :func:`verdict` of every arm, noise-free and measured, or that the factor was not varied."""
    if not sweep.is_varied(factor):
        return f"nothing to compare, because this edition has {LEVELS[factor].format(sweep.own_levels[factor])} only"
    heard = {"noise-free": "noise-free, no brain", "measured": f"decoded from {brains}"}
    told = []
    for label, rows in sweep.along(factor).groupby("label", sort=False):
        parts = {words: rows[rows["condition"] == condition] for condition, words in heard.items()}
        found = {words: verdict(part, factor) for words, part in parts.items() if len(part)}
        if len(found) > 1 and len(set(found.values())) == 1:
            told.append(f"{label}: {next(iter(found.values()))}")
        else:
            told += [f"{label}, {words}: {one}" for words, one in found.items()]
    return ". ".join(told)


def summary(sweep: Sweep, factor: Factor) -> pd.DataFrame:
    """A factor's table for readers: a row per level and arm, means over seeds.

    Returns
    -------
    DataFrame
        Level and arm in the first column; how many of the trainings had converged; the metrics under every condition;
        the distance to measured BOLD.
    """
    rows = []
    for (label, level), part in sweep.along(factor).groupby(["label", "level"], sort=False):  # type: ignore[misc]
        once = part.drop_duplicates("seed")
        row: dict[str, Any] = {
            f"{FACTORS[factor]}, arm": f"{level:g}, {label}",
            "converged": f"{once['converged'].sum()} of {len(once)}",
        }
        means = part.groupby(["metric", "condition"])["value"].mean()
        for metric in SCORED:
            for condition in LINE_STYLES:
                row[f"{AXIS_LABELS[metric]}, {condition}"] = means.get((metric, condition), np.nan)
        for metric in BOLD_DISTANCES.values():
            row[AXIS_LABELS[metric]] = means.get((metric, "noise-free"), np.nan)
        rows.append(row)
    return pd.DataFrame(rows)


def caption(sweep: Sweep, factor: Factor) -> str:
    """Say what :func:`summary` lists."""
    run = sweep.own.run
    return (
        f"Held-out {_kind(sweep)} of {run.stimulus.name} against the {FACTORS[factor]}: means over windows and seeds, "
        f"{brains_of(run)}, weights {run.checkpoint.id}; trained on: {results.hardware()}."
    )


def formats() -> dict[str, str]:
    """Formats of :func:`summary`'s columns."""
    scored = {
        f"{AXIS_LABELS[metric]}, {condition}": scoring.FORMATS[AXIS_LABELS[metric]]
        for metric in SCORED
        for condition in LINE_STYLES
    }
    return {**scored, **{AXIS_LABELS[metric]: ".2f" for metric in BOLD_DISTANCES.values()}}


def distances(sweep: Sweep, factor: Factor) -> str:
    """Say how far the arms' own volumes are from measured BOLD, in training and held out, level by level."""
    whole = sweep.along(factor)
    told = []
    for label, rows in whole.groupby("label", sort=False):
        for part, metric in BOLD_DISTANCES.items():
            means = rows[rows["metric"] == metric].groupby("level")["value"].mean()
            levels = ", ".join(f"{value:.2f} at {level:g}" for level, value in means.items())
            told.append(f"{label}, {part} {levels}")
    return "; ".join(told)


def unmoved(sweep: Sweep) -> str:
    """Say which trainings left the model as it began, since no step bettered it on validation sound."""
    found = [one.point for one in sweep.outcomes if not one.improved and not one.point.requantised]
    if not found:
        return "every one of them bettered its start"
    named = [
        f"{ARM_LABELS[point.arm]} at the edition's own settings, seed {point.seed}"
        if point.factor is None
        else f"{ARM_LABELS[point.arm]} at {FACTORS[point.factor]} {point.level:g}"
        for point in found
    ]
    stays = "it stays" if len(found) == 1 else "they stay"
    return f"no step bettered the start of {joined(named)}, so that {stays} as begun"


def matching(sweep: Sweep) -> str:
    """Say what the greatest balance brings over the least, in training and held out, and whether it carries over.

    An arm that one of the two left as it began is told apart: its distances are no effect of the balance.
    """
    whole = sweep.along("balance")
    least, most = whole["level"].min(), whole["level"].max()
    told, carried, by_heart = [], [], []
    for label, rows in whole.groupby("label", sort=False):
        if not rows.loc[rows["level"].isin([least, most]), "improved"].all():
            told.append(f"{label} is not compared, because no step bettered its start")
            continue
        changes = []
        for metric in BOLD_DISTANCES.values():
            means = rows[rows["metric"] == metric].groupby("level")["value"].mean()
            changes.append(float(means[most] - means[least]))
        training, outside = (f"{change:+.2f}".replace("-", "−") for change in changes)
        told.append(f"{label} {training} in training and {outside} held out")
        if changes[1] < 0:
            carried.append(str(label))
        elif changes[0] < 0:
            by_heart.append(str(label))
    end = f"nearer come {', '.join(carried)}" if carried else "no arm that is compared comes nearer"
    end += (
        f"; nearer in training alone, which is learning by heart, {', '.join(by_heart)}" if by_heart else ""
    )
    return f"From a balance of {least:g} to one of {most:g} this distance changes: {'; '.join(told)}. Held out, {end}"


def draw(sweep: Sweep, factor: Factor) -> Figure:
    """Draw scores against a factor's level: one panel per metric, a colour per arm, a line style per condition.

    Markers are hollow where a training had not converged; bars reach from the lowest to the highest seed.
    """
    whole = sweep.along(factor)
    metrics = [
        metric for metric in AXIS_LABELS if whole.loc[whole["metric"] == metric, "value"].notna().any()
    ]
    n_rows = math.ceil(len(metrics) / 2)
    figure, panels = plt.subplots(
        n_rows, 2, figsize=(7.2, 0.6 + 2.7 * n_rows), squeeze=False, layout="constrained"
    )
    for unused in panels.flat[len(metrics) :]:
        unused.remove()
    labels = list(whole["label"].unique())
    colours = dict(zip(labels, sns.color_palette("colorblind", len(labels)), strict=True))
    levels = sorted(whole["level"].unique())
    for axis, metric in zip(panels.flat, metrics, strict=False):
        _draw_metric(axis, whole[whole["metric"] == metric], levels, colours)
        axis.set(xlabel=FACTORS[factor], ylabel=AXIS_LABELS[metric])
    handles = [Line2D([], [], color=colour, label=label) for label, colour in colours.items()]
    handles += [
        Line2D([], [], color="grey", linestyle=style, label=condition)
        for condition, style in LINE_STYLES.items()
        if (whole["condition"] == condition).any()
    ]
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=min(len(handles), 5),
        frameon=False,
        fontsize="small",
    )
    return figure


def _draw_metric(axis: Axes, rows: pd.DataFrame, levels: list[float], colours: dict[str, Any]) -> None:
    for label, colour in colours.items():
        for condition, style in LINE_STYLES.items():
            line = rows[(rows["label"] == label) & (rows["condition"] == condition) & rows["value"].notna()]
            seeds = line.groupby("level")
            mean, converged = seeds["value"].mean(), seeds["converged"].all()
            at = [levels.index(level) for level in mean.index]
            axis.plot(at, mean, style, color=colour)
            axis.vlines(at, seeds["value"].min(), seeds["value"].max(), color=colour, alpha=0.5)
            inside = [colour if done else "white" for done in converged]
            axis.scatter(at, mean, c=inside, edgecolors=[colour], zorder=3)
    axis.set_xticks(range(len(levels)), [f"{level:g}" for level in levels])
