"""Which test of a held-out correlation keeps its level on real noise, and what power it has.

``python -m programs false-alarms FOLDER`` pairs real BOLD with the sound of something else: other runs of the film, as
they were or backwards. Each such pairing is a study in which there is nothing to be found. What every candidate makes
of them is a row of ``results/false-alarms.csv``; so is what it finds when a response to the wrong sound is planted in
that BOLD, in the size that listeners' own sound has. Candidates, cells and the rule of choice are
``config/analyses/false-alarms.yml``.

Pairings share BOLD and sound, so intervals are of means over pairings, and their number stands beside each rate.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from fmri_audio.base.documents import load_yaml
from fmri_audio.base.errors import UserError
from fmri_audio.base.files import check_writable
from fmri_audio.base.kinds import Block, Matrix
from fmri_audio.base.rows import read_rows, write_rows
from fmri_audio.base.settings import PositiveInt, Section, project_root
from fmri_audio.brain.response import canonical_response
from fmri_audio.decoding import series, turning
from fmri_audio.decoding.identification import effective_number
from fmri_audio.decoding.series import PIPELINE_FILE, Pipeline, Recorded
from fmri_audio.decoding.turning import Reader
from fmri_audio.experiments.real_brains import recorded
from fmri_audio.study.facts import Subject
from fmri_audio.study.reader import Study

TABLE = Path("results/false-alarms.csv")
SETTINGS = Path("config/analyses/false-alarms.yml")
CONFIDENCE = 0.99
CANDIDATES = ("turned", "refitted", "phases", "blocks", "corrected")


class Cells(Section):
    """Which listeners and runs are looked at, with the sounds of which runs, and how many listeners at a time."""

    runs: list[str] | None = None
    sounds: list[str] | None = None
    subjects: str = "all"
    counts: list[PositiveInt] = Field(min_length=1)
    groups: PositiveInt = 8
    seed: int = 0


class Settings(Section):
    """What ``config/analyses/false-alarms.yml`` says."""

    level: float = Field(gt=0, lt=0.5)
    limit: float = Field(gt=0, lt=1)
    candidates: list[str] = Field(min_length=1)
    penalty: float = Field(gt=0)
    draws: PositiveInt
    block_seconds: float = Field(gt=0)
    shift_gap_seconds: float = Field(gt=0)
    corrected_levels: list[float]
    planted: list[float]
    planted_pairings: PositiveInt
    most_pairings: PositiveInt
    turns: PositiveInt
    development: Cells
    confirmation: Cells
    everybody: Cells

    @classmethod
    def read(cls, path: Path) -> Settings:
        """Read them; a :class:`UserError` names the key that is wrong."""
        try:
            found = cls.model_validate(load_yaml(path))
        except ValidationError as error:
            first = error.errors()[0]
            raise UserError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
        if unknown := set(found.candidates) - set(CANDIDATES):
            raise UserError(
                f"{path}: candidates: there is no test {min(unknown)}; choose from {', '.join(CANDIDATES)}"
            )
        return found


@dataclass(frozen=True)
class AlarmRow:
    """How often one test rejects in one cell.

    Attributes
    ----------
    stage : ``development`` or ``confirmation``
    test : the candidate
    effect : share of the listeners' own effect that was planted; 0: nothing is there
    n_subjects, n_runs : of a study
    rate : share of studies with p at or below the level
    low, high : 99 % interval over pairings
    n_pairings, n_studies : what the rate is over; studies of one pairing are not independent
    level : that p is held against, which ``corrected`` has lowered
    effective_shifts : how many independent replacements the null is worth, mean
    """

    stage: str
    test: str
    effect: float
    n_subjects: int
    n_runs: int
    rate: float
    low: float
    high: float
    n_pairings: int
    n_studies: int
    level: float
    effective_shifts: float


Pairing = tuple[tuple[str, bool], ...]
"""For every run of BOLD the run whose sound it gets, and whether that is played backwards."""


def pairings(
    runs: Sequence[str], sounds: Sequence[str], most: int, rng: np.random.Generator
) -> list[Pairing]:
    """Ways to give every run of BOLD the sound of another run, played either way; its own backwards is one of them.

    Each sound goes to one run. Where there are more than ``most``, as many are drawn.
    """
    orders = [
        order
        for order in itertools.permutations(sounds, len(runs))
        if all(one != other for one, other in zip(runs, order, strict=True))
    ]
    ways = list(itertools.product((False, True), repeat=len(runs)))
    own = tuple((name, True) for name in runs)
    total = len(orders) * len(ways)
    picked = range(total) if total < most else rng.choice(total, most - 1, replace=False)
    return [
        *(tuple(zip(orders[k // len(ways)], ways[k % len(ways)], strict=True)) for k in map(int, picked)),
        own,
    ]


def paired(
    pieces: Mapping[str, NDArray[np.float64]], runs: Sequence[Block], pairing: Pairing, turn: float = 0.0
) -> NDArray[np.float64]:
    """The sound that a pairing puts beside the BOLD of every run, [TRs].

    A shorter one begins anew where it ends. ``turn`` is the share of each run's length by which it is turned round.
    """
    made = np.empty(runs[-1][1])
    for (first, last), (source, backwards) in zip(runs, pairing, strict=True):
        piece = pieces[source][::-1] if backwards else pieces[source]
        made[first:last] = np.roll(np.resize(piece, last - first), round(turn * (last - first)))
    return made


@dataclass(frozen=True)
class Trials:
    """Correlations of all listeners in one pairing: the sound as it is paired, and every replacement of it.

    Attributes
    ----------
    observed : array, shape [subjects, runs]
    null : mapping of test to array [subjects, runs, replacements]
    """

    observed: NDArray[np.float64]
    null: dict[str, NDArray[np.float64]]

    def p(self, test: str, group: Sequence[int]) -> float:
        """Compare the mean over some listeners and all runs with the null."""
        some = list(group)
        return turning.p_value(self.null[test][some].mean(axis=(0, 1)), float(self.observed[some].mean()))

    def effective(self, test: str, group: Sequence[int]) -> float:
        """How many independent replacements its null is worth: fewer than there are where shifts are neighbours."""
        null = self.null[test][list(group)].mean(axis=(0, 1))
        return effective_number(null) if test in ("turned", "refitted") else float(len(null))


def try_pairing(
    readers: Sequence[Reader],
    sound: NDArray[np.float64],
    runs: Sequence[Block],
    settings: Settings,
    tr: float,
    rng: np.random.Generator,
) -> Trials:
    """Correlate one sound and all that it is replaced with, for all listeners."""
    shifts = turning.shifts_of(runs, round(settings.shift_gap_seconds / tr))
    blocks = turning.other_order(round(settings.block_seconds / tr))
    made = {
        "refitted": turning.turned_round(sound, runs, shifts),
        "phases": _many(turning.other_phases, sound, runs, rng, settings.draws),
        "blocks": _many(blocks, sound, runs, rng, settings.draws),
    }
    null = {
        name: np.stack([reader.correlations(sounds) for reader in readers]) for name, sounds in made.items()
    }
    shortest = min(len(hat) for hat in readers[0].hats)
    turned = np.stack([reader.turned(sound, shifts[shifts < shortest]) for reader in readers])
    null["turned"] = turned[:, :, 1:]
    return Trials(turned[:, :, 0], null)


def _many(
    how: turning.Replace,
    sound: NDArray[np.float64],
    runs: Sequence[Block],
    rng: np.random.Generator,
    n: int,
) -> NDArray[np.float64]:
    return np.stack([how(sound, runs, rng) for _ in range(n)], axis=1)


def chosen_runs(what: Recorded, names: Sequence[str], subjects: Sequence[Subject]) -> Recorded:
    """Some runs and listeners of what was recorded.

    Raises
    ------
    UserError
        There is no such run.
    """
    if lacking := [name for name in names if name not in what.names]:
        raise UserError(f"there is no run {lacking[0]}; the study has {', '.join(what.names)}")
    blocks = [what.runs[what.names.index(name)] for name in names]
    rows = np.concatenate([np.arange(*block) for block in blocks])
    edges = np.concatenate([[0], np.cumsum([last - first for first, last in blocks])])
    return Recorded(
        {one: what.bold[one][rows] for one in subjects},
        {name: values[rows] for name, values in what.heard.items()},
        [(int(a), int(b)) for a, b in itertools.pairwise(edges)],
        list(names),
        what.tr,
        what.shift,
    )


def of_parity(subjects: Sequence[Subject], which: str) -> list[Subject]:
    """Listeners at odd or even places of the study's list, from 1, or all."""
    if which not in ("odd", "even", "all"):
        raise UserError(f"{SETTINGS}: subjects: {which!r} should be odd, even or all")
    return [
        one for k, one in enumerate(subjects, start=1) if which == "all" or (k % 2 == 1) == (which == "odd")
    ]


def readers_of(what: Recorded, pipeline: Pipeline, penalty: float) -> list[Reader]:
    """One per listener."""
    splits = pipeline.splits(what.runs, what.tr, what.shift)
    return [
        Reader.of(
            partial(series.cleaned_by, bold, what.tr, pipeline.high_pass_seconds),
            splits,
            lags=pipeline.lags(what.tr),
            shift=what.shift,
            penalty=penalty,
        )
        for bold in what.bold.values()
    ]


def plant(
    what: Recorded, sound: NDArray[np.float64], effect: float, target: str = "level"
) -> dict[Subject, Matrix]:
    r"""BOLD with a response to a wrong sound in it, in every parcel as large as that to the listener's own sound.

    A parcel whose BOLD correlates r with its own sound's response gets :math:`r / \sqrt{1 - r^2}` standard deviations
    of the wrong sound's, times ``effect``.
    """
    own, wrong = (_response(x, what.runs, float(what.tr)) for x in (what.heard[target], sound))
    planted = {}
    for one, bold in what.bold.items():
        z = _by_run(np.asarray(bold, np.float64), what.runs)
        r = np.clip(z.T @ own / len(own), -0.95, 0.95)
        planted[one] = np.asarray(z + effect * wrong[:, None] * (r / np.sqrt(1 - r**2)), np.float32)
    return planted


def _response(sound: NDArray[np.float64], runs: Sequence[Block], tr: float) -> NDArray[np.float64]:
    kernel = canonical_response(1 / tr)
    parts = [np.convolve(sound[a:b] - sound[a:b].mean(), kernel)[: b - a] for a, b in runs]
    return _by_run(np.concatenate(parts)[:, None], runs)[:, 0]


def _by_run(values: NDArray[np.float64], runs: Sequence[Block]) -> NDArray[np.float64]:
    """Mean 0 and deviation 1 in every run."""
    made = np.zeros_like(values)
    for first, last in runs:
        block = values[first:last] - values[first:last].mean(axis=0)
        spread = block.std(axis=0)
        made[first:last] = block / np.where(spread > 1e-9, spread, 1.0)
    return made


def interval_of(rates: NDArray[np.float64], seed: int = 0) -> tuple[float, float]:
    """Interval of a rate, by bootstrap over pairings: studies of one pairing are not independent.

    Where nothing was ever rejected, the upper limit is that of as many coin tosses as there are pairings.
    """
    low, high = series.interval(rates, CONFIDENCE, seed)
    return low, high if rates.any() else float(1 - ((1 - CONFIDENCE) / 2) ** (1 / len(rates)))


def drawn_groups(n: int, count: int, groups: int, rng: np.random.Generator) -> list[tuple[int, ...]]:
    """Groups of ``count`` of ``n`` listeners."""
    if count >= n:
        return [tuple(range(n))]
    return [tuple(sorted(rng.choice(n, count, replace=False).tolist())) for _ in range(groups)]


@dataclass(frozen=True)
class Stage:
    """One stage laid out: whose BOLD, which wrong sounds, which groups of listeners.

    Attributes
    ----------
    name : str
    what : Recorded
        BOLD, and the sound that belongs to it.
    pieces : mapping of run to array
        Sounds that it may be paired with.
    pairings : list of Pairing
    turns : list of float
        By which shares of a run every pairing is turned round, to be several studies.
    groups : mapping of count to list of groups
    """

    name: str
    what: Recorded
    pieces: dict[str, NDArray[np.float64]]
    pairings: list[Pairing]
    turns: list[float]
    groups: dict[int, list[tuple[int, ...]]]

    @classmethod
    def of(cls, name: str, whole: Recorded, cells: Cells, settings: Settings) -> Stage:
        """Lay out a stage of the configuration."""
        rng = np.random.default_rng(cells.seed)
        runs = cells.runs or whole.names
        what = chosen_runs(whole, runs, of_parity(whole.subjects, cells.subjects))
        pieces = {
            run: whole.heard["level"][slice(*whole.runs[whole.names.index(run)])]
            for run in cells.sounds or runs
        }
        n = len(what.bold)
        groups = {count: drawn_groups(n, count, cells.groups, rng) for count in cells.counts if count <= n}
        every = pairings(runs, list(pieces), settings.most_pairings, rng)
        turns = [k / settings.turns for k in range(settings.turns)]
        pieces |= {
            run: what.heard["level"][slice(*block)] for run, block in zip(what.names, what.runs, strict=True)
        }
        return cls(name, what, pieces, every, turns, groups)

    def sounds(self, pairing: Pairing) -> list[NDArray[np.float64]]:
        """The wrong sounds of one pairing, turned by every turn."""
        return [paired(self.pieces, self.what.runs, pairing, turn) for turn in self.turns]


def stage_rows(
    stage: Stage,
    pipeline: Pipeline,
    settings: Settings,
    corrected: float,
    seed: int,
    say: Callable[[str], None],
) -> Iterator[AlarmRow]:
    """All rows of one stage: rates of false alarms, then of what was planted."""
    rng = np.random.default_rng([seed, 1])
    what, tr = stage.what, float(stage.what.tr)
    readers = readers_of(what, pipeline, settings.penalty)
    hits = _Hits(stage, settings, corrected)
    for pairing in stage.pairings:
        hits.add([try_pairing(readers, s, what.runs, settings, tr, rng) for s in stage.sounds(pairing)])
    say(f"{stage.name}: {len(stage.pairings)} pairings without an effect")
    yield from hits.rows(0.0)
    for effect in settings.planted:
        hits = _Hits(stage, settings, corrected)
        some = rng.choice(
            len(stage.pairings), min(settings.planted_pairings, len(stage.pairings)), replace=False
        )
        for k in some:
            wrong = paired(stage.pieces, what.runs, stage.pairings[int(k)])
            with_it = replace(what, bold=plant(what, wrong, effect))
            own = readers_of(with_it, pipeline, settings.penalty)
            hits.add([try_pairing(own, wrong, what.runs, settings, tr, rng)])
        say(f"{stage.name}: {len(some)} pairings with {effect:g} of the effect")
        yield from hits.rows(effect)


class _Hits:
    """Counts what every candidate rejects, pairing by pairing, and forgets the correlations."""

    def __init__(self, stage: Stage, settings: Settings, corrected: float) -> None:
        self.stage, self.settings, self.corrected = stage, settings, corrected
        self.p: dict[tuple[str, int], list[NDArray[np.float64]]] = {}
        self.worth: dict[tuple[str, int], list[float]] = {}

    def add(self, trials: Sequence[Trials]) -> None:
        """Count the studies of one pairing."""
        for count, groups in self.stage.groups.items():
            for test in ("turned", "refitted", "phases", "blocks"):
                p = np.array([one.p(test, group) for one in trials for group in groups])
                self.p.setdefault((test, count), []).append(p)
                self.worth.setdefault((test, count), []).append(trials[0].effective(test, groups[0]))

    def rows(self, effect: float) -> Iterator[AlarmRow]:
        """A row per candidate and number of listeners."""
        for count in self.stage.groups:
            for test in self.settings.candidates:
                own = "turned" if test == "corrected" else test
                level = self.corrected if test == "corrected" else self.settings.level
                rates = np.array([(p <= level + 1e-12).mean() for p in self.p[own, count]])
                yield AlarmRow(
                    self.stage.name,
                    test,
                    effect,
                    count,
                    len(self.stage.what.runs),
                    float(rates.mean()),
                    *interval_of(rates),
                    len(rates),
                    sum(len(p) for p in self.p[own, count]),
                    level,
                    float(np.mean(self.worth[own, count])),
                )


def corrected_level(stage: Stage, pipeline: Pipeline, settings: Settings) -> float:
    """The largest of the levels at which ``turned`` keeps the limit in every cell of a stage; 0 if none does."""
    what = stage.what
    readers = readers_of(what, pipeline, settings.penalty)
    shifts = turning.shifts_of(what.runs, round(settings.shift_gap_seconds / float(what.tr)))
    shifts = shifts[shifts < min(len(hat) for hat in readers[0].hats)]
    p: dict[int, list[NDArray[np.float64]]] = {count: [] for count in stage.groups}
    for pairing in stage.pairings:
        turned = [np.stack([reader.turned(s, shifts) for reader in readers]) for s in stage.sounds(pairing)]
        trials = [Trials(one[:, :, 0], {"turned": one[:, :, 1:]}) for one in turned]
        for count, groups in stage.groups.items():
            p[count].append(np.array([one.p("turned", group) for one in trials for group in groups]))
    for level in sorted(settings.corrected_levels, reverse=True):
        limits = [
            interval_of(np.array([(one <= level + 1e-12).mean() for one in of]))[1] for of in p.values()
        ]
        if max(limits) <= settings.limit:
            return level
    return 0.0


def choose(rows: Sequence[AlarmRow], limit: float) -> str | None:
    """What the rule takes: of those that keep the limit in every cell the one with most power, or None."""
    tests = dict.fromkeys(row.test for row in rows)
    keeps = [t for t in tests if max(r.high for r in rows if r.test == t and r.effect == 0) <= limit]
    power = {t: float(np.mean([r.rate for r in rows if r.test == t and r.effect > 0])) for t in keeps}
    return max(power, key=power.__getitem__) if power else None


def read(path: Path | None = None) -> list[AlarmRow]:
    """Read the table of the project, or another one.

    Raises
    ------
    UserError
        It is not there.
    """
    return read_rows(AlarmRow, path or project_root() / TABLE, "make false-alarms")


def main(words: Sequence[str]) -> None:
    """Compute one stage and write it beside the other."""
    parser = argparse.ArgumentParser(
        prog="python -m programs false-alarms",
        description="Rewrite one stage of results/false-alarms.csv from a measured study.",
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--stage", choices=("development", "confirmation"), required=True)
    parser.add_argument("--settings", type=Path, default=project_root() / SETTINGS)
    parser.add_argument("--pipeline", type=Path, default=project_root() / PIPELINE_FILE)
    parser.add_argument("--out", type=Path, default=project_root() / TABLE)
    options = parser.parse_args(list(words))
    check_writable(options.out)
    settings, pipeline = Settings.read(options.settings), Pipeline.read(options.pipeline)
    whole = recorded(Study.open(options.folder), pipeline, ["level"])
    before = read(options.out) if options.out.is_file() else []
    if options.stage == "development":
        stage = Stage.of("development", whole, settings.development, settings)
        level = corrected_level(stage, pipeline, settings)
        rows = list(stage_rows(stage, pipeline, settings, level, settings.development.seed, print))
    else:
        told = [row.level for row in before if (row.stage, row.test) == ("development", "corrected")]
        if not told:
            raise UserError(f"{options.out} has no rows of the development: run --stage development first")
        rows = []
        for cells in (settings.confirmation, settings.everybody):
            stage = Stage.of("confirmation", whole, cells, settings)
            rows += stage_rows(stage, pipeline, settings, told[0], cells.seed, print)
    kept = [row for row in before if row.stage != options.stage]
    write_rows([*kept, *rows], options.out, digits=4)
    for row in rows:
        print(
            f"{row.test:10} effect {row.effect:<4g} {row.n_subjects:2} listeners: {row.rate:.3f} "
            f"({row.low:.3f} to {row.high:.3f}), {row.n_pairings} pairings"
        )
    print(
        f"the rule takes: {choose([r for r in [*kept, *rows] if r.stage == 'development'], settings.limit)}"
    )
