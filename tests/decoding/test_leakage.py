"""The perturbation test: what it clears, what it flags, and how long the codec remembers."""

from __future__ import annotations

import dataclasses
import hashlib
from fractions import Fraction

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal

from fmri_audio.base.settings import MelSettings, TrainingSettings
from fmri_audio.base.timeline import pooled
from fmri_audio.bottleneck.arms import ARMS
from fmri_audio.bottleneck.arms.base import Arm, Material, StimulusSound
from fmri_audio.bottleneck.store import build, common_step, features_of
from fmri_audio.bottleneck.training import Windows, window_starts
from fmri_audio.brain import cleaning, masks
from fmri_audio.codec import checkpoints
from fmri_audio.codec.checkpoints import Checkpoint
from fmri_audio.decoding import regression
from fmri_audio.decoding.leakage import (
    BrainsByCopy,
    Built,
    Encode,
    LeakageReport,
    answering_volumes,
    codec_memory,
    encoder_of,
    perturbation_report,
)
from fmri_audio.study.splits import Split, contiguous_split, k_fold, leave_one_run_out
from programs.benchmarks.codec import random_codec
from tests.study.conftest import SAMPLE_RATE, noise_bursts

TR, RATE, LAGS, SHIFT, GAP = Fraction(3, 2), Fraction(75), [2, 3], 3, 10
RUNS = [(0, 44), (44, 80)]
N_TRS, SUBJECTS, WINDOW_TRS, RANK = 80, (4, 7), 2, 4
AFFINE = np.array([[-3.0, 0, 0, -40], [0, 3, 0, -35], [0, 0, 3, -4], [0, 0, 0, 1]])
MEL = MelSettings(n_iter=2)  # else as the vocoder has learned it


@pytest.fixture(scope="module")
def sound() -> np.ndarray:
    return noise_bursts(N_TRS)


@pytest.fixture(scope="module")
def brains() -> dict[int, np.ndarray]:
    """Raw BOLD on a scanner's scale, with drift."""
    rng = np.random.default_rng(0)
    return {s: (1000 + rng.standard_normal((N_TRS, 30)).cumsum(axis=0)).astype(np.float32) for s in SUBJECTS}


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    """A codec of random weights whose first codebook holds latents of its own, so that codes tell sounds apart."""
    made = random_codec({"n_filters": 2})
    latents, _ = encoder_of(made, 2)(noise_bursts(10, seed=5))
    book = made.model.quantizer.vq.layers[0]._codebook.embed
    book.copy_(torch.from_numpy(latents.T[: len(book)]))
    return made


@pytest.fixture(scope="module")
def encode(checkpoint: Checkpoint) -> Encode:
    """That codec, which encodes no sound twice."""
    codec, known = encoder_of(checkpoint, 2), dict[bytes, tuple[np.ndarray, np.ndarray]]()

    def once(waveform: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        key = hashlib.sha256(waveform.tobytes()).digest()
        if key not in known:
            known[key] = codec(waveform)
        return known[key]

    return once


class Analysis:
    """The whole way from sound and scans to penalties, weights, and what trains arms, for one split."""

    def __init__(
        self, checkpoint: Checkpoint, encode: Encode, split: Split, runs: list[tuple[int, int]] = RUNS
    ) -> None:
        self.checkpoint, self.encode, self.split, self.runs = checkpoint, encode, split, runs

    def __call__(self, waveform: np.ndarray, bold: BrainsByCopy) -> Built:
        clean = {subject: self.standardised(one) for subject, one in bold.items()}
        material = self.material(waveform, clean)
        models = {name: build(name, material) for name in ARMS}
        features = {name: features_of(model, material) for name, model in models.items()}
        built = Built(self.fitted(clean, models, features), {}, {})
        step = common_step([*models.values()])
        for block in (*self.split.train_blocks, self.split.test_block):
            starts = window_starts(block, WINDOW_TRS, step)
            for arm, model in models.items():
                windows = Windows(material, features[arm], model.grid, starts, WINDOW_TRS)
                for name in ("waveform", "features", "bold"):
                    remembers = name == "features" and model.representation.startswith("encodec")
                    into = self.part_of(built, block, remembers)
                    into[f"{name} of {arm}, TRs {block[0]} to {block[1]}"] = np.stack(
                        [window[name].numpy() for window in windows]
                    )
        return built

    def standardised(self, bold: np.ndarray) -> np.ndarray:
        cleaned = cleaning.clean_blocks(bold, self.split.bold_blocks, TR)
        return cleaning.standardise_by_run(
            cleaned, self.split.bold_train_rows, self.split.runs, self.split.runs_without_training
        )

    def material(self, waveform: np.ndarray, clean: BrainsByCopy) -> Material:
        """What all arms are made from; the volumes are the mean of all subjects."""
        pieces = [self.encode(waveform[a * 36_000 : b * 36_000]) for a, b in self.runs]
        latents, codes = (np.concatenate(found, axis=1) for found in zip(*pieces, strict=True))
        heard = StimulusSound(waveform, SAMPLE_RATE, TR, [(first, last - first) for first, last in self.runs])
        mean = np.asarray(sum(clean.values()) / len(clean), np.float32)
        group = cleaning.standardise(mean, self.split.bold_train_rows)
        return Material(self.checkpoint, heard, latents, codes, MEL, RANK, group, LAGS, SHIFT)

    def fitted(
        self, clean: BrainsByCopy, models: dict[str, Arm], features: dict[str, torch.Tensor]
    ) -> dict[str, np.ndarray]:
        """Penalties and weights of ridge from brain to level, chosen by cross-validation within training."""
        level = pooled(features["mel"], N_TRS, TR, models["mel"].grid.frame_rate)
        found = {}
        for subject, bold in clean.items():
            _, ridge = regression.decode_units(bold, level, self.split, lags=LAGS, shift=SHIFT, n_folds=3)
            found[f"alphas of {subject}"] = ridge.alphas
            found[f"mean of {subject}"] = ridge.mean
            found[f"weights of {subject}"] = ridge.predict(np.eye(2 * bold.shape[1], dtype=np.float32))
        return found

    def part_of(self, built: Built, block: tuple[int, int], remembers: bool) -> dict[str, np.ndarray]:
        """Where a tensor of a block belongs: the codec carries what it heard into later blocks of the run."""
        run = next(run for run in self.runs if run[0] <= self.split.test_block[0] < run[1])
        follows = self.split.test_block[0] < block[0] < run[1]
        held_out = block == self.split.test_block
        return built.held_out if held_out else built.later if follows and remembers else built.training  # type: ignore[return-value]


def report_of(analysis: Analysis, sound: np.ndarray, brains: BrainsByCopy) -> LeakageReport:
    return perturbation_report(
        analysis, sound, brains, analysis.split, sample_rate=SAMPLE_RATE, tr=TR, shift=SHIFT, seed=1
    )


ARGUMENTS = {"gap": GAP, "lags": LAGS, "shift": SHIFT, "tr": TR}


def test_the_end_held_out_leaves_all_training_bit_identical(
    checkpoint: Checkpoint, encode: Encode, sound: np.ndarray, brains: dict[int, np.ndarray]
) -> None:
    split = contiguous_split(RUNS, test_fraction=0.2, **ARGUMENTS)

    class WithStart(Analysis):
        """With the mask, and the weights with which the arms begin."""

        def fitted(
            self, clean: BrainsByCopy, models: dict[str, Arm], features: dict[str, torch.Tensor]
        ) -> dict[str, np.ndarray]:
            found = {
                **super().fitted(clean, models, features),
                "mask": masks.auditory_mask(AFFINE, (10, 10, 10)),
            }
            for arm, model in models.items():
                model.start(features[arm], split, seed=0)
                state = model.trained_state()
                found |= {f"start of {arm}, {name}": value.numpy() for name, value in state.items()}
            return found

    report = report_of(WithStart(checkpoint, encode, split), sound, brains)
    assert report.clean and report.verdict.startswith("no leak")
    assert {"mask", "alphas of 4", "weights of 7", "start of codes, space.expand.weight"} <= set(
        report.compared
    )
    for arm in ARMS:
        assert any(name.startswith(f"features of {arm}") for name in report.compared)
    assert not report.later


def test_a_block_in_the_middle_reaches_later_ones_by_the_codec_s_memory_alone(
    checkpoint: Checkpoint, encode: Encode, sound: np.ndarray, brains: dict[int, np.ndarray]
) -> None:
    split = k_fold([(0, N_TRS)], 3, **ARGUMENTS)[1]
    assert len(split.train_blocks) == 2
    report = report_of(Analysis(checkpoint, encode, split, [(0, N_TRS)]), sound, brains)
    assert report.clean
    after = [name for name in report.compared if f"TRs {split.train_blocks[1][0]}" in name]
    assert any("features of mel" in name for name in after) and any("bold" in name for name in after)
    known = {name.split(",")[0] for name in report.later}
    assert known == {f"features of {arm}" for arm in ("codes", "frozen", "finetuned")}
    assert max(report.later.values()) < 1e-4, "behind the gap there is rounding, no memory"


def test_a_run_held_out_whole_leaves_the_other_bit_identical(
    checkpoint: Checkpoint, encode: Encode, sound: np.ndarray, brains: dict[int, np.ndarray]
) -> None:
    for split in leave_one_run_out(RUNS, **ARGUMENTS):
        report = report_of(Analysis(checkpoint, encode, split), sound, brains)
        assert report.clean and not report.later, "the codec starts afresh with every run"


def test_scaling_by_everything_is_flagged(
    checkpoint: Checkpoint, encode: Encode, sound: np.ndarray, brains: dict[int, np.ndarray]
) -> None:
    class Leaky(Analysis):
        def standardised(self, bold: np.ndarray) -> np.ndarray:
            cleaned = cleaning.clean_blocks(bold, self.split.bold_blocks, TR)
            return cleaning.standardise(cleaned, np.arange(len(bold)))

    split = contiguous_split(RUNS, test_fraction=0.2, **ARGUMENTS)
    report = report_of(Leaky(checkpoint, encode, split), sound, brains)
    assert not report.clean and "leak: the held-out block changes" in report.verdict
    assert any(name.startswith("bold of frozen") for name in report.leaked)
    assert any("weights" in name for name in report.leaked)


def test_a_target_of_training_scaled_by_everything_is_flagged(
    checkpoint: Checkpoint, encode: Encode, sound: np.ndarray, brains: dict[int, np.ndarray]
) -> None:
    class Leaky(Analysis):
        def material(self, waveform: np.ndarray, clean: BrainsByCopy) -> Material:
            honest = super().material(waveform, clean)
            known = np.flatnonzero(np.isfinite(honest.bold).all(axis=1))
            return dataclasses.replace(honest, bold=cleaning.standardise(honest.bold, known))

    split = contiguous_split(RUNS, test_fraction=0.2, **ARGUMENTS)
    report = report_of(Leaky(checkpoint, encode, split), sound, brains)
    assert {name.split(" of ")[0] for name in report.leaked} == {"bold"}


def test_filtering_everything_at_once_is_flagged(
    checkpoint: Checkpoint, encode: Encode, sound: np.ndarray, brains: dict[int, np.ndarray]
) -> None:
    class Leaky(Analysis):
        def standardised(self, bold: np.ndarray) -> np.ndarray:
            return cleaning.standardise(cleaning.clean_blocks(bold, RUNS, TR), self.split.bold_train_rows)

    split = contiguous_split(RUNS, test_fraction=0.2, **ARGUMENTS)
    report = report_of(Leaky(checkpoint, encode, split), sound, brains)
    assert any(name.startswith("bold of frozen") for name in report.leaked)


@pytest.mark.parametrize("gap", [0, 2])
def test_too_short_a_gap_is_flagged(
    gap: int, checkpoint: Checkpoint, encode: Encode, sound: np.ndarray, brains: dict[int, np.ndarray]
) -> None:
    """A gap as wide as the lag window keeps volumes apart, yet training still answers the held-out sound."""
    honest = contiguous_split(RUNS, test_fraction=0.2, **ARGUMENTS)
    first, _ = honest.train_blocks[-1]
    last = honest.test_block[0] - gap
    leaky = dataclasses.replace(
        honest,
        gap=gap,
        train_blocks=(*honest.train_blocks[:-1], (first, last)),
        bold_train=(*honest.bold_train[:-1], (first + LAGS[0] - SHIFT, last + LAGS[-1] - SHIFT)),
    )
    report = report_of(Analysis(checkpoint, encode, leaky), sound, brains)
    assert any(name.startswith("bold of frozen") for name in report.leaked)
    assert any(name.startswith("weights") for name in report.leaked)


def test_a_test_that_tests_nothing_says_so(sound: np.ndarray, brains: dict[int, np.ndarray]) -> None:
    split = contiguous_split(RUNS, test_fraction=0.2, **ARGUMENTS)
    common = {"sample_rate": SAMPLE_RATE, "tr": TR, "shift": SHIFT, "seed": 1}
    with pytest.raises(ValueError, match="but not constant"):
        perturbation_report(lambda *_: Built({}, {"constant": np.ones(2)}), sound, brains, split, **common)
    with pytest.raises(ValueError, match="anything that was built"):
        perturbation_report(lambda *_: Built({"mask": np.ones(2)}, {}), sound, brains, split, **common)


def test_volumes_that_answer_the_held_out_sound() -> None:
    split = k_fold([(0, N_TRS)], 3, **ARGUMENTS)[1]
    first, last = split.test_block
    assert answering_volumes(split, TR, SHIFT) == (first - 3, last - 3 + 8)
    for a, b in split.bold_train:
        assert b <= first - 3 or a >= last - 3 + 8, "an admissible gap keeps them out of training"
    assert answering_volumes(leave_one_run_out(RUNS, **ARGUMENTS)[0], TR, SHIFT) == RUNS[0], (
        "a scan ends with its run"
    )


def test_memory_of_a_codec_is_what_it_was_given() -> None:
    """A codec whose frames are sums over the last 2.5 TRs forgets exactly then."""
    hop = 320

    def encode(waveform: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        power = (waveform[: len(waveform) // hop * hop].astype(np.float64).reshape(-1, hop) ** 2).sum(axis=1)
        frames = round(2.5 * 112.5)
        latents = np.stack([power[max(0, k - frames + 1) : k + 1].sum() for k in range(len(power))])
        return latents[None], np.stack([latents > 200]).astype(np.int64)

    memory = codec_memory(
        encode, noise_bursts(12), (3, 6), sample_rate=SAMPLE_RATE, frame_rate=RATE, tr=TR, seed=0
    )
    assert memory.latents.shape == memory.codes.shape == (6,)
    assert (memory.latents[:3] > 0.01).all() and memory.beyond(3) == (0, 0)
    assert memory.beyond(0) == (memory.latents[0], memory.codes.max())
    assert memory.beyond(99) == (0, 0)


def test_the_causal_codec_forgets_and_never_foresees(encode: Encode) -> None:
    wave = noise_bursts(16)
    memory = codec_memory(encode, wave, (4, 8), sample_rate=SAMPLE_RATE, frame_rate=RATE, tr=TR, seed=0)
    assert len(memory.latents) == 8
    assert memory.latents[0] > 10 * memory.latents[-1]
    changed = wave.copy()
    changed[8 * 36_000 :] = 0
    for one, other in zip(encode(wave), encode(changed), strict=True):
        assert_array_equal(one[:, :900], other[:, :900])


def test_the_demo_codec_has_forgotten_before_the_gap_of_the_editions_is_over() -> None:
    """Real weights, whose LSTM remembers some ten TRs: after the gap latents hardly differ, and no code does."""
    checkpoint = checkpoints.load("demo")
    memory = codec_memory(
        encoder_of(checkpoint, 8),
        noise_bursts(24),
        (2, 4),
        sample_rate=SAMPLE_RATE,
        frame_rate=RATE,
        tr=TR,
        seed=0,
    )
    latents, codes = memory.beyond(0)
    assert latents > 0.01 and codes > 0, "the first TR remembers"
    latents, codes = memory.beyond(2)
    assert latents < 0.015 and codes < 0.04
    gap = TrainingSettings().gap_trs
    latents, codes = memory.beyond(gap)
    assert latents < 5e-4 and codes == 0
    assert memory.beyond(gap + 2)[0] < 1e-5
