"""Decoding one number per TR: known truth is found, nothing is found in nothing, and statistics are what they say."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from fmri_audio.base.errors import UserError
from fmri_audio.base.settings import project_root
from fmri_audio.decoding import series
from fmri_audio.decoding.identification import effective_number
from fmri_audio.decoding.series import Pipeline
from fmri_audio.decoding.turning import Reader

TR = Fraction(2)
RUNS = [(0, 150), (150, 290), (290, 450)]
PIPELINE = Pipeline(columns=8, folds=3)


def slow(rng: np.random.Generator, n: int, width: int = 8) -> np.ndarray:
    return np.convolve(rng.standard_normal(n + width), np.hanning(width), "same")[:n]


def brains(target: np.ndarray, seed: int, strength: float = 1.0, n: int = 30) -> np.ndarray:
    """BOLD that follows a target 3 TRs later in its first five columns."""
    rng = np.random.default_rng(seed)
    bold = np.stack([slow(rng, len(target)) for _ in range(n)], axis=1)
    later = np.concatenate([np.zeros(3), target[:-3]]) / target.std()
    bold[:, :5] += strength * later[:, None]
    return bold.astype(np.float32)


@pytest.fixture(scope="module")
def target() -> np.ndarray:
    return slow(np.random.default_rng(0), 450)


def test_a_target_is_recovered_from_held_out_runs_and_nothing_from_noise(target: np.ndarray) -> None:
    splits = PIPELINE.splits(RUNS, TR, 0)
    blocks = [split.test_block for split in splits]
    for strength, low, high in ((1.5, 0.75, 1.0), (0.0, -0.25, 0.25)):
        predicted = series.decode(brains(target, 1, strength), target, splits, PIPELINE, TR, 0)
        found = series.score([predicted], target, blocks, 20)
        assert low < found.mean < high
        assert abs(found.null.mean()) < 0.1


def test_p_is_that_of_decoders_fitted_anew_and_without_them_there_is_none(target: np.ndarray) -> None:
    splits = PIPELINE.splits(RUNS, TR, 0)
    blocks = [split.test_block for split in splits]
    several = series.readers([brains(target, k, 1.5) for k in (1, 2)], splits, PIPELINE, TR, 0)
    anew = series.fitted_anew(several, target, RUNS, 20)
    predicted = series.decode(brains(target, 1, 1.5), target, splits, PIPELINE, TR, 0)
    assert series.score([predicted], target, blocks, 20).p is None
    found = series.score([predicted], target, blocks, 20, anew=anew)
    assert found.p == 1 / len(anew) and found.effective_shifts == effective_number(anew[1:])
    # What stands under a shift is what the sound turned round would have in its place.
    turned = target.copy()
    for first, last in RUNS:
        turned[first:last] = np.roll(target[first:last], 33)
    assert series.fitted_anew(several, turned, RUNS, 20)[0] == pytest.approx(anew[1 + 33 - 21])
    mean = series.fitted_anew([Reader.mean(several)], target, RUNS, 20)
    assert mean[0] >= anew[0] - 0.02


def test_chosen_columns_are_those_that_follow_the_target_in_training(target: np.ndarray) -> None:
    split = PIPELINE.splits(RUNS, TR, 0)[0]
    bold = brains(target, 2)
    bold[: RUNS[0][1], 20] = 100 * target[: RUNS[0][1]]  # follows it in the held-out run alone
    bold = (bold - bold.mean(axis=0)) / bold.std(axis=0)
    assert series.strongest(bold, target, split, [1, 2, 3, 4], 0, 5).tolist() == [0, 1, 2, 3, 4]


def test_what_is_held_out_changes_nothing_but_its_own_prediction(target: np.ndarray) -> None:
    splits = PIPELINE.splits(RUNS, TR, 0)[-1:]
    bold = brains(target, 3)
    before = series.decode(bold, target, splits, PIPELINE, TR, 0)
    other = target.copy()
    other[RUNS[-1][0] :] = 1e6
    assert np.array_equal(before, series.decode(bold, other, splits, PIPELINE, TR, 0), equal_nan=True)


def test_turning_round_is_what_it_is_by_hand(target: np.ndarray) -> None:
    rng = np.random.default_rng(4)
    a, b = rng.standard_normal(40), rng.standard_normal(40)
    found = series.shifted_correlations(a, b)
    by_hand = [np.corrcoef(a, np.roll(b, -k))[0, 1] for k in range(40)]
    assert found == pytest.approx(by_hand, abs=1e-12)
    assert not series.shifted_correlations(np.ones(40), b).any()


def test_bands_add_up_and_hold_what_they_should() -> None:
    x = np.random.default_rng(5).standard_normal(200)
    parts = [series.band(TR, a, b)(x) for a, b in [*series.octaves(TR), (512.0, 1e9)]]
    assert sum(parts) == pytest.approx(x - x.mean(), abs=1e-9)
    t = np.arange(200) * 2.0
    tone = np.cos(2 * np.pi * t / 50)
    power = {bounds: (series.band(TR, *bounds)(tone) ** 2).sum() for bounds in series.octaves(TR)}
    assert max(power, key=power.__getitem__) == (32.0, 64.0) and power[32.0, 64.0] > 0.9 * (tone**2).sum()


def test_the_high_pass_takes_out_what_is_slow_and_the_trend() -> None:
    t = np.arange(240) * 2.0
    fast = np.cos(2 * np.pi * (t + 1) / 32)
    left = series.high_pass(TR)(fast + t / 100 + np.cos(np.pi * (t + 1) / 480))
    assert np.corrcoef(left, fast)[0, 1] > 0.98 and left.std() == pytest.approx(fast.std(), rel=0.1)


def test_partial_correlation_is_that_of_residuals() -> None:
    rng = np.random.default_rng(6)
    given = rng.standard_normal(300)
    true, predicted = given + rng.standard_normal(300), given + rng.standard_normal(300)
    found = series.score([predicted], true, [(0, 300)], 20, given=given)

    def without(x: np.ndarray) -> np.ndarray:
        return x - np.polyval(np.polyfit(given, x, 1), given)

    assert found.mean == pytest.approx(np.corrcoef(without(predicted), without(true))[0, 1], abs=1e-9)
    assert abs(found.mean) < 0.2 < series.score([predicted], true, [(0, 300)], 20).mean


def test_neighbouring_shifts_count_as_few() -> None:
    rng = np.random.default_rng(7)
    assert effective_number(rng.standard_normal(400)) > 250
    smooth = np.convolve(rng.standard_normal(500), np.ones(20) / 20, "valid")[:400]
    assert 10 < effective_number(smooth) < 60


def test_segments_are_told_by_their_contour() -> None:
    rng = np.random.default_rng(8)
    true = rng.standard_normal(300)
    noisy = [true + 0.5 * rng.standard_normal(300) + np.repeat(rng.standard_normal(25), 12) * 9]
    told = series.identified(noisy, true, [(0, 300)], 12, 20, 12)
    assert told.mean > 0.95 and told.null.mean() == pytest.approx(0.5, abs=0.03)
    blind = series.identified([rng.standard_normal(300)], true, [(0, 300)], 12, 20, 12)
    assert 0.3 < blind.mean < 0.7
    assert series.identified([np.zeros(300)], true, [(0, 300)], 12, 20, 12).mean == 0.5, "ties count half"


def test_shared_bits_are_those_of_a_gaussian_channel_and_none_by_chance() -> None:
    rng = np.random.default_rng(9)
    true = rng.standard_normal(4000)
    found, chance = series.shared_bits(true + rng.standard_normal(4000), true, [(0, 4000)], TR, 40)
    assert found - chance == pytest.approx(0.5, abs=0.06), "half a bit at a signal as strong as the noise"
    found, chance = series.shared_bits(rng.standard_normal(4000), true, [(0, 4000)], TR, 40)
    assert abs(found - chance) < 0.02


def test_intervals_cover_the_mean_they_should() -> None:
    rng = np.random.default_rng(10)
    covered = [
        low <= 0 <= high for low, high in (series.interval(rng.standard_normal(20)) for _ in range(200))
    ]
    assert 0.86 < np.mean(covered) < 0.99


def test_the_pipeline_of_the_project_says_what_it_was_fixed_on() -> None:
    found = Pipeline.read(project_root() / series.PIPELINE_FILE)
    assert found.fixed_on == ["01", "02", "03", "04"] and found.lags(TR) == [1, 2, 3, 4]
    assert found.lags(Fraction(3, 2)) == [2, 3, 4, 5]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("columns: 0", "columns"),
        ("first_lag_seconds: 9", "last_lag_seconds: should not come before"),
        ("colums: 3", "colums"),
    ],
)
def test_a_pipeline_that_makes_no_sense_is_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "p.yml").write_text(text + "\n")
    with pytest.raises(UserError, match=said):
        Pipeline.read(tmp_path / "p.yml")


def test_lags_between_which_no_volume_begins_and_blocks_too_short_to_turn() -> None:
    with pytest.raises(UserError, match="no volume begins 2 to 3 s"):
        Pipeline(first_lag_seconds=Fraction(2), last_lag_seconds=Fraction(3)).lags(Fraction(7, 2))
    with pytest.raises(UserError, match="no shift further than 20 TRs"):
        series.score([np.arange(40.0)], np.arange(40.0), [(0, 40)], 20)
