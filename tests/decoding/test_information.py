"""Bits where their number is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter

from fmri_audio.decoding.information import gaussian_bits, identification_bits
from fmri_audio.decoding.regression import FoldPrediction
from fmri_audio.study.splits import Split

N, GAP = 900, 12
RUNS = [(0, N)]
BLOCKS = [(0, 300), (300, 600), (600, 900)]


def splits() -> list[Split]:
    made = []
    for a, b in BLOCKS:
        train = tuple((x, y) for x, y in ((0, a - GAP), (b + GAP, N)) if y > x)
        runs = {"runs": ((0, N),)} if "runs" in Split.__dataclass_fields__ else {}
        made.append(Split(train, (a, b), train, (a, b), GAP, **runs))
    return made


def folds(true: np.ndarray, predicted: np.ndarray) -> list[FoldPrediction]:
    return [
        FoldPrediction(
            (a, b), predicted[a:b].astype(np.float32), true.mean(0), true.std(0), np.ones(true.shape[1])
        )
        for a, b in BLOCKS
    ]


def channel(r: float, carry: float, seed: int, n_components: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Features mixed from independent components, and predictions whose components correlate r with them."""
    rng = np.random.default_rng(seed)
    mix = rng.standard_normal((n_components, n_components))
    fresh = rng.standard_normal((2, N, n_components))
    true, noise = (lfilter([np.sqrt(1 - carry**2)], [1, -carry], x, axis=0) for x in fresh)
    predicted = r**2 * true + r * np.sqrt(1 - r**2) * noise
    return (true @ mix).astype(np.float32), predicted @ mix


@pytest.mark.parametrize("carry", [0.0, 0.7])
@pytest.mark.parametrize("r", [0.3, 0.6, 0.9])
def test_bits_of_a_gaussian_channel_are_recovered(r: float, carry: float) -> None:
    """Autocorrelation does not add bits: innovations are counted, not the same thing twice."""
    expected = -0.5 * 6 * np.log2(1 - r**2)
    pairs = [channel(r, carry, seed) for seed in range(3)]
    found = [gaussian_bits(folds(*pair), pair[0], splits(), RUNS, gap=GAP) for pair in pairs]
    assert abs(np.mean([one.value for one in found]) - expected) < 0.12 + 0.06 * expected
    assert all(one.p < 0.05 for one in found)


def test_no_bits_where_there_is_nothing_to_know() -> None:
    values = []
    for seed in range(20):
        true, _ = channel(0.5, 0.5, seed)
        _, other = channel(0.5, 0.5, 100 + seed)
        values.append(gaussian_bits(folds(true, other), true, splits(), RUNS, gap=GAP))
    assert abs(np.mean([one.value for one in values])) < 0.02
    assert np.mean([one.raw for one in values]) > 0, "without the correction there would seem to be some"
    assert np.mean([one.p <= 0.05 for one in values]) <= 0.25


def test_a_wrong_sign_is_not_knowledge() -> None:
    true, predicted = channel(0.8, 0.0, 0)
    assert gaussian_bits(folds(true, -predicted), true, splits(), RUNS, gap=GAP).value < 0


def test_fano() -> None:
    assert identification_bits(1.0, 8) == 3
    assert identification_bits(1 / 8, 8) == identification_bits(0.05, 8) == 0
    assert identification_bits(0.5, 2) == 0
    assert identification_bits(0.75, 2) == pytest.approx(1 - 0.8112781, abs=1e-6)
    with pytest.raises(ValueError, match="impossible"):
        identification_bits(1.2, 2)
