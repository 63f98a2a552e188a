"""The response on the TR grid delays and blurs by what is stated, within a run."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from fmri_audio.bottleneck.response import response_matrix, response_weights
from fmri_audio.simulation.haemodynamics import CANONICAL

TR = Fraction(3, 2)


@pytest.mark.parametrize("tr", ["0.72", "1.5", "2"])
def test_weights_sum_to_one_and_peak_five_seconds_after_the_sound(tr: str) -> None:
    weights = response_weights(Fraction(tr))
    assert weights.sum() == pytest.approx(1)
    assert abs(weights.argmax() * float(Fraction(tr)) - 5) <= float(Fraction(tr)) / 2 + 0.1
    assert weights.min() < 0  # the undershoot


def test_weights_are_the_response_integrated_around_each_volume() -> None:
    fine = CANONICAL.kernel(1000)
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
