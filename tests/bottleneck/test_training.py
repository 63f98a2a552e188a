"""The training loop: what moves, what is repeatable, what is said."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from fmri_audio.base.errors import UserError
from fmri_audio.base.settings import TrainingSettings
from fmri_audio.bottleneck import training
from fmri_audio.bottleneck.arms import ARMS
from fmri_audio.bottleneck.arms.base import Arm, Material
from fmri_audio.bottleneck.arms.losses import SoundLoss
from fmri_audio.bottleneck.layers import TRGrid
from fmri_audio.bottleneck.store import build, features_of
from fmri_audio.study.splits import Split, contiguous_split
from tests.materials import N_TRS, N_UNITS
from tests.study.conftest import SAMPLE_RATE, noise_bursts

SMALL = TrainingSettings(
    rank=4,
    steps=4,
    epochs=2,
    batch_size=1,
    gap_trs=10,
    validation_fraction=0.2,
    learning_rate=1e-3,
    codec_learning_rate=1e-3,
)
CODEC = ("encoder.", "decoder.")
BOTTLENECK = ("projection.reduce", "projection.restore", "space.expand", "space.collect")


@pytest.fixture(scope="module")
def split() -> Split:
    return contiguous_split([(0, N_TRS)], test_fraction=0.25, gap=10, lags=[3, 4], shift=3, tr=Fraction(3, 2))


def fresh(name: str, material: Material, split: Split) -> Arm:
    model = build(name, material)
    model.start(features_of(model, material), split, seed=0)
    return model


def fit(
    model: Arm,
    material: Material,
    split: Split,
    folder: Path,
    settings: TrainingSettings = SMALL,
    **options: object,
) -> pd.DataFrame:
    fitted, validation = training.set_apart(split, settings.validation_fraction)
    return training.train(
        model,
        material,
        features_of(model, material),
        fitted,
        validation,
        settings,
        step=2,
        seed=3,
        folder=folder,
        say=lambda line: None,
        **options,
    )  # type: ignore[arg-type]


def state(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def last(folder: Path) -> dict[str, torch.Tensor]:
    """Weights after the last step, whichever epoch's are kept."""
    stored = torch.load(folder / "last.ckpt", weights_only=False)["state_dict"]
    return {name.removeprefix("model."): value for name, value in stored.items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("name", ARMS)
def test_the_codec_moves_only_where_it_may_and_the_bottleneck_in_every_arm(
    name: str, material: Material, split: Split, tmp_path: Path
) -> None:
    original = state(material.checkpoint.model)  # codebooks included: they are buffers
    model = fresh(name, material, split)
    before = state(model)
    curves = fit(model, material, split, tmp_path)
    assert same(original, state(material.checkpoint.model))
    after = last(tmp_path)
    for part, may in ((CODEC, model.codec_moves), (BOTTLENECK, True)):
        names = [key for key in before if key.startswith(part)]
        moved = [key for key in names if not torch.equal(before[key], after[key])]
        assert bool(moved) == (may and bool(names))
    assert torch.equal(before["projection.spread"], after["projection.spread"])
    assert list(curves.columns) == ["step", "part", "loss", "bold_error", "seconds"]
    assert curves["step"].tolist() == [0, 0, 0, 2, 2, 2, 4, 4, 4]
    assert curves["part"].tolist() == ["training", "validation", "held-out"] * 3
    assert np.isfinite(curves["loss"]).all()


@pytest.mark.parametrize("name", ARMS)
def test_held_out_sound_and_brains_leave_every_training_tensor_bit_identical(
    name: str, make_material: Callable[..., Material], split: Split, tmp_path: Path
) -> None:
    wave = noise_bursts(N_TRS)
    other = wave.copy()
    other[round(split.test[0] * 1.5 * SAMPLE_RATE) :] *= -2
    states, curves = [], []
    for key, sound in (("a", wave), ("b", other)):
        bold = np.random.default_rng(0).standard_normal((N_TRS, N_UNITS)).astype(np.float32)
        bold[split.bold_test[0] :] *= 1 if key == "a" else -3
        about = make_material(sound, bold=bold)
        model = fresh(name, about, split)
        curves.append(fit(model, about, split, tmp_path / key))
        states.append((state(model), last(tmp_path / key)))
    assert all(same(*pair) for pair in zip(*states, strict=True))
    losses = [curve.pivot(index="step", columns="part", values="loss") for curve in curves]
    for part in ("training", "validation"):
        assert losses[0][part].equals(losses[1][part])
    assert not losses[0]["held-out"].equals(losses[1]["held-out"])


@pytest.mark.parametrize("name", ["finetuned", "codes"])
def test_an_interrupted_training_ends_as_an_uninterrupted_one(
    name: str, material: Material, split: Split, tmp_path: Path
) -> None:
    whole, parts, resumed = (fresh(name, material, split) for _ in range(3))
    curves = fit(whole, material, split, tmp_path / "whole")
    fit(parts, material, split, tmp_path / "parts", stop_after=1)
    again = fit(resumed, material, split, tmp_path / "parts")
    assert same(state(whole), state(resumed)) and same(last(tmp_path / "whole"), last(tmp_path / "parts"))
    assert curves[["step", "loss", "bold_error"]].equals(again[["step", "loss", "bold_error"]])


@pytest.mark.parametrize("name", ["mel", "codes", "finetuned", "complex-stft"])
def test_training_lowers_the_training_loss(
    name: str, material: Material, split: Split, tmp_path: Path
) -> None:
    if name == "codes":  # those of a codec with random weights follow nothing but its own rounding
        codes = np.random.default_rng(0).integers(0, 64, (2, N_TRS // 2)).repeat(225, axis=1)
        material = Material(**{**vars(material), "codes": codes})
    longer = SMALL.model_copy(
        update={"steps": 12, "epochs": 2, "batch_size": 2, "learning_rate": 2e-4, "balance": 0.0}
    )
    curves = fit(fresh(name, material, split), material, split, tmp_path, longer)
    losses = curves.loc[curves["part"] == "training", "loss"].to_list()
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", ARMS)
def test_every_arm_trains_in_bfloat16(name: str, material: Material, split: Split, tmp_path: Path) -> None:
    half = SMALL.model_copy(update={"precision": "bf16", "steps": 1, "epochs": 1})
    model = fresh(name, material, split)
    before = state(model)
    curves = fit(model, material, split, tmp_path, half)
    assert np.isfinite(curves["loss"]).all()
    assert not same(before, last(tmp_path))
    assert {value.dtype for value in state(model).values() if value.is_floating_point()} == {torch.float32}


def test_weight_on_measured_bold_brings_the_bottleneck_closer_to_it(
    make_material: Callable[..., Material], split: Split, tmp_path: Path
) -> None:
    plain = make_material()
    model = fresh("mel", plain, split)
    with torch.no_grad():  # brains that another rotation of the same code drives
        mixing = torch.randn(N_UNITS, SMALL.rank, generator=torch.Generator().manual_seed(5))
        bold = (model.space.response @ model.around @ mixing.T).numpy()
    rows = split.bold_train_rows
    material = make_material(bold=((bold - bold[rows].mean(0)) / bold[rows].std(0)).astype(np.float32))
    errors = {}
    for balance in (0.0, 10.0):
        settings = SMALL.model_copy(
            update={"steps": 300, "epochs": 20, "batch_size": 4, "balance": balance, "learning_rate": 1e-2}
        )
        curves = fit(fresh("mel", material, split), material, split, tmp_path / str(balance), settings)
        errors[balance] = curves.loc[curves["part"] == "training", "bold_error"].iloc[-1]
    assert errors[10.0] < 0.5 * errors[0.0]


def test_precision_is_bfloat16_by_itself_only_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    assert training.precision_of(SMALL.model_copy(update={"precision": "float32"})) == "32-true"
    for gpu in (False, True):
        monkeypatch.setattr(torch.cuda, "is_available", lambda gpu=gpu: gpu)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda gpu=gpu: gpu)
        assert training.precision_of(SMALL) == ("bf16-mixed" if gpu else "32-true")


def test_windows_hold_the_sound_and_the_features_of_the_same_trs(material: Material) -> None:
    grid = TRGrid(Fraction(3, 2), Fraction(75), 128)
    features = torch.from_numpy(material.latents)
    window = training.Windows(material, features, grid, [4, 6], 2)[1]
    torch.testing.assert_close(
        window["waveform"][0], torch.from_numpy(material.sound.waveform[6 * 36_000 : 8 * 36_000])
    )
    torch.testing.assert_close(window["features"], features[:, 675:900])
    assert int(window["first"]) == 6
    np.testing.assert_array_equal(window["bold"], material.bold[6:9])


def test_windows_start_where_trs_and_frames_meet() -> None:
    assert TRGrid(Fraction(3, 2), Fraction(75), 128).step == 2
    assert training.window_starts((1, 9), 2, 2) == [2, 4, 6]
    assert TRGrid(Fraction(2), Fraction(75), 128).step == 1
    assert training.window_starts((0, 5), 2, 1) == [0, 1, 2, 3]


def test_windows_of_every_part_lie_within_its_blocks(split: Split) -> None:
    fitted, validation = training.set_apart(split, SMALL.validation_fraction)
    found = training.starts_of_parts(fitted, validation, 2, 2)
    assert tuple(found) == training.SPLITS
    for name, (first, last) in zip(
        training.SPLITS, (*fitted.train_blocks, validation, split.test_block), strict=True
    ):
        assert first <= min(found[name]) and max(found[name]) + 2 <= last


def test_windows_that_fit_no_block_are_refused(material: Material, split: Split, tmp_path: Path) -> None:
    long = SMALL.model_copy(update={"window_trs": 20})
    with pytest.raises(UserError, match=r"training.window_trs"):
        fit(fresh("frozen", material, split), material, split, tmp_path, long)


@pytest.mark.parametrize("name", ["mel", "finetuned"])
def test_validation_sound_chooses_the_epoch_and_is_not_fitted(
    name: str, make_material: Callable[..., Material], split: Split, tmp_path: Path
) -> None:
    fitted, validation = training.set_apart(split, SMALL.validation_fraction)
    wave = noise_bursts(N_TRS)
    other = wave.copy()
    begin, end = (round(k * 1.5 * SAMPLE_RATE) for k in validation)
    other[begin:end] *= -2
    several = SMALL.model_copy(update={"epochs": 4, "balance": 0.0})
    curves, ends = [], []
    for key, sound in (("a", wave), ("b", other)):
        about = make_material(sound)
        model = build(name, about)
        model.start(features_of(model, about), fitted, seed=0)
        curves.append(fit(model, about, split, tmp_path / key, several))
        ends.append(last(tmp_path / key))
    assert same(*ends)
    losses = [curve.pivot(index="step", columns="part", values="loss") for curve in curves]
    assert losses[0]["training"].equals(losses[1]["training"])
    assert not losses[0]["validation"].equals(losses[1]["validation"])


def test_the_epoch_with_the_least_validation_loss_is_kept(
    material: Material, split: Split, tmp_path: Path
) -> None:
    wild = SMALL.model_copy(update={"epochs": 4, "learning_rate": 0.3, "balance": 0.0})
    model = fresh("mel", material, split)
    start = state(model)
    curves = fit(model, material, split, tmp_path, wild)
    validated = curves[curves["part"] == "validation"]
    assert validated["loss"].iloc[0] < validated["loss"].iloc[1:].min()  # the first step is far too long
    assert training.selected_step(curves, 0.0) == 0
    kept = state(model)
    parts = [name for name in start if name.startswith(BOTTLENECK)]
    assert all(torch.equal(start[name], kept[name]) for name in parts)


def test_both_terms_of_the_loss_select() -> None:
    curves = pd.DataFrame(
        {
            "step": [0, 0, 5, 5],
            "part": ["training", "validation"] * 2,
            "loss": [1.0, 2.0, 1.0, 1.9],
            "bold_error": [1.0, 1.0, 1.0, 3.0],
        }
    )
    assert training.selected_step(curves, 0.0) == 5
    assert training.selected_step(curves, 0.1) == 0


def test_validation_lies_behind_a_gap_at_the_end_of_training(split: Split) -> None:
    fitted, (first, last) = training.set_apart(split, 0.2)
    assert last == split.train_blocks[-1][1] and last - first == round(0.2 * len(split.train))
    assert fitted.train_blocks[-1][1] == first - split.gap
    assert fitted.test_block == split.test_block
    # Volumes that answer the TRs fitted, and none later, as in the split itself.
    reach = split.bold_train[-1][1] - split.train_blocks[-1][1]
    assert fitted.bold_train[-1] == (split.bold_train[-1][0], fitted.train_blocks[-1][1] + reach)
    with pytest.raises(UserError, match=r"training.validation_fraction: 0.9 of \d+ training TRs"):
        training.set_apart(split, 0.9)
    with pytest.raises(UserError, match=r"training.validation_fraction"):
        training.set_apart(split, 0.001)


def test_curves_are_judged() -> None:
    assert training.judge([3, 2, 1.5, 1.2, 1.01, 1.005, 1.004]).converged
    falling = training.judge([3, 2.5, 2.1, 1.8, 1.5, 1.3, 1.1])
    assert not falling.converged and falling.falling == pytest.approx((1.5 - 1.1) / 1.5)
    assert falling.verdict.startswith("not converged")
    rising = training.judge([3, 2, 1, 1, 1, 1.1, 1.2])
    assert rising.converged and rising.falling == 0 and rising.verdict.startswith("overfitting")
    flat = training.judge([3, 2, 1, 1, 1, 1, 1.005])
    assert flat.converged and not flat.overfits and flat.verdict == "converged"
    worse = training.judge([1, 1.1, 1.1, 1.2, 1.2, 1.2, 1.3])
    assert worse.converged and not worse.improved and worse.verdict.startswith("kept at its start")
    assert not training.judge([1.0, 1.0]).converged
    assert training.judge([-1.0, -2.0, -3.0]).falling > 0.01  # bits can be saved below nothing


def test_the_loss_is_zero_for_the_same_sound_and_grows_with_noise() -> None:
    loss = SoundLoss(SAMPLE_RATE)
    wave = torch.from_numpy(noise_bursts(2)[:48_000])[None, None]
    noise = torch.randn(wave.shape, generator=torch.Generator().manual_seed(0))
    assert loss(wave, wave) == 0
    assert 0 < loss(wave + 0.01 * noise, wave) < loss(wave + 0.1 * noise, wave)
