"""Tests of held-out correlations: the map of the sound is ridge regression, and replacements keep what they should."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from fmri_audio.decoding import turning
from fmri_audio.decoding.regression import cleaned_for, fit_ridge
from fmri_audio.decoding.series import Pipeline
from fmri_audio.study.lag_windows import lagged

TR = Fraction(2)
RUNS = [(0, 120), (120, 230), (230, 360)]
PIPELINE = Pipeline(columns=6)


def reader(bold: np.ndarray) -> turning.Reader:
    return turning.Reader.of(
        lambda split: cleaned_for(bold, split, TR, None),
        PIPELINE.splits(RUNS, TR, 0),
        lags=PIPELINE.lags(TR),
        shift=0,
        penalty=100.0,
    )


@pytest.fixture(scope="module")
def bold() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((360, 6)).cumsum(axis=0).astype(np.float32)


def test_the_map_of_the_sound_is_ridge_regression(bold: np.ndarray) -> None:
    sounds = np.random.default_rng(1).standard_normal((360, 3))
    one = reader(bold)
    for split, found in zip(one.splits, one.read(sounds), strict=True):
        clean = cleaned_for(bold, split, TR, None)
        train, test = (lagged(clean, rows, PIPELINE.lags(TR), 0) for rows in (split.train, split.test))
        mean = train.mean(axis=0)
        ridge = fit_ridge(train - mean, sounds[split.train], split.train, n_folds=3, gap=2, alphas=[100.0])
        assert found == pytest.approx(ridge.predict(test - mean), abs=1e-4)


def test_what_is_held_out_changes_nothing_but_its_own_reading(bold: np.ndarray) -> None:
    """Neither BOLD nor sound of a held-out TR changes what is read of another, but for the block's own filter."""
    split = PIPELINE.splits(RUNS, TR, 0)[1]
    lags = PIPELINE.lags(TR)
    clean = cleaned_for(bold, split, TR, None)
    other = clean.copy()
    late = np.arange(split.bold_test[1] - 20, split.bold_test[1])
    other[late] += 5
    sound = np.random.default_rng(2).standard_normal((360, 1))
    louder = sound.copy()
    louder[split.test] *= 3
    (a,), (b,) = (
        turning.Reader.of(lambda _, one=one: one, [split], lags=lags, shift=0).read(heard)  # type: ignore[misc]
        for one, heard in ((clean, sound), (other, louder))
    )
    read_late = np.isin(split.test[:, None] + np.array(lags), late).any(axis=1)
    assert np.array_equal(a[~read_late], b[~read_late]) and not np.allclose(a[read_late], b[read_late])


def test_the_mean_of_readers_predicts_the_mean(bold: np.ndarray) -> None:
    sounds = np.random.default_rng(1).standard_normal((360, 3))
    several = [reader(bold), reader(bold[::-1].copy())]
    means = turning.Reader.mean(several).read(sounds)
    for k, found in enumerate(means):
        assert found == pytest.approx(np.mean([one.read(sounds)[k] for one in several], axis=0))


def test_the_penalty_is_the_number_of_predictors_unless_given(bold: np.ndarray) -> None:
    splits, lags = PIPELINE.splits(RUNS, TR, 0), PIPELINE.lags(TR)
    one, other = (
        turning.Reader.of(
            lambda split: cleaned_for(bold, split, TR, None), splits, lags=lags, shift=0, penalty=penalty
        )
        for penalty in (None, 6.0 * len(lags))
    )
    assert one.hats[0] == pytest.approx(other.hats[0])


def test_a_sound_beside_itself_has_the_correlation_of_by_hand(bold: np.ndarray) -> None:
    sound = np.random.default_rng(2).standard_normal(360)
    one = reader(bold)
    shifts = np.array([30, 41])
    turned = one.turned(sound, shifts)
    assert turned[:, 0] == pytest.approx(one.correlations(sound[:, None])[:, 0])
    predicted = one.read(sound[:, None])[1][:, 0]
    rolled = np.roll(sound[one.splits[1].test], 41)
    assert turned[1, 2] == pytest.approx(np.corrcoef(predicted, rolled)[0, 1])


def test_replacements_keep_the_runs_and_what_they_promise() -> None:
    rng = np.random.default_rng(3)
    sound = np.convolve(rng.standard_normal(400), np.hanning(9), "same")[:360] + 5
    turned = turning.turned_round(sound, RUNS, np.array([40, 50]))
    phases = turning.other_phases(sound, RUNS, rng)
    blocks = turning.other_order(20)(sound, RUNS, rng)
    for first, last in RUNS:
        own = sound[first:last]
        assert np.array_equal(turned[first:last, 1], np.roll(own, 50))
        assert np.sort(blocks[first:last]) == pytest.approx(np.sort(own))
        power = np.abs(np.fft.rfft(phases[first:last]))
        assert power == pytest.approx(np.abs(np.fft.rfft(own)), rel=1e-6, abs=1e-6)
        assert abs(np.corrcoef(phases[first:last], own)[0, 1]) < 0.6
    assert not np.array_equal(blocks, sound)


def test_shifts_leave_a_gap_on_both_sides() -> None:
    shifts = turning.shifts_of(RUNS, 20)
    assert shifts[0] == 21 and shifts[-1] == 110 - 20 - 1


def test_p_counts_the_true_pairing() -> None:
    assert turning.p_value(np.zeros(19), 1.0) == 0.05 and turning.p_value(np.ones(19), 1.0) == 1.0
