"""Chapter 6, voxels: what a device and what simulated brains carry, and what more scans and voxels change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fmri_audio.base.settings import VOXELS
from fmri_audio.bottleneck.coders.base import CODER_LABELS
from fmri_audio.bottleneck.passing import simulated_brain
from fmri_audio.bottleneck.voxels import Channel, InTime, capacity
from fmri_audio.chapters.ladder.rungs import LOST, draw_bits
from fmri_audio.experiments.ladder import TR, Condition, Ladder, where
from fmri_audio.experiments.ladder_answer import arms, beyond, least_bits, shown

SCANS = (1, 4, 16, 64)
"""Of the same sound by the same brain, averaged."""

N_NUMBERS, N_TRS = 512, 240
"""Numbers per TR and length of the run for which bits are counted."""

NOT_REACHABLE = "not reachable this way"


def devices(ladder: Ladder, arm: str, asked: float, mapped: str, voxels: str = "between") -> list[Condition]:
    """Conditions of an arm through voxels at one width, by noise."""
    found = where(
        ladder.conditions,
        lambda one: (
            (one.rung, one.arm, one.asked, one.map, one.voxels, one.control)
            == ("device", arm, asked, mapped, voxels, "")
        ),
    )
    return sorted(found, key=lambda one: one.noise or 0.0)


def widths(ladder: Ladder) -> list[float]:
    """Widths that went through voxels."""
    return sorted({one.asked for one in ladder.conditions if one.rung == "device" and one.asked})


def voxel_arms(ladder: Ladder) -> list[str]:
    """Arms that went through voxels, in the order of the tables."""
    present = {one.arm for one in ladder.conditions if one.rung == "device"}
    return [name for name in CODER_LABELS if name in present]


def draw(ladder: Ladder, groups: Sequence[str] | None = None) -> Figure:
    """Words wrong against noise: an ideal device and the brain's own tuning, a panel per width."""
    panels = widths(ladder)
    drawn, several = plt.subplots(
        1, len(panels), figsize=(4.6 * len(panels), 3.8), sharey=True, squeeze=False
    )
    for axes, asked in zip(several[0], panels, strict=True):
        _draw_noise(axes, ladder, asked, groups)
    several[0][0].set(ylabel=LOST, ylim=(-0.05, 1.1))
    several[0][0].legend(fontsize=7, frameon=False)
    return drawn


def headline(ladder: Ladder) -> Figure:
    """The paper in one figure: words wrong against bits per TR, and beside it against noise, a panel per width."""
    panels = widths(ladder)
    shares = {"width_ratios": [1.6, *[1.0] * len(panels)]}
    drawn, several = plt.subplots(
        1, 1 + len(panels), figsize=(5 + 3 * len(panels), 3.8), sharey=True, gridspec_kw=shares, squeeze=False
    )
    draw_bits(several[0][0], ladder, named=True)
    for axes, asked in zip(several[0][1:], panels, strict=True):
        _draw_noise(axes, ladder, asked, None)
    several[0][0].set(ylabel=LOST, ylim=(-0.05, 1.1))
    several[0][0].legend(fontsize=6, frameon=False)
    several[0][-1].legend(fontsize=6, frameon=False)
    return drawn


def _draw_noise(axes: Axes, ladder: Ladder, asked: float, groups: Sequence[str] | None) -> None:
    """One width."""
    present = arms(ladder)
    for arm in voxel_arms(ladder):
        for mapped, style in (("ideal", "-"), ("brain-like", "--")):
            found = devices(ladder, arm, asked, mapped)
            if not found:
                continue  # the arm did not go through voxels at this width
            values = [beyond(ladder, one.condition, groups).value for one in found]
            axes.plot(
                [one.noise or 0.0 for one in found],
                values,
                style,
                marker=".",
                color=f"C{present.index(arm)}",
                label=f"{CODER_LABELS[arm]}, {mapped}",
            )
    axes.set_xscale("symlog", linthresh=0.25)
    axes.set(xlabel="noise, times a brain's variance", title=f"{asked:g} numbers per TR")


def carried(ladder: Ladder) -> pd.DataFrame:
    """What was read less what the same decoder makes of another moment and of nothing: what the voxels carried."""
    by_name = {_key(one): one for one in ladder.conditions if one.rung in ("device", "brains")}
    rows = []
    for one in ladder.conditions:
        if one.rung not in ("device", "brains") or one.control:
            continue
        for control in ("other", "prior"):
            beside = by_name.get((*_key(one)[:-1], control))
            if beside is None:
                continue
            words = ladder.difference(one.condition, beside.condition, "wrong")
            estoi = ladder.difference(one.condition, beside.condition, "estoi")
            rows.append(
                {
                    "what": f"{CODER_LABELS[one.arm]}, {one.asked:g} numbers, "
                    + (f"{one.map} device" if one.rung == "device" else f"{one.subjects} simulated brains"),
                    "less": {"other": "another moment", "prior": "no brain"}[control],
                    "words wrong": words.value,
                    "interval": shown(words),
                    "ESTOI": estoi.value,
                    "ESTOI interval": shown(estoi),
                    "carried": "yes" if words.high < 0 else "ESTOI alone" if estoi.low > 0 else "no",
                }
            )
    return pd.DataFrame(rows)


def _key(one: Condition) -> tuple[object, ...]:
    return (one.rung, one.arm, one.asked, one.map, one.voxels, one.noise, one.subjects, one.control)


@dataclass(frozen=True)
class Told:
    """Bits per TR that one simulated brain tells of independent numbers.

    Attributes
    ----------
    voxels : str
        Model of a voxel.
    scans : int
        Averaged.
    own, ideal : float
        By the brain's own tuning; by an ideal map of as many numbers.
    bound : float
        Whatever drives voxels of so much power.
    """

    voxels: str
    scans: int
    own: float
    ideal: float
    bound: float


def told(tr: Fraction = TR, seed: int = 0, n_trs: int = N_TRS, n_numbers: int = N_NUMBERS) -> list[Told]:
    """Bits of every model of a voxel, with more and more scans averaged; nothing is divided, all is computed anew."""
    found = []
    for name in VOXELS:
        brain = simulated_brain(name, tr, seed)
        time = InTime.of(n_trs, tr, brain.autocorrelation)
        maps = [Channel(brain.map(n_numbers, seed, ideal=ideal), time) for ideal in (False, True)]
        for scans in SCANS:
            own, ideal = (one.bits(1 / scans) for one in maps)
            bound = capacity(brain.covariance, brain.deviation, time, 1 / scans)
            found.append(Told(name, scans, own, ideal, bound))
    return found


def told_table(rows: Sequence[Told]) -> pd.DataFrame:
    """Ranges over the models of a voxel."""
    return pd.DataFrame(
        [
            {
                "scans averaged": scans,
                **{
                    label: _range([getattr(row, name) for row in rows if row.scans == scans])
                    for name, label in (
                        ("own", "the brain's own tuning"),
                        ("ideal", "an ideal map"),
                        ("bound", "upper bound"),
                    )
                },
            }
            for scans in sorted({row.scans for row in rows})
        ]
    )


def scans_needed(rows: Sequence[Told], bits: float) -> str:
    """Fewest scans whose average tells so many bits by the brain's own tuning, over the models of a voxel."""
    found = []
    for name in VOXELS:
        enough = [row.scans for row in rows if row.voxels == name and row.own >= bits]
        found.append(min(enough) if enough else None)
    known = [one for one in found if one is not None]
    if not known:
        return f"{NOT_REACHABLE}, with {max(row.scans for row in rows)} scans averaged"
    most = str(max(known)) if len(known) == len(found) else f"more than {max(row.scans for row in rows)}"
    if str(min(known)) != most:
        return f"{min(known)} to {most} scans averaged do"
    return f"{most} scans averaged do" if most != "1" else "one scan does"


def said(ladder: Ladder, rows: Sequence[Told]) -> dict[str, str]:
    """What simulated brains give, and what more scans of them change."""
    found = carried(ladder)
    brains = found[found["what"].str.endswith("simulated brains")] if len(found) else found
    words = int((brains["carried"] == "yes").sum()) if len(brains) else 0
    own = [row.own for row in rows if row.scans == 1]
    needs = [(CODER_LABELS[name], least_bits(ladder, name)) for name in arms(ladder)]
    known = [(bits, name) for name, bits in needs if bits is not None]
    least = min(known, default=None)
    brains_said = (
        f"One simulated brain tells {_range(own)} bits per TR by its own tuning. "
        f"Words are carried in {words} of {len(brains)} comparisons."
    )
    if least is None:
        return {
            "brains_said": brains_said,
            "scans_said": "no arm keeps speech whole in noise of any size measured here",
        }
    bits, name = least
    return {
        "brains_said": brains_said,
        "scans_said": f"whole speech takes {bits:,.0f} bits per TR at least ({name}); {scans_needed(rows, bits)}",
    }


def _range(values: Sequence[float]) -> str:
    low, high = min(values), max(values)
    return f"{low:,.0f}" if round(low) == round(high) else f"{low:,.0f} to {high:,.0f}"
