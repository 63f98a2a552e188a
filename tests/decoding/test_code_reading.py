"""A code read from BOLD: as much as is there is found, and trusted as far as it goes."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from fmri_audio.brain.response import response_matrix
from fmri_audio.decoding.code_reading import as_measured, calibrated, read_code

TR, LAGS = Fraction(3, 2), (2, 3, 4, 5)


def heard(
    seed: int, noise: float, n_trs: int = 400, n: int = 6, voxels: int = 30
) -> tuple[np.ndarray, np.ndarray]:
    """Numbers that change within some TRs, and BOLD of voxels that follow all but the last of them."""
    rng = np.random.default_rng(seed)
    white = rng.standard_normal((n_trs + 8, n))
    numbers = np.apply_along_axis(lambda x: np.convolve(x, np.ones(9), "valid"), 0, white) / 3
    mixing = rng.standard_normal((n, voxels))
    mixing[-1] = 0
    signal = response_matrix([(0, n_trs)], TR, 0) @ numbers @ mixing
    return numbers.astype(np.float32), (signal + noise * rng.standard_normal(signal.shape)).astype(np.float32)


def apart(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.square(a - b).mean(axis=0) / np.square(b).mean(axis=0)


def test_what_is_there_is_found_and_trusted_as_far_as_it_goes() -> None:
    numbers, bold = heard(0, 2.0)
    found = read_code([as_measured(bold, TR)], numbers, [(0, 400)], tr=TR, windows=[LAGS], shift=0, n_folds=4)
    inside = np.flatnonzero(found.reliability.any(axis=1))
    error = apart(found.mean[inside], numbers[inside])
    trusted = found.reliability[inside].mean(axis=0)
    assert (trusted[:-1] > 0.2).all() and trusted[-1] < 0.1
    np.testing.assert_allclose(error, 1 - trusted, atol=0.15)
    assert len(inside) > 380


def test_training_chooses_the_window_in_which_volumes_answer() -> None:
    numbers, bold = heard(0, 2.0)
    windows = [(-4, -3), LAGS, (9, 10)]
    found, known = (
        read_code([as_measured(bold, TR)], numbers, [(0, 400)], tr=TR, windows=given, shift=0, n_folds=4)
        for given in (windows, [LAGS])
    )
    assert found.chosen == [LAGS] * 4
    assert found.reliability.mean() == pytest.approx(known.reliability.mean(), rel=0.1)


def test_several_brains_tell_more_than_one() -> None:
    numbers, first = heard(0, 6.0)
    others = [
        first + 6 * np.random.default_rng(k).standard_normal(first.shape).astype(np.float32) for k in range(5)
    ]
    one = read_code(
        [as_measured(others[0], TR)], numbers, [(0, 400)], tr=TR, windows=[LAGS], shift=0, n_folds=3
    )
    five = read_code(
        [as_measured(one, TR) for one in others],
        numbers,
        [(0, 400)],
        tr=TR,
        windows=[LAGS],
        shift=0,
        n_folds=3,
    )
    assert five.reliability.mean() > one.reliability.mean()


def test_noise_tells_nothing_and_is_not_trusted() -> None:
    numbers, _ = heard(1, 1.0)
    bold = np.random.default_rng(8).standard_normal((400, 30)).astype(np.float32)
    found = read_code([as_measured(bold, TR)], numbers, [(0, 400)], tr=TR, windows=[LAGS], shift=0, n_folds=3)
    assert found.reliability.mean() < 0.02
    assert np.square(found.mean).mean() < 0.05


def test_held_out_numbers_are_never_read() -> None:
    numbers, bold = heard(2, 2.0)
    other = numbers.copy()
    other[120:140] = 99.0
    one, changed = (
        read_code([as_measured(bold, TR)], given, [(0, 400)], tr=TR, windows=[LAGS], shift=0, n_folds=4)
        for given in (numbers, other)
    )
    held = slice(118, 145)  # lies within one fold, which starts before and ends after it
    np.testing.assert_array_equal(one.mean[held], changed.mean[held])
    assert not np.array_equal(one.mean[300:], changed.mean[300:])


def test_a_gain_turns_predictions_into_posterior_means() -> None:
    rng = np.random.default_rng(0)
    true = rng.standard_normal((20_000, 3))
    predicted = np.stack(
        [3 * (true[:, 0] + rng.standard_normal(20_000)), -true[:, 1], 0 * true[:, 2]], axis=1
    )
    gain, known = calibrated(predicted, true)
    assert known == pytest.approx([0.5, 0, 0], abs=0.02)
    assert gain == pytest.approx([1 / 6, 0, 0], abs=0.01)
