"""The sound side and the ladder: what each arm keeps at every width, what a device and a brain take, in words."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fmri_audio.bottleneck.coders.base import CODER_LABELS
from fmri_audio.experiments.ladder import GROUPS, Condition, Estimate, Ladder, where

ORIGINAL = "original/original"
MAIN = (128, 256, 512)
"""Widths at which every trained arm is held to its own principal components."""

WHOLE = 0.03
"""Words wrong beyond the original's up to which speech counts as whole."""

MADE = {
    "trained": "trained",
    "start": "the same, untrained",
    "pca": "principal components, same way back",
    "single": "trained for this width alone",
    "indices": "codebook indices as numbers",
}


def beyond(ladder: Ladder, condition: str, groups: Sequence[str] | None = None) -> Estimate:
    """Words wrong beyond those of the original, paired by window."""
    return ladder.difference(condition, ORIGINAL, "wrong", groups)


def codes(ladder: Ladder, arm: str, made: str, sigma: float = 0.0) -> list[Condition]:
    """Conditions of an arm's code without voxels, by width."""
    return where(
        ladder.conditions,
        lambda one: (
            (one.rung, one.arm, one.made, one.sigma or 0.0, one.control) == ("code", arm, made, sigma, "")
        ),
    )


def arms(ladder: Ladder) -> list[str]:
    """Arms that were trained, in the order of the tables."""
    present = {one.arm for one in ladder.conditions if one.made == "trained"}
    return [name for name in CODER_LABELS if name in present]


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
                        "interval": _interval(words),
                        "ESTOI": estoi.value,
                        "STOI": ladder.mean(one.condition, "stoi", groups).value,
                        "PESQ-WB": ladder.mean(one.condition, "pesq_wb", groups).value,
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
                    "ESTOI interval": _interval(estoi),
                    "words wrong": words.value,
                    "words interval": _interval(words),
                    "beats": estoi.low > 0 and words.high < 0,
                }
            )
    return pd.DataFrame(rows)


def needed(
    ladder: Ladder, arm: str, most: float = WHOLE, made: str = "trained", groups: Sequence[str] | None = None
) -> Condition | None:
    """The narrowest width at which an arm loses at most so many words beyond the original's; None where none does."""
    return next(
        (one for one in codes(ladder, arm, made) if beyond(ladder, one.condition, groups).value <= most), None
    )


def needed_said(ladder: Ladder, arm: str, most: float = WHOLE) -> str:
    """What an arm needs for speech, in a sentence."""
    found = needed(ladder, arm, most)
    name = CODER_LABELS[arm]
    if found is None:
        widest = codes(ladder, arm, "trained")[-1]
        lost = beyond(ladder, widest.condition)
        return (
            f"{name}: not reachable at {widest.per_tr:g} numbers per TR ({lost.value:.2f} of the words lost)"
        )
    lost = beyond(ladder, found.condition)
    return f"{name}: {found.per_tr:g} numbers per TR ({lost.value:.2f} of the words lost, {_interval(lost)})"


def figure(ladder: Ladder, groups: Sequence[str] | None = None) -> Figure:
    """Words wrong against numbers per TR, trained and untrained; and against bits per TR, with codec and mel."""
    drawn, (left, right) = plt.subplots(1, 2, figsize=(11, 4.4), sharey=True)
    for index, arm in enumerate(arms(ladder)):
        colour = f"C{index}"
        _line(
            left,
            ladder,
            codes(ladder, arm, "trained"),
            "per_tr",
            groups,
            color=colour,
            label=CODER_LABELS[arm],
        )
        _line(
            left,
            ladder,
            codes(ladder, arm, "pca"),
            "per_tr",
            groups,
            color=colour,
            linestyle=":",
            linewidth=1,
        )
        noisy = where(
            ladder.conditions,
            lambda one, arm=arm: (
                (one.rung, one.arm, one.made, one.control) == ("code", arm, "trained", "") and bool(one.sigma)
            ),  # type: ignore[misc]
        )
        _cloud(right, ladder, noisy, groups, colour)
    beside = {
        "codec": ("s", "EnCodec"),
        "representation": ("^", "quantised mel"),
        "language": ("*", "phonemes, a voice"),
    }
    for name, (marker, label) in beside.items():
        counted = [one for one in ladder.conditions if one.rung == name and one.bits_per_tr]
        x = [one.bits_per_tr for one in counted]
        y = [ladder.mean(one.condition, "wrong", groups).value for one in counted]
        if counted:
            right.plot(x, y, marker, color="0.3", label=label, markersize=6)
    original = ladder.mean(ORIGINAL, "wrong", groups).value
    for axes in (left, right):
        axes.axhline(original, color="0.6", linewidth=0.8)
        axes.set_xscale("log")
    left.set(xlabel="numbers per TR, noise-free", ylabel="words wrong", ylim=(0, 1.1))
    right.set(xlabel="bits per TR")
    left.legend(fontsize=7, frameon=False)
    right.legend(fontsize=7, frameon=False)
    return drawn


def phonemes(ladder: Ladder) -> pd.DataFrame:
    """Phonemes with a voice: bits per TR, and the words that are lost, on the windows that have them."""
    return pd.DataFrame(
        [
            {
                "sent": one.made,
                "bits per TR": one.bits_per_tr,
                "words wrong": beyond(ladder, one.condition).value,
                "interval": _interval(beyond(ladder, one.condition)),
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
                "words wrong": ladder.mean(one.condition, "wrong", groups).value,
                "interval": _interval(ladder.mean(one.condition, "wrong", groups)),
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
        values = [ladder.mean(one.condition, "wrong", groups).value for one in found]
        axes.plot([getattr(one, x) for one in found], values, marker=".", **style)  # type: ignore[arg-type]


def _cloud(
    axes: Axes, ladder: Ladder, found: Sequence[Condition], groups: Sequence[str] | None, colour: str
) -> None:
    """Conditions over bits, and the line of the best of them."""
    points = sorted(
        (one.bits_per_tr, ladder.mean(one.condition, "wrong", groups).value)
        for one in found
        if one.bits_per_tr
    )
    if points:
        x, y = np.array(points).T
        axes.plot(x, y, ".", color=colour, alpha=0.4, markersize=4)
        axes.plot(x, np.minimum.accumulate(y), color=colour, linewidth=1)


def _at(ladder: Ladder, arm: str, made: str, asked: float) -> Condition | None:
    return next((one for one in codes(ladder, arm, made) if one.asked == asked), None)


def _interval(one: Estimate) -> str:
    return "–" if np.isnan(one.low) else f"{one.low:.2f} to {one.high:.2f}"
