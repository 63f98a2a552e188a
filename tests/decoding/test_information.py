"""Bits where their number is known."""

from __future__ import annotations

import pytest

from fmri_audio.decoding.information import identification_bits


def test_fano() -> None:
    assert identification_bits(1.0, 8) == 3
    assert identification_bits(1 / 8, 8) == identification_bits(0.05, 8) == 0
    assert identification_bits(0.5, 2) == 0
    assert identification_bits(0.75, 2) == pytest.approx(1 - 0.8112781, abs=1e-6)
    with pytest.raises(ValueError, match="impossible"):
        identification_bits(1.2, 2)
