"""Brains decoded together: where a shared response helps, where it does not, and that nothing held out is fitted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.signal import lfilter

from fmri_audio.base.errors import UserError
from fmri_audio.decoding import group
from fmri_audio.decoding.group import Reading, SharedDecoder
from fmri_audio.decoding.leakage import BrainsByCopy, Built, LeakageReport, perturbation_report
from fmri_audio.decoding.regression import Ridge, cleaned_for, decode_units, fit_ridge, prediction_correlation
from fmri_audio.decoding.shared_response import Brains, SharedResponse, fit_shared_response
from fmri_audio.study.lag_windows import lagged
from fmri_audio.study.splits import Split, contiguous_split, leave_one_run_out

TR, LAGS, SHIFT, GAP = Fraction(2), (1, 2, 3), 0, 9
RUNS = [(0, 70), (70, 150)]
N_TRS, VOXELS, K = 150, 24, 3
READING = Reading(LAGS, SHIFT, n_folds=3)
TIMES = {"gap": GAP, "lags": LAGS, "shift": SHIFT, "tr": TR}
RATE = 50


def brains(turned: bool, n_subjects: int = 4, noise: float = 0.6) -> tuple[dict[int, np.ndarray], np.ndarray]:
    """Raw BOLD that answers a target, and two louder things, two TRs later; in voxels of each brain's own if turned."""
    rng = np.random.default_rng(0)
    sources = lfilter([1.0], [1.0, -0.6], rng.standard_normal((N_TRS, K)), axis=0)
    answers = np.roll(sources, 2, axis=0) * [0.8, 1.4, 1.2]
    one_map = np.linalg.qr(rng.standard_normal((VOXELS, K)))[0]
    bold = {}
    for subject in range(1, n_subjects + 1):
        turn = np.linalg.qr(rng.standard_normal((VOXELS, VOXELS)))[0] if turned else np.eye(VOXELS)
        own = answers @ (turn @ one_map).T + noise * rng.standard_normal((N_TRS, VOXELS))
        bold[subject] = np.float32(1000 + 10 * own)
    return bold, np.float32(sources[:, :1])


def last_run() -> Split:
    return leave_one_run_out(RUNS, **TIMES)[1]


def cleaned(bold: Mapping[int, np.ndarray], split: Split) -> dict[int, np.ndarray]:
    return {subject: cleaned_for(one, split, TR) for subject, one in bold.items()}


def scores(turned: bool) -> dict[str, float]:
    raw, target = brains(turned)
    split = last_run()
    bold = cleaned(raw, split)
    each = [predicted for predicted, _ in group.decode_each(bold, target, split, READING).values()]
    others = {subject: bold[subject] for subject in (2, 3, 4)}
    newcomer = group.fit_shared_decoder(others, target, split, READING, ks=[K]).with_subject(1, bold[1])
    predicted = {
        "within": each[0],
        "predictions": group.averaged_predictions(each),
        "bold": group.decode_averaged_bold(bold, target, split, READING)[0],
        "shared": group.decode_shared(bold, target, split, READING, ks=[1, K, 12])[0],
        "newcomer": newcomer.predict({1: bold[1]}, split.test),
    }
    return {name: prediction_correlation(one, target[split.test]) for name, one in predicted.items()}


def test_a_shared_response_gains_where_brains_are_turned_and_not_where_they_are_alike() -> None:
    turned, same = scores(turned=True), scores(turned=False)
    assert turned["shared"] > turned["bold"] + 0.1
    assert turned["shared"] > turned["within"]
    assert turned["newcomer"] > turned["within"] - 0.05, "without a single training TR of the target"
    assert turned["predictions"] > turned["within"]
    assert abs(same["shared"] - same["bold"]) < 0.05
    assert min(same["shared"], same["bold"]) > same["within"]


def test_each_is_decoded_as_it_would_be_alone() -> None:
    raw, target = brains(turned=True, n_subjects=2)
    split = last_run()
    bold = cleaned(raw, split)
    alone, ridge = decode_units(bold[2], target, split, lags=LAGS, shift=SHIFT, n_folds=3)
    predicted, again = group.decode_each(bold, target, split, READING)[2]
    assert_array_equal(predicted, alone)
    assert_array_equal(again.alphas, ridge.alphas)
    assert_allclose(group.averaged_predictions([predicted, 3 * predicted]), 2 * predicted)


def test_the_average_is_standardised_on_training_volumes() -> None:
    raw, _ = brains(turned=False)
    split = last_run()
    mean = group.averaged_bold(cleaned(raw, split), split)
    rows = split.bold_train_rows
    assert_allclose(mean[rows].mean(axis=0), 0, atol=1e-5)
    assert_allclose(mean[rows].std(axis=0), 1, atol=1e-5)


def test_the_number_of_features_is_chosen_by_the_target_within_training() -> None:
    raw, target = brains(turned=True)
    split = last_run()
    bold = cleaned(raw, split)
    scores = group.scores_of_k(bold, target, split, READING, [12, 1, K, K])
    assert [*scores] == [1, K, 12] and scores[K] > scores[1] + 0.3
    best = max(scores, key=lambda k: scores[k].mean())
    assert group.fit_shared_decoder(bold, target, split, READING, ks=[12, K, 1]).response.k == best
    assert group.fit_shared_decoder({1: bold[1]}, target, split, READING, ks=[K]).response.k == K


def test_decoders_of_several_targets_are_those_of_each_alone() -> None:
    raw, target = brains(turned=True)
    split, noise = last_run(), np.random.default_rng(8).normal(size=(len(target), 1))
    bold, targets = cleaned(raw, split), np.hstack([target, noise]).astype(np.float32)
    ks = [1, K, 12]
    together = group.fit_shared_decoders(bold, targets, split, READING, ks=ks)
    assert len(together) == targets.shape[1]
    for column, one in enumerate(together):
        alone = group.fit_shared_decoder(bold, targets[:, [column]], split, READING, ks=ks)
        assert one.response.k == alone.response.k
        assert_allclose(one.predict(bold, split.test), alone.predict(bold, split.test), atol=1e-5)


def test_brains_of_other_voxels_share_a_response_but_no_average() -> None:
    raw, target = brains(turned=True)
    split = last_run()
    bold = cleaned({**raw, 2: raw[2][:, :20]}, split)
    predicted, decoder = group.decode_shared(bold, target, split, READING, ks=[K])
    assert predicted.shape == (len(split.test), 1) and np.isfinite(predicted).all()
    assert decoder.response.maps[2].shape == (20, K)
    with pytest.raises(UserError, match="cannot be averaged; .* or a shared response"):
        group.decode_averaged_bold(bold, target, split, READING)


def test_what_is_impossible_is_said() -> None:
    raw, target = brains(turned=True, n_subjects=2)
    split = last_run()
    bold = cleaned(raw, split)
    for decode in (group.decode_averaged_bold, group.decode_each):
        with pytest.raises(UserError, match="no subject to decode"):
            decode({}, target, split, READING)
    with pytest.raises(UserError, match="no subject to decode"):
        group.decode_shared({}, target, split, READING, ks=[K])
    with pytest.raises(UserError, match="at least one k"):
        group.decode_shared(bold, target, split, READING, ks=[])
    with pytest.raises(UserError, match="25 shared features of 24 voxels"):
        group.decode_shared(bold, target, split, READING, ks=[25])
    decoder = group.fit_shared_decoder({1: bold[1]}, target, split, READING, ks=[K])
    with pytest.raises(UserError, match="subject 2 has no map"):
        decoder.predict(bold, split.test)


@dataclass(frozen=True)
class Analysis:
    """All ways to decode a group, for one split: two subjects train, a third is brought in."""

    split: Split

    def __call__(self, waveform: np.ndarray, bold: BrainsByCopy) -> Built:
        split = self.split
        level = np.float32(np.log10(np.square(waveform.reshape(N_TRS, -1)).mean(axis=1) + 1e-6))[:, None]
        clean = cleaned(bold, split)
        known = {subject: clean[subject] for subject in (1, 2)}
        decoder = self.decoder(known, level).with_subject(3, clean[3])
        averaged, ridge = group.decode_averaged_bold(known, level, split, READING)
        each = group.decode_each(known, level, split, READING)
        training = {"shared": decoder.response.shared, "k": np.array(decoder.response.k)}
        training |= {f"map of {subject}": one for subject, one in decoder.response.maps.items()}
        training |= {f"mean of {subject}": one for subject, one in decoder.response.means.items()}
        training |= self.fitted("shared", decoder.ridge) | self.fitted("averaged", ridge)
        for subject, (_, own) in each.items():
            training |= self.fitted(f"subject {subject}", own)
        held_out = {
            "level": level[split.test],
            "averaged": averaged,
            "predictions": group.averaged_predictions([predicted for predicted, _ in each.values()]),
            "shared": decoder.predict(known, split.test),
            "newcomer": decoder.predict({3: clean[3]}, split.test),
            "features": decoder.response.transform(1, clean[1][slice(*split.bold_test)]),
        }
        return Built(training, held_out)

    def decoder(self, bold: Brains, level: np.ndarray) -> SharedDecoder:
        return group.fit_shared_decoder(bold, level, self.split, READING, ks=[2, K])

    def fitted(self, name: str, ridge: Ridge) -> dict[str, np.ndarray]:
        parts = ("predictors", "dual", "mean", "alphas")
        return {f"{part} of ridge, {name}": getattr(ridge, part) for part in parts}


def report_of(analysis: Analysis) -> LeakageReport:
    rng = np.random.default_rng(4)
    loudness = np.repeat(np.exp(rng.standard_normal(N_TRS)), RATE * int(TR))
    waveform = np.float32(loudness * rng.standard_normal(len(loudness)))
    bold, _ = brains(turned=True, n_subjects=3)
    return perturbation_report(
        analysis, waveform, bold, analysis.split, sample_rate=RATE, tr=TR, shift=SHIFT, seed=1
    )


@pytest.mark.parametrize(
    "split", [contiguous_split(RUNS, test_fraction=0.2, **TIMES), *leave_one_run_out(RUNS, **TIMES)]
)
def test_held_out_sound_and_brains_leave_all_that_is_fitted_bit_identical(split: Split) -> None:
    report = report_of(Analysis(split))
    assert report.clean, report.verdict
    assert {
        "shared",
        "k",
        "map of 1",
        "map of 3",
        "alphas of ridge, shared",
        "dual of ridge, averaged",
    } <= set(report.compared)


@pytest.mark.parametrize(
    "split", [contiguous_split(RUNS, test_fraction=0.2, **TIMES), leave_one_run_out(RUNS, **TIMES)[0]]
)
def test_a_shared_response_fitted_on_all_volumes_is_flagged(split: Split) -> None:
    """As it is done where alignment is taken for preprocessing."""

    class Leaky(Analysis):
        def decoder(self, bold: Brains, level: np.ndarray) -> SharedDecoder:
            rows = np.sort(np.concatenate([np.arange(*block) for block in self.split.bold_blocks]))
            everything = fit_shared_response(bold, rows, K)
            train = np.isin(rows, self.split.bold_train_rows)
            response = SharedResponse(
                rows[train], everything.shared[train], everything.maps, everything.means
            )
            honest = super().decoder(bold, level)
            predictors = lagged(response.mean_of(bold), self.split.train, LAGS, SHIFT)
            ridge = fit_ridge(predictors, level[self.split.train], self.split.train, n_folds=3, gap=GAP)
            return SharedDecoder(response, ridge, honest.reading)

    report = report_of(Leaky(split))
    assert not report.clean and "leak: the held-out block changes" in report.verdict
    assert {"shared", "map of 1", "map of 2", "map of 3", "dual of ridge, shared"} <= set(report.leaked)
    assert not any(name.endswith("averaged") for name in report.leaked), "nothing else leaks"
