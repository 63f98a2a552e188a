"""Where the frames of a sound lie within TRs, as rows of one width."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from fmri_audio.base import timeline
from fmri_audio.base.errors import UserError
from fmri_audio.base.settings import LONGEST_TR, SHORTEST_TR, ExactSeconds


@dataclass(frozen=True)
class Grid:
    """Consecutive TRs and the frames that they touch (:mod:`fmri_audio.base.timeline`).

    Attributes
    ----------
    tr : Fraction
        Seconds.
    frame_rate : Fraction
        Frames per second.
    first_tr : int
        TR of the first row: it decides where half frames fall.
    """

    tr: Fraction
    frame_rate: Fraction
    first_tr: int = 0

    @property
    def width(self) -> int:
        """Frames of a row, as many as a TR touches at most: 113 for 1.5 s at 75 Hz."""
        return timeline.frames_per_tr(self.tr, self.frame_rate)

    @property
    def cropped_width(self) -> int:
        """Frames of a row where a fraction of a frame is cut off: 112 for 1.5 s at 75 Hz."""
        return math.floor(self.tr * self.frame_rate)

    def n_frames(self, n_trs: int) -> int:
        """How many frames so many TRs touch together: 225 for two of 1.5 s at 75 Hz."""
        return timeline.n_frames_of_trs(n_trs, self.tr, self.frame_rate, self.first_tr)

    def first_frames(self, n_trs: int) -> NDArray[np.int64]:
        """First frame of every TR, counted from the beginning of the sound, [n_trs]."""
        rows = range(self.first_tr, self.first_tr + n_trs)
        return np.array([timeline.frames_of_tr(row, self.tr, self.frame_rate).first for row in rows])

    def cut(self, frames: NDArray[Any], n_trs: int) -> NDArray[Any]:
        """Cut frames [C, L], from the first TR's first one on, into rows [n_trs, C, width]."""
        rows = timeline.cut_trs(frames, n_trs, self.tr, self.frame_rate, self.first_tr)
        return np.ascontiguousarray(rows)

    def join(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Join rows [n_trs, C, width] to frames [C, L]: the inverse of :meth:`cut`."""
        return timeline.join_trs(rows, self.tr, self.frame_rate, self.first_tr)

    def place(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Put rows that were cropped, [n_trs, C, cropped_width], at their own time: frames [C, L].

        A frame that no row has repeats the one before it.
        """
        n_trs, channels, cropped = rows.shape
        frames = np.empty((channels, self.n_frames(n_trs)), rows.dtype)
        starts = self.first_frames(n_trs)
        for start, row in zip(starts - starts[0], rows, strict=True):
            frames[:, start:] = row[:, -1:]
            frames[:, start : start + cropped] = row
        return frames

    def n_missing(self, n_trs: int) -> int:
        """How many frames of so many TRs no cropped row has."""
        starts = self.first_frames(n_trs)
        held = np.zeros(self.n_frames(n_trs), bool)
        for start in starts - starts[0]:
            held[start : start + self.cropped_width] = True
        return int((~held).sum())

    def table(self, n_trs: int, **columns: Any) -> pd.DataFrame:
        """When every TR begins and ends (s), and which frames its row has; ``columns`` are the same for all."""
        indices = range(self.first_tr, self.first_tr + n_trs)
        return pd.DataFrame(
            {
                "tr_index": indices,
                "start_time": [float(index * self.tr) for index in indices],
                "end_time": [float((index + 1) * self.tr) for index in indices],
                "n_frames": self.width,
                **columns,
                "first_frame": self.first_frames(n_trs),
            }
        )


def exact_tr(value: object, name: str) -> Fraction:
    """Return a repetition time in seconds (1.5, "1.5" or "3/2") as the rational that it is written as.

    Raises
    ------
    UserError
        It is no number, or no repetition time; ``name`` begins the sentence.
    """
    try:
        tr = TypeAdapter(ExactSeconds).validate_python(value)
    except ValidationError:
        tr = Fraction(0)
    if not SHORTEST_TR <= tr <= LONGEST_TR:
        raise UserError(f"{name}: {value!r} is no repetition time; give seconds such as 1.5")
    return tr
