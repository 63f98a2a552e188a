"""Controls: codes made of features of the sound, and of other sound, without what was held out."""

from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from fmri_audio.experiments import controls
from fmri_audio.experiments.held_out import HeldOut
from fmri_audio.experiments.through_arm import ThroughArm
from fmri_audio.study.splits import contiguous_split

N_TRS, RANK = 240, 6
TR = Fraction(3, 2)
LAGS = [2, 3, 4, 5]


def through_of(codes: np.ndarray, runs: list[tuple[int, int]] | None = None) -> SimpleNamespace:
    """What controls see of a held-out block and of an arm that reads these codes."""
    split = contiguous_split(runs or [(0, N_TRS)], test_fraction=0.25, gap=12, lags=LAGS, shift=3, tr=TR)
    settings = SimpleNamespace(lag_trs=LAGS, cv_folds=4)
    return SimpleNamespace(held_out=SimpleNamespace(split=split, settings=settings), read_codes=codes)


@pytest.fixture
def feature() -> np.ndarray:
    return np.asarray(np.random.default_rng(0).standard_normal((N_TRS, 1)), np.float32)


def following(feature: np.ndarray, offset: int, noise: float = 0.0) -> np.ndarray:
    """Codes that follow a feature so many TRs away, about a mean of 3."""
    rng = np.random.default_rng(1)
    codes = np.roll(feature, -offset, axis=0) * rng.standard_normal(RANK) + 3
    return np.asarray(codes + noise * rng.standard_normal(codes.shape), np.float32)


def test_the_envelope_is_the_level_of_each_tr() -> None:
    gains = np.repeat([1.0, 0.1, 0.01, 0.0], 1500)
    sound = np.asarray(gains * np.sin(np.arange(6000)), np.float32)
    level = controls.envelope(sound, 1000, 4)
    assert level.shape == (4, 1)
    np.testing.assert_allclose(-np.diff(level[:, 0]), 20, atol=0.5)


def test_speech_is_counted_by_its_share_of_a_tr() -> None:
    segments = pd.DataFrame(
        [(0.0, 1.5, "music"), (1.5, 3.0, "speech"), (3.0, 3.75, "silence"), (3.75, 4.6, "speech")],
        columns=["onset", "offset", "kind"],
    )
    share = controls.speech_share(segments, 5, TR)
    np.testing.assert_allclose(share[:, 0], [0, 1, 0.5, 0.1 / 1.5, 0], atol=1e-6)


def test_the_reach_is_all_that_the_volumes_read_can_answer() -> None:
    assert controls.reach(LAGS) == list(range(-4, 5))
    assert controls.reach([4]) == list(range(-2, 4))


@pytest.mark.parametrize("offset", [-4, 0, 3])
def test_a_code_that_follows_the_feature_is_predicted_wherever_in_reach(
    feature: np.ndarray, offset: int
) -> None:
    codes = following(feature, offset, 0.1)
    through = through_of(codes)
    found = controls.code_from(through, feature)
    true = codes[through.held_out.split.test]
    inside = slice(4, -4)
    assert found.shape == true.shape
    for k in range(RANK):
        if codes[:, k].std() > 0.5:
            assert np.corrcoef(found[inside, k], true[inside, k])[0, 1] > 0.95


def test_a_code_out_of_reach_is_its_mean(feature: np.ndarray) -> None:
    codes = following(feature, 9)
    through = through_of(codes)
    found = controls.code_from(through, feature)
    mean = codes[through.held_out.split.train].mean(axis=0)
    assert np.square(found - mean).mean() < 0.1 * np.square(codes[through.held_out.split.test] - mean).mean()


def test_nothing_held_out_is_learned_from(feature: np.ndarray) -> None:
    codes = following(feature, 0, 0.5)
    hidden = np.full_like(codes, np.nan)
    train = through_of(codes).held_out.split.train
    hidden[train] = codes[train]
    known = controls.code_from(through_of(codes), feature)
    np.testing.assert_array_equal(controls.code_from(through_of(hidden), feature), known)
    beyond = feature.copy()  # nor is the scale of the feature
    beyond[200:] *= 1000
    np.testing.assert_allclose(controls.code_from(through_of(codes), beyond)[:15], known[:15], atol=1e-5)


def test_a_feature_that_never_changes_says_what_no_brain_says(feature: np.ndarray) -> None:
    codes = following(feature, 0)
    through = through_of(codes)
    found = controls.code_from(through, np.ones((N_TRS, 1), np.float32))
    np.testing.assert_allclose(
        found, np.tile(codes[through.held_out.split.train].mean(axis=0), (len(found), 1)), rtol=1e-5
    )


def test_runs_do_not_reach_into_each_other(feature: np.ndarray) -> None:
    runs = [(0, 120), (120, 240)]
    codes = following(feature, 0, 0.1)
    changed = feature.copy()
    changed[116:120] = 50 * changed[116:120]  # the end of the first run
    after = slice(0, 3)
    through = through_of(codes, runs)
    first = int(through.held_out.split.train[through.held_out.split.train >= 120][0])
    assert first - 4 < 120  # the second run's training TRs begin where the first one's end would be seen
    trs = np.arange(first, first + 3)
    through.held_out.split = SimpleNamespace(
        train=np.setdiff1d(through.held_out.split.train, [*trs, *range(112, 120)]),
        test=trs,
        gap=12,
        runs=tuple(runs),
    )
    one, other = (controls.code_from(through, x)[after] for x in (feature, changed))
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_random_sound_is_of_training_and_the_same_for_every_arm(feature: np.ndarray) -> None:
    codes = np.tile(np.arange(N_TRS, dtype=np.float32)[:, None], (1, RANK))
    through = through_of(codes)
    drawn = controls.random_codes(through, seed=0, count=40)
    trs = np.stack([code[:, 0] for code in drawn])
    assert {code.shape for code in drawn} == {(len(through.held_out.split.test), RANK)}
    assert set(trs.ravel().astype(int)) <= set(through.held_out.split.train.tolist())
    steps = np.diff(trs, axis=1)
    assert (steps == 1).mean() > 0.98 and (steps != 1).any()  # one goes on at the start
    again = controls.random_codes(through_of(codes), seed=0, count=40)
    np.testing.assert_array_equal(drawn, again)
    assert not np.array_equal(drawn, controls.random_codes(through, seed=1, count=40))
    assert len({row[0] for row in trs}) == 40


def test_how_much_features_foretell_lies_between_nothing_and_all(feature: np.ndarray) -> None:
    rng = np.random.default_rng(2)
    through = through_of(following(feature, 0))
    features = np.asarray(rng.standard_normal((N_TRS, 3)), np.float32)
    mixed = np.asarray(features @ rng.standard_normal((3, 4)), np.float32)
    other = np.asarray(rng.standard_normal((N_TRS, 4)), np.float32)
    assert controls.foretold(through.held_out, features, mixed) > 0.95
    assert controls.foretold(through.held_out, features, other) < 0.1
    assert 0.3 < controls.foretold(through.held_out, features, mixed / mixed.std(axis=0) + other) < 0.7


def test_controls_are_sounds_of_the_block_and_differ(held_out: HeldOut) -> None:
    for arm in ("mel", "frozen"):
        through = ThroughArm(held_out, arm)
        made = controls.sounds(through)
        assert list(made) == list(controls.CONTROL_LABELS)
        assert {name: len(several) for name, several in made.items()} == {
            "envelope-only": 1,
            "speech-only": 1,
            "random-sound": controls.N_RANDOM,
        }
        every = [wave for several in made.values() for wave in several]
        assert {wave.shape for wave in every} == {held_out.original.shape}
        # All of this recording is speech, so that speech or silence says nothing: no brain.
        nothing = through.without_brain
        assert np.square(made["speech-only"][0] - nothing).mean() < 1e-4 * np.square(nothing).mean()
        level, one, other = made["envelope-only"][0], *made["random-sound"]
        assert len({wave.tobytes() for wave in (level, one, other, nothing)}) == 4
