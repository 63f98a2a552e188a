"""Banded ridge on voxels whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.signal import lfilter

from fmri_audio.base.errors import UserError
from fmri_audio.brain import solver
from fmri_audio.decoding import encoding
from fmri_audio.study.splits import Split

N, SHIFT = 220, 3
RUNS = [(0, N)]
#: Response of a voxel at delays 1 to 6 TRs.
RESPONSE = np.array([0, 0.1, 0.6, 1.0, 0.7, 0.3, 0.1])


def split() -> Split:
    """The last 60 TRs are held out after a gap of 12, in sound and (lags of 3 TRs) in volumes."""
    blocks = {
        "train_blocks": ((0, 148),),
        "test_block": (160, N),
        "bold_train": ((0, 148),),
        "bold_test": (160, N),
    }
    return Split(**blocks, gap=12, **({"runs": ((0, N),)} if "runs" in Split.__dataclass_fields__ else {}))


def study(noise: float, seed: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Two kinds of features; voxels 0–4 follow the first, 5–9 the second, 10–14 neither."""
    rng = np.random.default_rng(seed)
    kinds = {"few": rng.standard_normal((N, 2)), "many": rng.standard_normal((N, 30))}
    weights = {name: rng.standard_normal((one.shape[1], 5)) for name, one in kinds.items()}
    driven = [lfilter(RESPONSE, 1, kinds[name] @ weights[name], axis=0) for name in kinds]
    signal = np.concatenate([*driven, np.zeros((N, 5))], axis=1)
    # Volume k of the shifted study answers what was heard up to TR k + shift.
    shifted = np.concatenate([signal[SHIFT:], np.zeros((SHIFT, 15))])
    scale = np.where(shifted.std(axis=0) > 0, shifted.std(axis=0), 1)
    bold = shifted / scale + noise * rng.standard_normal((N, 15))
    return {name: np.asarray(one, np.float32) for name, one in kinds.items()}, np.asarray(bold, np.float32)


def fit(kinds: dict[str, np.ndarray], bold: np.ndarray) -> encoding.Encoded:
    return encoding.banded_ridge(kinds, bold, split(), RUNS, shift=SHIFT, n_folds=3, seed=0, n_mixtures=20)


def test_each_voxel_is_credited_to_the_kind_that_drives_it() -> None:
    found = fit(*study(noise=0.5))
    few, many = found.parts["few"], found.parts["many"]
    assert (found.correlation[:5] > 0.7).all() and (few[:5] > 5 * np.abs(many[:5])).all()
    assert (many[5:10] > 5 * np.abs(few[5:10])).all() and found.correlation[5:10].mean() > 0.35
    assert np.abs(found.correlation[10:]).mean() < 0.2
    assert_allclose(few + many, found.correlation, atol=0.02)


def test_where_it_is_solved_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    here = fit(*study(noise=0.5))
    monkeypatch.setattr(solver, "backend_name", lambda: "torch")
    there = fit(*study(noise=0.5))
    assert_allclose(there.correlation, here.correlation, atol=1e-5)
    for name, share in here.parts.items():
        assert isinstance(there.parts[name], np.ndarray)
        assert_allclose(there.parts[name], share, atol=1e-5)


def test_many_useless_columns_do_not_crowd_out_few_useful_ones() -> None:
    kinds, bold = study(noise=1.5)
    together = fit(kinds, bold).correlation[:5].mean()
    plain = fit({"all": np.concatenate(list(kinds.values()), axis=1)}, bold).correlation[:5].mean()
    assert together > plain + 0.03


def test_held_out_rows_change_nothing_that_was_learnt() -> None:
    kinds, bold = study(noise=1.0)
    before = fit(kinds, bold)
    other = bold.copy()
    other[160:] = -2 * other[160:] + 7
    after = fit(kinds, other)
    assert_allclose(after.correlation, -before.correlation, atol=1e-5)  # same predictions, turned target


def test_delays_count_in_stimulus_time_and_stay_within_the_run() -> None:
    features = np.arange(10, dtype=np.float32)[:, None] + 1
    rows = encoding.delayed(features, np.array([0, 1, 9]), [1, 3, 5], 3, (0, 10))
    assert_array_equal(rows, [[3, 1, 0], [4, 2, 0], [0, 10, 8]])
    later = encoding.delayed(features, np.array([5, 6]), [3, 5], 3, (5, 10))
    assert_array_equal(later, [[6, 0], [7, 0]])
    assert encoding.delayed(features, np.array([], int), [3, 5], 3, (5, 10)).shape == (
        0,
        2,
    )  # a run not asked for


def test_impossible_requests_are_one_sentence() -> None:
    kinds, bold = study(noise=1.0)
    with pytest.raises(UserError, match="at least one kind of features"):
        fit({}, bold)
    with pytest.raises(UserError, match=r"training.cv_folds: 40 folds need at least 160 training volumes"):
        encoding.banded_ridge(kinds, bold, split(), RUNS, shift=SHIFT, n_folds=40, seed=0)
