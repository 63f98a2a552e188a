"""TRs, samples and frames: exact at any length, and joined as they were cut."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fmri_audio.base import timeline
from fmri_audio.base.timeline import FrameSpan

TR = Fraction(3, 2)
RATE = Fraction(75)
HALF = Fraction(1, 2)

trs = st.fractions(min_value=Fraction(1, 2), max_value=3, max_denominator=8)
rates = st.fractions(min_value=5, max_value=90, max_denominator=4)


def test_two_trs_share_the_frame_between_them() -> None:
    assert timeline.frames_of_tr(0, TR, RATE) == FrameSpan(0, 112, Fraction(1), HALF)
    assert timeline.frames_of_tr(1, TR, RATE) == FrameSpan(112, 224, HALF, Fraction(1))
    assert timeline.frames_of_tr(2, TR, RATE).first == 225
    assert timeline.frames_per_tr(TR, RATE) == 113


def test_no_drift_after_the_whole_film() -> None:
    last = timeline.frames_of_tr(919, TR, RATE)
    assert last.last == 920 * 225 // 2 - 1
    assert timeline.n_frames_of_trs(920, TR, RATE) == 103_500
    assert timeline.trs_to_samples(920, 24_000, TR) == 33_120_000


def test_no_drift_over_both_runs_of_the_release() -> None:
    """Every TR begins where the clock says, whatever its number: two TRs are 225 frames, a TR alternates."""
    for k in range(1976):
        span = timeline.frames_of_tr(k, TR, RATE)
        assert span.first + 1 - span.first_weight == k * TR * RATE
    for k in range(0, 1976, 2):
        first, second = (timeline.frames_of_tr(k + i, TR, RATE) for i in (0, 1))
        assert second.last + 1 - first.first == 225
        assert timeline.n_frames_of_trs(2, TR, RATE, k) == 225
    assert timeline.n_frames_of_trs(1976, TR, RATE) == 1976 * 225 // 2


@given(trs, rates, st.sampled_from([8_000, 16_000, 22_050, 24_000, 44_100, 48_000]), st.integers(0, 2000))
def test_samples_and_frames_of_a_tr_are_the_same_moment(
    tr: Fraction, rate: Fraction, sample_rate: int, k: int
) -> None:
    onset = k * tr
    sampled = Fraction(timeline.trs_to_samples(k, sample_rate, tr), sample_rate)
    assert abs(sampled - onset) <= Fraction(1, 2 * sample_rate)
    span = timeline.frames_of_tr(k, tr, rate)
    assert span.first <= onset * rate < span.first + 1
    assert timeline.whole_trs(timeline.trs_to_samples(k, sample_rate, tr) + 1, sample_rate, tr) >= k


@settings(max_examples=50, deadline=None)
@given(trs, rates, st.integers(0, 7), st.lists(st.integers(1, 5), min_size=1, max_size=5))
def test_groups_of_trs_tile_the_run(tr: Fraction, rate: Fraction, first: int, sizes: list[int]) -> None:
    """Pieces of several TRs each, cut one after the other, hold all frames of the run and share at most one."""
    starts = [first + sum(sizes[:i]) for i in range(len(sizes))]
    origin = timeline.frames_of_tr(first, tr, rate).first
    seen: list[int] = []
    for start, size in zip(starts, sizes, strict=True):
        begin = timeline.frames_of_tr(start, tr, rate).first - origin
        piece = range(begin, begin + timeline.n_frames_of_trs(size, tr, rate, start))
        shared = len(seen) - piece[0]
        assert shared in (0, 1)
        seen += list(piece)[shared:]
    assert seen == list(range(timeline.n_frames_of_trs(sum(sizes), tr, rate, first)))


def test_runs_of_a_joined_sound_begin_on_a_frame() -> None:
    assert timeline.run_samples([(0, 946), (946, 1030)], 24_000, TR, 320) == [
        (0, 34_056_000),
        (34_056_000, 71_136_000),
    ]
    with pytest.raises(ValueError, match="TR 945 on begins within a codec frame; .* a multiple of 2 TRs"):
        timeline.run_samples([(0, 945), (945, 10)], 24_000, TR, 320)


@given(trs, rates, st.integers(0, 2000))
def test_weights_add_up_to_the_length_of_a_tr(tr: Fraction, rate: Fraction, k: int) -> None:
    span = timeline.frames_of_tr(k, tr, rate)
    inner = span.count - 2
    total = span.first_weight + inner + span.last_weight if span.count > 1 else span.first_weight
    assert total == tr * rate
    assert 0 < span.first_weight <= 1 and 0 < span.last_weight <= 1
    assert span.count <= timeline.frames_per_tr(tr, rate)


@given(trs, rates, st.integers(0, 500))
def test_consecutive_trs_meet(tr: Fraction, rate: Fraction, k: int) -> None:
    here, following = timeline.frames_of_tr(k, tr, rate), timeline.frames_of_tr(k + 1, tr, rate)
    if following.first == here.last:
        assert here.last_weight + following.first_weight == 1
    else:
        assert following.first == here.last + 1
        assert here.last_weight == following.first_weight == 1


@settings(max_examples=50, deadline=None)
@given(trs, rates, st.integers(0, 7), st.integers(1, 9), st.integers(0, 2**31))
def test_join_is_the_inverse_of_cut(tr: Fraction, rate: Fraction, first: int, n_trs: int, seed: int) -> None:
    length = timeline.n_frames_of_trs(n_trs, tr, rate, first)
    features = np.random.default_rng(seed).standard_normal((3, length))
    pieces = timeline.cut_trs(features, n_trs, tr, rate, first)
    assert pieces.shape == (n_trs, 3, timeline.frames_per_tr(tr, rate))
    np.testing.assert_allclose(timeline.join_trs(pieces, tr, rate, first), features, rtol=1e-12)
    codes = np.random.default_rng(seed).integers(0, 1024, (2, length))
    joined = timeline.join_trs(timeline.cut_trs(codes, n_trs, tr, rate, first), tr, rate, first)
    np.testing.assert_array_equal(joined, codes)


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.int64])
def test_tensors_and_arrays_agree(first: int, dtype: torch.dtype) -> None:
    length = timeline.n_frames_of_trs(5, TR, RATE, first)
    features = torch.arange(2 * length).reshape(2, length).to(dtype)
    pieces = timeline.cut_trs(features, 5, TR, RATE, first)
    np.testing.assert_array_equal(pieces, timeline.cut_trs(features.numpy(), 5, TR, RATE, first))
    assert torch.equal(timeline.join_trs(pieces, TR, RATE, first), features)


def test_shared_frame_of_disagreeing_trs() -> None:
    real = np.stack([np.zeros((1, 113)), np.ones((1, 113))])
    joined = timeline.join_trs(real, TR, RATE)
    assert joined.shape == (1, 225)
    assert joined[0, 111:114].tolist() == [0, 0.5, 1]
    codes = timeline.join_trs(real.astype(np.int64), TR, RATE)
    assert codes[0, 111:114].tolist() == [0, 0, 1], "of equal shares the earlier TR's code is kept"


@pytest.mark.parametrize("first", [0, 1])
def test_pooling_is_the_mean_over_a_trs_own_time(first: int) -> None:
    ramp = np.arange(225 * 2, dtype=np.float64)[None]
    means = timeline.pooled(ramp[:, 112 * first :], 3, TR, RATE, first)
    # Sampled finely, a frame lasts 1/75 s; the mean over a TR's seconds is the mean of what lies within.
    fine = np.repeat(ramp[0], 2)  # half frames
    expected = [fine[225 * k : 225 * (k + 1)].mean() for k in range(first, first + 3)]
    np.testing.assert_allclose(means[:, 0], expected, rtol=1e-6)


def test_gradients_pass_through() -> None:
    features = torch.randn(2, 225, requires_grad=True)
    timeline.join_trs(timeline.cut_trs(features, 2, TR, RATE), TR, RATE).sum().backward()
    torch.testing.assert_close(features.grad, torch.ones(2, 225))


def test_too_few_frames_are_refused() -> None:
    with pytest.raises(ValueError, match="2 TRs need 225 frames, the features have 224"):
        timeline.cut_trs(np.zeros((1, 224)), 2, TR, RATE)
    with pytest.raises(ValueError, match="pieces have 112 frames, a TR here has 113"):
        timeline.join_trs(np.zeros((2, 1, 112)), TR, RATE)


def test_moments_and_counts() -> None:
    assert timeline.whole_trs(36_000 * 7 - 1, 24_000, TR) == 6
    assert timeline.whole_trs(36_000 * 7, 24_000, TR) == 7
    assert timeline.frames_of_samples(36_000, 320) == 113
    assert timeline.seconds_to_samples(0.5, 24_000) == 12_000
