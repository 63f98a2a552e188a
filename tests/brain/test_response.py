"""The canonical response, the time that splits allow for it, and what it makes of TRs within a run."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from nilearn.glm.first_level import spm_hrf

from fmri_audio.brain.response import (
    RESPONSE_SECONDS,
    SAMPLED_SECONDS,
    canonical_response,
    response_matrix,
    response_trs,
    response_weights,
)

RATE = 100
TR = Fraction(3, 2)


def test_the_response_peaks_at_five_seconds_and_is_over_when_the_splits_say_so() -> None:
    response = canonical_response(RATE)
    assert response.sum() == pytest.approx(1)
    assert response.argmax() / RATE == pytest.approx(5, abs=0.05)
    # From its zero crossing on there is only the undershoot, a tenth of the peak.
    positive = np.flatnonzero(response > 1e-9)
    assert positive[-1] / RATE == pytest.approx(RESPONSE_SECONDS, abs=0.1)
    assert np.abs(response[positive[-1] + 1 :]).max() < 0.1 * response.max()


def test_the_response_is_that_of_nilearn_at_the_times_at_which_it_takes_it() -> None:
    """Its last sample is at 32 s and its first at 0, so that their spacing is a little more than stated."""
    theirs = spm_hrf(1 / RATE, oversampling=1)
    at = np.linspace(0, SAMPLED_SECONDS, len(theirs)) * RATE
    ours = np.interp(at, np.arange(len(theirs)), canonical_response(RATE))
    np.testing.assert_allclose(ours / ours.sum(), theirs / theirs.sum(), atol=1e-5)


@pytest.mark.parametrize(("tr", "trs"), [("3/2", 8), ("2", 6), ("0.72", 17), ("1", 12)])
def test_trs_of_the_response_are_rounded_up(tr: str, trs: int) -> None:
    assert response_trs(Fraction(tr)) == trs


@pytest.mark.parametrize("tr", ["0.72", "1.5", "2"])
def test_weights_sum_to_one_and_peak_five_seconds_after_the_sound(tr: str) -> None:
    weights = response_weights(Fraction(tr))
    assert weights.sum() == pytest.approx(1)
    assert abs(weights.argmax() * float(Fraction(tr)) - 5) <= float(Fraction(tr)) / 2 + 0.1
    assert weights.min() < 0  # the undershoot


def test_weights_are_the_response_integrated_around_each_volume() -> None:
    fine = canonical_response(1000)
    for m in (0, 2, 7):
        first, last = max(0, round((m - 0.5) * 1500)), round((m + 0.5) * 1500)
        assert response_weights(TR)[m] == pytest.approx(fine[first:last].sum(), abs=2e-3)


def test_a_shifted_study_answers_earlier_by_its_shift() -> None:
    peaks = {}
    for shift in (0, 3):
        answer = response_matrix([(0, 40)], TR, shift) @ np.eye(40)[10]
        peaks[shift] = int(answer.argmax())
    assert peaks[0] == 10 + response_weights(TR).argmax()
    assert peaks[3] == peaks[0] - 3


def test_no_volume_answers_what_comes_later_or_in_another_run() -> None:
    matrix = response_matrix([(0, 30), (30, 20)], TR, 0)
    assert matrix.shape == (50, 50)
    assert not np.triu(matrix, 1).any()
    assert not matrix[30:, :30].any() and not matrix[:30, 30:].any()
    np.testing.assert_array_equal(matrix[30:, 30:], matrix[:20, :20])
