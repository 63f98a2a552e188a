"""Chapter 6, voxels: what a device and what simulated brains carry, and what more scans and voxels change."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fmri_audio.base.settings import VOXELS
from fmri_audio.bottleneck.clock import Clock
from fmri_audio.bottleneck.coders import CODERS
from fmri_audio.bottleneck.coders.base import CODER_LABELS
from fmri_audio.chapters.ladder.rungs import LOST, draw_bits
from fmri_audio.experiments.ladder import TR, Condition, Ladder, where
from fmri_audio.experiments.ladder_answer import arms, beyond, least_bits, shown, whole_brain

MIDDLE = "between"
"""Model of a voxel by which subjects are compared."""

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
    """What was read less what the same decoder makes of another moment and of nothing: what the voxels carried.

    Words are carried where fewer are wrong than of both, beyond both intervals; ESTOI likewise.
    """
    by_name = {_key(one): one for one in ladder.conditions if one.rung in ("device", "brains")}
    rows = []
    for one in ladder.conditions:
        if one.rung not in ("device", "brains") or one.control:
            continue
        other = by_name.get((*_key(one)[:-1], "other"))
        prior = by_name.get(_prior(one))
        if other is None or prior is None:
            continue
        apart = {
            (name, measure): ladder.difference(one.condition, beside.condition, measure)
            for name, beside in (("another moment", other), ("no brain", prior))
            for measure in ("wrong", "estoi")
        }
        words = all(found.high < 0 for (_, measure), found in apart.items() if measure == "wrong")
        estoi = all(found.low > 0 for (_, measure), found in apart.items() if measure == "estoi")
        told = f"{one.map} device" if one.rung == "device" else f"{one.subjects} simulated brains"
        rows.append(
            {
                "what": f"{CODER_LABELS[one.arm]}, {one.asked:g} numbers, {told}",
                "voxels": one.voxels,
                "noise": one.noise,
                **{
                    f"{MEASURED[measure]}, less {name}": f"{found.value:+.2f} ({shown(found)})"
                    for (name, measure), found in apart.items()
                },
                "carried": "words" if words else "ESTOI alone" if estoi else "no",
            }
        )
    return pd.DataFrame(rows)


MEASURED = {"wrong": "words wrong", "estoi": "ESTOI"}


def _key(one: Condition) -> tuple[object, ...]:
    return (one.rung, one.arm, one.asked, one.map, one.voxels, one.noise, one.subjects, one.control)


def _prior(one: Condition) -> tuple[object, ...]:
    """Of the sound that an arm's decoder makes of nothing, the same for all voxels and noise."""
    return ("device", one.arm, one.asked, "", "", None, None, "prior")


def told_table(ladder: Ladder) -> pd.DataFrame:
    """Bits per TR of 1.5 s, ranges over the models of a voxel, with more scans averaged and with half the voxels."""
    rows = [one for one in ladder.told if one.tr == float(TR)]
    found = []
    for n_voxels, scans in sorted({(one.n_voxels, one.scans) for one in rows}, key=lambda x: (-x[0], x[1])):
        some = [one for one in rows if (one.n_voxels, one.scans) == (n_voxels, scans)]
        found.append(
            {
                "voxels": n_voxels,
                "of": some[0].part,
                "numbers per TR": some[0].numbers,
                "scans averaged": scans,
                "the brain's own tuning": _range([one.own for one in some]),
                "an ideal map": _range([one.ideal for one in some]),
                "upper bound": _range([one.bound for one in some]),
            }
        )
    return pd.DataFrame(found)


def times_table(ladder: Ladder) -> pd.DataFrame:
    """How well one scan can be read at every TR: without noise exactly, and with a brain's."""
    found = []
    for tr in sorted({one.tr for one in ladder.told}, reverse=True):
        some = [one for one in whole_brain(ladder, tr) if one.scans == 1]
        found.append(
            {
                "TR (s)": tr,
                "numbers per TR": some[0].numbers,
                "condition number": some[0].condition,
                "largest error without noise": _known(max, [one.exact for one in some]),
                "usable directions, own tuning": _shares([one.own_usable for one in some]),
                "usable directions, ideal map": _shares([one.ideal_usable for one in some]),
                "variance not known, own tuning": _shares([one.own_error for one in some]),
                "variance not known, ideal map": _shares([one.ideal_error for one in some]),
            }
        )
    return pd.DataFrame(found)


TIMES = (
    "One scan read at three TRs, with as many numbers per second. Without noise: condition number of the "
    "response, and the largest error of a number that an ideal map sent. With a brain's noise, over three models "
    "of a voxel: share of a run's directions whose signal is at least as large as the noise, and of a number's "
    "variance that stays unknown."
)
"""Caption of :func:`times_table`."""

PASSING = (
    "What passes voxels. A TR carries one step more at times, and an ideal map needs a voxel for each of its "
    "numbers; without noise the brain's own tuning passes as many as it has patterns."
)
"""Caption of :func:`not_passing`."""

TOLD = (
    "Bits per TR of 1.5 s that one simulated brain tells of sound by so many independent numbers, over three "
    "models of a voxel; everything is computed with the model, nothing divided. What voxels follow that nobody "
    "hears is neither signal nor noise here; as noise it would leave fewer."
)
"""Caption of :func:`told_table`."""

TIMES_FORMATS = {
    "TR (s)": ".2f",
    "numbers per TR": "d",
    "condition number": ",.0f",
    "largest error without noise": ".0e",
}


def not_passing(ladder: Ladder) -> pd.DataFrame:
    """What does not pass voxels at all: more numbers than voxels, or without noise more than patterns."""
    some = [one for one in whole_brain(ladder) if one.scans == 1]
    usable = f"own tuning {_range([one.own_usable * one.numbers for one in some])}, ideal map " + _range(
        [one.ideal_usable and one.ideal_usable * one.numbers for one in some]
    )
    rows = []
    for arm in voxel_arms(ladder):
        for width in sorted({one.per_tr for one in ladder.conditions if one.arm == arm and one.per_tr}):
            clock = Clock(TR, CODERS[arm].step)
            needs = clock.most * clock.dimensions(width)
            voxels, patterns = some[0].n_voxels, _range([float(one.patterns) for one in some])
            ideal = "passes" if needs <= voxels else f"does not pass: {voxels} voxels"
            rows.append(
                {
                    "arm": CODER_LABELS[arm],
                    "numbers per TR": width,
                    "at most in one TR": needs,
                    "directions above a brain's noise": usable,
                    "ideal map": ideal,
                    "own tuning, no noise": "passes"
                    if needs <= min(one.patterns for one in some)
                    else f"does not pass: {patterns} patterns",
                }
            )
    return pd.DataFrame(rows)


def scans_needed(ladder: Ladder, bits: float) -> str:
    """Fewest scans whose average tells so many bits by the brain's own tuning, over the models of a voxel."""
    rows, found = whole_brain(ladder), []
    for name in VOXELS:
        enough = [row.scans for row in rows if row.voxels == name and row.own >= bits]
        found.append(min(enough) if enough else None)
    known = [one for one in found if one is not None]
    most_scans = max(row.scans for row in rows)
    if not known:
        return f"{NOT_REACHABLE}, with {most_scans} scans averaged"
    least, most = min(known), max(known)
    if len(known) < len(found):
        return f"{least} scans averaged do by one model of a voxel, by another not even {most_scans}"
    if least != most:
        return f"{least} to {most} scans averaged do"
    return f"{most} scans averaged do" if most > 1 else "one scan does"


def said(ladder: Ladder) -> dict[str, str]:
    """What simulated brains give, and what more scans, voxels and subjects of them change."""
    found = carried(ladder)
    brains = found[found["what"].str.endswith("simulated brains")] if len(found) else found
    words = int((brains["carried"] == "words").sum()) if len(brains) else 0
    own = [one.own for one in whole_brain(ladder) if one.scans == 1]
    brains_said = (
        f"One simulated brain tells {_range(own)} bits per TR by its own tuning. "
        f"Words are carried in {words} of {len(brains)} comparisons."
    )
    return {
        "brains_said": brains_said,
        "scans_said": _scans_said(ladder),
        "voxels_said": _voxels_said(ladder),
        "subjects_said": _subjects_said(ladder),
    }


def _scans_said(ladder: Ladder) -> str:
    needs = [(bits, CODER_LABELS[name]) for name in arms(ladder) if (bits := least_bits(ladder, name))]
    parts = []
    if needs:
        bits, name = min(needs)
        parts.append(
            f"the cheapest code of the sound measured here takes {bits:,.0f} bits per TR ({name}): "
            f"{scans_needed(ladder, bits)}"
        )
    else:
        parts.append("no arm keeps speech whole in noise of any size measured here")
    spoken = language(ladder)
    if spoken is not None and spoken.bits_per_tr:
        lost = beyond(ladder, spoken.condition)
        parts.append(
            f"its phonemes, said again by another voice, take {spoken.bits_per_tr:,.0f} and lose {lost.value:.2f} of "
            f"the words ({shown(lost)}): {scans_needed(ladder, spoken.bits_per_tr)}"
        )
    return "; ".join(parts)


def language(ladder: Ladder) -> Condition | None:
    """Phonemes with a voice that take fewest bits."""
    found = [one for one in ladder.conditions if one.rung == "language" and one.bits_per_tr]
    return min(found, key=lambda one: one.bits_per_tr or 0.0, default=None)


def _voxels_said(ladder: Ladder) -> str:
    """What twice the voxels change for one scan."""
    rows = [one for one in ladder.told if one.tr == float(TR) and one.scans == 1]
    sizes = sorted({one.n_voxels for one in rows})
    if len(sizes) < 2:
        return "not computed"
    fewer, more = ([one.own for one in rows if one.n_voxels == n] for n in (sizes[0], sizes[-1]))
    return f"{sizes[0]} voxels tell {_range(fewer)} bits per TR, {sizes[-1]} tell {_range(more)}"


def _subjects_said(ladder: Ladder) -> str:
    """What more subjects change of the codes that are read from them, by the middle model of a voxel."""
    parts = []
    for arm in voxel_arms(ladder):
        for asked in widths(ladder):
            read = [
                one
                for one in ladder.conditions
                if (one.rung, one.arm, one.asked, one.voxels, one.control)
                == ("brains", arm, asked, MIDDLE, "")
            ]
            if len(read) < 2:
                continue
            few, many = (pick(read, key=lambda one: one.subjects or 0) for pick in (min, max))
            words, estoi = (
                ladder.difference(many.condition, few.condition, name) for name in ("wrong", "estoi")
            )
            parts.append(
                f"{CODER_LABELS[arm]}, {asked:g} numbers, {many.subjects} less {few.subjects}: {words.value:+.2f} of "
                f"the words wrong ({shown(words)}), ESTOI {estoi.value:+.2f} ({shown(estoi)})"
            )
    return "; ".join(parts) or "not measured"


def _known(which: Callable[[list[float]], float], values: Sequence[float | None]) -> float | None:
    known = [one for one in values if one is not None]
    return which(known) if known else None


def _range(values: Sequence[float | None]) -> str:
    known = [one for one in values if one is not None]
    if not known:
        return "does not pass"
    low, high = min(known), max(known)
    return f"{low:,.0f}" if round(low) == round(high) else f"{low:,.0f} to {high:,.0f}"


def _shares(values: Sequence[float | None]) -> str:
    known = [one for one in values if one is not None]
    if not known:
        return "does not pass"
    low, high = (f"{100 * one:.1f}" for one in (min(known), max(known)))
    return f"{low} %" if low == high else f"{low} to {high} %"
