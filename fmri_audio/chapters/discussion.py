"""Chapter 9: what the other chapters found, side by side, and what follows from it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from nilearn.glm.first_level import spm_hrf
from numpy.typing import NDArray

from fmri_audio.base.results import select
from fmri_audio.bottleneck.arms import ARM_LABELS
from fmri_audio.bottleneck.coders.base import CODER_LABELS
from fmri_audio.chapters.abstract import HELD_OUT, held_out_kind, pick
from fmri_audio.chapters.common import brains_of
from fmri_audio.claims.queries import read_glued
from fmri_audio.decoding import limits
from fmri_audio.decoding.information import identification_bits
from fmri_audio.edition import Edition
from fmri_audio.experiments import calibration, ladder_answer, scaling, scaling_table
from fmri_audio.experiments.calibration import CalibrationRow
from fmri_audio.experiments.helped import helps
from fmri_audio.experiments.ladder import Condition, Ladder
from fmri_audio.experiments.ladder_answer import shown
from fmri_audio.experiments.scaling import Cell
from fmri_audio.experiments.scaling_table import Span
from fmri_audio.pages import benchmarks
from fmri_audio.simulation.voxel_models import VOXEL_MODELS
from fmri_audio.sound.acoustics import FEATURE_RATE
from fmri_audio.sound.metrics.base import METRICS
from fmri_audio.sound.scoring import LABELS
from fmri_audio.study.layouts.sherlock import RELEASE_AFFINE

ALONE, BEHIND = "codec alone", "behind the noise-free bottleneck"
"""Sounds whose quality is drawn against bits."""

GREY_MATTER_VOXELS = 85_810
"""Voxels of grey matter in the note's study."""

RELEASE_SUBJECTS = 17
"""Of the Sherlock release."""

RANKED_AT = (128, 512)
"""Numbers per TR at which front ends are ranked."""

VOLUMES = {"one voxel": 1, "auditory mask": None, "grey matter of the note's study": GREY_MATTER_VOXELS}
"""Volumes whose capacity is counted → voxels; None: as many as the edition's mask has."""

EVERY, DISTINCT = "every voxel, every TR", "distinct in space"
CAPACITY_FORMATS = dict.fromkeys((EVERY, DISTINCT), ",.2f")
"""Formats of the table that :func:`capacity` returns."""

_SYLLABLES_HZ = 4.0
_DIED_DOWN_SECONDS = 64.0


@dataclass(frozen=True)
class Before:
    """What the chapters before found in an edition.

    Attributes
    ----------
    run
        The edition.
    coded, trained, evaluated
        The tables of chapters 3, 13 and 7.
    """

    run: Edition
    coded: pd.DataFrame
    trained: pd.DataFrame
    evaluated: pd.DataFrame

    @cached_property
    def kind(self) -> str:
        """Of the segments that were scored."""
        return held_out_kind(self.evaluated)

    @cached_property
    def brains(self) -> str:
        """What the edition's brains are."""
        return brains_of(self.run)

    @cached_property
    def ridge(self) -> pd.DataFrame:
        """What was read from measured volumes by ridge regression alone."""
        return select(self.evaluated, arm="ridge", condition="measured")

    @cached_property
    def unhelped(self) -> list[str]:
        """Arms that training did not help."""
        return [ARM_LABELS[arm] for arm, one in helps(self.evaluated).items() if not one.helped]

    @property
    def tr(self) -> float:
        """Seconds of a TR."""
        return float(self.run.settings.tr)

    @property
    def spent(self) -> float:
        """Bits that the codec spends per TR."""
        return 1000 * self.run.bandwidth * self.tr

    def decoded(self, metric: str, arm: str, control: str) -> float:
        """Mean over subjects of what an arm decodes from measured volumes; NaN where there is none."""
        rows = select(
            self.evaluated, metric=metric, segment=self.kind, arm=arm, condition="measured", control=control
        )
        return float(rows["value"].mean())


def gathered(run: Edition) -> Before:
    """Read the tables of the chapters before."""
    return Before(run, *(run.records(name) for name in ("03-encodec", "13-matching", "07-evaluation")))


def facts(before: Before) -> dict[str, float | str]:
    """Return what the text says of the edition."""
    run = before.run
    return {
        "codec": run.checkpoint.id,
        "brains": before.brains,
        "kind": before.kind,
        "stimulus": run.stimulus.name,
        "kbps": run.bandwidth,
        "tr": before.tr,
        "ladder_in_short": ladder_answer.said(),
        "rank": run.settings.training.rank,
        "n_subjects": len(run.study.subjects),
        "minutes": run.stimulus.seconds / 60,
    }


# Bits -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class BitRates:
    """Quality against bits per TR.

    Attributes
    ----------
    metric
        ESTOI, which an envelope without words does not raise, or the mel distance where that is undefined.
    curves
        ``sound`` (:data:`ALONE` or :data:`BEHIND`), ``bandwidth_kbps``, ``bits`` per TR, ``value``.
    read
        Bits per TR that predictions from single subjects carry; NaN where unknown.
    heard, floor
        What the frozen arm decodes from single subjects, and from no brain.
    """

    metric: str
    curves: pd.DataFrame
    read: float
    heard: float
    floor: float

    @property
    def higher_is_better(self) -> bool:
        """Whether a sound is better the higher the metric."""
        return METRICS[self.metric].direction > 0

    def of(self, sound: str) -> pd.Series:
        """The quality of a sound by its bandwidth, ascending."""
        return self.curves[self.curves["sound"] == sound].set_index("bandwidth_kbps")["value"]


def bits_of(before: Before) -> BitRates:
    """Put codec, bottleneck and brains on one axis."""
    both = pd.concat([before.coded, before.trained])
    rows = select(both, fold=HELD_OUT, segment=before.kind, control="none", representation="encodec-codes")
    rows = rows[rows["arm"] != "codes"]
    metric = "estoi" if rows.loc[rows["metric"] == "estoi", "value"].notna().any() else "mel_distance_db"
    rows = rows[rows["metric"] == metric].assign(
        sound=lambda found: np.where(found["arm"] == "roundtrip", ALONE, BEHIND),
        bits=lambda found: 1000 * found["bandwidth_kbps"] * before.tr,
    )
    curves = rows.groupby(["sound", "bandwidth_kbps", "bits"], as_index=False)[["value"]].mean()
    read = select(before.ridge, metric="bits_per_tr", control="none")
    return BitRates(
        metric,
        curves,
        float(read["value"].mean()),
        before.decoded(metric, "frozen", "none"),
        pick(before.evaluated, metric, before.kind, arm="frozen", condition="measured", control="no-brain"),
    )


def bits_said(before: Before, bits: BitRates) -> dict[str, float | str]:
    """Return what bandwidth buys, what the bottleneck costs, and what brains tell."""
    alone, behind, kbps = bits.of(ALONE), bits.of(BEHIND), before.run.bandwidth
    bought, lost = float(abs(alone.iloc[-1] - alone.iloc[0])), float(abs(alone[kbps] - behind[kbps]))
    return {
        "metric": LABELS[bits.metric],
        "better": "higher" if bits.higher_is_better else "lower",
        "lowest": float(alone.index[0]),
        "highest": float(alone.index[-1]),
        "alone_low": float(alone.iloc[0]),
        "alone_high": float(alone.iloc[-1]),
        "behind_low": float(behind.iloc[0]),
        "behind_high": float(behind.iloc[-1]),
        "bought": bought,
        "lost": lost,
        "spent": before.spent,
        "read": read_said(bits.read),
        "floor": bits.floor,
        "heard": bits.heard,
        "ratio": f", at most some {_two_digits(before.spent / bits.read)} times as many"
        if bits.read > 0
        else "",
        "bottleneck_verdict": bottleneck_verdict(lost, bought, helped=not before.unhelped),
    }


def read_said(bits: float) -> str:
    """Say how many bits per TR predictions from brains carry."""
    if math.isnan(bits):
        return "an unknown number of bits (the edition is too short)"
    return f"at least {bits:.2f} bits" if bits > 0 else "nothing measurable"


def bottleneck_verdict(lost: float, bought: float, *, helped: bool) -> str:
    """Say whether the bottleneck costs more than all bandwidths buy, and whether that is about the bottleneck."""
    said = (
        "Behind this training a higher bandwidth is spent on errors"
        if lost > bought
        else "Bandwidth still decides a good part of what is heard behind this training"
    )
    doubt = "; whether the bottleneck itself would lose as much it cannot say, because training did not help"
    return said if helped else said + doubt


def draw_bits(before: Before, bits: BitRates) -> Figure:
    """Draw quality against bits per TR, with what brains tell and what is decoded from none."""
    figure, axis = plt.subplots(figsize=(7.2, 3.6), layout="constrained")
    sns.lineplot(
        bits.curves,
        x="bits",
        y="value",
        hue="sound",
        style="sound",
        markers=True,
        dashes=False,
        errorbar=None,
        ax=axis,
    )
    if bits.read > 0:
        axis.axvline(bits.read, linestyle="--", color="0.4", linewidth=1)
        axis.text(
            bits.read, axis.get_ylim()[1], f" read from {before.brains}", va="top", size="small", color="0.3"
        )
    axis.axhline(bits.floor, linestyle=":", color="0.4", linewidth=1)
    axis.text(axis.get_xlim()[1], bits.floor, "no brain", ha="right", va="bottom", size="small", color="0.3")
    axis.set(xscale="log", xlabel="bits per TR", ylabel=LABELS[bits.metric])
    axis.legend(title="", loc="center left", bbox_to_anchor=(0.1, 0.5), frameon=True)
    return figure


# Front ends -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FrontEnds:
    """What the arms of the edition decode from brains.

    Attributes
    ----------
    own
        Arm → what its decode from brains gains over its own training mean, in dB of mel distance.
    wrong
        Arm → what the decode of another segment gains in the same way.
    """

    own: Mapping[str, float]
    wrong: Mapping[str, float]


def front_ends(before: Before) -> FrontEnds:
    """Compare the arms of the edition by what they decode."""
    rows, kind, mel = before.evaluated, before.kind, "mel_distance_db"
    arms = [arm for arm in ARM_LABELS if arm in set(rows["arm"])]
    gains = {
        control: {
            arm: pick(rows, mel, kind, arm=arm, condition="measured", control="no-brain")
            - before.decoded(mel, arm, control)
            for arm in arms
        }
        for control in ("none", "other-segment")
    }
    return FrontEnds(gains["none"], gains["other-segment"])


def front_ends_said(ends: FrontEnds, ladder: Ladder) -> dict[str, str]:
    """Return the order of the ladder's arms, and what the edition's arms decode.

    Parameters
    ----------
    ends
        How the edition's arms compare.
    ladder
        By which front ends are compared: trained on hours of sound, without a brain.
    """
    return {
        "ranked": "; ".join(f"at {asked}: {_ranked(ladder, asked)}" for asked in RANKED_AT),
        "front_said": front_said(ladder),
        "own_floors": _gains_said(ends.own),
        "other_floors": _gains_said(ends.wrong),
    }


def _at(ladder: Ladder, asked: float) -> list[tuple[float, Condition]]:
    """Trained arms at one width with the words that they lose, fewest first."""
    found = [
        one
        for arm in ladder_answer.arms(ladder)
        for one in ladder_answer.codes(ladder, arm, "trained")
        if one.asked == asked and ladder_answer.as_wide(one)
    ]
    lost = [(ladder_answer.beyond(ladder, one.condition).value, one) for one in found]
    return sorted(lost, key=lambda pair: pair[0])


def _ranked(ladder: Ladder, asked: float) -> str:
    return ", ".join(f"{CODER_LABELS[one.arm]} {lost:.2f}" for lost, one in _at(ladder, asked))


def front_said(ladder: Ladder, asked: float = 512) -> str:
    """Say how the note's wish to replace mel and Griffin-Lim fares by words, with the interval of the difference."""
    found = [one for _, one in _at(ladder, asked)]
    codec = next((one for one in found if not one.arm.startswith(("mel", "complex"))), None)
    mel = next((one for one in found if one.arm == "mel"), None)
    if codec is None or mel is None:
        return "The ladder has no EnCodec beside mel"
    apart = ladder.difference(codec.condition, mel.condition, "wrong")
    if math.isnan(apart.low) or apart.low <= 0 <= apart.high:
        said = "and mel with Griffin-Lim lose as many words, within the interval"
    else:
        said = f"loses {'fewer' if apart.value < 0 else 'more'} words than mel with Griffin-Lim"
    return f"At {asked:g} numbers {CODER_LABELS[codec.arm]} {said}: a difference of {apart.value:+.2f} ({shown(apart)})"


def _gains_said(gains: Mapping[str, float]) -> str:
    return "; ".join(ARM_LABELS[arm] + f" {value:+.2f} dB".replace("-", "−") for arm, value in gains.items())


# What the response lets through -----------------------------------------------------------------------------------


def capacity(before: Before) -> pd.DataFrame:
    """Return the bits per TR of volumes whose signal and noise have one white spectrum, by arithmetic.

    What is less than was read from the edition's brains is no bound, and left undefined.
    """
    share, voxel_mm = shared_variance(before), float(abs(RELEASE_AFFINE[0, 0]))
    rows = []
    for name, given in VOLUMES.items():
        voxels = given or _units(before)
        elements = limits.resolved_elements(voxels, voxel_mm, _noise_fwhm(before)) if voxels > 1 else 1.0
        bits = {
            column: limits.channel_bits(n, share) for column, n in ((EVERY, voxels), (DISTINCT, elements))
        }
        if given is None:
            bits = {
                column: limits.as_upper_bound(value, _most_read(before)) for column, value in bits.items()
            }
        rows.append({"volumes": name, "voxels": voxels, **bits})
    return pd.DataFrame(rows)


def capacity_caption(before: Before) -> str:
    """Say what :func:`capacity` counts."""
    return (
        "Bits per TR of volumes whose signal and noise have the same white spectrum, if a share of "
        f"{shared_variance(before):.2f} of every voxel's variance is common to all subjects (the square of the noise "
        f"ceiling of chapter 5, {before.brains}): with every voxel taken for independent, and with noise that is "
        f"smooth over {_noise_fwhm(before):g} mm. Arithmetic, and no upper bound: noise of another spectrum than the "
        "signal's lets more through. A dash: less than is read from these brains. No brain is decoded here."
    )


def response_said(before: Before, counted: pd.DataFrame) -> dict[str, float | str]:
    """Return how slow the response is, and what so many voxels would let through if they were independent."""
    response = slow_response()
    per_second = limits.independent_per_second(response, FEATURE_RATE)
    naive = float(counted.loc[counted["voxels"] == GREY_MATTER_VOXELS, EVERY].iloc[0])
    return {
        "per_second": per_second,
        "apart": 1 / per_second,
        "per_tr": per_second * before.tr,
        "scans": 1 / before.tr,
        "share": shared_variance(before),
        "fwhm": _noise_fwhm(before),
        "units": _units(before),
        "syllables": _two_digits(1 / limits.passed(response, FEATURE_RATE, _SYLLABLES_HZ)),
        "grey": GREY_MATTER_VOXELS,
        "naive_grey": naive,
        "naive_said": "which looks like enough"
        if naive >= before.spent
        else "which would not be enough either",
    }


def slow_response() -> NDArray[np.float64]:
    """Return the canonical response until it has died down: the jump of an earlier end would pass every frequency."""
    return np.asarray(spm_hrf(1 / FEATURE_RATE, oversampling=1, time_length=_DIED_DOWN_SECONDS))


def shared_variance(before: Before) -> float:
    """Return the share of a voxel's variance that is common to all subjects."""
    return pick(before.run.records("05-dataset"), "noise_ceiling") ** 2


def _noise_fwhm(before: Before) -> float:
    """How smooth the noise of simulated voxels is (mm), with the edition's model of them."""
    return VOXEL_MODELS[before.run.settings.study.voxels].noise.fwhm_mm


def _units(before: Before) -> int:
    return int(before.trained["units"].dropna().iloc[0])


def _most_read(before: Before) -> float:
    """The most bits per TR that were read from the edition's brains."""
    rows = select(before.evaluated, condition="measured", control="none")
    return float(rows.loc[rows["metric"].str.startswith("bits_per_tr"), "value"].max())


# Subjects and minutes ---------------------------------------------------------------------------------------------


def scaling_cells() -> list[Cell]:
    """Read what simulated studies of so many subjects and minutes reach."""
    return scaling_table.read()


def play_minutes() -> float:
    """Return how long the embedded play is."""
    return calibration.whole_play().seconds / 60


def scaling_shown(cells: Sequence[Cell]) -> pd.DataFrame:
    """Return a row per study and decoder, a column per quantity: from the lowest model of a voxel to the highest."""
    rows = []
    for minutes, subjects, decoder in dict.fromkeys((x.minutes, x.subjects, x.decoder) for x in cells):
        if subjects == 1 and decoder == "group":  # a group of one is a single subject
            continue
        spans = {
            name: scaling_table.span(cells, minutes, subjects, decoder, quantity)
            for quantity, name in scaling_table.QUANTITIES.items()
        }
        who = "group" if decoder == "group" else "single subjects"
        rows.append(
            {
                "study": f"{minutes} min, {subjects} subject{'' if subjects == 1 else 's'}, {who}",
                "studies": next(iter(spans.values())).n,
                **{name: one.said for name, one in spans.items()},
            }
        )
    return pd.DataFrame(rows)


def scaling_caption(cells: Sequence[Cell], minutes: float) -> str:
    """Say what :func:`scaling_shown` lists; ``minutes`` is how long the play is."""
    fewest = min(one.segments for one in cells if one.quantity == "ten_way")
    return (
        f"Simulated brains: identification of segments of {calibration.SEGMENT_TRS * float(calibration.TR):g} s "
        "(pairs: chance .5; one of ten: chance .1), correlation of held-out predictions with the latents of the demo "
        f"codec, and how often the joint circular-shift test of the pairs has p ≤ {calibration.ALPHA:g}. Figures go "
        "from the lowest of three models of a voxel to the highest, all matched to the same regions; in brackets the "
        "outer ends of their 95 % intervals over simulated studies, Student's for means, exact for the power. "
        f"Excerpts of one play of {minutes:.0f} min, which overlap: the intervals say nothing about other sounds. In "
        f"the shortest scans few segments have nine distractors ({fewest:.0f} in a study, on average)."
    )


def draw_scaling(cells: Sequence[Cell]) -> Figure:
    """Draw the pairs identified against subjects, a colour for each length of scan, a style for each decoder.

    A band goes from the lowest model of a voxel to the highest, a line half way between them.
    """
    figure, axis = plt.subplots(figsize=(7.2, 3.8), layout="constrained")
    styles: dict[str, tuple[str, Literal["-", "--"]]] = {
        "group": ("group", "-"),
        "single": ("single subjects", "--"),
    }
    for colour, minutes in zip(
        sns.color_palette("colorblind"), sorted({x.minutes for x in cells}), strict=False
    ):
        for decoder, (name, style) in styles.items():
            spans = [scaling_table.span(cells, minutes, k, decoder, "pairwise") for k in scaling.SUBJECTS]
            axis.plot(
                scaling.SUBJECTS,
                [one.middle for one in spans],
                color=colour,
                linestyle=style,
                label=f"{minutes} min, {name}",
                marker="o",
                markersize=4,
                linewidth=1.5,
            )
            axis.fill_between(
                scaling.SUBJECTS,
                [one.low for one in spans],
                [one.high for one in spans],
                color=colour,
                alpha=0.15,
                linewidth=0,
            )
    axis.axhline(0.5, linestyle=":", color="0.4", linewidth=1)
    axis.set(xscale="log", xlabel="subjects (simulated brains)", ylabel="pairs identified")
    axis.set_xticks(list(scaling.SUBJECTS), [str(count) for count in scaling.SUBJECTS])
    axis.minorticks_off()
    axis.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False, fontsize="small")
    return figure


def scaling_said(cells: list[Cell], minutes: float) -> dict[str, float | str]:
    """Return where targets are reached, what subjects and minutes change, and what the largest study reaches."""
    few, *_, middle, many = sorted(scaling.SUBJECTS)
    short, long = min(scaling.STUDIES), max(scaling.STUDIES)

    def found(minutes: int, subjects: int, decoder: str, quantity: str = "pairwise") -> Span:
        return scaling_table.span(cells, minutes, subjects, decoder, quantity)

    def changed(to: tuple[int, int, str], since: tuple[int, int, str]) -> str:
        return scaling_table.change(cells, to, since)

    largest, largest_single = found(long, many, "group"), found(long, many, "single")
    tens = found(long, many, "group", "ten_way")
    bits = [identification_bits(value, 10) / calibration.SEGMENT_TRS for value in (tens.low, tens.high)]
    return {
        "few": few,
        "many": many,
        "short": short,
        "long": long,
        "middle": middle,
        "play_minutes": minutes,
        "pairs_said": scaling_table.where_reached(cells, "pairwise", 0.8),
        "tens_said": scaling_table.where_reached(cells, "ten_way", 0.5),
        "power_said": scaling_table.where_reached(cells, "power", 0.8),
        "by_subjects": changed((long, many, "group"), (long, few, "group")),
        "by_last_subjects": changed((long, many, "group"), (long, middle, "group")),
        "by_minutes": changed((long, many, "group"), (short, many, "group")),
        "by_minutes_single": changed((long, few, "single"), (short, few, "single")),
        "real_single": largest_single.said,
        "real_group": largest.said,
        "real_ten_single": found(long, many, "single", "ten_way").said,
        "real_ten_group": tens.said,
        "real_bits": f"{bits[0]:.2f} to {bits[1]:.2f}",
        "real_power": found(long, many, "single", "power").said,
        "one_power": found(short, few, "single", "power").said,
    }


# What to do, and what cannot be shown -----------------------------------------------------------------------------


def plan_said(run: Edition) -> dict[str, float | str]:
    """Return what the steps for the release's subjects cite: how long masking takes, and the primary comparison."""
    seconds = benchmarks.speed_figure(benchmarks.read(), "mask .nii", "ours", "seconds")
    training = run.settings.training
    return {
        "masking": seconds * RELEASE_SUBJECTS / 60,
        "segment_seconds": float(training.segment_seconds),
        "gap": training.gap_trs,
        "lags": ", ".join(map(str, training.lag_trs)),
    }


def limits_said(before: Before) -> dict[str, float | str]:
    """Return what the last section cites: whose brains and weights, how sure training and statistics are."""
    run = before.run
    glued = read_glued(run.build / "results" / "glued" / "13-matching.json")
    unfinished = [arm for arm in run.settings.training.arms if glued[f"{arm}_unfinished"]]
    primary = pick(before.ridge, "identification_matched", control="none")
    p = pick(before.ridge, "identification_matched_p", control="circular-shift")
    return {
        "licence": run.checkpoint.licence,
        "description": run.checkpoint.description,
        "segments": run.stimulus.segment_source,
        "brains_said": brains_said(simulated=run.study.simulated),
        "unfinished": unfinished_said(unfinished, run.settings.training.steps),
        **calibration_said(calibration.read()),
        "primary": f"{primary:.2f}" if np.isfinite(primary) else "no number",
        "p": f"p = {p:.3f}" if np.isfinite(p) else "not testable",
    }


def brains_said(*, simulated: bool) -> str:
    """Say what follows from whose brains these are."""
    if simulated:
        return (
            "The brains of this edition are simulated. What they share follows acoustic features in part, because we "
            "made them so; that they can be decoded is a test of the pipeline and no finding about brains"
        )
    return (
        "The brains of this edition are measured. Those behind the calibration and behind the table of subjects and "
        "minutes are simulated brains, which follow acoustic features in part because we made them so"
    )


def unfinished_said(arms: Sequence[str], steps: int) -> str:
    """Say which arms had not converged when training ended.

    Parameters
    ----------
    arms
        Those of which not every training was over.
    steps
        Of every training.
    """
    if arms:
        return (
            f"not converged after {steps} steps: {', '.join(ARM_LABELS[arm] for arm in arms)}; "
            "what longer training would give is not known"
        )
    return (
        f"all arms had converged by the rule of chapter 13 after {steps} steps, which does not exclude that longer "
        "training finds more"
    )


def calibration_said(rows: Sequence[CalibrationRow]) -> dict[str, float | str]:
    """Return how often segments are identified, and how often the test rejects, where there is no signal.

    Parameters
    ----------
    rows
        Of the table that ``make calibrate`` writes.
    """
    null, excerpt = calibration.span(rows, "null", "pairwise_identification"), calibration.accident(rows)
    rates = {
        "null": calibration.span(rows, "null", "rejection_rate"),
        "shared": calibration.span(rows, "null-shared", "rejection_rate"),
        "many": calibration.span(rows, "null-shared", "rejection_rate", calibration.MANY_SUBJECTS),
    }
    return {
        "null": null.said,
        "excerpt": f"{excerpt.value:.3f}",
        "null_said": "as it should be"
        if null.holds
        else "which is not one half, so that an excess of that size must not be believed",
        "excerpt_said": excerpt.expected.removeprefix(calibration.TURNED).strip("()"),
        "excerpt_n": excerpt.n,
        **{f"rate_{name}": one.said for name, one in rates.items()},
        "alpha": calibration.ALPHA,
        "rate_said": rates_said(list(rates.values())),
    }


def rates_said(rates: Sequence[calibration.Span]) -> str:
    """Say on which side of the level rates of false alarms lie, and whether their intervals hold it."""
    values = [value for one in rates for value in (one.low, one.high)]
    side = (
        "All lie above it"
        if min(values) > calibration.ALPHA
        else "They lie on both sides of it"
        if max(values) > calibration.ALPHA
        else "None lies above it"
    )
    held = all(one.holds for one in rates)
    return f"{side}, and {'all intervals hold it' if held else 'not all intervals hold it'}"


def interval_said(value: float, low: float, high: float, digits: int) -> str:
    """Say a value with its interval."""
    return f"{value:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def _two_digits(value: float) -> str:
    """A number of which only the order counts."""
    return f"{float(f'{value:.2g}'):,.0f}"
