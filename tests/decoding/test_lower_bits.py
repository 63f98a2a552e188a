"""Lower bounds on bits stay below the truth, upper ones above, over many simulated channels."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import binom

from fmri_audio.bottleneck.voxels import Channel, InSpace, InTime, capacity, limited
from fmri_audio.decoding.lower_bits import LowerBits, RunPredicted, lower_bits, lower_limit

N_RUNS, N_TRS, TR = 5, 120, Fraction(3, 2)
N_VOXELS, N_NUMBERS, GAP = 6, 3, 10


def predicted(true: list[np.ndarray], told: list[np.ndarray]) -> list[RunPredicted]:
    return [
        RunPredicted(told[k], true[k], [one for other, one in enumerate(true) if other != k])
        for k in range(len(true))
    ]


def through_voxels(seed: int, k: float, time: InTime) -> tuple[float, LowerBits, float]:
    """Truth, lower and upper bounds of one channel of random patterns and random correlated noise."""
    rng = np.random.default_rng(seed)
    deviation = rng.uniform(0.3, 1.5, N_VOXELS)
    mixed = rng.standard_normal((N_VOXELS, N_VOXELS))
    covariance = mixed @ mixed.T / N_VOXELS + 0.3 * np.eye(N_VOXELS)
    patterns = limited(rng.standard_normal((N_VOXELS, N_NUMBERS)), deviation)
    channel = Channel(InSpace(patterns, covariance), time)
    true = [rng.standard_normal((N_TRS, N_NUMBERS)) for _ in range(N_RUNS)]
    told = [channel.passed(one, k, rng)[0] for one in true]
    found = lower_bits(predicted(true, told), most_components=N_NUMBERS, gap=GAP)
    return channel.bits(k), found, capacity(covariance, deviation, time, k)


@pytest.mark.slow
def test_lower_is_below_the_truth_and_the_truth_below_upper_over_200_channels() -> None:
    time = InTime.of(N_TRS, TR, 0.4)
    seeds = range(200)
    found = [through_voxels(seed, k=float(0.05 * 1.035**seed), time=time) for seed in seeds]
    truth, lower, upper = (np.array(values) for values in zip(*found, strict=True))
    assert (truth < upper).all()
    summed = np.array([one.bound_if_independent for one in lower])
    strongest = np.array([one.bound for one in lower])
    # One in a hundred may lie above by design.
    allowed = binom.ppf(0.999, len(seeds), 0.01)
    assert (summed > truth).sum() <= allowed and (strongest > truth).sum() <= allowed
    # And they are not low because they find nothing.
    told = truth > 0.5
    mean = np.array([one.summed.mean() for one in lower])
    assert told.sum() > 50 and np.median(mean[told] / truth[told]) > 0.5
    assert np.median(summed[told] / truth[told]) > 0.25 and (summed > strongest)[told].mean() > 0.9


def test_nothing_is_told_by_the_prediction_of_another_sound() -> None:
    rng = np.random.default_rng(3)
    found = []
    for _ in range(20):
        true, told = (
            [np.cumsum(rng.laplace(size=(N_TRS, 4)), axis=0) * 0.1 for _ in range(4)] for _ in range(2)
        )
        found.append(lower_bits(predicted(true, told), most_components=4, gap=GAP))
    assert (
        sum(one.bound > 0 for one in found) <= 2 and sum(one.bound_if_independent > 0 for one in found) <= 2
    )
    assert abs(np.mean([one.summed.mean() for one in found])) < 0.03


def test_what_two_components_say_alike_is_not_counted_twice_by_the_strongest() -> None:
    """A number and its square are uncorrelated, and each prediction of one tells of the other."""
    rng = np.random.default_rng(4)
    r = 0.9
    truth = -0.5 * np.log2(1 - r**2)
    for _ in range(10):
        true, told = [], []
        for _ in range(6):
            x = rng.standard_normal(400)
            y = r * x + np.sqrt(1 - r**2) * rng.standard_normal(400)
            true.append(np.stack([x, (x**2 - 1) / np.sqrt(2)], axis=1))
            told.append(np.stack([y, (y**2 - 1) / np.sqrt(2)], axis=1))
        found = lower_bits(predicted(true, told), most_components=2, gap=GAP)
        assert 0.2 * truth < found.bound <= truth


def test_components_that_are_not_gaussian_are_made_so_and_mixtures_are_taken_apart() -> None:
    rng = np.random.default_rng(5)
    mixing = rng.standard_normal((3, 3))
    true, told, gaussian = [], [], []
    for _ in range(6):
        x = rng.standard_normal((400, 3))
        y = 0.8 * x + 0.6 * rng.standard_normal((400, 3))
        true.append(np.sign(x) * np.abs(x) ** 2 @ mixing)
        told.append(np.sign(y) * np.abs(y) ** 2 @ mixing)
        gaussian.append(-0.5 * np.log2(1 - 0.8**2) * 3)
    found = lower_bits(predicted(true, told), most_components=3, gap=GAP)
    assert 0.6 * np.mean(gaussian) < found.bound_if_independent < np.mean(gaussian)


@pytest.mark.parametrize("carry", [0.0, 0.7])
@pytest.mark.parametrize("r", [0.3, 0.6, 0.9])
def test_bits_of_a_gaussian_channel_are_recovered(r: float, carry: float) -> None:
    """Autocorrelation does not add bits: innovations are counted, not the same thing twice."""
    truth, n = -0.5 * 6 * np.log2(1 - r**2), 6
    found = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        mix = rng.standard_normal((n, n))
        true, told = [], []
        for _ in range(3):
            x, noise = (
                lfilter([np.sqrt(1 - carry**2)], [1, -carry], rng.standard_normal((300, n)), axis=0)
                for _ in range(2)
            )
            true.append(x @ mix)
            told.append((r**2 * x + r * np.sqrt(1 - r**2) * noise) @ mix)
        found.append(lower_bits(predicted(true, told), most_components=n, gap=GAP))
    assert abs(np.mean([one.summed.mean() for one in found]) - truth) < 0.12 + 0.06 * truth
    assert all(one.strongest.mean() < one.summed.mean() for one in found)


def test_a_wrong_sign_is_not_knowledge() -> None:
    rng = np.random.default_rng(6)
    true = [rng.standard_normal((200, 3)) for _ in range(4)]
    told = [-one + 0.5 * rng.standard_normal(one.shape) for one in true]
    found = lower_bits(predicted(true, told), most_components=3, gap=GAP)
    assert found.summed.mean() < 0 and found.bound == found.bound_if_independent == 0


def test_limits_are_one_sided_and_a_short_run_is_refused() -> None:
    values = np.array([1.0, 1.2, 0.8, 1.1])
    assert 0 < lower_limit(values) < values.mean()
    assert lower_limit(-values) == 0 and np.isnan(lower_limit(values[:1]))
    short = [np.zeros((12, 2)) + np.arange(12)[:, None] ** [[1, 2]] for _ in range(3)]
    with pytest.raises(ValueError, match="a run of 12 TRs cannot be turned by more than 10"):
        lower_bits(predicted(short, short), most_components=1, gap=10)
