"""Steps of a code and the TRs that carry them."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmri_audio.bottleneck.clock import STEP, Clock

TRS = [Fraction(3, 2), Fraction(2), Fraction(71, 100)]


@pytest.mark.parametrize("tr", TRS)
def test_nothing_drifts_over_a_whole_film(tr):
    clock = Clock(tr)
    last = clock.steps(1975)
    assert abs((last.stop - Fraction(1, 2)) * STEP - 1976 * tr) <= STEP  # the edge of the last TR, to a step
    assert clock.n_steps(1976) == last.stop


@pytest.mark.parametrize("tr", TRS)
def test_every_step_is_carried_once_by_the_tr_that_holds_its_centre(tr):
    clock, seen = Clock(tr), []
    for index in range(200):
        for step in clock.steps(index):
            assert index * tr <= (step + Fraction(1, 2)) * STEP < (index + 1) * tr
            seen.append(step)
        assert len(clock.steps(index)) in (clock.most, clock.most - 1)
    assert seen == list(range(clock.n_steps(200)))


@given(
    tr=st.fractions(Fraction(1, 10), 4, max_denominator=200),
    n_trs=st.integers(1, 40),
    width=st.integers(1, 5),
)
def test_rows_of_trs_hold_the_code_whole(tr, n_trs, width):
    clock = Clock(tr)
    code = np.random.default_rng(0).standard_normal((clock.n_steps(n_trs) + 3, width)).astype(np.float32)
    rows = clock.carried(code, n_trs)
    assert rows.shape == (n_trs, clock.most * width)
    np.testing.assert_array_equal(clock.told(rows), code[: clock.n_steps(n_trs)])


def test_widths_are_rounded_to_the_grid():
    clock = Clock(Fraction(3, 2))
    assert {n: float(clock.width(clock.dimensions(n))) for n in (16, 128, 256, 512, 844, 2048)} == {
        16: 12.5,
        128: 125,
        256: 250,
        512: 512.5,
        844: 850,
        2048: 2050,
    }
    assert clock.dimensions(1) == 1


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="both should be above 0"):
        Clock(Fraction(0))
    with pytest.raises(ValueError, match="above 0"):
        Clock(Fraction(2)).dimensions(0)
    with pytest.raises(ValueError, match="4 TRs carry 50 steps, the code has 49"):
        Clock(Fraction(3, 2)).carried(np.zeros((49, 2), np.float32), 4)
