"""What every registered metric promises."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fmri_audio.sound.metrics.base import METRIC_RATE, METRICS, Metric


@pytest.fixture(params=METRICS)
def metric(request: pytest.FixtureRequest) -> Metric:
    return METRICS[request.param]


@pytest.fixture(scope="module")
def sounds(spoken: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Five seconds of speech, the same with a little noise, and with much, at the metrics' rate."""
    clean = spoken[: 5 * METRIC_RATE]
    hiss = np.random.default_rng(0).standard_normal(len(clean)) * clean.std()
    return clean, clean + 0.05 * hiss, clean + hiss, METRIC_RATE


def test_it_says_what_it_is(metric: Metric) -> None:
    assert metric.label and metric.unit and metric.direction in (-1, 1) and metric.decimals >= 0
    assert metric.rate in (None, METRIC_RATE)
    assert [one.label for one in METRICS.values()].count(metric.label) == 1
    assert [one.place for one in METRICS.values()].count(metric.place) == 1


def test_more_noise_is_worse(metric: Metric, sounds: tuple[np.ndarray, np.ndarray, np.ndarray, int]) -> None:
    clean, little, much, rate = sounds
    better, worse = (metric.function(clean, noisy, rate) for noisy in (little, much))
    assert metric.direction * better > metric.direction * worse


def test_the_original_is_best_and_noise_is_much_worse(metric: Metric, spoken: np.ndarray) -> None:
    noise = np.random.default_rng(0).standard_normal((2, len(spoken))) * spoken.std()
    sounds = (spoken, spoken + 0.1 * noise[0], noise[1])
    best, near, worst = (metric.direction * metric.function(spoken, sound, METRIC_RATE) for sound in sounds)
    assert best > near > worst
    assert best - worst > 0.3 * max(abs(best if math.isfinite(best) else near), abs(worst))


def test_the_same_sounds_give_the_same_number_and_stay_as_they_are(
    metric: Metric, sounds: tuple[np.ndarray, np.ndarray, np.ndarray, int]
) -> None:
    clean, little, _, rate = sounds
    before = clean.copy(), little.copy()
    first = metric.function(clean, little, rate)
    assert isinstance(first, float) and math.isfinite(first)
    assert metric.function(clean, little, rate) == first
    assert np.array_equal(clean, before[0]) and np.array_equal(little, before[1])


def test_silence_has_no_score(metric: Metric) -> None:
    assert math.isnan(metric.function(np.zeros(METRIC_RATE), np.ones(METRIC_RATE), METRIC_RATE))
