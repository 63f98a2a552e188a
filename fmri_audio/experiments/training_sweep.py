"""What the bottleneck's settings change: one of them varied at a time, all else as the edition has it.

The product of all levels would take weeks and be read by nobody; one factor at a time costs as many trainings as there
are levels. A point of the sweep is an edition with one setting changed: its arm goes through the same
:func:`fmri_audio.bottleneck.store.trained_arms` and its sound through the same
:class:`fmri_audio.experiments.held_out.HeldOut`. At the edition's
own settings a point *is* the edition's own model, which is not trained again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fmri_audio.base.errors import UserError
from fmri_audio.base.kinds import Say, Waveform
from fmri_audio.base.results import Record, fill
from fmri_audio.base.settings import Settings
from fmri_audio.bottleneck.arms import ARM_LABELS
from fmri_audio.bottleneck.store import TrainedArm, trained_arms
from fmri_audio.bottleneck.training import tell
from fmri_audio.brain.masks import AUDITORY_CENTRES, voxel_positions
from fmri_audio.edition.edition import Edition, check_bandwidths
from fmri_audio.experiments.block_tables import columns_of_arm, columns_of_block
from fmri_audio.experiments.decoded import decoded_from_brains
from fmri_audio.experiments.held_out import SEEDED, HeldOut
from fmri_audio.experiments.noisy_bottleneck import NoisyBottleneck
from fmri_audio.experiments.through_arm import ThroughArm
from fmri_audio.sound import scoring
from fmri_audio.study.reader import Study

Factor = Literal["balance", "rank", "units", "bandwidth"]

FACTORS: dict[Factor, str] = {
    "balance": "balance",
    "rank": "rank",
    "units": "voxels",
    "bandwidth": "bandwidth (kbps)",
}
"""What is varied, and how a reader knows it."""

SCORED = ("mel_distance_db", "stoi", "estoi")
"""Metrics of the sounds: the others would take many times as long and are in the chapters before."""

BOLD_DISTANCES = {"training": "bold_distance_training", "held-out": "bold_distance"}
"""Mean square distance of the arm's own volumes from measured BOLD of training and of the held-out block: the mean of
all subjects, both standardised on training volumes, so that unrelated signals of one size are 2 apart."""

REQUANTISED = "frozen, quantised again"
"""The frozen arm's latents behind the quantiser: the other way in which bandwidth meets a bottleneck."""


@dataclass(frozen=True)
class Point:
    """One training, or what becomes of one at another bandwidth.

    Attributes
    ----------
    arm : str
    seed : int
    factor : str or None
        What differs from the edition's own settings; None where nothing does.
    level : float or None
        To what it is set.
    """

    arm: str
    seed: int
    factor: Factor | None = None
    level: float | None = None

    @property
    def requantised(self) -> bool:
        """Whether it is the edition's own arm, its latents quantised again: bandwidth trains nothing but codes."""
        return self.factor == "bandwidth" and self.arm != "codes"

    @property
    def control(self) -> str:
        """What tells its rows from the edition's own in a table of results: ``balance=0``, or ``own settings``."""
        return "own settings" if self.level is None else f"{self.factor}={self.level:g}"

    def applied_to(self, settings: Settings) -> Settings:
        """The edition's settings with the one change made; voxels are no setting and change in :class:`VariedBlock`."""
        if self.factor == "bandwidth" and not self.requantised:
            return settings.model_copy(update={"main_bandwidth": self.level})
        if self.factor == "balance":
            update: dict[str, Any] = {"balance": self.level}
        elif self.factor == "rank":
            update = {"rank": int(self.level or 0)}
        else:
            return settings
        return settings.model_copy(update={"training": settings.training.model_copy(update=update)})


class VariedBlock(HeldOut):
    """The held-out block of an edition with one setting changed, and one arm trained under it.

    Sound, brains, split and scoring windows are the edition's own; nothing of them is made again.

    Parameters
    ----------
    own : HeldOut
    point : Point
    """

    def __init__(self, own: HeldOut, point: Point) -> None:
        bandwidth = float(point.level or 0) if point.factor == "bandwidth" else own.run.bandwidth
        run = Edition(point.applied_to(own.run.settings), bandwidth, own.run.build)
        shared = ("checkpoint", "stimulus", "encoding", "study")
        vars(run).update({name: getattr(own.run, name) for name in shared})
        super().__init__(run)
        self.own, self.point = own, point

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """Voxels of the mask, [x, y, z]; as many as the point says."""
        if self.point.factor != "units":
            return self.own.mask
        return region(self.study, self.own.mask, int(self.point.level or 0))

    @cached_property
    def arms(self) -> dict[str, TrainedArm]:
        """The point's arm, trained, or taken from where an earlier run left it."""
        return trained_arms(
            [self.point.arm],
            self.material,
            self.split,
            self.settings,
            seed=self.point.seed,
            cache=self.run.build / "models",
        )


@dataclass(frozen=True)
class Outcome:
    """What came of a point.

    Attributes
    ----------
    point : Point
    converged : bool
        Whether training was over when it ended; if not, the point gets no verdict.
    improved : bool
        Whether a step of training bettered the start; if none did, the model is what it began as.
    seconds : float
        That training took, on the machine that trained; NaN where nothing was trained for the point.
    bold_distances : dict
        Part of the sound → see :data:`BOLD_DISTANCES`; empty where nothing was trained for the point.
    scores : dict
        Condition → scores of the block, one row per window, all of one kind: the mean of all subjects.
    columns : dict
        Of the point's records.
    """

    point: Point
    converged: bool
    improved: bool
    seconds: float
    bold_distances: dict[str, float]
    scores: dict[str, pd.DataFrame]
    columns: dict[str, Any]

    def records(self) -> list[Record]:
        """The rows of the table of results, the point named under ``control``; nothing in them depends on the clock."""
        made = []
        for condition, scores in self.scores.items():
            made += scoring.to_records(scores, wanted=SCORED, condition=condition, **self.columns)
        facts = [Record(metric="converged", value=float(self.converged), unit="1", n=1)]
        for part, distance in self.bold_distances.items():
            facts.append(Record(metric="bold_distance", value=distance, unit="1", n=1, fold=part))
        return made + [fill(one, condition="noise-free", **self.columns) for one in facts]


class Sweep:
    """All points of an edition and what came of them.

    Parameters
    ----------
    own : HeldOut
        The edition at its own settings.
    say : callable, optional
        Takes a line of progress before each point; standard error unless given.

    Raises
    ------
    UserError
        The codec has no such bandwidth, the mask cannot hold such a rank, or there are fewer voxels: said before
        anything is trained.
    """

    def __init__(self, own: HeldOut, say: Say | None = None) -> None:
        self.own, self.settings, self.say = own, own.run.settings.sweep, say or tell
        check_bandwidths(self.settings.bandwidths, own.run.checkpoint)
        if wide := [rank for rank in self.settings.ranks if rank > own.n_units]:
            raise UserError(
                f"sweep.ranks: {wide[0]} does not fit through the {own.n_units} voxels of the mask; choose a lower rank"
            )
        if self.settings.units:
            region(own.study, own.mask, max(self.settings.units))

    @property
    def own_levels(self) -> dict[Factor, float]:
        """The edition's own level of every factor."""
        training = self.own.settings
        return {
            "balance": training.balance,
            "rank": training.rank,
            "units": self.own.n_units,
            "bandwidth": self.own.run.settings.main_bandwidth,
        }

    @property
    def levels(self) -> dict[Factor, list[float]]:
        """Levels of every factor in ascending order, the edition's own among them."""
        asked: dict[Factor, Sequence[float]] = {
            "balance": self.settings.balances,
            "rank": self.settings.ranks,
            "units": self.settings.units,
            "bandwidth": self.settings.bandwidths,
        }
        return {factor: sorted({*asked[factor], own}) for factor, own in self.own_levels.items()}

    def is_varied(self, factor: Factor) -> bool:
        """Whether a factor has another level than the edition's own."""
        return len(self.levels[factor]) > 1

    def arms(self, factor: Factor) -> list[str]:
        """Arms that a factor concerns: bandwidth those that meet the quantiser."""
        return ["codes", "frozen"] if factor == "bandwidth" else list(self.settings.arms)

    @cached_property
    def points(self) -> list[Point]:
        """All points: first the edition's own settings, then every factor's other levels.

        The edition's own settings have as many seeds as the edition trains anyway, if those are more.
        """
        first = self.own.run.settings.seed
        varied = [factor for factor in FACTORS if self.is_varied(factor)]
        found = []
        for arm in dict.fromkeys(arm for factor in varied for arm in self.arms(factor)):
            trained = self.own.settings.seeds if arm in SEEDED else 1
            found += [Point(arm, first + k) for k in range(max(trained, self.settings.seeds))]
        for factor in varied:
            for level in self.levels[factor]:
                for arm in self.arms(factor):
                    if level != self.own_levels[factor] or Point(arm, first, factor, level).requantised:
                        found += [Point(arm, first + k, factor, level) for k in range(self.settings.seeds)]
        return found

    @cached_property
    def outcomes(self) -> list[Outcome]:
        """What came of every point, in their order; trains what is not trained yet."""
        found = []
        for number, point in enumerate(self.points, start=1):
            self.say(
                f"sweep, {number} of {len(self.points)}: {ARM_LABELS[point.arm]}, {point.control}, seed {point.seed}"
            )
            found.append(outcome_of(VariedBlock(self.own, point)))
        return found

    @cached_property
    def table(self) -> pd.DataFrame:
        """What came of it, tidy.

        Returns
        -------
        DataFrame
            ``factor`` and ``level`` (None where nothing is varied), ``arm``, ``seed``, ``converged``,
            ``improved``, ``seconds``, ``condition``, ``metric``, ``value``.
        """
        rows = []
        for one in self.outcomes:
            point = one.point
            values = [
                (condition, metric, float(scores[metric].mean()))
                for condition, scores in one.scores.items()
                for metric in SCORED
            ]
            values += [
                ("noise-free", BOLD_DISTANCES[part], value) for part, value in one.bold_distances.items()
            ]
            rows += [
                (
                    point.factor,
                    point.level,
                    point.arm,
                    point.seed,
                    one.converged,
                    one.improved,
                    one.seconds,
                    *value,
                )
                for value in values
            ]
        names = [
            "factor",
            "level",
            "arm",
            "seed",
            "converged",
            "improved",
            "seconds",
            "condition",
            "metric",
            "value",
        ]
        return pd.DataFrame(rows, columns=names)

    def along(self, factor: Factor) -> pd.DataFrame:
        """The rows of one factor in ascending order of its level, the edition's own level among them.

        Returns
        -------
        DataFrame
            As :attr:`table`, with the arms in a reader's words in ``label``.
        """
        table = self.table
        rows = table[table["factor"] == factor]
        arms = set(rows["arm"]) - ({"frozen"} if factor == "bandwidth" else set())
        own = table[table["factor"].isna() & table["arm"].isin(arms)].assign(level=self.own_levels[factor])
        whole = pd.concat([rows, own]) if len(own) else rows
        names = {**ARM_LABELS, "frozen": REQUANTISED} if factor == "bandwidth" else ARM_LABELS
        whole = whole.assign(label=whole["arm"].map(names), level=whole["level"].astype(float))
        return whole.sort_values(["arm", "level", "seed"], kind="stable", ignore_index=True)

    def records(self) -> list[Record]:
        """All rows of the table of results."""
        return [record for one in self.outcomes for record in one.records()]


def region(study: Study, mask: NDArray[np.bool_], n_units: int) -> NDArray[np.bool_]:
    """The voxels of a mask nearest to the centres of auditory cortex; beyond the mask, grey matter nearest to them.

    A smaller region lies within every larger one, and the region is a function of the grid alone, as masks are.

    Parameters
    ----------
    study : Study
    mask : array of bool, shape [x, y, z]
    n_units : int
        Voxels wanted.

    Raises
    ------
    UserError
        There are not so many.
    """
    inside = mask.ravel()
    among = inside if n_units <= inside.sum() else inside | study.mask("grey-matter").ravel()
    found = np.flatnonzero(among)
    if n_units > len(found):
        raise UserError(
            f"sweep.units: {n_units} is more than the {len(found)} voxels of the mask and of grey matter; ask for fewer"
        )
    positions = voxel_positions(study.affine, mask.shape).reshape(-1, 3)[found]
    distance = np.min([np.linalg.norm(positions - centre, axis=1) for centre in AUDITORY_CENTRES], axis=0)
    chosen = np.zeros(mask.size, bool)
    chosen[found[np.lexsort((distance, ~inside[found]))[:n_units]]] = True
    return chosen.reshape(mask.shape)


def outcome_of(varied: VariedBlock) -> Outcome:
    """Train a point's arm unless it is trained, and score what is heard of the held-out block in all conditions."""
    point, through = varied.point, ThroughArm(varied, varied.point.arm)
    trained = through.trained
    described = columns_of_arm(varied, trained)
    if point.requantised:
        described |= {"representation": "encodec-codes", "bandwidth_kbps": varied.run.bandwidth}
        apart, seconds = {}, float("nan")
        sounds = {"noise-free": [through.requantised(varied.run.bandwidth)]}
    else:
        errors = np.square(trained.volumes - varied.brains.group_bold).mean(axis=1)
        parts = {"training": varied.split.bold_train_rows, "held-out": np.arange(*varied.split.bold_test)}
        apart = {part: float(errors[rows].mean()) for part, rows in parts.items()}
        seconds = float(trained.curves["seconds"].max())
        sounds = {
            "noise-free": [through.noise_free],
            "voxel-noise": [through.sound_of(NoisyBottleneck(through).decoded().heard)],
            "measured": [through.sound_of(one.heard) for one in decoded_from_brains(through)],
        }
    scores = {
        condition: mean_of_subjects([_scored(varied, sound) for sound in several])
        for condition, several in sounds.items()
    }
    size = {"units": varied.n_units, "rank": varied.settings.rank}
    columns = {
        **columns_of_block(varied),
        **described,
        **size,
        "seed": point.seed,
        "control": point.control,
    }
    convergence = trained.convergence
    return Outcome(point, convergence.converged, convergence.improved, seconds, apart, scores, columns)


def mean_of_subjects(several: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Scores of every window, the mean of several subjects: what an interval is about is windows, not subjects."""
    whole = pd.concat(several)
    return whole.groupby(["window", "kind"], sort=False)[list(SCORED)].mean().reset_index()


def _scored(varied: VariedBlock, sound: Waveform) -> pd.DataFrame:
    rate = varied.stimulus.sample_rate
    rows = []
    for window in varied.windows:
        pair = window.of(varied.original, rate), window.of(sound, rate)
        rows.append(
            {
                "window": window.name,
                "kind": window.kind,
                **scoring.score_pair(*pair, rate, window.kind, SCORED),
            }
        )
    return pd.DataFrame(rows)
