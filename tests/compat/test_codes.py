"""What is none of the codes is said, left out or refused."""

from __future__ import annotations

import warnings
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from fmri_audio.base.errors import UserError
from fmri_audio.compat import refuse_regression
from fmri_audio.compat.codes import as_codes
from fmri_audio.compat.grid import Grid
from tests.compat.conftest import as_they_cut, stream_of_codes

GRID, CODEC = Grid(Fraction(3, 2), Fraction(75)), (32, 1024)


def read(
    features: NDArray[np.generic], n_codebooks: int | None = None, frames: int | None = None
) -> np.ndarray:
    return as_codes(features, GRID, n_codebooks, frames, CODEC)


@pytest.mark.parametrize("n_codebooks", [2, 4, 8, 16, 32])
def test_flat_rows_and_rows_of_codebooks_are_the_same_codes(n_codebooks: int) -> None:
    rows = GRID.cut(stream_of_codes(6, n_codebooks), 6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for features in (rows, rows.reshape(6, -1), rows.astype(np.int16)):
            assert np.array_equal(read(features), rows)
        assert np.array_equal(read(rows.reshape(6, -1), n_codebooks), rows)
        assert np.array_equal(read(rows.reshape(6, -1), n_codebooks, 113), rows)


def test_codebooks_filled_with_zeros_are_left_out_with_a_warning() -> None:
    codes = stream_of_codes(6, 4)
    rows = np.concatenate([GRID.cut(codes, 6), np.zeros((6, 4, 113), np.int64)], axis=1)
    with pytest.warns(
        UserWarning, match="of 8 codebooks only the first 4 hold codes, codebook 5 is filled with zeros"
    ):
        found = read(rows)
    assert np.array_equal(GRID.join(found), codes)


def test_trs_filled_with_zeros_are_warned_of() -> None:
    rows = GRID.cut(stream_of_codes(6, 2), 6)
    rows[3:] = 0
    with pytest.warns(UserWarning, match="3 TRs, from TR 3 on, have a codebook filled with zeros"):
        assert np.array_equal(read(rows), rows)
    with pytest.raises(UserError, match="the first codebook is filled with zeros; encode the sound again"):
        read(np.zeros_like(rows))


def test_rows_of_112_frames_are_put_on_the_grid_with_a_warning() -> None:
    codes = stream_of_codes(920, 2)
    said = (
        "112 frames stand for 112.5, so that 920 TRs put end to end are 6.13 s short; .* 460 missing frames"
    )
    with pytest.warns(UserWarning, match=said):
        found = read(as_they_cut(codes, 920, 2))
    assert found.shape == (920, 2, 113)
    assert np.array_equal(found[918, :, :112], codes[:, 103_275 : 103_275 + 112])


@pytest.mark.parametrize(
    ("features", "arguments", "sentence"),
    [
        (np.ones((3, 900), np.int64), (None, None), "no codes have the shape"),
        (np.ones((3, 452), np.int64), (8, 112), "no codes with 8 codebooks of 112 frames have the shape"),
        (np.ones((3, 452), np.int64), (7, None), "no codes with 7 codebooks have the shape"),
        (np.ones((3, 4, 113), np.int64), (8, None), "no codes with 8 codebooks have the shape"),
        (np.ones((0, 452), np.int64), (None, None), "no codes have the shape"),
        (np.ones(452, np.int64), (None, None), "no codes have the shape"),
        (
            np.ones((3, 8 * 56), np.int64),
            (8, 56),
            "rows of 56 frames are no TRs of 1.5 s, which are 112.5 frames",
        ),
        (np.full((3, 226), 1024), (None, None), "codes should be from 0 to 1023, found 1024 to 1024"),
        (np.full((3, 226), -1), (None, None), "codes should be from 0 to 1023, found -1 to -1"),
        (
            np.ones((3, 33 * 113), np.int64),
            (None, None),
            "33 codebooks are more than the 32 that the codec has",
        ),
    ],
)
def test_what_are_no_codes_is_one_sentence(
    features: np.ndarray, arguments: tuple[int | None, int | None], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        read(features, *arguments)


def test_regression_on_codes_is_refused_with_what_to_use_instead() -> None:
    sentence = (
        "codes are names of codebook entries and no amounts, so that nothing can be regressed on them; regress on "
        r"the latents \(AudioProcessor.audio_to_latents\), or predict each code as a class of its codebook "
        r"\(cross-entropy\)$"
    )
    with pytest.raises(UserError, match=f"^audio: {sentence}"):
        refuse_regression(np.ones((3, 226), np.int32), "audio")
    with pytest.raises(UserError, match=f"^features: these are float32, and {sentence}"):
        read(np.ones((3, 226), np.float32))
    refuse_regression(np.ones((3, 128, 113), np.float32))
