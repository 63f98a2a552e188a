"""Frames on the grid of TRs: none is lost, none drifts."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from fmri_audio.base.errors import UserError
from fmri_audio.compat.grid import Grid, exact_tr
from tests.compat.conftest import stream_of_codes

GRID = Grid(Fraction(3, 2), Fraction(75))


def test_two_trs_are_225_frames_and_920_do_not_drift() -> None:
    assert (GRID.width, GRID.cropped_width, GRID.n_frames(2), GRID.n_frames(920)) == (113, 112, 225, 103_500)
    codes = stream_of_codes(920, 2)
    rows = GRID.cut(codes, 920)
    assert rows.shape == (920, 2, 113)
    assert np.array_equal(GRID.join(rows), codes)
    table = GRID.table(920)
    assert list(table["first_frame"]) == [225 * k // 2 for k in range(920)]
    assert table["start_time"].iloc[-1] == 1378.5 and table["end_time"].iloc[-1] == 1380.0
    assert np.array_equal(rows[919], codes[:, -113:])


@pytest.mark.parametrize("first_tr", [1, 26, 27])
def test_rows_from_any_tr_on_are_joined_to_the_frames_that_they_came_from(first_tr: int) -> None:
    codes = stream_of_codes(40, 4)
    rows = GRID.cut(codes, 40)[first_tr : first_tr + 7]
    later = Grid(GRID.tr, GRID.frame_rate, first_tr)
    start = 225 * first_tr // 2
    joined = later.join(rows)
    assert np.array_equal(joined, codes[:, start : start + joined.shape[1]])
    assert list(later.table(7)["tr_index"]) == list(range(first_tr, first_tr + 7))


def test_a_tr_of_whole_frames_loses_nothing_when_cropped() -> None:
    grid = Grid(Fraction(2), Fraction(75))
    assert grid.width == grid.cropped_width == 150
    assert grid.n_missing(100) == 0


def test_cropped_rows_are_put_at_their_own_time() -> None:
    codes = stream_of_codes(920, 1)
    starts = GRID.first_frames(920)
    rows = np.stack([codes[:, start : start + 112] for start in starts])
    placed = GRID.place(rows)
    differs = np.flatnonzero((placed != codes).any(axis=0))
    assert placed.shape == codes.shape and GRID.n_missing(920) == 460
    assert set(differs) <= set(range(224, 103_500, 225))  # the last frame of every second TR
    assert np.array_equal(placed[:, 224::225], codes[:, 223::225])


@pytest.mark.parametrize("value", [1.5, "1.5", "3/2", np.float64(1.5), Fraction(3, 2)])
def test_a_tr_is_the_number_that_is_written(value: object) -> None:
    assert exact_tr(value, "tr") == Fraction(3, 2)
    assert exact_tr(0.71, "tr") == Fraction(71, 100)


@pytest.mark.parametrize("value", [0, -1.5, "long", float("nan"), 1500, None])
def test_what_is_no_tr_is_one_sentence(value: object) -> None:
    with pytest.raises(UserError, match="tr_length: .* is no repetition time; give seconds such as 1.5"):
        exact_tr(value, "tr_length")
