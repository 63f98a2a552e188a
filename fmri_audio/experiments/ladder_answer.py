"""What the ladder's tables answer: what speech needs in numbers and bits per TR, and what simulated brains tell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fmri_audio.bottleneck.coders.base import CODER_LABELS
from fmri_audio.experiments.ladder import TR, Condition, Estimate, Ladder, Told, where

ORIGINAL = "original/original"

NEAR = 1.05
"""Times the width that was asked for, up to which a code is of that width."""

WHOLE = 0.03
"""Words wrong beyond the original's up to which speech counts as whole."""


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


def as_wide(one: Condition) -> bool:
    """Whether a code is about as wide as was asked for: a coarse grid may have gone up by a whole step of it."""
    return bool(one.per_tr and one.asked and one.per_tr <= NEAR * one.asked)


def arms(ladder: Ladder) -> list[str]:
    """Arms that were trained, in the order of the tables."""
    present = {one.arm for one in ladder.conditions if one.made == "trained"}
    return [name for name in CODER_LABELS if name in present]


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
    return f"{name}: {found.per_tr:g} numbers per TR ({lost.value:.2f} of the words lost, {shown(lost)})"


def least_bits(ladder: Ladder, arm: str) -> float | None:
    """Fewest bits per TR of an arm's noisy codes that lose no more words than :data:`WHOLE`."""
    bits = [
        one.bits_per_tr
        for one in ladder.conditions
        if (one.rung, one.arm, one.made, one.control) == ("code", arm, "trained", "")
        and one.sigma
        and one.bits_per_tr
        and beyond(ladder, one.condition).value <= WHOLE
    ]
    return min(bits, default=None)


def brains_range(ladder: Ladder, scans: int = 1) -> tuple[float, float] | None:
    """Bits per TR that a simulated brain tells by its own tuning, lowest and highest model of a voxel.

    Parameters
    ----------
    ladder : Ladder
    scans : int
        Of the same sound, averaged.

    Returns
    -------
    low, high : float
        At a TR of 1.5 s, of all auditory cortex; None where nothing was counted.
    """
    bits = [one.own for one in whole_brain(ladder) if one.scans == scans]
    return (min(bits), max(bits)) if bits else None


def whole_brain(ladder: Ladder, tr: float = float(TR)) -> list[Told]:
    """Rows of all auditory cortex at one TR."""
    found = [one for one in ladder.told if one.tr == tr]
    most = max((one.n_voxels for one in found), default=0)
    return [one for one in found if one.n_voxels == most]


def in_short(ladder: Ladder) -> str:
    """The answer of the whole ladder in two sentences."""
    reached = [
        (one.per_tr or 0.0, name, one) for name in arms(ladder) if (one := needed(ladder, name)) is not None
    ]
    bits = [(least, name) for name in arms(ladder) if (least := least_bits(ladder, name)) is not None]
    told = brains_range(ladder)
    if reached:
        width, name, narrowest = min(reached, key=lambda found: found[:2])
        lost = beyond(ladder, narrowest.condition)
        text = (
            f"Without noise, speech passes a bottleneck of {width:g} numbers per TR with {lost.value:.2f} of its "
            f"words lost ({shown(lost)}; {CODER_LABELS[name]})"
        )
    else:
        text = f"Without noise, no width that was measured passes speech with at most {WHOLE:g} of its words lost"
    if bits:
        fewest, name = min(bits)
        text += (
            f"; the cheapest noisy code that passes it takes {fewest:,.0f} bits per TR ({CODER_LABELS[name]})"
        )
    if told:
        low, high = (f"{one:,.0f}" for one in told)
        text += (
            f". Of sound, one simulated brain tells {low if low == high else f'{low} to {high}'} bits per TR"
        )
    return f"{text}."


def said() -> str:
    """What the project's own tables answer, in short."""
    return f"{in_short(Ladder.read())} (Chapter 6.)"


def shown(one: Estimate) -> str:
    """An interval in words."""
    return "–" if np.isnan(one.low) else f"{one.low:.2f} to {one.high:.2f}"
