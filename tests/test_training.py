"""The training loop: what moves, what is repeatable, what is kept, what is said."""

from __future__ import annotations

import multiprocessing
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from fmri_audio import training
from fmri_audio.bottleneck import ARMS, FineTuned, FrozenLatents, Grid, SoundBottleneck, TrProjection
from fmri_audio.checkpoints import Checkpoint
from fmri_audio.errors import UserError
from fmri_audio.settings import TrainingSettings
from fmri_audio.study.splits import Split, contiguous_split

from .study.conftest import SAMPLE_RATE, noise_bursts

TR = Fraction(3, 2)
SMALL = TrainingSettings(
    rank=4, steps=4, epochs=2, batch_size=1, gap_trs=10, learning_rate=1e-3, codec_learning_rate=1e-3
)
N_TRS, N_UNITS = 32, 10


@pytest.fixture(scope="module")
def sound() -> np.ndarray:
    return noise_bursts(N_TRS)


@pytest.fixture(scope="module")
def split() -> Split:
    return contiguous_split([(0, N_TRS)], test_fraction=0.25, gap=10, lags=[3, 4], shift=3, tr=TR)


@pytest.fixture(scope="module")
def latents(tiny_checkpoint: Checkpoint, sound: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return np.array(tiny_checkpoint.model.encoder(torch.from_numpy(sound)[None, None])[0])


@pytest.fixture
def start(latents: np.ndarray, split: Split) -> TrProjection:
    projection = TrProjection(Grid(TR, Fraction(75), 128), N_UNITS, SMALL.rank)
    projection.start_from(torch.from_numpy(latents), list(split.train_blocks), seed=0)
    return projection


def fit(model: SoundBottleneck, sound: np.ndarray, split: Split, folder: Path, **options: object) -> object:
    return training.train(
        model, sound, SAMPLE_RATE, split, SMALL, seed=3, folder=folder, say=lambda line: None, **options
    )  # type: ignore[arg-type]


def whole_state(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("kind", ARMS)
def test_frozen_weights_stay_bit_identical_and_fine_tuned_ones_move(
    kind: type[FrozenLatents | FineTuned],
    tiny_checkpoint: Checkpoint,
    start: TrProjection,
    sound: np.ndarray,
    split: Split,
    tmp_path: Path,
) -> None:
    original = whole_state(tiny_checkpoint.model)  # codebooks included: they are buffers
    model = kind(tiny_checkpoint.model, start)
    before = {part: whole_state(getattr(model, part)) for part in ("encoder", "decoder", "projection")}
    fit(model, sound, split, tmp_path)
    assert same(original, whole_state(tiny_checkpoint.model))
    for part in ("encoder", "decoder"):
        assert same(before[part], whole_state(getattr(model, part))) != model.codec_moves
    assert not same(before["projection"], whole_state(model.projection))


def test_the_loss_falls_and_the_curve_is_tidy(
    tiny_checkpoint: Checkpoint, start: TrProjection, sound: np.ndarray, split: Split, tmp_path: Path
) -> None:
    curves = fit(FineTuned(tiny_checkpoint.model, start), sound, split, tmp_path)
    assert list(curves.columns) == ["step", "part", "loss", "seconds"]
    assert curves["step"].tolist() == [0, 0, 2, 2, 4, 4]
    assert curves["part"].tolist() == ["training", "held-out"] * 3
    losses = curves.loc[curves["part"] == "training", "loss"].to_list()
    assert losses[-1] < losses[0]


def test_an_interrupted_training_ends_as_an_uninterrupted_one(
    tiny_checkpoint: Checkpoint, start: TrProjection, sound: np.ndarray, split: Split, tmp_path: Path
) -> None:
    whole, resumed = (FineTuned(tiny_checkpoint.model, start) for _ in range(2))
    curves = fit(whole, sound, split, tmp_path / "whole")
    fit(FineTuned(tiny_checkpoint.model, start), sound, split, tmp_path / "parts", stop_after=1)
    again = fit(resumed, sound, split, tmp_path / "parts")
    assert same(whole_state(whole), whole_state(resumed))
    assert curves[["step", "loss"]].equals(again[["step", "loss"]])


def test_held_out_sound_leaves_every_training_tensor_bit_identical(
    tiny_checkpoint: Checkpoint, start: TrProjection, sound: np.ndarray, split: Split, tmp_path: Path
) -> None:
    other = sound.copy()
    other[round(split.test[0] * 1.5 * SAMPLE_RATE) :] *= -2
    models = [FineTuned(tiny_checkpoint.model, start) for _ in range(2)]
    for model, wave, name in zip(models, (sound, other), "ab", strict=True):
        fit(model, wave, split, tmp_path / name)
    assert same(whole_state(models[0]), whole_state(models[1]))


def test_a_moving_encoder_starts_afresh_with_every_run(
    tiny_checkpoint: Checkpoint, start: TrProjection, sound: np.ndarray
) -> None:
    model = FineTuned(tiny_checkpoint.model, start).eval()
    half = N_TRS // 4 * 2
    border = half * 36_000
    joined = training.own_latents(model, sound, SAMPLE_RATE, [(0, half), (half, N_TRS - half)])
    alone = training.own_latents(model, sound[border:], SAMPLE_RATE, [(0, N_TRS - half)])
    torch.testing.assert_close(joined[:, half * 225 // 2 :], alone)


def arms(checkpoint: Checkpoint, sound: np.ndarray, latents: np.ndarray, split: Split, cache: Path, lines: list[str],
         settings: TrainingSettings = SMALL) -> dict[str, training.TrainedArm]:  # fmt: skip
    return training.trained_arms(
        checkpoint, sound, SAMPLE_RATE, latents, split, settings, n_units=N_UNITS, runs=[(0, N_TRS)], tr=TR, seed=3,
        cache=cache, say=lines.append,
    )  # fmt: skip


def test_models_are_trained_once_and_restored_exactly(
    tiny_checkpoint: Checkpoint, sound: np.ndarray, latents: np.ndarray, split: Split, tmp_path: Path
) -> None:
    lines: list[str] = []
    first = arms(tiny_checkpoint, sound, latents, split, tmp_path, lines)
    assert list(first) == ["frozen", "finetuned"]
    assert len(lines) == 4 and "step 4 of 4" in lines[1]
    second = arms(tiny_checkpoint, sound, latents, split, tmp_path, lines)
    assert len(lines) == 4
    for name in first:
        assert same(whole_state(first[name].model), whole_state(second[name].model))
        np.testing.assert_array_equal(first[name].units, second[name].units)
        assert first[name].units.shape == (N_TRS, N_UNITS)
    changed = SMALL.model_copy(update={"learning_rate": 2e-3})
    arms(tiny_checkpoint, sound, latents, split, tmp_path, lines, changed)
    assert len(lines) == 8
    assert not list(tmp_path.glob("*/working"))


def test_units_decode_to_exactly_their_trs(
    tiny_checkpoint: Checkpoint, sound: np.ndarray, latents: np.ndarray, split: Split, tmp_path: Path
) -> None:
    arm = arms(tiny_checkpoint, sound, latents, split, tmp_path, [])["frozen"]
    for first in (4, 5):
        wave = training.sound_of_units(arm.model, arm.units[first : first + 3], first, SAMPLE_RATE)
        assert wave.shape == (3 * 36000,)
        piece = training.latents_of_block(latents, (first, first + 3), arm.model.grid)
        assert training.sound_of_latents(
            tiny_checkpoint, piece, (first, first + 3), TR, SAMPLE_RATE
        ).shape == (108000,)
    # An odd TR begins in the middle of a frame: half a hop of the decoder's output is cut off.
    whole = training.sound_of_latents(
        tiny_checkpoint, training.latents_of_block(latents, (4, 8), arm.model.grid), (4, 8), TR, SAMPLE_RATE
    )
    with torch.inference_mode():
        direct = tiny_checkpoint.model.decoder(torch.from_numpy(latents[None, :, 450:900]))[
            0, 0, :144000
        ].numpy()
    np.testing.assert_allclose(whole, direct, atol=1e-6)


def _train_in_process(path: str, spec: str, lines: object) -> None:
    from fmri_audio import checkpoints

    checkpoint = checkpoints.load(spec)
    wave = noise_bursts(N_TRS)
    with torch.inference_mode():
        known = np.array(checkpoint.model.encoder(torch.from_numpy(wave)[None, None])[0])
    said: list[str] = []
    blocks = contiguous_split([(0, N_TRS)], test_fraction=0.25, gap=10, lags=[3, 4], shift=3, tr=TR)
    arms(checkpoint, wave, known, blocks, Path(path), said)
    lines.put(said)  # type: ignore[attr-defined]


def test_two_processes_do_not_train_the_same_model_twice(tiny_checkpoint_file: Path, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    lines = context.Queue()
    processes = [
        context.Process(target=_train_in_process, args=(str(tmp_path), str(tiny_checkpoint_file), lines))
        for _ in range(2)
    ]
    for process in processes:
        process.start()
    said = [line for _ in processes for line in lines.get(timeout=120)]
    for process in processes:
        process.join()
    assert sum("step 4 of 4" in line for line in said) == 2  # one per arm, not per process


def test_windows_start_where_trs_and_frames_meet() -> None:
    grid = Grid(TR, Fraction(75), 128)
    assert training.window_starts((1, 9), 2, grid) == [2, 4, 6]
    assert training.window_starts((0, 5), 2, Grid(Fraction(2), Fraction(75), 128)) == [0, 1, 2, 3]


def test_curves_are_judged() -> None:
    assert training.judge([3, 2, 1.5, 1.2, 1.01, 1.005, 1.004]).converged
    falling = training.judge([3, 2.5, 2.1, 1.8, 1.5, 1.3, 1.1])
    assert not falling.converged and falling.falling > 0.1
    assert falling.verdict.startswith("not converged")
    assert training.judge([3, 2, 1, 1, 1, 1.1, 1.2]).converged  # rising is not falling
    assert not training.judge([1.0, 1.0]).converged


def test_the_loss_is_zero_for_the_same_sound_and_grows_with_noise(sound: np.ndarray) -> None:
    loss = training.SoundLoss(SAMPLE_RATE)
    wave = torch.from_numpy(sound[:48000])[None, None]
    noise = torch.randn(wave.shape, generator=torch.Generator().manual_seed(0))
    values = [float(loss(wave + level * noise, wave)) for level in (0.0, 0.01, 0.1)]
    assert values[0] == 0 < values[1] < values[2]


def test_impossible_settings_are_refused(
    tiny_checkpoint: Checkpoint,
    sound: np.ndarray,
    latents: np.ndarray,
    split: Split,
    start: TrProjection,
    tmp_path: Path,
) -> None:
    wide = SMALL.model_copy(update={"rank": 50})
    with pytest.raises(UserError, match=r"training.rank: 50"):
        arms(tiny_checkpoint, sound, latents, split, tmp_path, [], wide)
    long = SMALL.model_copy(update={"window_trs": 20})
    with pytest.raises(UserError, match=r"training.window_trs"):
        training.train(
            FrozenLatents(tiny_checkpoint.model, start),
            sound,
            SAMPLE_RATE,
            split,
            long,
            seed=0,
            folder=tmp_path,
        )
