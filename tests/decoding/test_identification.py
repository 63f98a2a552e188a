"""Identification of segments on predictions whose truth is known."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from fmri_audio.base.errors import UserError
from fmri_audio.decoding import identification
from fmri_audio.decoding.identification import Identified, Refitted, SoundFacts, Trial
from fmri_audio.decoding.regression import FoldPrediction
from fmri_audio.decoding.turning import Reader
from fmri_audio.study.splits import k_fold

RUNS = [(0, 240)]
BLOCKS = [(0, 60), (60, 120), (120, 180), (180, 240)]
N_TRS, GAP, N_FEATURES = 4, 12, 8


def smooth(n: int, seed: int, width: int = 4) -> np.ndarray:
    """Features that change as slowly as sound seen through a haemodynamic response does."""
    white = np.random.default_rng(seed).standard_normal((n + width, N_FEATURES))
    return np.asarray(np.stack([white[i : i + n] for i in range(width)]).mean(axis=0), np.float32)


def predictions(features: np.ndarray, noise: float, seed: int, signal: float = 1.0) -> list[FoldPrediction]:
    noisy = signal * features + noise * smooth(len(features), seed)
    mean, spread = features.mean(axis=0), features.std(axis=0)
    return [FoldPrediction((a, b), noisy[a:b], mean, spread, np.ones(N_FEATURES)) for a, b in BLOCKS]


def identified(
    folds: list[list[FoldPrediction]], features: np.ndarray, facts: SoundFacts | None = None, ways: int = 2
) -> Identified:
    layout = identification.trials(BLOCKS, RUNS, n_trs=N_TRS, gap=GAP, facts=facts)
    return identification.identify_segments(folds, features, RUNS, layout, n_trs=N_TRS, ways=ways)


def test_a_true_prediction_is_identified_and_significant() -> None:
    features = smooth(240, 0)
    found = identified([predictions(features, 0.0, 1)], features)
    assert found.accuracy == 1.0 and found.n_segments == 60 and found.n_left_out == 0
    assert len(found.null) == 240 - 2 * GAP - 1 == 215
    assert found.p == found.smallest_p == 1 / 216
    assert abs(found.null.mean() - 0.5) < 0.02
    assert found.verdict.startswith("approximate p 0.005 (215 shifts, worth ")
    assert dataclasses.replace(found, refitted=True).verdict.startswith("p = 0.005 (215 shifts, worth ")
    assert found.verdict.endswith(" independent ones; smallest attainable 0.005)")
    assert 10 < found.effective_shifts <= 215


def test_accuracy_falls_with_noise_and_many_ways_are_harder() -> None:
    features = smooth(240, 0)
    pairs = [identified([predictions(features, noise, 1)], features).accuracy for noise in (0.5, 3, 30)]
    assert pairs == sorted(pairs, reverse=True) and pairs[0] > 0.95
    folds = [predictions(features, 3, 1)]
    assert 0.1 < identified(folds, features, ways=10).accuracy < identified(folds, features).accuracy


def test_nothing_is_found_in_nothing_at_the_stated_rate() -> None:
    """Two subjects share noise that has nothing to do with the sound: rejections stay near five per cent."""
    features = smooth(240, 0)
    p = []
    for seed in range(200):
        shared = smooth(240, 1000 + seed)
        subjects = [predictions(features, 0.0, 0, signal=0.0) for _ in range(2)]
        for s, folds in enumerate(subjects):
            noise = shared + 0.5 * smooth(240, 5000 + 2 * seed + s)
            for i, (a, b) in enumerate(BLOCKS):
                folds[i].predicted[:] = noise[a:b]
        p.append(identified(subjects, features).p)
    rejected = int((np.array(p) <= 0.05).sum())
    assert 2 <= rejected <= 21  # 99.9 % of binomial draws with n = 200, p = .05 lie within
    assert 0.4 < np.mean(p) < 0.6


def test_pairwise_agrees_with_counting_by_hand() -> None:
    features = smooth(240, 0)
    folds = predictions(features, 2.0, 1)
    layout = identification.trials(BLOCKS, RUNS, n_trs=N_TRS, gap=GAP)
    shift = 57
    row = 1 + int(np.flatnonzero(identification.admissible_shifts(RUNS, GAP) == shift)[0])
    turned = np.roll(features, -shift, axis=0)
    scores = []
    for fold in folds:
        first = fold.block[0]
        z = [(x - fold.mean) / fold.spread for x in (fold.predicted, turned[first : fold.block[1]])]
        cut = [[one[i : i + N_TRS].ravel() for i in range(0, 60, N_TRS)] for one in z]
        per_segment = []
        for i, mine in enumerate(cut[0]):
            own = np.corrcoef(mine, cut[1][i])[0, 1]
            others = [
                np.corrcoef(mine, cut[1][j])[0, 1] for j in range(15) if abs(i - j) * N_TRS >= N_TRS + GAP
            ]
            per_segment.append(np.mean([own > other for other in others]))
        scores.append(np.mean(per_segment))
    found = identification.identify_segments([folds], features, RUNS, layout, n_trs=N_TRS)
    assert_allclose(found.per_subject[0, row], np.mean(scores))


# -- decoders that are fitted anew ----------------------------------------------------------------------------

LAGS = (0, 1)


def readers(bold: list[np.ndarray]) -> list[Reader]:
    splits = k_fold(RUNS, len(BLOCKS), gap=GAP, lags=LAGS, shift=0, tr=Fraction(3, 2))
    return [Reader.of(lambda split, one=one: one, splits, lags=LAGS, shift=0) for one in bold]  # type: ignore[misc]


def refitted(bold: list[np.ndarray], features: np.ndarray, ways: int = 2) -> Identified:
    several = readers(bold)
    blocks = [split.test_block for split in several[0].splits]
    layout = identification.trials(blocks, RUNS, n_trs=N_TRS, gap=GAP)
    return Refitted.of(several, features, RUNS, layout, n_trs=N_TRS).identify(layout, ways)


def heard(features: np.ndarray, noise: float, seed: int) -> np.ndarray:
    """Voxels that follow the features, each in its way."""
    rng = np.random.default_rng(seed)
    voxels = features @ rng.standard_normal((N_FEATURES, 30))
    return np.asarray(voxels + noise * rng.standard_normal(voxels.shape), np.float32)


def test_a_sound_that_was_heard_is_found_by_decoders_that_are_fitted_anew() -> None:
    features = smooth(240, 0)
    found = refitted([heard(features, 0.5, seed) for seed in range(2)], features)
    assert found.refitted and found.per_subject.shape == (2, 216)
    assert found.accuracy > 0.9 and found.p == found.smallest_p
    assert abs(found.null.mean() - 0.5) < 0.03
    assert 0.1 < refitted([heard(features, 3, 1)], features, ways=10).accuracy < 1


def test_a_shift_is_a_study_of_the_sound_turned_round() -> None:
    """What stands under a shift is what the true pairing of the turned sound has."""
    features = smooth(240, 0)
    bold = [heard(features, 4.0, seed) for seed in range(2)]
    found = refitted(bold, features)
    shift = 57
    row = 1 + int(np.flatnonzero(identification.admissible_shifts(RUNS, GAP) == shift)[0])
    turned = refitted(bold, np.roll(features, -shift, axis=0))
    assert_allclose(found.per_subject[:, row], turned.per_subject[:, 0])


def test_fewer_shifts_are_spread_evenly_and_say_the_same_of_themselves() -> None:
    features = smooth(240, 0)
    bold = [heard(features, 4.0, 0)]
    several = readers(bold)
    blocks = [split.test_block for split in several[0].splits]
    few = identification.trials(blocks, RUNS, n_trs=N_TRS, gap=GAP, most_shifts=20)
    assert len(few[0].shifts) == 21 and few[0].shifts[1] == GAP + 1 and few[0].shifts[-1] == 240 - GAP - 1
    found = Refitted.of(several, features, RUNS, few, n_trs=N_TRS).identify(few)
    whole = refitted(bold, features)
    every = np.concatenate([[0], identification.admissible_shifts(RUNS, GAP)])
    assert_allclose(found.per_subject, whole.per_subject[:, np.isin(every, few[0].shifts)])


def test_decoders_fitted_anew_find_nothing_in_nothing_at_the_stated_rate() -> None:
    """Slow noise that two brains share, beside a slow sound; turned round after fitting it is compared with as well."""
    p = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        shared = smooth(240, 1000 + seed, width=12) @ rng.standard_normal((N_FEATURES, 30))
        bold = [np.asarray(shared + 0.3 * rng.standard_normal(shared.shape), np.float32) for _ in range(2)]
        p.append(refitted(bold, smooth(240, seed, width=12)).p)
    rejected = int((np.array(p) <= 0.05).sum())
    assert 2 <= rejected <= 21  # 99.9 % of binomial draws with n = 200, p = .05 lie within


def test_many_way_is_the_expectation_over_random_distractors() -> None:
    rng = np.random.default_rng(0)
    n = 14
    trial = Trial(np.arange(n), np.zeros(1, int), np.arange(n)[None], ~np.eye(n, dtype=bool)[None])
    similarities = rng.standard_normal((n, n))
    drawn = []
    for _ in range(4000):
        i = rng.integers(n)
        others = rng.choice(np.delete(np.arange(n), i), 9, replace=False)
        drawn.append(similarities[i, i] > similarities[i, others].max())
    assert_allclose(
        identification.many_way_accuracy(similarities[None], trial.admissible)[0], np.mean(drawn), atol=0.03
    )


def test_distractors_are_far_of_the_same_kind_and_as_loud() -> None:
    kind = np.repeat([0, 1], 120)
    level = np.where(np.arange(240) % 120 < 60, -20.0, -40.0)
    plain, matched = (
        identification.trials([(0, 240)], RUNS, n_trs=N_TRS, gap=GAP, facts=facts)[0]
        for facts in (None, SoundFacts(kind, level))
    )
    i, j = np.nonzero(plain.admissible[0])
    assert (np.abs(plain.starts[i] - plain.starts[j]) >= N_TRS + GAP).all()
    i, j = np.nonzero(matched.admissible[0])
    assert len(i) < plain.admissible[0].sum() and len(i) > 0
    at = matched.starts
    assert (kind[at[i]] == kind[at[j]]).all() and (level[at[i]] == level[at[j]]).all()
    shifted = matched.columns[30]
    i, j = np.nonzero(matched.admissible[30])
    middle = (shifted + 1) % 240  # a segment's kind is that of most of its TRs
    assert (kind[middle[i]] == kind[middle[j]]).mean() > 0.9


def test_facts_of_a_sound_are_those_of_every_tr() -> None:
    rate, tr = 8_000, Fraction(3, 2)
    waveform = np.concatenate([np.full(2 * 12_000, 0.1), np.zeros(12_000)]).astype(np.float32)
    table = pd.DataFrame({"onset": [0.0, 2.0], "offset": [2.0, 2.5], "kind": ["speech", "music"]})
    facts = SoundFacts.of(waveform, rate, tr, table)
    names = ["music", "speech", "none"]
    # The middle TR is .5 s of speech, .5 s of music, .5 s of nothing: the first of equal shares by name
    assert [names[k] for k in facts.kind] == ["speech", "music", "none"]
    assert_allclose(facts.level_db, [-20, -20, -80], atol=1e-4)


def test_too_few_is_said_and_not_tested() -> None:
    features = smooth(100, 0)
    folds = [
        FoldPrediction((40, 70), features[40:70], features.mean(0), features.std(0), np.ones(N_FEATURES))
    ]
    layout = identification.trials([(40, 70)], [(0, 100)], n_trs=N_TRS, gap=GAP)
    found = identification.identify_segments([folds], features, [(0, 100)], layout, n_trs=N_TRS)
    assert np.isnan(found.p) and found.verdict.startswith("not testable: 6 segments have enough distractors")
    found = dataclasses.replace(found, n_segments=10)
    assert np.isnan(found.p) and found.verdict.startswith("not testable: 75 admissible shifts")
    tenway = identification.identify_segments([folds], features, [(0, 100)], layout, n_trs=N_TRS, ways=10)
    assert tenway.verdict.startswith(
        "not testable: no segment has enough distractors, at least 10 are needed"
    )
    assert np.isnan(tenway.p)
    assert tenway.n_segments == 0 and tenway.n_left_out == 7
    with pytest.raises(UserError, match="7 held-out TRs hold 1 segments of 4 TRs"):
        identification.trials([(40, 47)], [(0, 100)], n_trs=N_TRS, gap=GAP)


def test_runs_are_turned_each_by_itself() -> None:
    runs = [(0, 130), (130, 240)]
    layout = identification.trials([(0, 60), (140, 200)], runs, n_trs=N_TRS, gap=GAP)
    assert layout[0].columns.max() < 130 and layout[1].columns.max() < 110
    assert len(layout[0].columns) == 1 + 110 - 2 * GAP - 1
    assert layout[1].columns[0, 0] == 10


def several(scores: np.ndarray, n_segments: int = 13) -> dict[str, Identified]:
    """Comparisons whose accuracies [comparisons, 1 + shifts] are known."""
    return {f"{k}": Identified(one[None], 0.5, n_segments, 0) for k, one in enumerate(scores)}


def test_correction_keeps_the_rate_of_false_alarms_whether_comparisons_hang_together_or_not() -> None:
    rng = np.random.default_rng(0)
    alarms = {}
    for together in (0.0, 0.95):
        wrong = 0
        for _ in range(600):
            common, own = rng.standard_normal((1, 120)), rng.standard_normal((8, 120))
            orbit = np.sqrt(together) * common + np.sqrt(1 - together) * own
            # What is compared differs in scale, as ten-way and pairwise accuracies do.
            wrong += (
                min(identification.corrected(several(orbit * np.geomspace(0.01, 1, 8)[:, None])).values())
                <= 0.05
            )
        alarms[together] = wrong
    assert all(12 <= wrong <= 51 for wrong in alarms.values()), (
        alarms
    )  # 99.9 % of binomial draws with p = .05


def test_a_clear_result_passes_among_many_comparisons() -> None:
    """Holm's least p among 12 with 215 shifts would be 12 / 216 > .05."""
    orbit = np.random.default_rng(0).standard_normal((12, 216))
    orbit[3, 0] = 8.0
    found = identification.corrected(several(orbit))
    assert found["3"] == 1 / 216
    assert all(found[name] > 0.05 for name in found if name != "3")


def test_correction_steps_down_and_never_falls_below_the_uncorrected_p() -> None:
    orbit = np.random.default_rng(1).standard_normal((3, 216))
    orbit[:, 0] = 9.0, 2.2, 1.5
    comparisons = several(orbit) | {"few": Identified(orbit[:1], 0.5, 4, 9)}
    found = identification.corrected(comparisons)
    assert np.isnan(found["few"]) and list(found) == ["0", "1", "2", "few"]
    assert found["0"] < found["1"] < found["2"]
    assert all(found[name] >= comparisons[name].p for name in "012")
    # The last one is compared with itself alone: a strong result elsewhere costs it nothing.
    assert found["2"] == comparisons["2"].p
    alone = identification.corrected({name: comparisons[name] for name in "12"})
    assert alone["1"] == found["1"]


def test_a_shift_without_an_accuracy_is_beaten_and_different_shifts_are_refused() -> None:
    orbit = np.random.default_rng(2).standard_normal((2, 216))
    orbit[0, 5:40] = np.nan
    comparisons = several(orbit)
    found = identification.corrected(comparisons)
    assert all(np.isfinite(found[name]) and found[name] >= comparisons[name].p for name in found)
    assert identification.corrected({}) == {}
    with pytest.raises(ValueError, match="same shifts"):
        identification.corrected(several(orbit) | {"other": Identified(orbit[1:, :150], 0.5, 13, 0)})
