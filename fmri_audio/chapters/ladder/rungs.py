"""The sound side and the ladder: what each arm keeps at every width, what a device and a brain take, in words."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fmri_audio.bottleneck.coders.base import CODER_LABELS
from fmri_audio.experiments.ladder import FEWEST_WORDS, GROUPS, Condition, Estimate, Ladder, where
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

MOST_OVER = 0.5 * math.log2(2 * math.pi * math.e / 12)
"""Bits per number that quantising with dither takes beyond the channel at most (Zamir and Feder 1992)."""

HEADLINE = (*MAIN, 844)
"""Widths that are measured on all windows."""

FORMATS = {
    "numbers per TR": ".0f",
    "per second": ".0f",
    "bits per TR": ",.0f",
    "words wrong": ".2f",
    "σ": "g",
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


_OTHERWISE = {
    r"inner(\d+)": "with {} channels inside",
    r"random": "begun from a codec of random weights",
    r"sound([\d.]+)": "trained on {} min of sound",
    r"steps(\d+)": "trained for {} steps",
    r"seed(\d+)": "from seed {}",
}


def how(made: str) -> str:
    """What is said of how a code was made."""
    if made in MADE:
        return MADE[made]
    said = []
    for part in made.split("-"):
        found = next((text, m) for one, text in _OTHERWISE.items() if (m := re.fullmatch(one, part)))
        said.append(found[0].format(*found[1].groups()))
    return ", ".join(said)


def read() -> Ladder:
    """Read the tables of the ladder."""
    return Ladder.read()


def by_width(ladder: Ladder, groups: Sequence[str] | None = None) -> pd.DataFrame:
    """Every arm at every width and noise with what stands beside it, and below all of them sounds without words."""
    order = {name: index for index, name in enumerate([*MADE, *_otherwise(ladder)])}
    found = [one for one in ladder.conditions if one.rung == "code" and not one.control]
    found.sort(
        key=lambda one: (
            list(CODER_LABELS).index(one.arm),
            order[one.made],
            one.sigma or 0.0,
            one.per_tr or 0.0,
        )
    )
    rows = [{"arm": CODER_LABELS[one.arm], "made": how(one.made), **_numbers(one)} for one in found]
    beside = [*contentless(ladder)]
    rows += [
        {"arm": "no words", "made": name, "numbers per TR": None, "per second": None, "σ": None}
        for name, _ in beside
    ]
    scored = [
        _scores(ladder, one.condition, groups) for one in [*found, *(condition for _, condition in beside)]
    ]
    return pd.concat([pd.DataFrame(rows), pd.DataFrame(scored)], axis=1)


def _numbers(one: Condition) -> dict[str, float | None]:
    return {"numbers per TR": one.per_tr, "per second": one.per_second, "σ": one.sigma or None}


def _scores(ladder: Ladder, condition: str, groups: Sequence[str] | None) -> dict[str, float | str | int]:
    words = beyond(ladder, condition, groups)
    return {
        "words wrong": words.value,
        "interval": shown(words),
        **{
            label: ladder.mean(condition, measure, groups).value
            for label, measure in (("ESTOI", "estoi"), ("STOI", "stoi"), ("PESQ-WB", "pesq_wb"))
        },
        "windows": max(words.n, ladder.mean(condition, "estoi", groups).n),
    }


def _otherwise(ladder: Ladder) -> list[str]:
    """How codes were made that differ in one thing from an arm, in order."""
    return sorted({one.made for one in ladder.conditions if one.rung == "code"} - MADE.keys())


def contentless(ladder: Ladder) -> list[tuple[str, Condition]]:
    """Sounds that hold none of the words, by name: noises, other speech, and what decoders make of nothing."""
    found = [(one.arm, one) for one in ladder.conditions if one.rung == "floor"]
    for one in ladder.conditions:
        if one.control == "prior":
            found.append((f"mean latent: {CODER_LABELS[one.arm]} told nothing, {one.asked:g} numbers", one))
    return found


def floors(ladder: Ladder, groups: Sequence[str] | None = None) -> pd.DataFrame:
    """The original, representations and the codec without a bottleneck, and sounds without what is said."""
    wanted = [one for one in ladder.conditions if one.rung in ("original", "representation", "codec")]
    named = [(" ".join(filter(None, (one.arm, one.made))), one) for one in wanted] + contentless(ladder)
    return pd.DataFrame(
        [
            {"what": name, "bits per TR": one.bits_per_tr, **_scores(ladder, one.condition, groups)}
            for name, one in named
        ]
    )


def by_kind(ladder: Ladder) -> pd.DataFrame:
    """Words wrong beyond the original's at the widths of headlines, for every kind of speech apart."""
    rows = []
    for arm in arms(ladder):
        for one in codes(ladder, arm, "trained"):
            if one.asked not in HEADLINE:
                continue
            row: dict[str, object] = {"arm": CODER_LABELS[arm], "numbers per TR": one.per_tr}
            for group, label in GROUPS.items():
                row[label] = _said_of(beyond(ladder, one.condition, [group]))
            rows.append(row)
    return pd.DataFrame(rows)


def kinds_caption(ladder: Ladder) -> str:
    """On what every kind of speech stands."""
    parts = []
    for group, label in GROUPS.items():
        own = [one for one in ladder.windows if one.group == group]
        if not own:
            continue
        of_voice: dict[str, int] = {}
        for one in own:
            of_voice[one.voice] = of_voice.get(one.voice, 0) + one.said
        voices = f"{len(of_voice)} voice{'s' * (len(of_voice) > 1)}"
        parts.append(
            f"{label}: {len(own)} windows, {voices}, {sum(of_voice.values()):,} words, "
            f"{max(of_voice.values()):,} of them of one voice"
        )
    return (
        "Words wrong beyond the original's, noise-free, with 95 % intervals over voices and passages, for every kind "
        f"of speech apart. {'; '.join(parts)}. Below {FEWEST_WORDS} words nothing is said."
    )


def _said_of(words: Estimate) -> str:
    if words.said < FEWEST_WORDS:
        return f"too few to say ({words.said} words)"
    return f"{words.value:.2f} ({shown(words)})"


def against_pca(ladder: Ladder, groups: Sequence[str] | None = None) -> pd.DataFrame:
    """Every trained arm less its principal components at the main widths, with whether it beats them."""
    rows = []
    for arm in arms(ladder):
        for asked in MAIN:
            trained, pca = (at(ladder, arm, made, asked) for made in ("trained", "pca"))
            if trained is None or pca is None:
                continue
            estoi = ladder.difference(trained.condition, pca.condition, "estoi", groups)
            words = ladder.difference(trained.condition, pca.condition, "wrong", groups)
            rows.append(
                {
                    "arm": CODER_LABELS[arm],
                    "numbers per TR": trained.per_tr,
                    "ESTOI": estoi.value,
                    "ESTOI interval": shown(estoi),
                    "words wrong": words.value,
                    "words interval": shown(words),
                    "beats": estoi.low > 0 and words.high < 0,
                }
            )
    return pd.DataFrame(rows)


APART = {"numbers per TR": ".0f", "words wrong": "+.2f", "ESTOI": "+.2f"}
"""Formats of differences."""

ABOUT = {
    "pca": "Trained arms less as many principal components with the same way back to sound, paired by window.",
    "nesting": "One code for every width less a code trained for this width alone, paired by window.",
    "moving": "At 512 numbers per TR, less the frozen arm, paired by window: fine-tuned, and the controls of both.",
    "floors": "Ceilings, the codec, and sounds without words.",
    "streams": "Codes that were quantised with dither and coded.",
    "carried": "What voxels carried, by paired differences.",
}
"""What tables are about, for :func:`caption`."""

PHONEMES = (
    "Phonemes of the play, timed and pitched, counted by models of other texts and spoken by another voice, on "
    "the windows whose sentences are known. Words wrong beyond the original's in the same windows, with 95 % "
    "intervals over voices and passages."
)
"""Caption of :func:`phonemes`."""


def caption(ladder: Ladder, about: str = "") -> str:
    """Standalone, for tables of arms; ``about`` is one of :data:`ABOUT`."""
    groups = ", ".join(GROUPS[name] for name in GROUPS if any(one.group == name for one in ladder.windows))
    said = sum(one.said for one in ladder.windows)
    minutes = sum(one.seconds for one in ladder.windows) / 60
    voices = len({one.voice for one in ladder.windows})
    first = f"{ABOUT[about]} " if about else ""
    return (
        f"{first}Means over {len(ladder.windows)} windows of held-out speech ({groups}): {minutes:.0f} minutes, "
        f"{voices} voices, {said:,} words. Words wrong: as a speech recogniser hears them, at most all of a window, as "
        f"a share of those said, beyond the original's in the same windows. {swept(ladder)} "
        "Intervals of 95 % over voices and, within each, passages. All at the known lag and at equal loudness; "
        "TR 1.5 s."
    )


def swept(ladder: Ladder) -> str:
    """On how much sound the conditions stand that are not measured in all windows."""
    most = len(ladder.windows)
    fewer = [
        (found.n, found.said, ladder.seconds(one.condition) / 60)
        for one in ladder.conditions
        if one.rung != "language" and (found := ladder.mean(one.condition, "wrong")).n < most
    ]
    spoken = {ladder.mean(one.condition, "wrong").n for one in ladder.conditions if one.rung == "language"}
    text = "Every condition stands on all of them."
    if fewer:
        n, said, minutes = min(fewer)
        text = (
            f"The original, and trained arms and their principal components without noise at "
            f"{', '.join(map(str, HEADLINE))} numbers, stand on all of them; everything else on {n}, spread over all "
            f"voices: {minutes:.0f} minutes, {said:,} words."
        )
    return text + (f" Phonemes stand on the {min(spoken)} whose sentences are known." if spoken else "")


def facts(ladder: Ladder) -> dict[str, float | str]:
    """What the text says of windows, widths and what they came to."""
    original = ladder.mean(ORIGINAL, "wrong")
    beats = against_pca(ladder)
    held = [f"{row['arm']} at {row['numbers per TR']:g}" for _, row in beats.iterrows() if not row["beats"]]
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
        "sound_said": sound_said(ladder),
        "swept": swept(ladder),
        "in_short": in_short(ladder),
        **_spread(ladder),
    }


def _spread(ladder: Ladder) -> dict[str, float | str]:
    """Where speech is whole by the best arm, for every kind of speech apart; and what floors score."""
    found: dict[str, float | str] = {f"needed_{group}": _whole_from(ladder, group) for group in GROUPS}
    without = [one for _, one in contentless(ladder)]
    if without:
        found["floor_stoi"] = max(ladder.mean(one.condition, "stoi").value for one in without)
        found["floor_estoi"] = max(ladder.mean(one.condition, "estoi").value for one in without)
    return found


def _whole_from(ladder: Ladder, group: str) -> str:
    said = ladder.mean(ORIGINAL, "wrong", [group]).said
    if said < FEWEST_WORDS:
        return f"a width that {said} words are too few to tell"
    reached = [one for name in arms(ladder) if (one := needed(ladder, name, groups=[group])) and one.per_tr]
    best = min(reached, key=lambda one: one.per_tr or math.inf, default=None)
    if best is None:
        return "more than any width here"
    lost = beyond(ladder, best.condition, [group])
    return f"{best.per_tr:g} numbers per TR ({CODER_LABELS[best.arm]}; {lost.shown} of the words lost)"


def figure(ladder: Ladder, groups: Sequence[str] | None = None) -> Figure:
    """Words wrong against numbers per TR, trained and untrained; and against bits per TR, with codec and mel."""
    drawn, (left, right) = plt.subplots(1, 2, figsize=(11, 4.4), sharey=True)
    for index, arm in enumerate(arms(ladder)):
        trained, pca = codes(ladder, arm, "trained"), codes(ladder, arm, "pca")
        colour = f"C{index}"
        _line(left, ladder, trained, "per_tr", groups, color=colour, label=CODER_LABELS[arm])
        _line(left, ladder, pca, "per_tr", groups, color=colour, linestyle=":", linewidth=1)
        start = codes(ladder, arm, "start")
        _line(left, ladder, start, "per_tr", groups, color=colour, linestyle="--", linewidth=0.7, alpha=0.4)
    indices = codes(ladder, "codes", "indices")
    _line(
        left, ladder, indices, "per_tr", groups, color="0.3", linestyle="", marker="s", label=MADE["indices"]
    )
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
        components = [
            one for one in ladder.conditions if (one.rung, one.arm, one.made) == ("code", arm, "pca")
        ]
        sent = [one for one in components if one.bits_per_tr]
        _line(axes, ladder, sent, "bits_per_tr", groups, color=f"C{index}", linestyle="", marker="x")
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


def streams_said(ladder: Ladder) -> dict[str, str]:
    """How many bits coded streams take beside the channels that they stand for, and whether words tell them apart."""
    rows = streams(ladder)
    if rows.empty:
        return {"streams_said": "not measured"}
    more = (rows["bits per TR"] - rows["of the channel"]) / rows["numbers per TR"]
    apart = rows["words wrong, less the channel's"]
    near = "is confirmed" if more.max() <= MOST_OVER + 0.02 else "is not confirmed"
    return {
        "streams_said": f"{near}: streams take {more.min():+.2f} to {more.max():+.2f} bits per number more "
        f"than the channel has, and words wrong differ by {apart.min():+.2f} to {apart.max():+.2f}"
    }


def moving_verdict(ladder: Ladder, asked: float = 512) -> str:
    """Fine-tuned against frozen on held-out windows, at equal samples and at equal compute.

    There is a verdict where both say the same, in ESTOI and in words, beyond their intervals.
    """
    frozen, moved = (at(ladder, name, "trained", asked) for name in ("frozen", "finetuned"))
    half = next(
        (at(ladder, "finetuned", made, asked) for made in _otherwise(ladder) if _SHORTER.fullmatch(made)),
        None,
    )
    if frozen is None or moved is None:
        return "Not measured."
    parts, verdicts = [], set()
    for label, one in (("equal samples", moved), ("equal compute", half)):
        if one is None:
            continue
        estoi = ladder.difference(one.condition, frozen.condition, "estoi")
        words = ladder.difference(one.condition, frozen.condition, "wrong")
        better = estoi.low > 0 and words.high < 0
        worse = estoi.high < 0 and words.low > 0
        verdicts.add(
            "fine-tuning is better" if better else "fine-tuning is worse" if worse else "there is no verdict"
        )
        parts.append(
            f"at {label} by {estoi.value:+.2f} in ESTOI ({shown(estoi)}) and {words.value:+.2f} of the words "
            f"({shown(words)})"
        )
    verdict = verdicts.pop() if len(verdicts) == 1 else "there is no verdict"
    return (
        f"On held-out windows at {asked:g} numbers per TR the two differ {', '.join(parts)}: {verdict} for the demo "
        "codec. One seed each was trained, so the interval is descriptive: it is that of windows, not of trainings. "
        "For Meta's weights it is undecided here; `make bottleneck CODEC=released DATA=folder` decides it."
    )


_SHORTER = re.compile(r"steps\d+")


def nesting(ladder: Ladder) -> pd.DataFrame:
    """What a code for every width costs: trained less trained for one width alone, paired by window."""
    rows = []
    for arm in arms(ladder):
        for one in codes(ladder, arm, "single"):
            nested = at(ladder, arm, "trained", one.asked or 0.0)
            if nested is None:
                continue
            words, estoi = (
                ladder.difference(nested.condition, one.condition, name) for name in ("wrong", "estoi")
            )
            rows.append(
                {
                    "arm": CODER_LABELS[arm],
                    "numbers per TR": one.per_tr,
                    "words wrong": words.value,
                    "words interval": shown(words),
                    "ESTOI": estoi.value,
                    "ESTOI interval": shown(estoi),
                }
            )
    return pd.DataFrame(rows)


def moving(ladder: Ladder, asked: float = 512) -> pd.DataFrame:
    """Fine-tuned and both controls less frozen, paired by window, at one width."""
    frozen = at(ladder, "frozen", "trained", asked)
    rows = []
    for one in ladder.conditions:
        same = (one.rung, one.asked, one.sigma or 0.0, one.control) == ("code", asked, 0.0, "")
        learned = one.made == "trained" or one.made in _otherwise(ladder)
        if frozen is None or not same or not learned or one.arm not in ("frozen", "finetuned"):
            continue
        if one.condition == frozen.condition:
            continue
        estoi, words = (
            ladder.difference(one.condition, frozen.condition, name) for name in ("estoi", "wrong")
        )
        rows.append(
            {
                "arm": CODER_LABELS[one.arm],
                "trained": how(one.made),
                "ESTOI": estoi.value,
                "ESTOI interval": shown(estoi),
                "words wrong": words.value,
                "words interval": shown(words),
            }
        )
    return pd.DataFrame(rows)


def sound_said(ladder: Ladder, arm: str = "mel", asked: float = 512) -> str:
    """What an arm keeps that was trained on less sound, in words and ESTOI less those of all sound."""
    trained, parts = at(ladder, arm, "trained", asked), []
    for made in _otherwise(ladder):
        less = at(ladder, arm, made, asked)
        if trained is None or less is None or not made.startswith("sound"):
            continue
        words, estoi = (
            ladder.difference(less.condition, trained.condition, name) for name in ("wrong", "estoi")
        )
        parts.append(
            f"{how(made)}: {words.value:+.2f} of the words wrong ({shown(words)}), ESTOI {estoi.value:+.3f} "
            f"({shown(estoi)})"
        )
    return "; ".join(parts) or "not measured"


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
            if one.rung in ("device", "brains") and one.control != "prior"
        ]
    )


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
        axes.plot([getattr(one, x) for one in found], values, **{"marker": ".", **style})  # type: ignore[arg-type]


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


def at(ladder: Ladder, arm: str, made: str, asked: float) -> Condition | None:
    """Find a code without noise at one width; None where it was not measured."""
    return next((one for one in codes(ladder, arm, made) if one.asked == asked), None)
