"""Numbers through voxels and the response: read exactly without noise, best with it, and counted in bits."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from fmri_audio.bottleneck.voxels import (
    Channel,
    InSpace,
    InTime,
    ar_whitening,
    capacity,
    ideal_map,
    limited,
    water_filling,
)

TR = Fraction(3, 2)


def covariance(n: int, smooth: float = 3.0) -> np.ndarray:
    distance = np.abs(np.arange(n)[:, None] - np.arange(n))
    return 0.9 * np.exp(-distance / smooth) + 0.1 * np.eye(n)


def channel(
    n_trs: int = 60, n_voxels: int = 40, n_numbers: int = 12, deviation: float = 2.0, phi: float = 0.4
) -> Channel:
    weights = ideal_map(n_voxels, n_numbers, np.full(n_voxels, deviation), seed=1)
    return Channel(InSpace(weights, covariance(n_voxels)), InTime.of(n_trs, TR, phi))


def numbers(n_trs: int, n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n_trs, n))


@pytest.mark.parametrize("tr", [Fraction(3, 2), Fraction(2)])
def test_without_noise_all_is_read_exactly(tr: Fraction) -> None:
    one = channel()
    sent = numbers(200, 12)
    passing = Channel(one.space, InTime.of(200, tr))
    got = passing.read_exactly(passing.send(sent))
    assert np.abs(got - sent).max() < 1e-3


def test_at_a_short_tr_the_inverse_is_ill_posed_and_says_so() -> None:
    short, usual = (InTime.of(150, tr) for tr in (Fraction(71, 100), TR))
    assert short.condition > 20 * usual.condition > 20


def test_volumes_that_end_with_the_sound_do_not_give_the_last_trs() -> None:
    sent = numbers(80, 1)
    cut = InTime.of(80, TR, after=0.0)
    assert cut.condition > 1e3 * InTime.of(80, TR).condition
    noisy = cut.forward @ sent + 1e-4 * numbers(80, 1, seed=2)
    assert np.abs(cut.inverse(noisy) - sent)[-2:].max() > 10 * np.abs(cut.inverse(noisy) - sent)[:40].max()


def test_more_numbers_than_voxels_or_patterns_do_not_pass() -> None:
    with pytest.raises(ValueError, match="13 numbers do not pass 12 voxels"):
        ideal_map(12, 13, np.ones(12), 0)
    rank_two = limited(np.random.default_rng(0).standard_normal((40, 2)) @ np.ones((2, 5)), np.ones(40))
    poor = Channel(InSpace(rank_two, np.eye(40)), InTime.of(20, TR))
    with pytest.raises(ValueError, match="5 numbers per TR do not pass 1 patterns of 40 voxels"):
        poor.read_exactly(poor.send(numbers(20, 5)))


def test_noise_has_the_covariance_that_it_should() -> None:
    one, rng = channel(400), np.random.default_rng(3)
    drawn = one.noise(2.0, rng)
    np.testing.assert_allclose(drawn.T @ drawn / len(drawn), 2 * one.space.covariance, atol=0.6)
    assert np.corrcoef(drawn[1:, 5], drawn[:-1, 5])[0, 1] == pytest.approx(0.4, abs=0.12)
    white = one.time.whitening @ drawn[:, 0]
    assert abs(np.corrcoef(white[1:], white[:-1])[0, 1]) < 0.12
    np.testing.assert_allclose(
        np.linalg.inv(ar_whitening(4, 0.5) @ np.eye(4)) @ np.linalg.inv(ar_whitening(4, 0.5)).T,
        0.5 ** np.abs(np.arange(4)[:, None] - np.arange(4)),
    )


@pytest.mark.parametrize("k", [0.1, 1.0, 4.0])
def test_the_posterior_is_that_of_the_whole_gaussian_model(k: int) -> None:
    one = channel(12, 8, 5)
    volumes = one.send(numbers(12, 5)) + one.noise(k, np.random.default_rng(0))
    mean, reliability = one.posterior(volumes, k)
    # The same by brute force: everything a vector, TRs first.
    forward = np.kron(one.time.forward, one.space.weights)
    in_time = np.linalg.inv(one.time.whitening.T @ one.time.whitening)
    noise = k * np.kron(in_time, one.space.covariance)
    total = forward @ forward.T + noise
    gain = forward.T @ np.linalg.inv(total)
    np.testing.assert_allclose(mean.ravel(), gain @ volumes.ravel(), atol=1e-8)
    np.testing.assert_allclose(reliability.ravel(), np.diag(gain @ forward), atol=1e-8)
    _, logdet = np.linalg.slogdet(total)
    assert one.bits(k) == pytest.approx((logdet - np.linalg.slogdet(noise)[1]) / 2 / np.log(2) / 12)


def test_reliability_is_what_repetitions_show() -> None:
    one, rng = channel(40), np.random.default_rng(5)
    errors = []
    for seed in range(60):
        sent = numbers(40, 12, seed)
        mean, reliability = one.posterior(one.send(sent) + one.noise(1.0, rng), 1.0)
        errors.append((mean - sent) ** 2)
    assert np.mean(errors) == pytest.approx(1 - reliability.mean(), rel=0.03)
    assert 0.05 < reliability.mean() < 0.95


def test_without_noise_everything_is_reliable_and_in_much_noise_nothing() -> None:
    one = channel()
    sent = numbers(60, 12)
    mean, reliability = one.posterior(one.send(sent), 1e-12)
    assert reliability.min() > 0.999
    np.testing.assert_allclose(mean, sent, atol=0.02)
    assert one.posterior(one.send(sent), 1e9)[1].max() < 1e-6
    assert one.usable(1e-12) == 60 * 12 and one.usable(1e9) == 0
    assert one.bits(0.1) > one.bits(1.0) > one.bits(4.0) > 0


def test_power_is_that_of_the_drive_and_not_of_bold() -> None:
    deviation = np.linspace(0.5, 2, 40)
    weights = limited(np.random.default_rng(0).standard_normal((40, 6)), deviation)
    np.testing.assert_allclose(np.linalg.norm(weights, axis=1), deviation)
    flat = ideal_map(40, 6, np.ones(40), 0)
    assert np.square(flat).sum() == pytest.approx(40)
    np.testing.assert_allclose(flat.T @ flat, np.eye(6) * 40 / 6, atol=1e-9)


def test_water_filling_is_the_best_division_of_power() -> None:
    gains = np.array([4.0, 1.0, 0.05])
    best = water_filling(gains, 3.0)
    rng = np.random.default_rng(0)
    others = 3.0 * rng.dirichlet(np.ones(3), 4000)
    tried = 0.5 * np.log2(1 + gains * others).sum(1)
    assert best >= tried.max() and best == pytest.approx(tried.max(), rel=1e-3)
    assert water_filling(np.array([1.0, 1e-9]), 1.0) == pytest.approx(0.5)


@pytest.mark.parametrize("seed", range(5))
def test_no_code_tells_more_than_the_capacity(seed: int) -> None:
    rng = np.random.default_rng(seed)
    deviation = rng.uniform(0.2, 2, 30)
    time, noise = InTime.of(50, TR, 0.3), covariance(30)
    bound = capacity(noise, deviation, time, 1.0)
    for patterns in (rng.standard_normal((30, 12)), np.eye(30), np.ones((30, 1))):
        sent = Channel(InSpace(limited(patterns, deviation), noise), time).bits(1.0)
        assert sent <= bound * (1 + 1e-9)
