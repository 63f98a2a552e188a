"""The sound side and the ladder: what each arm keeps at every width, what a device and a brain take, in words."""

from __future__ import annotations

import math
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fmri_audio.bottleneck.coders.base import CODER_LABELS
from fmri_audio.experiments.ladder import GROUPS, Condition, Estimate, Ladder, where
from fmri_audio.experiments.ladder_answer import (
    ORIGINAL,
    WHOLE,
    arms,
    beyond,
    brains_range,
    codes,
    in_short,
    needed,
    needed_said,
    shown,
)

MAIN = (128, 256, 512)
"""Widths at which every trained arm is held to its own principal components."""

FORMATS = {
    "numbers per TR": ".0f",
    "per second": ".0f",
    "bits per TR": ",.0f",
    "words wrong": ".2f",
    "noise": "g",
    "windows": "d",
}

LOST = "words wrong beyond the original's"
"""What axes show: in the same windows."""

MADE = {
    "trained": "trained",
    "start": "the same, untrained",
    "pca": "principal components, same way back",
    "single": "trained for this width alone",
    "indices": "codebook indices as numbers",
    "own phase": "trained, with the original's phase",
}


def read() -> Ladder:
    """Read the tables of the ladder."""
    return Ladder.read()


def by_width(ladder: Ladder, groups: Sequence[str] | None = None) -> pd.DataFrame:
    """Every arm at every width with what stands beside it: words wrong beyond the original's, and ESTOI."""
    rows = []
    for arm in CODER_LABELS:
        for made, label in MADE.items():
            for one in codes(ladder, arm, made):
                words, estoi = (
                    beyond(ladder, one.condition, groups),
                    ladder.mean(one.condition, "estoi", groups),
                )
                rows.append(
                    {
                        "arm": CODER_LABELS[arm],
                        "made": label,
                        "numbers per TR": one.per_tr,
                        "per second": one.per_second,
                        "words wrong": words.value,
                        "interval": shown(words),
                        "ESTOI": estoi.value,
                        "STOI": ladder.mean(one.condition, "stoi", groups).value,
                        "PESQ-WB": ladder.mean(one.condition, "pesq_wb", groups).value,
                        "windows": words.n,
                    }
                )
    return pd.DataFrame(rows)


def floors(ladder: Ladder, groups: Sequence[str] | None = None) -> pd.DataFrame:
    """Sounds without what is said, and the original: what every score is worth."""
    wanted = [
        one for one in ladder.conditions if one.rung in ("original", "floor", "representation", "codec")
    ]
    return pd.DataFrame(
        [
            {
                "what": " ".join(filter(None, (one.arm, one.made))),
                "words wrong": beyond(ladder, one.condition, groups).value,
                "ESTOI": ladder.mean(one.condition, "estoi", groups).value,
                "STOI": ladder.mean(one.condition, "stoi", groups).value,
                "PESQ-WB": ladder.mean(one.condition, "pesq_wb", groups).value,
            }
            for one in wanted
        ]
    )


def against_pca(ladder: Ladder, groups: Sequence[str] | None = None) -> pd.DataFrame:
    """Every trained arm less its principal components at the main widths, with whether it beats them."""
    rows = []
    for arm in arms(ladder):
        for asked in MAIN:
            trained, pca = (_at(ladder, arm, made, asked) for made in ("trained", "pca"))
            if trained is None or pca is None:
                continue
            estoi = ladder.difference(trained.condition, pca.condition, "estoi", groups)
            words = ladder.difference(trained.condition, pca.condition, "wrong", groups)
            rows.append(
                {
                    "arm": CODER_LABELS[arm],
                    "numbers per TR": asked,
                    "ESTOI": estoi.value,
                    "ESTOI interval": shown(estoi),
                    "words wrong": words.value,
                    "words interval": shown(words),
                    "beats": estoi.low > 0 and words.high < 0,
                }
            )
    return pd.DataFrame(rows)


def caption(ladder: Ladder) -> str:
    """Standalone, for tables of arms."""
    groups = ", ".join(GROUPS[name] for name in GROUPS if any(one.group == name for one in ladder.windows))
    said = sum(one.said for one in ladder.windows)
    minutes = sum(one.seconds for one in ladder.windows) / 60
    voices = len({one.voice for one in ladder.windows})
    measured = (ladder.of(one.condition, "estoi") for one in ladder.conditions if one.rung != "language")
    fewest = min(int(np.isfinite(values).sum()) for values in measured)
    return (
        f"Means over {len(ladder.windows)} windows of held-out speech ({groups}): {minutes:.0f} minutes, "
        f"{voices} voices, {said:,} words. Words wrong: as a speech recogniser hears them, as a share of those said, "
        "beyond the original's in the same windows. Sweeps stand on fewer windows of the voices that speak most, "
        f"{fewest} in all. "
        "Intervals of 95 % over voices and, within each, passages. All at the known lag and at equal loudness; "
        "TR 1.5 s."
    )


def facts(ladder: Ladder) -> dict[str, float | str]:
    """What the text says of windows, widths and what they came to."""
    original = ladder.mean(ORIGINAL, "wrong")
    beats = against_pca(ladder)
    held = [f"{row['arm']} at {row['numbers per TR']}" for _, row in beats.iterrows() if not row["beats"]]
    return {
        "windows": len(ladder.windows),
        "minutes": sum(one.seconds for one in ladder.windows) / 60,
        "voices": len({one.voice for one in ladder.windows}),
        "words": sum(one.said for one in ladder.windows),
        "original_wrong": original.value,
        "whole": WHOLE,
        "needed": "; ".join(needed_said(ladder, name) for name in arms(ladder)),
        "beats": int(beats["beats"].sum()) if len(beats) else 0,
        "compared": len(beats),
        "beaten_not": ", ".join(held) or "none",
        "frozen_verdict": moving_verdict(ladder),
        "in_short": in_short(ladder),
        **_spread(ladder),
    }


def _spread(ladder: Ladder) -> dict[str, float | str]:
    """Where speech is whole by the best arm, for every kind of speech apart; and what floors score."""
    found: dict[str, float | str] = {}
    for group in GROUPS:
        reached = [
            one for name in arms(ladder) if (one := needed(ladder, name, groups=[group])) and one.per_tr
        ]
        best = min(reached, key=lambda one: one.per_tr or math.inf, default=None)
        found[f"needed_{group}"] = (
            f"{best.per_tr:g} numbers per TR ({CODER_LABELS[best.arm]})"
            if best
            else "more than any width here"
        )
    lowest = [one for one in ladder.conditions if one.rung == "floor"]
    if lowest:
        found["floor_stoi"] = max(ladder.mean(one.condition, "stoi").value for one in lowest)
        found["floor_estoi"] = max(ladder.mean(one.condition, "estoi").value for one in lowest)
    return found


def figure(ladder: Ladder, groups: Sequence[str] | None = None) -> Figure:
    """Words wrong against numbers per TR, trained and untrained; and against bits per TR, with codec and mel."""
    drawn, (left, right) = plt.subplots(1, 2, figsize=(11, 4.4), sharey=True)
    for index, arm in enumerate(arms(ladder)):
        trained, pca = codes(ladder, arm, "trained"), codes(ladder, arm, "pca")
        colour = f"C{index}"
        _line(left, ladder, trained, "per_tr", groups, color=colour, label=CODER_LABELS[arm])
        _line(left, ladder, pca, "per_tr", groups, color=colour, linestyle=":", linewidth=1)
    left.axhline(0.0, color="0.6", linewidth=0.8)
    left.set(xlabel="numbers per TR, noise-free", ylabel=LOST, ylim=(-0.05, 1.1), xscale="log")
    draw_bits(right, ladder, groups)
    left.legend(fontsize=7, frameon=False)
    right.legend(fontsize=7, frameon=False)
    return drawn


def draw_bits(
    axes: Axes, ladder: Ladder, groups: Sequence[str] | None = None, *, named: bool = False
) -> None:
    """Words wrong against bits per TR: arms, codec, quantised mel, phonemes, and what a simulated brain tells."""
    for index, arm in enumerate(arms(ladder)):
        noisy = where(
            ladder.conditions,
            lambda one, arm=arm: (
                (one.rung, one.arm, one.made, one.control) == ("code", arm, "trained", "") and bool(one.sigma)
            ),  # type: ignore[misc]
        )
        _cloud(axes, ladder, noisy, groups, f"C{index}", CODER_LABELS[arm] if named else None)
    beside = {
        "codec": ("s", "EnCodec"),
        "representation": ("^", "quantised mel"),
        "language": ("*", "phonemes, a voice"),
    }
    for name, (marker, label) in beside.items():
        counted = [one for one in ladder.conditions if one.rung == name and one.bits_per_tr]
        x = [one.bits_per_tr for one in counted]
        y = [beyond(ladder, one.condition, groups).value for one in counted]
        if counted:
            axes.plot(x, y, marker, color="0.3", label=label, markersize=6)  # type: ignore[arg-type]
    axes.axhline(0.0, color="0.6", linewidth=0.8)
    if band := brains_range(ladder):
        axes.axvspan(*band, color="0.9", label="told by a simulated brain")
    axes.set(xlabel="bits per TR", xscale="log")


def streams(ladder: Ladder) -> pd.DataFrame:
    """Codes that were quantised with dither and coded, beside the channels that they stand for."""
    by_name = {
        (one.arm, one.asked, one.sigma): one
        for one in ladder.conditions
        if (one.rung, one.made, one.control) == ("code", "trained", "")
    }
    rows = []
    for one in ladder.conditions:
        channel = by_name.get((one.arm, one.asked, one.sigma))
        if one.control != "dithered" or channel is None:
            continue
        apart = ladder.difference(one.condition, channel.condition, "wrong")
        rows.append(
            {
                "arm": CODER_LABELS[one.arm],
                "numbers per TR": one.per_tr,
                "σ": one.sigma,
                "bits per TR": one.bits_per_tr,
                "of the channel": channel.bits_per_tr,
                "words wrong, less the channel's": apart.value,
                "interval": shown(apart),
            }
        )
    return pd.DataFrame(rows)


def moving_verdict(ladder: Ladder, asked: float = 512) -> str:
    """Fine-tuned against frozen on held-out windows, in ESTOI and words, with the verdict that the intervals allow."""
    frozen, moving = (_at(ladder, name, "trained", asked) for name in ("frozen", "finetuned"))
    if frozen is None or moving is None:
        return "Not measured."
    estoi = ladder.difference(moving.condition, frozen.condition, "estoi")
    words = ladder.difference(moving.condition, frozen.condition, "wrong")
    better = estoi.low > 0 and words.high < 0
    worse = estoi.high < 0 and words.low > 0
    verdict = (
        "fine-tuning is better" if better else "fine-tuning is worse" if worse else "there is no verdict"
    )
    return (
        f"On held-out windows at {asked:g} numbers per TR the two differ by {estoi.value:+.2f} in ESTOI "
        f"({shown(estoi)}) and {words.value:+.2f} of the words ({shown(words)}): {verdict} for the demo codec, from "
        "one training each. For Meta's weights it is undecided here; `make bottleneck CODEC=24khz DATA=folder` "
        "decides it."
    )


def phonemes(ladder: Ladder) -> pd.DataFrame:
    """Phonemes with a voice: bits per TR, and the words that are lost, on the windows that have them."""
    return pd.DataFrame(
        [
            {
                "sent": one.made,
                "bits per TR": one.bits_per_tr,
                "words wrong": beyond(ladder, one.condition).value,
                "interval": shown(beyond(ladder, one.condition)),
                "windows": beyond(ladder, one.condition).n,
            }
            for one in ladder.conditions
            if one.rung == "language"
        ]
    )


def voxels(ladder: Ladder, groups: Sequence[str] | None = None) -> pd.DataFrame:
    """What arrives through voxels, as a device drives them and as brains give it; controls beside."""
    return pd.DataFrame(
        [
            {
                "arm": CODER_LABELS[one.arm],
                "numbers per TR": one.per_tr,
                "what": {"device": "device", "brains": "simulated brains"}[one.rung],
                "map": one.map or "–",
                "voxels": one.voxels,
                "noise": one.noise,
                "subjects": one.subjects,
                "decoded": one.control or "as read",
                "bits per TR": one.bits_per_tr,
                "words wrong": beyond(ladder, one.condition, groups).value,
                "interval": shown(beyond(ladder, one.condition, groups)),
                "ESTOI": ladder.mean(one.condition, "estoi", groups).value,
            }
            for one in ladder.conditions
            if one.rung in ("device", "brains")
        ]
    )


def by_group(ladder: Ladder, condition: str) -> dict[str, Estimate]:
    """Words wrong beyond the original's, for every kind of speech apart."""
    return {group: beyond(ladder, condition, [group]) for group in GROUPS}


def _line(
    axes: Axes,
    ladder: Ladder,
    found: Sequence[Condition],
    x: str,
    groups: Sequence[str] | None,
    **style: object,
) -> None:
    if found:
        values = [beyond(ladder, one.condition, groups).value for one in found]
        axes.plot([getattr(one, x) for one in found], values, marker=".", **style)  # type: ignore[arg-type]


def _cloud(
    axes: Axes,
    ladder: Ladder,
    found: Sequence[Condition],
    groups: Sequence[str] | None,
    colour: str,
    label: str | None,
) -> None:
    """Conditions over bits, and the line of the best of them."""
    points = sorted(
        (one.bits_per_tr, beyond(ladder, one.condition, groups).value) for one in found if one.bits_per_tr
    )
    if points:
        x, y = np.array(points).T
        axes.plot(x, y, ".", color=colour, alpha=0.4, markersize=4)
        axes.plot(x, np.minimum.accumulate(y), color=colour, linewidth=1, label=label)


def _at(ladder: Ladder, arm: str, made: str, asked: float) -> Condition | None:
    return next((one for one in codes(ladder, arm, made) if one.asked == asked), None)
