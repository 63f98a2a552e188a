"""How the arms of the ladder were trained: losses of validation voices, run by run, and what they allow to be said.

``make bottleneck`` writes the table. An arm counts as trained when, at every width that was checked, it ends better
than it began and better than its principal components with the same way back to sound, and when its curve is flat.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fmri_audio.base.rows import read_rows
from fmri_audio.base.settings import project_root

TABLE = Path("results/ladder-training.csv")
COMMAND = "make bottleneck"

NESTED_WIDTH = 256
"""Numbers per TR of 1.5 s of the codes that are trained for one width, to show what nesting costs."""

TRAINED = "trained"
"""What is said of an arm that lacks nothing."""

FLAT, LAST = 0.01, 2 / 3
"""A curve is flat whose loss falls by no more than this share, as the mean over widths, from this share of the run on
(Prechelt 1998)."""


@dataclass(frozen=True)
class Checked:
    """Validation voices at one step of one run, sent at one width.

    Attributes
    ----------
    arm : str
    control : str
        What it differs by: ``random codec``, with which it began; ``wide``, with more weights in the code's network;
        ``… steps``, as many in place of the usual number.
    single : bool
        Trained for this width alone.
    sound : float or None
        Minutes of speech learned from; None: all there is.
    seed : int
    weights : int
        Numbers that were trained.
    hardware : str
    step : int
    minutes : float
        Of training until then.
    per_step : int
        Numbers of the code per step.
    loss : float
        Mean over the segments.
    pca : float
        The same through as many principal components.
    """

    arm: str
    control: str
    single: bool
    sound: float | None
    seed: int
    weights: int
    hardware: str
    step: int
    minutes: float
    per_step: int
    loss: float
    pca: float

    @property
    def run(self) -> tuple[object, ...]:
        """What names the run: of a single width, that width too."""
        return (self.arm, self.control, self.per_step if self.single else None, self.sound, self.seed)


def read(path: Path | None = None) -> list[Checked]:
    """Read the table of the project, or another one.

    Raises
    ------
    UserError
        It is not there; the sentence names the command that makes it.
    """
    return read_rows(Checked, path or project_root() / TABLE, COMMAND)


def runs(rows: Sequence[Checked]) -> dict[tuple[object, ...], list[Checked]]:
    """Rows of each run, in their order."""
    found: dict[tuple[object, ...], list[Checked]] = {}
    for row in rows:
        found.setdefault(row.run, []).append(row)
    return found


def main_run(rows: Sequence[Checked], arm: str) -> list[Checked]:
    """The run of an arm that was trained on everything, for every width, from the first seed; empty where none was."""
    wanted = [row for row in rows if row.arm == arm and not (row.control or row.single or row.sound)]
    first = min((row.seed for row in wanted), default=0)
    return [row for row in wanted if row.seed == first]


@dataclass(frozen=True)
class Verdict:
    """Whether one run counts as training.

    Attributes
    ----------
    gained, beats_pca : float
        Mean over widths of the share by which the loss is below its start, below principal components.
    everywhere, beats_everywhere : bool
        Whether it is so at every width.
    falling : float
        Share by which the loss fell in the last third.
    """

    gained: float
    everywhere: bool
    beats_pca: float
    beats_everywhere: bool
    falling: float

    @classmethod
    def of(cls, run: Sequence[Checked]) -> Verdict:
        """Of the rows of one run.

        Raises
        ------
        ValueError
            It was checked fewer than three times.
        """
        steps = sorted({row.step for row in run})
        if len(steps) < 3:
            raise ValueError("a run that was checked fewer than three times has no curve")
        third = max(step for step in steps if step <= LAST * steps[-1])
        first, before, last = (
            {row.per_step: row for row in run if row.step == step} for step in (steps[0], third, steps[-1])
        )
        gained = np.array([1 - one.loss / first[width].loss for width, one in last.items()])
        beaten = np.array([1 - one.loss / one.pca for one in last.values()])
        falling = np.mean([1 - one.loss / before[width].loss for width, one in last.items()])
        return cls(
            float(gained.mean()),
            bool((gained > 0).all()),
            float(beaten.mean()),
            bool((beaten > 0).all()),
            float(falling),
        )

    @property
    def flat(self) -> bool:
        """Whether longer training of this kind promises nothing."""
        return self.falling <= FLAT

    @property
    def rising(self) -> bool:
        """Whether the loss ends higher than it was: overfitting."""
        return self.falling < -FLAT

    @property
    def said(self) -> str:
        """:data:`TRAINED`, or what is lacking."""
        lacking = [
            sentence
            for holds, sentence in (
                (self.everywhere, "not better than its start at every width"),
                (self.beats_everywhere, "not better than principal components at every width"),
                (not self.rising, f"overfits (loss up by {-self.falling:.1%} in the last third)"),
                (self.flat, f"still falling (by {self.falling:.1%} in the last third)"),
            )
            if not holds
        ]
        return "; ".join(lacking) or TRAINED


def at(run: Sequence[Checked], minutes: float) -> dict[int, float]:
    """Losses of a run by width, at its last check within so many minutes of training.

    Raises
    ------
    ValueError
        There is none.
    """
    within = [row.step for row in run if row.minutes <= minutes]
    if not within:
        raise ValueError(f"nothing was checked within {minutes:g} minutes")
    last = max(within)
    return {row.per_step: row.loss for row in run if row.step == last}


def ratio(one: dict[int, float], other: dict[int, float]) -> float:
    """Geometric mean over the widths that both have of one's loss over the other's."""
    common = sorted(one.keys() & other.keys())
    if not common:
        raise ValueError("the runs have no width in common")
    return float(np.exp(np.mean([np.log(one[width] / other[width]) for width in common])))
