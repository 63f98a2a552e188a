"""The canonical response and the time that splits allow for it."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from fmri_audio.brain.response import RESPONSE_SECONDS, canonical_response, response_trs

RATE = 100


def test_the_response_peaks_at_five_seconds_and_is_over_when_the_splits_say_so() -> None:
    response = canonical_response(RATE)
    assert response.sum() == pytest.approx(1)
    assert response.argmax() / RATE == pytest.approx(5, abs=0.05)
    # From its zero crossing on there is only the undershoot, a tenth of the peak.
    positive = np.flatnonzero(response > 1e-9)
    assert positive[-1] / RATE == pytest.approx(RESPONSE_SECONDS, abs=0.1)
    assert np.abs(response[positive[-1] + 1 :]).max() < 0.1 * response.max()


@pytest.mark.parametrize(("tr", "trs"), [("3/2", 8), ("2", 6), ("0.72", 17), ("1", 12)])
def test_trs_of_the_response_are_rounded_up(tr: str, trs: int) -> None:
    assert response_trs(Fraction(tr)) == trs
