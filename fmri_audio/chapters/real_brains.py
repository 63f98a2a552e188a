"""Chapter 12: what fifteen real listeners give of a film's sound, by this paper's own decoding and statistics.

All of it is read from ``results/real-brains.csv`` and what lies beside it, which ``make real-brains`` writes: the scans
need not be on the machine where the book is made.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fmri_audio.base.errors import UserError
from fmri_audio.base.settings import project_root
from fmri_audio.edition import Edition
from fmri_audio.experiments import real_brains
from fmri_audio.experiments.real_brains import (
    ACCOUNT,
    EVERYBODY,
    EXCERPT,
    FRAME_SECONDS,
    HELD_BACK,
    HIGH_PASS_SECONDS,
    Row,
)
from fmri_audio.sound.noises import long_term_spectrum, shaped_noise
from fmri_audio.study.annotated import LABELS

FAST = f"{HIGH_PASS_SECONDS:g} s and faster"
ARMS = {
    "within": "one brain, its own training runs",
    "across": "one brain, trained on the others' mean",
    "averaged": "mean of all predictions",
}
FORMATS = {
    "r": ".2f",
    "r given the other": ".2f",
    "chance (sd)": ".2f",
    "r tested": ".2f",
    "independent shifts": ".0f",
    "p": ".3f",
}


@dataclass(frozen=True)
class Real:
    """What the tables say.

    Attributes
    ----------
    rows : list of Row
    account : dict
        What went in, and its hashes.
    """

    rows: list[Row]
    account: dict[str, Any]

    def row(self, quantity: str, target: str, detail: str, arm: str, **more: Any) -> Row:
        """One row.

        Parameters
        ----------
        quantity, target, detail, arm
        **more
            Of its other columns; ``group`` is those held back unless given.

        Raises
        ------
        KeyError
            There is none, or several.
        """
        asked = {
            "quantity": quantity,
            "target": target,
            "detail": detail,
            "arm": arm,
            "group": HELD_BACK,
            **more,
        }
        if more.get("group") is None and "n_runs" not in more:
            asked["n_runs"] = len(self.account["runs"]) - 1
        found = [row for row in self.rows if all(getattr(row, key) == value for key, value in asked.items())]
        if len({(row.value, row.n_subjects) for row in found}) != 1:
            raise KeyError(f"{asked}: {len(found)} rows")
        return found[0]

    @property
    def n_held_back(self) -> int:
        """Subjects on whom nothing was chosen."""
        return len(self.account[HELD_BACK])


def gathered(folder: Path | None = None) -> Real:
    """Read the published tables.

    Raises
    ------
    UserError
        They are not there.
    """
    root = folder or project_root()
    try:
        account = json.loads((root / ACCOUNT).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{ACCOUNT} does not exist: restore it with git checkout, or run make real-brains"
        ) from None
    return Real(real_brains.read(root / real_brains.TABLE), dict(account))


def facts(real: Real) -> dict[str, float | str]:
    """What the text says of the study."""
    settings = real.account["pipeline"]
    return {
        "study": real.account["study"],
        "subjects": len(real.account["subjects"]),
        "held_back": real.n_held_back,
        "fixed_on": len(real.account["subjects"]) - real.n_held_back,
        "runs": len(real.account["runs"]),
        "minutes": real.account["trs"] * float(real.account["tr"]) / 60,
        "columns": settings["columns"],
        "first_lag": float(settings["first_lag_seconds"]),
        "last_lag": float(settings["last_lag_seconds"]),
        "files": len(real.account["files"]),
    }


# -- correlations ----------------------------------------------------------------------------------------------


def correlations(real: Real) -> pd.DataFrame:
    """Correlation of level and words by arm, as they are and without what is slow, with chance and intervals."""
    shown = []
    for target, label in LABELS.items():
        for arm, how in ARMS.items():
            for detail in ("as it is", FAST):
                row = real.row("r", target, detail, arm)
                shown.append(
                    {
                        "what": f"{label}, {how}",
                        "kept": detail,
                        "r": row.value,
                        "over runs": _range(row.runs_low, row.runs_high),
                        "over subjects": _range(row.subjects_low, row.subjects_high),
                        "chance (sd)": row.null_spread,
                    }
                )
    return pd.DataFrame(shown)


def tested(real: Real) -> pd.DataFrame:
    """The correlations that were tested, each p with the independent shifts that it rests on."""
    rows = {
        f"{label}, {how}": real.row("r", target, "as it is", arm)
        for target, label in LABELS.items()
        for arm, how in ARMS.items()
    }
    return pd.DataFrame(
        [
            {"what": what, "r tested": row.tested, "independent shifts": row.effective_shifts, "p": row.p}
            for what, row in rows.items()
            if row.p is not None
        ]
    )


def correlations_caption(real: Real) -> str:
    """Standalone."""
    return (
        f"Correlation of what is decoded from held-out runs with what was heard, {real.n_held_back} listeners on whom "
        f"nothing was chosen ({real.account['study']}), mean over {len(real.account['runs'])} runs and over listeners, "
        "with 95 % intervals over either. Chance: standard deviation with the sound turned round."
    )


def tested_caption(real: Real) -> str:
    """Standalone."""
    return (
        f"Is there anything? Tests of {real.n_held_back} listeners on whom nothing was chosen "
        f"({real.account['study']}), sound as it is: decoders that read all parcels with a fixed penalty and have the "
        "r tested, fitted anew under every shift of the sound; the shifts are worth as many independent ones as stated."
    )


def partials(real: Real) -> pd.DataFrame:
    """Words given level, and level given words."""
    shown = []
    for target, given in (("level", "words"), ("words", "level")):
        for arm, how in ARMS.items():
            row, whole = (
                real.row(q, target, d, arm) for q, d in (("partial r", f"given {given}"), ("r", "as it is"))
            )
            shown.append(
                {
                    "what": f"{LABELS[target]}, {how}",
                    "r": whole.value,
                    "r given the other": row.value,
                    "over runs": _range(row.runs_low, row.runs_high),
                    "chance (sd)": row.null_spread,
                }
            )
    return pd.DataFrame(shown)


def partials_caption(real: Real) -> str:
    """Standalone."""
    return (
        "Correlation of decoded level with level, and of decoded words with words, as it is and with the other of the "
        f"two held constant; held-out runs of {real.n_held_back} listeners on whom nothing was chosen, 95 % intervals "
        "over runs. Chance: standard deviation with the sound turned round."
    )


def correlations_said(real: Real) -> dict[str, float | str]:
    """Numbers of the text."""
    said: dict[str, float | str] = {}
    for target in LABELS:
        for arm in ARMS:
            row = real.row("r", target, "as it is", arm)
            said[f"{target}_{arm}"] = row.value
            said[f"{target}_{arm}_fast"] = real.row("r", target, FAST, arm).value
        said[f"{target}_p"] = real.row("r", target, "as it is", "within").p or 0.0
        said[f"{target}_shifts"] = real.row("r", target, "as it is", "within").effective_shifts or 0.0
        other = "words" if target == "level" else "level"
        said[f"{target}_given"] = real.row("partial r", target, f"given {other}", "within").value
    return said


def draw_bands(real: Real) -> Figure:
    """Correlation by octave of modulation, one brain and the mean of all, with what chance reaches."""
    figure, axes = plt.subplots(1, 2, figsize=(8, 3), sharey=True)
    for axis, (target, label) in zip(axes, LABELS.items(), strict=True):
        for arm, colour in (("within", "C0"), ("averaged", "C3")):
            rows = _bands(real, target, arm)
            periods = [_longest(row.detail) for row in rows]
            axis.plot(periods, [row.value for row in rows], "o-", color=colour, label=ARMS[arm])
            axis.fill_between(
                periods,
                [(row.null_mean or 0) - 2 * (row.null_spread or 0) for row in rows],
                [(row.null_mean or 0) + 2 * (row.null_spread or 0) for row in rows],
                color=colour,
                alpha=0.15,
                linewidth=0,
            )
        axis.axhline(0, color="0.6", linewidth=0.8)
        axis.set(xscale="log", xlabel="longest period in the octave (s)", title=label)
        axis.set_xticks(periods, [f"{period:g}" for period in periods], minor=False)
        axis.minorticks_off()
    axes[0].set_ylabel("correlation")
    axes[0].legend(frameon=False, fontsize=8)
    figure.tight_layout()
    return figure


def bands_said(real: Real) -> dict[str, float | str]:
    """Where in modulation there is anything."""
    said: dict[str, float | str] = {}
    for target in LABELS:
        rows = _bands(real, target, "averaged")
        best = max(rows, key=lambda row: row.value)
        fast = rows[0]
        said |= {
            f"{target}_best_band": best.detail,
            f"{target}_best_r": best.value,
            f"{target}_fastest_band": fast.detail,
            f"{target}_fastest_r": fast.value,
            f"{target}_fastest_sd": fast.null_spread or 0.0,
        }
    return said


def _bands(real: Real, target: str, arm: str) -> list[Row]:
    rows = [
        row
        for row in real.rows
        if (row.quantity, row.target, row.arm, row.group) == ("r", target, arm, HELD_BACK)
        and " to " in row.detail
    ]
    return sorted(rows, key=lambda row: _longest(row.detail))


def _longest(detail: str) -> float:
    return float(detail.removesuffix(" s").split(" to ")[1])


# -- more subjects, more runs ----------------------------------------------------------------------------------


def draw_growth(real: Real) -> Figure:
    """Correlation against the number of subjects averaged, and of runs trained on."""
    figure, axes = plt.subplots(1, 2, figsize=(8, 3.4), sharey=True)
    for target, colour in zip(LABELS, ("C0", "C3"), strict=True):
        for detail, style in (("as it is", "o-"), (FAST, "o--")):
            rows = [
                r
                for r in real.rows
                if r.group == EVERYBODY and (r.quantity, r.target, r.detail) == ("r", target, detail)
            ]
            rows.sort(key=lambda row: row.n_subjects)
            axes[0].plot(
                [r.n_subjects for r in rows], [r.value for r in rows], style, color=colour, markersize=3
            )
        for arm, style in (("within", "o-"), ("averaged", "o:")):
            rows = _by_runs(real, target, arm)
            axes[1].plot(
                [r.n_runs for r in rows],
                [r.value for r in rows],
                style,
                color=colour,
                markersize=3,
                label=f"{LABELS[target]}, {ARMS[arm]}",
            )
    axes[0].set(xlabel="listeners whose predictions are averaged", ylabel="correlation")
    axes[1].set(xlabel="runs trained on")
    shown = axes[1].get_legend_handles_labels()
    figure.legend(*shown, loc="lower center", ncols=2, frameon=False, fontsize=7)
    figure.tight_layout(rect=(0, 0.12, 1, 1))
    return figure


def growth_said(real: Real) -> dict[str, float | str]:
    """From one to all, in listeners and in runs."""
    said: dict[str, float | str] = {}
    for target in LABELS:
        rows = [
            r
            for r in real.rows
            if r.group == EVERYBODY and (r.quantity, r.target, r.detail) == ("r", target, "as it is")
        ]
        rows.sort(key=lambda row: row.n_subjects)
        said |= {f"{target}_of_one": rows[0].value, f"{target}_of_all": rows[-1].value}
        half = next(
            row for row in rows if row.value - rows[0].value >= 0.5 * (rows[-1].value - rows[0].value)
        )
        said[f"{target}_half"] = half.n_subjects
        runs = _by_runs(real, target, "within")
        said |= {f"{target}_one_run": runs[0].value, f"{target}_all_runs": runs[-1].value}
    return said


def _by_runs(real: Real, target: str, arm: str) -> list[Row]:
    """Rows by the number of training runs, one for each."""
    found = {
        row.n_runs: row
        for row in real.rows
        if (row.quantity, row.target, row.detail, row.arm, row.group)
        == ("r", target, "as it is", arm, HELD_BACK)
    }
    return [found[n] for n in sorted(found)]


# -- segments and bits -----------------------------------------------------------------------------------------


def segments(real: Real) -> pd.DataFrame:
    """How often a segment is told from another by its contour, by its length."""
    shown = []
    for target, label in LABELS.items():
        for seconds in real_brains.SEGMENT_SECONDS:
            one, every = (
                real.row("identified", target, f"{seconds} s", arm) for arm in ("within", "averaged")
            )
            shown.append(
                {
                    "what": f"{label}, segments of {seconds} s" + (" (too short)" if seconds < 12 else ""),
                    "one brain": one.value,
                    "over runs": _range(one.runs_low, one.runs_high),
                    "chance (sd)": one.null_spread,
                    "all brains": every.value,
                    "all, over runs": _range(every.runs_low, every.runs_high),
                }
            )
    return pd.DataFrame(shown)


SEGMENT_FORMATS = {"one brain": ".2f", "chance (sd)": ".2f", "all brains": ".2f"}


def segments_caption(real: Real) -> str:
    """Standalone."""
    return (
        "Share of comparisons in which a held-out segment is more like its own sound than like another of the same "
        "run, by contour after its own mean (chance .5); distractors begin at least "
        f"{real_brains.DISTANCE_TRS} TRs away and are not matched in level. "
        f"{real.n_held_back} listeners on whom nothing was chosen; 95 % intervals over runs."
    )


def segments_said(real: Real) -> dict[str, float | str]:
    """Numbers of the text."""
    said: dict[str, float | str] = {}
    for target in LABELS:
        for seconds in (12, 24, 48):
            for arm in ("within", "averaged"):
                said[f"{target}_{seconds}_{arm}"] = real.row("identified", target, f"{seconds} s", arm).value
        for arm in ("within", "averaged"):
            row = real.row("bits per TR", target, "less chance", arm)
            said |= {
                f"{target}_bits_{arm}": row.value,
                f"{target}_bits_{arm}_range": _range(row.runs_low, row.runs_high),
            }
    return said


# -- to hear ---------------------------------------------------------------------------------------------------

PLAYED = {
    "level": "the film's level, 25 times a second",
    "tr_level": "its level once per TR",
    "all_brains": "decoded from fifteen brains",
    "one_brain": "decoded from one brain",
    "no_brain": "without a brain",
}


def excerpt(folder: Path | None = None) -> dict[str, NDArray[np.float64]]:
    """Levels (dB) of what is played, one value per 40 ms."""
    path = (folder or project_root()) / EXCERPT
    with path.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    return {name: np.array([float(row[name]) for row in rows]) for name in PLAYED}


def sounds(
    levels: dict[str, NDArray[np.float64]], speech: Sequence[NDArray[np.float32]], sample_rate: int, seed: int
) -> dict[str, NDArray[np.float32]]:
    """The same speech-coloured noise, shaped by every level; what brains gave has one value per TR, joined by lines.

    Parameters
    ----------
    levels : mapping of name to array [frames], dB
    speech : sequence of arrays [T]
        Whose spectrum the noise has.
    sample_rate : int
        In Hz.
    seed : int
    """
    n = round(len(next(iter(levels.values()))) * FRAME_SECONDS * sample_rate)
    like = np.ones(n, np.float32) * 0.05
    noise = shaped_noise(like, long_term_spectrum(speech, sample_rate), np.random.default_rng(seed))
    moments = np.arange(n) / sample_rate
    made = {}
    for name, db in levels.items():
        times, values = _knots(name, db)
        gain = 10 ** (np.interp(moments, times, values) / 20)
        made[PLAYED[name]] = np.asarray(noise * gain, np.float32)
    return made


def _knots(name: str, db: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Moments and values between which a level is drawn: every frame, or the middle of every TR."""
    times = np.asarray((np.arange(len(db)) + 0.5) * FRAME_SECONDS, np.float64)
    if name == "level":
        return times, db
    changes = np.concatenate([[0], np.flatnonzero(np.diff(db)) + 1, [len(db)]])
    middles = (changes[:-1] + changes[1:]) // 2
    return times[middles], db[middles]


def speech_of(run: Edition) -> list[NDArray[np.float32]]:
    """The edition's windows of speech, whose spectrum the noise takes."""
    sound, rate = run.stimulus.waveform, run.stimulus.sample_rate
    return [window.of(sound, rate) for window in run.windows() if window.kind == "speech"]


def draw_excerpt(levels: dict[str, NDArray[np.float64]]) -> Figure:
    """The levels that are played."""
    figure, axis = plt.subplots(figsize=(8, 2.6))
    times = np.arange(len(levels["level"])) * FRAME_SECONDS
    styles = {
        "level": ("0.8", 0.8),
        "tr_level": ("0.2", 1.5),
        "all_brains": ("C3", 2),
        "one_brain": ("C0", 1.2),
        "no_brain": ("C2", 1.2),
    }
    for name, (colour, width) in styles.items():
        axis.plot(times, levels[name], color=colour, linewidth=width, label=PLAYED[name])
    axis.set(xlabel="seconds", ylabel="level (dB)")
    axis.legend(frameon=False, fontsize=7, ncols=2)
    figure.tight_layout()
    return figure


def _range(low: float | None, high: float | None) -> str:
    return "–" if low is None or high is None else f"{low:.2f} to {high:.2f}"
