"""The sound side of the ladder: what every arm keeps of held-out speech at every width, without a brain.

``make bottleneck`` trains the arms, sends the windows of :data:`WINDOWS` through all of them and through what stands
beside them, and writes three tables: the windows, the conditions, and a row of scores for every window in every
condition. This module reads them and counts.

The unit of an interval is not a window. Windows of one passage share what is said and how, and passages share a voice:
voices are drawn with replacement, and of each its passages (two-stage bootstrap, Davison and Hinkley 1997, section
3.8). Comparisons are paired by window.

A recogniser that hears words in noise can make more errors than words were said. In one window no more count than were
said: a sound of which nothing is left is not worse than that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fmri_audio.base.rows import read_rows
from fmri_audio.base.settings import project_root

CONDITIONS, WINDOWS, SCORES, BITS = (
    f"results/ladder{part}.csv" for part in ("", "-windows", "-scores", "-bits")
)
"""Where the tables lie in the project."""

COMMAND = "make bottleneck"

TR = Fraction(3, 2)
"""Of the widths that the tables name."""

GROUPS = {
    "recorded": "recorded speech",
    "unheard": "the play's engine that no training heard",
    "play": "the play's other voices",
}
"""Windows by where their speech is from; headline figures stand for each apart."""

FEWEST_PASSAGES, FEWEST_WORDS = 4, 600
"""Below so many passages an interval is none, and of fewer words no share is said."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Window:
    """A stretch of speech of known words.

    Attributes
    ----------
    window : str
        Its name.
    group : str
        One of :data:`GROUPS`.
    voice, passage : str
        Who speaks, and the passage that it is a part of.
    seconds : float
    said : int
        Words.
    sha256 : str
        Of its samples, first eight digits.
    """

    window: str
    group: str
    voice: str
    passage: str
    seconds: float
    said: int
    sha256: str


@dataclass(frozen=True)
class Condition:
    """What windows went through.

    Attributes
    ----------
    condition : str
        Its name.
    rung : str
        ``original``, ``floor``, ``representation``, ``codec``, ``code``; ``language``: phonemes that a voice reads;
        ``device``: a code that drives voxels, as in no brain; ``brains``: a code read from simulated brains, whose
        voxels follow acoustics.
    arm : str
        Coder, or what else it is.
    made : str
        Of a code: ``trained``; ``start``, the same before training; ``pca``, principal components of longer blocks with
        the arm's own way back; ``single``, trained at this width alone; ``indices``, codebook indices as numbers;
        ``own phase``, trained, and given the original's phase; trained otherwise in one thing, ``inner448``: so many
        channels inside, ``random``: from a codec of random weights, ``sound10``: on so many minutes, ``steps1050``: for
        so many steps, ``seed2``: from another seed.
    asked : float or None
        Numbers per TR of 1.5 s that were asked for.
    per_tr, per_second : float or None
        Numbers that it has, on the grid.
    sigma : float or None
        Of the channel: standard deviation of white noise on numbers of variance 1.
    bits_per_tr : float or None
        ½ log₂(1 + 1/σ²) for every number; of codes, what they take; of voxels, what they tell of independent numbers.
    voxels : str
        Model of a voxel.
    map : str
        How numbers drive voxels: ``ideal`` or ``brain-like``.
    noise : float or None
        Times the variance of a brain's noise.
    subjects : int or None
        Whose BOLD is averaged.
    control : str
        ``other``: what was read half a run later; ``prior``: nothing was read, the same for all voxels and noise;
        ``dithered``: the noise of the channel comes from quantising with dither, and the bits are those of the coded
        stream.
    weights : str
        Id of the arm's file or of the codec, empty where nothing was trained.
    seed : int
    code : str
        Hash of the code that makes and scores the sounds.
    made_by : str
        Hash of that, of the weights, the codec, the sounds and what is said in them.
    """

    condition: str
    rung: str
    arm: str
    made: str
    asked: float | None
    per_tr: float | None
    per_second: float | None
    sigma: float | None
    bits_per_tr: float | None
    voxels: str
    map: str
    noise: float | None
    subjects: int | None
    control: str
    weights: str
    seed: int
    code: str
    made_by: str


@dataclass(frozen=True)
class Score:
    """One window in one condition; None where a score is undefined.

    Attributes
    ----------
    condition, window : str
    wrong : float or None
        Words substituted, left out and added.
    estoi, stoi, pesq_wb : float or None
        At the known lag and matched loudness.
    """

    condition: str
    window: str
    wrong: float | None
    estoi: float | None
    stoi: float | None
    pesq_wb: float | None


@dataclass(frozen=True)
class Told:
    """What one simulated brain tells of independent numbers that drive its voxels, at one TR.

    Attributes
    ----------
    voxels : str
        Model of a voxel.
    part : str
        Of auditory cortex.
    tr : float
        Seconds.
    n_voxels, patterns : int
        Voxels, and patterns of the brain's own tuning.
    numbers : int
        Per TR.
    scans : int
        Of the same sound, averaged.
    own : float
        Bits per TR by the brain's own tuning.
    ideal : float or None
        By an ideal map; None where there are more numbers than voxels: they do not pass.
    bound : float
        Bits per TR, whatever drives voxels of so much power.
    condition : float
        Of the response over the run: largest over smallest amplitude.
    own_usable, ideal_usable : float
        Share of a run's directions whose signal is at least as large as the noise.
    own_error, ideal_error : float
        Mean variance of a number that the best linear reader does not know, as a share of its own.
    exact : float or None
        Largest error of a number that an ideal map sends without noise.
    code : str
        Hash of the code that computes it.
    """

    voxels: str
    part: str
    tr: float
    n_voxels: int
    patterns: int
    numbers: int
    scans: int
    own: float
    ideal: float | None
    bound: float
    condition: float
    own_usable: float
    ideal_usable: float | None
    own_error: float
    ideal_error: float | None
    exact: float | None
    code: str


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval; NaN bounds where there are fewer than :data:`FEWEST_PASSAGES`."""

    value: float
    low: float
    high: float
    n: int
    said: int = 0

    @property
    def shown(self) -> str:
        """In words."""
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


@dataclass(frozen=True)
class Ladder:
    """All tables.

    Attributes
    ----------
    windows : sequence of Window
    conditions : sequence of Condition
    scores : sequence of Score
    told : sequence of Told
        Empty where ``bottleneck-bits`` has not counted.
    """

    windows: Sequence[Window]
    conditions: Sequence[Condition]
    scores: Sequence[Score] = field(repr=False)
    told: Sequence[Told] = ()

    @classmethod
    def read(cls, root: Path | None = None) -> Ladder:
        """Read the tables of the project, or of another root.

        Raises
        ------
        UserError
            One is not there; the sentence names the command that makes it.
        """
        root = root or project_root()
        return cls(
            read_rows(Window, root / WINDOWS, COMMAND),
            read_rows(Condition, root / CONDITIONS, COMMAND),
            read_rows(Score, root / SCORES, COMMAND),
            read_rows(Told, root / BITS, COMMAND) if (root / BITS).is_file() else (),
        )

    @cached_property
    def _values(self) -> Mapping[tuple[str, str], Values]:
        """Values of all windows, NaN where undefined or not measured, by condition and measure."""
        place = {one.window: index for index, one in enumerate(self.windows)}
        most = np.array([one.said for one in self.windows], float)
        found: dict[tuple[str, str], Values] = {}
        for score in self.scores:
            for measure in MEASURES:
                row = found.setdefault((score.condition, measure), np.full(len(place), np.nan))
                value = getattr(score, measure)
                row[place[score.window]] = np.nan if value is None else value
        for (_, measure), row in found.items():
            if measure == "wrong":
                np.minimum(row, most, out=row)
        return found

    def of(self, condition: str, measure: str) -> Values:
        """Values of a measure in a condition, one per window; of words, no more wrong than were said.

        Raises
        ------
        KeyError
            There is no such condition.
        """
        return self._values[condition, measure]

    def seconds(self, condition: str) -> float:
        """Of the windows that a condition was measured in."""
        measured = np.isfinite(self.of(condition, "wrong")) | np.isfinite(self.of(condition, "estoi"))
        return float(sum(one.seconds for one, is_so in zip(self.windows, measured, strict=True) if is_so))

    def inside(self, groups: Iterable[str] | None) -> NDArray[np.bool_]:
        """Which windows belong to some groups; None: all."""
        wanted = set(GROUPS if groups is None else groups)
        return np.array([one.group in wanted for one in self.windows])

    def mean(
        self, condition: str, measure: str, groups: Iterable[str] | None = None, seed: int = 0
    ) -> Estimate:
        """Mean of a score over windows; of words, those wrong as a share of those said."""
        return self._estimate(self.of(condition, measure), measure, groups, seed)

    def difference(
        self, one: str, other: str, measure: str, groups: Iterable[str] | None = None, seed: int = 0
    ) -> Estimate:
        """``one`` less ``other``, paired by window."""
        apart = self.of(one, measure) - self.of(other, measure)
        return self._estimate(apart, measure, groups, seed)

    def _estimate(self, values: Values, measure: str, groups: Iterable[str] | None, seed: int) -> Estimate:
        said = np.array([float(one.said) for one in self.windows])
        weights = said if measure == "wrong" else np.ones(len(said))
        used = self.inside(groups) & np.isfinite(values) & (weights > 0)
        voices = [self.windows[index].voice for index in np.flatnonzero(used).tolist()]
        passages = [self.windows[index].passage for index in np.flatnonzero(used).tolist()]
        sums = values[used] if measure == "wrong" else values[used] * weights[used]
        value, low, high = ratio(sums, weights[used], voices, passages, seed)
        return Estimate(value, low, high, int(used.sum()), int(said[used].sum()))


MEASURES = ("wrong", "estoi", "stoi", "pesq_wb")
"""What is measured in every window; words wrong are counted as a share of those said."""


def ratio(
    sums: Values,
    weights: Values,
    voices: Sequence[str],
    passages: Sequence[str],
    seed: int,
    draws: int = 2000,
    level: float = 0.95,
) -> tuple[float, float, float]:
    """Sum over sum of weights, with a percentile interval over voices and, within each, passages.

    Parameters
    ----------
    sums, weights : arrays, shape [n]
        One number per window.
    voices, passages : sequences of str, length n
        A passage belongs to one voice.
    seed, draws : int
    level : float

    Returns
    -------
    value, low, high : float
        NaN bounds where there are fewer passages than :data:`FEWEST_PASSAGES`.
    """
    if not len(sums) or not weights.sum():
        return np.nan, np.nan, np.nan
    value = float(sums.sum() / weights.sum())
    blocks: dict[str, dict[str, NDArray[np.float64]]] = {}
    for total, weight, voice, passage in zip(sums, weights, voices, passages, strict=True):
        own = blocks.setdefault(voice, {}).setdefault(passage, np.zeros(2))
        own += total, weight
    if sum(len(of_voice) for of_voice in blocks.values()) < FEWEST_PASSAGES:
        return value, np.nan, np.nan
    drawn = _two_stage([np.stack(list(of_voice.values())) for of_voice in blocks.values()], seed, draws)
    tail = (1 - level) / 2
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], [tail, 1 - tail])
    return value, float(low), float(high)


def _two_stage(blocks: Sequence[NDArray[np.float64]], seed: int, draws: int) -> NDArray[np.float64]:
    """Sums [draws, 2] of blocks [passages, 2] of voices, both drawn with replacement."""
    rng = np.random.default_rng(seed)
    total = np.zeros((draws, 2))
    chosen = rng.integers(0, len(blocks), (draws, len(blocks)))
    for voice, of_voice in enumerate(blocks):
        often = (chosen == voice).sum(1)  # times that the voice was drawn
        picks = rng.integers(0, len(of_voice), (int(often.sum()), len(of_voice)))
        np.add.at(total, np.repeat(np.arange(draws), often), of_voice[picks].sum(1))
    return total


def where(conditions: Sequence[Condition], wanted: Callable[[Condition], bool]) -> list[Condition]:
    """Return the conditions that are wanted, by width."""
    return sorted(filter(wanted, conditions), key=lambda one: (one.per_tr or 0.0, one.condition))
