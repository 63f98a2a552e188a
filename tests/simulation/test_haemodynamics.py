"""Haemodynamic responses: when they peak, where runs begin, what drift leaves."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fmri_audio.brain import cleaning
from fmri_audio.simulation.haemodynamics import (
    CANONICAL,
    DISPERSION_BOUND,
    LATENCY_BOUND,
    Haemodynamics,
    above_drift,
    drift_basis,
    responses,
    unit,
)
from fmri_audio.sound.acoustics import FEATURE_RATE
from fmri_audio.study.facts import Run

TR = Fraction(3, 2)


def runs_of(*counts: int) -> list[Run]:
    return [Run(name=str(i + 1), first_tr=sum(counts[:i]), n_trs=n) for i, n in enumerate(counts)]


def peak(haemodynamics: Haemodynamics) -> float:
    return float(haemodynamics.kernel().argmax() / FEATURE_RATE)


def test_the_canonical_response_peaks_after_five_seconds_and_undershoots() -> None:
    kernel = CANONICAL.kernel()
    assert_allclose(kernel.sum(), 1)
    assert abs(peak(CANONICAL) - 5) < 0.05
    assert 13 < kernel.argmin() / FEATURE_RATE < 18
    assert kernel.min() < 0


def test_latency_delays_and_dispersion_widens() -> None:
    assert_allclose(peak(Haemodynamics(latency=0.7)) - peak(CANONICAL), 0.7, atol=0.05)
    assert_allclose(peak(Haemodynamics(latency=-0.7)) - peak(CANONICAL), -0.7, atol=0.05)
    assert_allclose(peak(Haemodynamics(dispersion=1.1)) / peak(CANONICAL), 1.1, atol=0.01)


def test_subjects_responses_scatter_around_the_canonical_one() -> None:
    drawn = [Haemodynamics.draw(np.random.default_rng(seed)) for seed in range(400)]
    latency = np.array([one.latency for one in drawn])
    width = np.log([one.dispersion for one in drawn])
    assert abs(latency.mean()) < 0.06 and 0.3 < latency.std() < 0.45 and abs(latency).max() <= LATENCY_BOUND
    assert (
        abs(width.mean()) < 0.01 and 0.04 < width.std() < 0.07 and abs(width).max() < DISPERSION_BOUND + 1e-9
    )


def test_volumes_are_shifted_by_three_trs() -> None:
    click = np.zeros((1, 20 * 3 * FEATURE_RATE // 2))
    click[0, : FEATURE_RATE // 2] = 1
    rows = responses(click, runs_of(20), TR)
    # Half a second of sound, so its middle is at .25 s; row k was acquired in the middle of TR k + 3.
    assert rows[:, 0].argmax() == round((peak(CANONICAL) + 0.25) / 1.5 - 3.5)


def test_each_run_starts_from_rest() -> None:
    values = np.random.default_rng(0).uniform(size=(2, 20 * 3 * FEATURE_RATE // 2))
    twice = responses(values, runs_of(10, 10), TR)
    alone = responses(values[:, values.shape[1] // 2 :], runs_of(10), TR)
    assert_allclose(twice[10:], alone, atol=1e-12)
    assert not np.allclose(responses(values, runs_of(20), TR)[10:], alone, atol=0.1)


@pytest.mark.parametrize("n_trs", [2, 30, 100, 240])
def test_cleaning_takes_what_the_basis_spans_and_leaves_what_is_above_it(n_trs: int) -> None:
    rng = np.random.default_rng(0)
    basis = drift_basis(n_trs, TR)
    assert_allclose(basis.T @ basis, np.eye(basis.shape[1]), atol=1e-12)
    signal = above_drift(rng.standard_normal((n_trs, 4)), runs_of(n_trs), TR)
    assert abs(basis.T @ signal).max() < 1e-10
    if n_trs >= 3:
        slow = basis @ rng.standard_normal((basis.shape[1], 4))
        cleaned = cleaning.clean_blocks(signal + 20 * slow, [(0, n_trs)], TR)
        assert_allclose(cleaned, signal, atol=2e-3)


def test_drift_is_taken_from_every_run_by_itself() -> None:
    course = np.random.default_rng(0).standard_normal((150, 3))
    both = above_drift(course, runs_of(60, 90), TR)
    assert_allclose(both[60:], above_drift(course[60:], runs_of(90), TR))


def test_a_course_that_does_not_vary_stays_nothing() -> None:
    x = np.stack([np.full(10, 3.0), np.arange(10.0)], axis=1)
    assert_allclose(unit(x).std(axis=0), [0, 1])
