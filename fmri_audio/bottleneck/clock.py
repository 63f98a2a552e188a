"""The clock of a code: steps of equal length on the sound's own time, handed to TRs exactly.

A code that runs on the sound's clock serves every TR: a TR carries the steps whose centre lies in it. Both grids are
rationals, so nothing drifts, however long the run and whatever its TR.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

STEP = Fraction(3, 25)
"""Length of a step, 0.12 s: eight frames of the mel spectrogram (360 samples each at 24 kHz), nine of EnCodec's."""


@dataclass(frozen=True)
class Clock:
    """Steps of a code and the TRs that carry them.

    Attributes
    ----------
    tr : Fraction
        Seconds.
    step : Fraction
        Seconds.
    """

    tr: Fraction
    step: Fraction = STEP

    def __post_init__(self) -> None:
        if self.tr <= 0 or self.step <= 0:
            raise ValueError(f"a TR of {self.tr} s and a step of {self.step} s: both should be above 0")

    @property
    def per_tr(self) -> Fraction:
        """Steps that a TR carries on average."""
        return Fraction(self.tr / self.step)

    @property
    def most(self) -> int:
        """Steps that a TR carries at most."""
        return math.ceil(self.per_tr)

    def first(self, tr_index: int) -> int:
        """First step whose centre is not before the beginning of a TR."""
        return math.ceil(tr_index * self.per_tr - Fraction(1, 2))

    def steps(self, tr_index: int) -> range:
        """Steps whose centres lie in a TR, its beginning included and its end not."""
        return range(self.first(tr_index), self.first(tr_index + 1))

    def n_steps(self, n_trs: int) -> int:
        """Steps of so many TRs from the beginning of the sound."""
        return self.first(n_trs)

    def dimensions(self, per_tr: float) -> int:
        """Numbers per step that come nearest to so many numbers per TR; at least one.

        Parameters
        ----------
        per_tr : float
            Width asked for: numbers per TR.
        """
        if not per_tr > 0:
            raise ValueError(f"a width of {per_tr:g} numbers per TR: it should be above 0")
        return max(1, round(Fraction(per_tr) / self.per_tr))

    def width(self, dimensions: int) -> Fraction:
        """Numbers per TR, on average, of so many numbers per step."""
        return dimensions * self.per_tr

    def carried(self, code: NDArray[np.float32], n_trs: int) -> NDArray[np.float32]:
        """Write a code as one row per TR.

        Parameters
        ----------
        code : array, shape [S, d]
            A row per step from the beginning of the sound.
        n_trs : int

        Returns
        -------
        array, shape [n_trs, most · d]
            The steps of each TR one after the other; NaN where a TR carries a step less than others.

        Raises
        ------
        ValueError
            The code has fewer steps than these TRs.
        """
        if len(code) < self.n_steps(n_trs):
            raise ValueError(f"{n_trs} TRs carry {self.n_steps(n_trs)} steps, the code has {len(code)}")
        rows = np.full((n_trs, self.most, code.shape[1]), np.nan, np.float32)
        for index in range(n_trs):
            own = self.steps(index)
            rows[index, : len(own)] = code[own.start : own.stop]
        return rows.reshape(n_trs, -1)

    def told(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Read the code [S, d] from one row per TR [n_trs, most · d]: the inverse of :meth:`carried`."""
        per_step = rows.reshape(len(rows), self.most, -1)
        return np.concatenate([row[: len(self.steps(index))] for index, row in enumerate(per_step)])
