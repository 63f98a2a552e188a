"""What the table of :mod:`fmri_audio.experiments.scaling` says: single cells, and where a target is reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fmri_audio.base.rows import read_rows
from fmri_audio.base.settings import VOXELS, project_root
from fmri_audio.experiments.calibration import ALPHA
from fmri_audio.experiments.scaling import TABLE, Cell

#: Quantities of the table, in words.
QUANTITIES = {
    "pairwise": "pairs, same kind and loudness",
    "ten_way": "one of ten, any distractor",
    "correlation": "correlation of predicted with true latents",
    "power": f"power at p ≤ {ALPHA:g}",
}


def read(path: Path | None = None) -> list[Cell]:
    """Read the table of the project, or another one.

    Raises
    ------
    UserError
        It is not there.
    """
    return read_rows(Cell, path or project_root() / TABLE, "make scaling")


@dataclass(frozen=True)
class Span:
    """One figure with all models of a voxel, from the lowest to the highest.

    Attributes
    ----------
    low, high : float
    ci_low, ci_high : float
        The lower bound of the lowest, the upper of the highest.
    n : int
        Studies of each model.
    """

    low: float
    high: float
    ci_low: float
    ci_high: float
    n: int

    @property
    def middle(self) -> float:
        """Half way."""
        return (self.low + self.high) / 2

    @property
    def said(self) -> str:
        """In words."""
        return f"{self.low:.2f} to {self.high:.2f} ({self.ci_low:.2f} to {self.ci_high:.2f})"


def span(cells: Sequence[Cell], minutes: int, subjects: int, decoder: str, quantity: str) -> Span:
    """Find one figure with every model of a voxel.

    Raises
    ------
    KeyError
        The table lacks one of them, or has it twice.
    """
    asked = (minutes, subjects, decoder, quantity)
    found = [one for one in cells if (one.minutes, one.subjects, one.decoder, one.quantity) == asked]
    if sorted(one.voxels for one in found) != sorted(VOXELS):
        raise KeyError(f"{asked}: there are {', '.join(one.voxels for one in found) or 'none'}")
    return Span(
        min(one.value for one in found),
        max(one.value for one in found),
        min(one.ci_low for one in found),
        max(one.ci_high for one in found),
        found[0].n,
    )


def change(
    cells: Sequence[Cell], to: tuple[int, int, str], since: tuple[int, int, str], quantity: str = "pairwise"
) -> str:
    """Say by how much a figure changes from one (minutes, subjects, decoder) to another, with each model of a voxel.

    Raises
    ------
    KeyError
        The table lacks a figure.
    """
    by: dict[tuple[str, int, int, str], float] = {
        (one.voxels, one.minutes, one.subjects, one.decoder): one.value
        for one in cells
        if one.quantity == quantity
    }
    found = [by[name, *to] - by[name, *since] for name in VOXELS]
    return f"{min(found):+.2f} to {max(found):+.2f}"


def cheapest(cells: list[Cell], quantity: str, target: float) -> Cell | None:
    """Find the cell with the fewest minutes of scanning, over all subjects, whose whole interval reaches a target.

    Of cells that cost the same, the one with the higher value; None where no cell reaches the target.
    """
    reach = [one for one in cells if one.quantity == quantity and one.ci_low >= target]
    return min(reach, key=lambda one: (one.minutes * one.subjects, -one.value), default=None)


def in_words(one: Cell) -> str:
    """Name a cell and what it has, for a sentence."""
    return (
        f"{one.subjects} subject{'' if one.subjects == 1 else 's'} and {one.minutes} min ({one.decoder} decoder, "
        f"{one.value:.2f}, {one.ci_low:.2f} to {one.ci_high:.2f})"
    )


def where_reached(cells: list[Cell], quantity: str, target: float) -> str:
    """Say where a target is reached with each model of a voxel, or how near the best cell comes."""
    return "; ".join(
        f"with {name} voxels it {_reached([one for one in cells if one.voxels == name], quantity, target)}"
        for name in VOXELS
    )


def _reached(cells: list[Cell], quantity: str, target: float) -> str:
    found = cheapest(cells, quantity, target)
    if found is not None:
        return f"is reached first with {in_words(found)}"
    best = max((one for one in cells if one.quantity == quantity), key=lambda one: one.value)
    return f"is reached in no cell; the best is {in_words(best)}"
