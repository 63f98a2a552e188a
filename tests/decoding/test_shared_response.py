"""The shared response model on brains whose maps and response are known."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fmri_audio.base.errors import UserError
from fmri_audio.decoding.shared_response import (
    SharedResponse,
    choose_k,
    cross_validated,
    fit_shared_response,
    shared_variance,
)

N, K, VOXELS = 160, 4, (20, 26, 31)
TRAIN, TEST = np.arange(110), np.arange(120, N)


def orthonormal(rows: int, columns: int, rng: np.random.Generator) -> np.ndarray:
    return np.asarray(np.linalg.qr(rng.standard_normal((rows, columns)))[0])


def brains(
    noise: float, maps: list[np.ndarray] | None = None, seed: int = 0
) -> tuple[dict[int, np.ndarray], list[np.ndarray], np.ndarray]:
    """Subjects 1, 2, … with maps of their own, the maps, and the response they share, of variance 1 per feature."""
    rng = np.random.default_rng(seed)
    response = rng.standard_normal((N, K))
    maps = maps or [orthonormal(n, K, rng) for n in VOXELS]
    bold = {
        subject: np.float32(response @ one.T + noise * rng.standard_normal((N, len(one))))
        for subject, one in enumerate(maps, 1)
    }
    return bold, maps, response


def turned_onto(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    """What was found, in the rotation that brings it closest to the truth."""
    left, _, right = np.linalg.svd(found.T @ true)
    return np.asarray(found @ left @ right)


def averaging(bold: Mapping[int, np.ndarray], k: int) -> SharedResponse:
    """One map for all: the first k principal components of the averaged voxels."""
    mean = np.mean([one[TRAIN] for one in bold.values()], axis=0)
    mapped = np.linalg.svd(mean - mean.mean(axis=0), full_matrices=False)[2][:k].T
    return SharedResponse(
        TRAIN,
        (mean - mean.mean(axis=0)) @ mapped,
        dict.fromkeys(bold, mapped),
        {subject: one[TRAIN].mean(axis=0) for subject, one in bold.items()},
    )


def test_maps_and_response_are_recovered_up_to_a_rotation_without_noise() -> None:
    bold, maps, response = brains(noise=0)
    found = fit_shared_response(bold, TRAIN, K)
    centred = response[TRAIN] - response[TRAIN].mean(axis=0)
    assert_allclose(turned_onto(found.shared, centred), centred, atol=1e-4)
    for subject, true in enumerate(maps, 1):
        own = found.maps[subject]
        assert_allclose(own.T @ own, np.eye(K), atol=1e-10)
        assert_allclose(own @ own.T, true @ true.T, atol=1e-5)
        assert_allclose(
            found.reconstructed(subject, found.transform(subject, bold[subject][TEST])),
            bold[subject][TEST],
            atol=1e-4,
        )
    assert shared_variance(found, bold, TEST) > 0.9999
    one, other = (found.transform(subject, bold[subject][TEST]) for subject in (1, 2))
    shift = found.means[1] @ found.maps[1] - found.means[2] @ found.maps[2]
    assert_allclose(one + shift, other, atol=1e-4)


def test_noise_leaves_them_close() -> None:
    bold, maps, response = brains(noise=0.4)
    found = fit_shared_response(bold, TRAIN, K)
    centred = response[TRAIN] - response[TRAIN].mean(axis=0)
    turned = turned_onto(found.shared, centred)
    correlations = [np.corrcoef(turned[:, k], centred[:, k])[0, 1] for k in range(K)]
    assert min(correlations) > 0.95
    for subject, true in enumerate(maps, 1):
        cosines = np.linalg.svd(found.maps[subject].T @ true, compute_uv=False)
        assert cosines.min() > 0.9
    mean = turned_onto(found.mean_of({subject: one[TEST] for subject, one in bold.items()}), response[TEST])
    alone = turned_onto(found.transform(1, bold[1][TEST]), response[TEST])
    assert np.square(mean - response[TEST]).mean() < np.square(alone - response[TEST]).mean()


def test_every_turn_lowers_the_error_and_a_few_are_enough() -> None:
    bold, _, _ = brains(noise=0.8)
    errors = []
    for n_turns in (1, 2, 4, 8, 60):
        found = fit_shared_response(bold, TRAIN, K, n_turns=n_turns)
        errors.append(
            sum(
                np.square(one[TRAIN] - found.reconstructed(subject, found.shared)).sum()
                for subject, one in bold.items()
            )
        )
    assert all(later <= before + 1e-3 for before, later in pairwise(errors))
    assert errors[3] / errors[4] < 1.001


def test_the_same_brains_give_the_same_bits_and_other_rows_are_not_read() -> None:
    bold, _, _ = brains(noise=0.4)
    found = fit_shared_response(bold, TRAIN, K)
    changed = {subject: one.copy() for subject, one in bold.items()}
    for one in changed.values():
        one[len(TRAIN) :] = np.nan
    again = fit_shared_response(changed, TRAIN, K)
    assert_array_equal(found.shared, again.shared)
    for subject in bold:
        assert_array_equal(found.maps[subject], again.maps[subject])
        assert_array_equal(found.means[subject], again.means[subject])
    assert np.isnan(again.transform(1, changed[1])[len(TRAIN) :]).all()


def test_voxels_turned_round_change_nothing_of_what_is_shared() -> None:
    bold, _, _ = brains(noise=0.4)
    rng = np.random.default_rng(1)
    turned = {
        subject: np.float32(one @ orthonormal(one.shape[1], one.shape[1], rng))
        for subject, one in bold.items()
    }
    one, other = (fit_shared_response(brain, TRAIN, K) for brain in (bold, turned))
    assert_allclose(np.abs(one.shared), np.abs(other.shared), atol=1e-3)


def test_a_single_subject_has_its_principal_components() -> None:
    bold, _, _ = brains(noise=0.4)
    found = fit_shared_response({1: bold[1]}, TRAIN, K)
    centred = bold[1][TRAIN] - bold[1][TRAIN].mean(axis=0)
    _, _, right = np.linalg.svd(centred.astype(np.float64), full_matrices=False)
    assert_allclose(found.maps[1] @ found.maps[1].T, right[:K].T @ right[:K], atol=1e-4)


def test_a_new_subject_is_brought_in_and_changes_nobody() -> None:
    bold, maps, _ = brains(noise=0.2)
    known = {subject: bold[subject] for subject in (1, 2)}
    before = fit_shared_response(known, TRAIN, K)
    after = before.with_subject(3, bold[3])
    assert_array_equal(before.shared, after.shared)
    assert set(after.maps) == {1, 2, 3} and set(before.maps) == {1, 2}
    assert after.maps[1] is before.maps[1]
    assert np.linalg.svd(after.maps[3].T @ maps[2], compute_uv=False).min() > 0.95
    mean = before.mean_of({subject: one[TEST] for subject, one in known.items()})
    newcomer = after.transform(3, bold[3][TEST])
    for k in range(K):
        assert np.corrcoef(mean[:, k], newcomer[:, k])[0, 1] > 0.9


def test_it_beats_averaging_where_maps_differ_and_not_where_they_are_the_same() -> None:
    rng = np.random.default_rng(2)
    size = 20
    one_map = orthonormal(size, K, rng)
    turned = [orthonormal(size, size, rng) @ one_map for _ in range(6)]
    gains = {}
    for name, maps in {"turned": turned, "same": [one_map] * 6}.items():
        bold, _, _ = brains(noise=0.3, maps=maps, seed=3)
        found = shared_variance(fit_shared_response(bold, TRAIN, K), bold, TEST)
        averaged = shared_variance(averaging(bold, K), bold, TEST)
        voxels = shared_variance(averaging(bold, size), bold, TEST)  # nothing but the mean of the others
        gains[name] = (found - averaged, found - voxels)
        assert found > 0.5
    assert min(gains["turned"]) > 0.4
    assert -0.02 < gains["same"][0] < 0.005
    assert abs(gains["same"][1]) < 0.1


def test_shared_variance_is_the_squared_correlation_with_what_the_others_say() -> None:
    bold, _, _ = brains(noise=0.5)
    found = fit_shared_response(bold, TRAIN, K)
    expected = []
    for subject in bold:
        others = {name: one[TEST] for name, one in bold.items() if name != subject}
        said = found.reconstructed(subject, found.mean_of(others)) - found.means[subject]
        true = bold[subject][TEST] - found.means[subject]
        expected.append(np.sum(said * true) ** 2 / np.sum(said**2) / np.sum(true**2))
    assert shared_variance(found, bold, TEST) == pytest.approx(np.mean(expected), rel=1e-4)
    silent = {subject: np.tile(found.means[subject], (N, 1)) for subject in bold}
    assert shared_variance(found, silent, TEST) == 0
    against = {1: bold[1], 2: np.float32(2 * found.means[2] - bold[2])}
    assert shared_variance(found, against, TEST) < 0
    with pytest.raises(UserError, match="at least 2 subjects"):
        shared_variance(found, {1: bold[1]}, TEST)


def test_the_number_of_features_is_found_within_training() -> None:
    rng = np.random.default_rng(5)
    bold, _, _ = brains(noise=0.8, maps=[orthonormal(20, K, rng) for _ in range(3)])
    scores = cross_validated(bold, TRAIN, [1, 2, K, 12], n_folds=3, gap=2)
    assert max(scores, key=lambda k: scores[k]) == K
    for one in bold.values():
        one[len(TRAIN) :] = np.nan
    assert choose_k(bold, TRAIN, [12, K, 2, 1], n_folds=3, gap=2) == K
    with pytest.raises(UserError, match="at least one k"):
        choose_k(bold, TRAIN, [], n_folds=3, gap=2)


def test_what_does_not_fit_is_refused_in_one_sentence() -> None:
    bold, _, _ = brains(noise=0.4)
    with pytest.raises(UserError, match="159 or 160 volumes; cut all"):
        fit_shared_response({**bold, 2: bold[2][:-1]}, TRAIN, K)
    with pytest.raises(UserError, match="subject 1: 21 shared features of 20 voxels .* ask for 1 to 20"):
        fit_shared_response(bold, TRAIN, 21)
    with pytest.raises(UserError, match="11 shared features of 20 voxels in 10 volumes .* ask for 1 to 10"):
        fit_shared_response(bold, TRAIN[:10], 11)
    with pytest.raises(UserError, match="0 shared features"):
        fit_shared_response(bold, TRAIN, 0)
    with pytest.raises(UserError, match="there is none"):
        fit_shared_response({}, TRAIN, K)
    with pytest.raises(UserError, match="not among the 160 volumes"):
        fit_shared_response(bold, np.arange(100, 161), K)
    with pytest.raises(UserError, match="give rows of these"):
        fit_shared_response(bold, np.arange(0), K)
    holed = {**bold, 3: bold[3].copy()}
    holed[3][7, 2] = np.nan
    with pytest.raises(UserError, match="subject 3: some of the volumes .* are NaN; leave these rows out"):
        fit_shared_response(holed, TRAIN, K)
    found = fit_shared_response({1: bold[1], 2: bold[2]}, TRAIN, K)
    with pytest.raises(UserError, match="subject 3: some of the volumes"):
        found.with_subject(3, holed[3])
    with pytest.raises(UserError, match="among the 50 volumes"):
        found.with_subject(3, bold[3][:50])
    with pytest.raises(UserError, match="subject 2 is part of"):
        found.with_subject(2, bold[2])
    with pytest.raises(UserError, match="subject 3 has no map"):
        found.transform(3, bold[3])
    with pytest.raises(UserError, match="subject 3 has no map"):
        found.reconstructed(3, found.shared)
    with pytest.raises(UserError, match="fitted on 20 voxels, these volumes have 26"):
        found.transform(1, bold[2])


def test_it_agrees_with_brainiak() -> None:
    """BrainIAK starts from random maps: what both agree on is the error that is left and the space that is shared."""
    srm = pytest.importorskip("brainiak.funcalign.srm", reason="BrainIAK is not installed")
    bold, _, _ = brains(noise=0.5)
    found = fit_shared_response(bold, TRAIN, K, n_turns=60)
    centred = {subject: one[TRAIN] - found.means[subject] for subject, one in bold.items()}
    other = srm.DetSRM(n_iter=60, features=K)
    other.fit([one.T for one in centred.values()])

    def error(maps: list[np.ndarray], shared: np.ndarray) -> float:
        parts = zip(centred.values(), maps, strict=True)
        return float(sum(np.square(one - shared @ mapped.T).sum() for one, mapped in parts))

    own, theirs = error([*found.maps.values()], found.shared), error(other.w_, other.s_.T)
    assert own == pytest.approx(theirs, rel=1e-4)
    assert_allclose(turned_onto(other.s_.T, found.shared), found.shared, atol=0.02)
    for one, mapped in zip(other.w_, found.maps.values(), strict=True):
        assert_allclose(one @ one.T, mapped @ mapped.T, atol=0.02)
