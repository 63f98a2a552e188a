"""Ridge, identification and nulls on data whose truth is known."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fmri_audio.base.errors import UserError
from fmri_audio.brain import solver
from fmri_audio.decoding import regression
from fmri_audio.simulation.simulator import simulate_study
from fmri_audio.study.lag_windows import lagged
from fmri_audio.study.reader import Study
from fmri_audio.study.splits import Split, contiguous_split
from tests.study.conftest import SAMPLE_RATE, SHAPE, noise_bursts

LAGS, SHIFT, N_TRS, TR = [2, 3, 4], 3, 160, Fraction(3, 2)


def split_of(n_trs: int = N_TRS) -> Split:
    return contiguous_split([(0, n_trs)], test_fraction=0.3, gap=11, lags=LAGS, shift=SHIFT, tr=TR)


def smooth(n: int, columns: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    white = rng.standard_normal((n + 4, columns))
    return np.asarray(sum(white[i : i + n] for i in range(5)) / np.sqrt(5), np.float32)


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> dict[float, Study]:
    """The same sound heard by strongly driven brains and by brains that do not hear it."""
    folder = tmp_path_factory.mktemp("decoding")
    return {
        strength: Study.open(
            simulate_study(
                folder / str(strength),
                noise_bursts(N_TRS),
                SAMPLE_RATE,
                n_subjects=1,
                n_trs=N_TRS,
                shape=SHAPE,
                seed=1,
                strength=strength,
                progress=False,
            )
        )
        for strength in (0.7, 0.0)
    }


def sound_to_brain(study: Study, design: np.ndarray) -> float:
    """Held-out correlation of ridge from the true features to BOLD."""
    split = split_of()
    bold = regression.brain_of(study, 1, study.mask(), split)
    ridge = regression.fit_ridge(design[split.train], bold[split.train], split.train, n_folds=3, gap=10)
    return regression.prediction_correlation(ridge.predict(design[split.test]), bold[split.test])


def test_ridge_is_the_solution_of_its_penalised_least_squares(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    x, y = smooth(60, 90, 0), smooth(60, 3, 1)
    new = rng.standard_normal((5, 90)).astype(np.float32)
    ridge = regression.fit_ridge(x, y, np.arange(60), n_folds=3, gap=2)
    for k, alpha in enumerate(ridge.alphas):
        weights = np.linalg.solve(
            x.T.astype(np.float64) @ x + alpha * np.eye(90), x.T @ (y[:, k] - y[:, k].mean())
        )
        assert_allclose(ridge.predict(new)[:, k], new @ weights + y[:, k].mean(), atol=1e-5)
        assert_allclose(ridge.predictors.T @ ridge.dual[:, k], weights, atol=1e-7)
    monkeypatch.setattr(regression, "_SLICE", 7)  # which slices are summed changes nothing
    again = regression.fit_ridge(x, y, np.arange(60), n_folds=3, gap=2)
    assert_array_equal(again.alphas, ridge.alphas)
    assert_allclose(again.dual, ridge.dual, rtol=1e-9)


def test_where_ridge_is_solved_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU himalaya computes with PyTorch's tensors; PyTorch's on the CPU take the same way."""
    from himalaya.backend import get_backend

    x, y, new = smooth(60, 90, 0), smooth(60, 3, 1), smooth(5, 90, 2)
    here = regression.fit_ridge(x, y, np.arange(60), n_folds=3, gap=2)
    expected = here.predict(new)
    monkeypatch.setattr(solver, "backend_name", lambda: "torch")
    there = regression.fit_ridge(x, y, np.arange(60), n_folds=3, gap=2)
    assert isinstance(there.dual, np.ndarray) and isinstance(there.alphas, np.ndarray)
    assert_array_equal(there.alphas, here.alphas)
    assert_allclose(there.dual, here.dual, rtol=1e-6, atol=1e-9)
    assert_allclose(there.predict(new), expected, rtol=1e-5, atol=1e-6)
    assert get_backend().name == "numpy", "what was set before is set again"


def test_ridge_on_the_true_features_finds_the_signal_and_nothing_where_there_is_none(
    studies: dict[float, Study],
) -> None:
    truth = np.load(studies[0.7].folder / "truth.npz")
    attainable = float(truth["attainable"].mean())
    assert 0.6 * attainable < sound_to_brain(studies[0.7], truth["features"]) <= 1.1 * attainable
    assert abs(sound_to_brain(studies[0.0], truth["features"])) < 0.1


def test_brains_that_hear_identify_the_sound_and_others_do_not(studies: dict[float, Study]) -> None:
    split = split_of()
    units = np.load(studies[0.7].folder / "truth.npz")["features"]
    accuracy = {}
    for strength, study in studies.items():
        bold = regression.brain_of(study, 1, study.mask(), split)
        predicted, ridge = regression.decode_units(bold, units, split, lags=LAGS, shift=SHIFT, n_folds=3)
        assert ridge.alphas.shape == (units.shape[1],)
        accuracy[strength] = regression.identify(predicted, units[split.test], 4).accuracy
    assert accuracy[0.7] > 0.85
    assert 0.2 < accuracy[0.0] < 0.8


def test_held_out_sound_and_brain_leave_training_bit_identical(studies: dict[float, Study]) -> None:
    study, split = studies[0.7], split_of()
    mask = study.mask()
    units = smooth(N_TRS, 6, 0)
    bold = regression.brain_of(study, 1, mask, split)
    _, ridge = regression.decode_units(bold, units, split, lags=LAGS, shift=SHIFT, n_folds=3)

    class Perturbed(Study):
        def bold(self, subject: int, mask: np.ndarray) -> np.ndarray:
            data = super().bold(subject, mask)
            data[split.bold_test[0] :] *= -3
            return data

    other = regression.brain_of(Perturbed(**vars(study)), 1, mask, split)
    changed = units.copy()
    changed[split.test[0] :] = 99
    _, again = regression.decode_units(other, changed, split, lags=LAGS, shift=SHIFT, n_folds=3)
    assert_array_equal(bold[split.bold_train_rows], other[split.bold_train_rows])
    assert_array_equal(ridge.alphas, again.alphas)
    assert_array_equal(ridge.mean, again.mean)
    probe = lagged(bold, split.train, LAGS, SHIFT)
    assert_array_equal(ridge.predict(probe), again.predict(probe))
    assert not np.array_equal(bold[split.bold_test[0] :], other[split.bold_test[0] :])


def test_a_brain_from_the_cache_is_the_same(studies: dict[float, Study], tmp_path: Path) -> None:
    study, split = studies[0.7], split_of()
    mask = study.mask()
    expected = regression.brain_of(study, 1, mask, split)
    for _ in range(2):
        assert_array_equal(regression.brain_of(study, 1, mask, split, cache=tmp_path), expected)
    array, seal = sorted(tmp_path.iterdir())
    assert (array.suffix, seal.name) == (".npy", f"{array.name}.sha256")


def test_no_brain_predicts_the_training_mean() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((60, 8)), rng.standard_normal((60, 3)) + 5
    ridge = regression.fit_ridge(x, y, np.arange(60), n_folds=3, gap=2)
    assert_allclose(ridge.without_brain[0], y.mean(axis=0), rtol=1e-6)
    assert_allclose(ridge.predict(np.zeros((1, 8))), ridge.without_brain, rtol=1e-5)


def test_ridge_agrees_with_the_closed_form() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((40, 60)), rng.standard_normal((40, 2))
    ridge = regression.fit_ridge(x, y, np.arange(40), n_folds=4, gap=0, alphas=[30.0])
    centred = y - y.mean(axis=0)
    expected = x @ np.linalg.solve(x.T @ x + 30 * np.eye(60), x.T @ centred) + y.mean(axis=0)
    assert_allclose(ridge.predict(x), expected, rtol=1e-4, atol=1e-4)


def test_identification_of_the_truth_is_perfect_and_of_nothing_is_chance() -> None:
    true = smooth(48, 20, 0)
    perfect = regression.identify(true, true, 4)
    assert (perfect.accuracy, perfect.n_segments, perfect.n_pairs) == (1.0, 12, 132)
    assert regression.identify(np.ones_like(true), true, 4).accuracy == 0.5
    chance = np.mean([regression.identify(smooth(48, 20, seed), true, 4).accuracy for seed in range(1, 30)])
    assert 0.44 < chance < 0.56
    with pytest.raises(UserError, match="at least 2"):
        regression.identify(true[:7], true[:7], 4)


def test_neighbours_within_the_gap_are_no_distractors() -> None:
    true = np.repeat(smooth(12, 20, 3), 4, axis=0)
    true[4:8] = true[:4]  # a segment and its neighbour are the same
    assert regression.identify(true, true, 4).accuracy == pytest.approx(1 - 2 * 0.5 / 11 / 12)
    apart = regression.identify(true, true, 4, gap=4)
    assert apart.accuracy == 1 and apart.n_pairs == 11 * 10
    middle = regression.identify(true[:28], true[:28], 4, gap=12)  # 7 segments: the fourth has nobody 4 away
    assert middle.n_segments == 6 and middle.n_pairs == 12
    with pytest.raises(UserError, match="12 TRs between them"):
        regression.identify(true[:16], true[:16], 4, gap=12)


def test_brains_that_share_a_response_identify_each_other() -> None:
    split = split_of()
    common = smooth(N_TRS, 30, 0)
    bold = [common + 0.5 * smooth(N_TRS, 30, seed) for seed in (1, 2, 3)]
    assert min(found.accuracy for found in regression.brain_to_brain(bold, split, 4)) > 0.95
    with pytest.raises(UserError, match="at least 2"):
        regression.brain_to_brain(bold[:1], split, 4)
    assert regression.brain_to_brain(bold, split, len(split.test) // 2) == []


def test_too_few_trs_for_the_folds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cv_folds"):
        regression.fit_ridge(np.zeros((10, 3)), np.zeros((10, 2)), np.arange(10), n_folds=4, gap=2)
