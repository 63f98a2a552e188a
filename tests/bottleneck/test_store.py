"""Trained arms: each trained once, restored exactly, and never confused with another."""

from __future__ import annotations

import fcntl
import multiprocessing
import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from fmri_audio.base.errors import UserError
from fmri_audio.base.settings import TrainingSettings
from fmri_audio.bottleneck import store
from fmri_audio.bottleneck.arms import ARMS
from fmri_audio.bottleneck.arms.base import Material, StimulusSound
from fmri_audio.bottleneck.store import TrainedArm, build, features_of, trained_arms
from fmri_audio.bottleneck.training import selected_step, set_apart
from fmri_audio.study.splits import Split, contiguous_split
from tests.base.test_stored import cut, flip, garble
from tests.bottleneck.test_training import SMALL, same, state
from tests.materials import LAGS, MEL, N_TRS, N_UNITS, SHIFT
from tests.study.conftest import SAMPLE_RATE, noise_bursts


@pytest.fixture(scope="module")
def split() -> Split:
    return contiguous_split([(0, N_TRS)], test_fraction=0.25, gap=10, lags=[3, 4], shift=3, tr=Fraction(3, 2))


def arms(
    material: Material,
    split: Split,
    cache: Path,
    lines: list[str],
    names: list[str],
    settings: TrainingSettings = SMALL,
    seed: int = 3,
) -> dict[str, TrainedArm]:
    return trained_arms(names, material, split, settings, seed=seed, cache=cache, say=lines.append)


def test_every_arm_is_trained_once_and_restored_exactly(
    material: Material, split: Split, tmp_path: Path
) -> None:
    lines: list[str] = []
    first = arms(material, split, tmp_path, lines, list(ARMS))
    assert list(first) == list(ARMS)
    assert len(lines) == 2 * len(ARMS) and "training the mel arm: step 4 of 4" in lines[1]
    second = arms(material, split, tmp_path, lines, list(ARMS))
    assert len(lines) == 2 * len(ARMS)
    for name, one in first.items():
        again = second[name]
        assert same(state(one.model), state(again.model))
        np.testing.assert_array_equal(one.code, again.code)
        np.testing.assert_array_equal(one.volumes, again.volumes)
        assert (one.code.shape, one.volumes.shape) == ((N_TRS, SMALL.rank), (N_TRS, N_UNITS))
        assert 0 < one.variance_passed == again.variance_passed <= 1
        assert one.selected == again.selected == selected_step(one.curves, SMALL.balance)
        sounds = [each.model.sound_of_code(one.code[2:4], 2) for each in (one, again)]
        np.testing.assert_array_equal(*sounds)
    assert not list(tmp_path.glob("*/working"))


def test_the_stored_code_is_the_trained_model_s_own(material: Material, split: Split, tmp_path: Path) -> None:
    for name, one in arms(material, split, tmp_path, [], ["frozen", "finetuned"]).items():
        own = (
            one.model.stimulus_features(material.sound)
            if name == "finetuned"
            else torch.from_numpy(material.latents)
        )
        np.testing.assert_allclose(one.code, one.model.code(own).numpy(), atol=1e-4)
        fitted, _ = set_apart(split, SMALL.validation_fraction)
        volumes = one.volumes[fitted.bold_train_rows]
        np.testing.assert_allclose(volumes.mean(axis=0), 0, atol=1e-4)
        np.testing.assert_allclose(volumes.std(axis=0, ddof=1), 1, atol=1e-3)


def test_what_decides_a_model_is_trained_anew_and_what_does_not_is_not(
    material: Material, split: Split, tmp_path: Path
) -> None:
    lines: list[str] = []
    arms(material, split, tmp_path, lines, ["mel"])
    for update in ({"learning_rate": 2e-3}, {"steps": 6}):
        before = len(lines)
        arms(material, split, tmp_path, lines, ["mel"], SMALL.model_copy(update=update))
        assert len(lines) == before + 2
    arms(material, split, tmp_path, lines, ["mel"], seed=4)
    assert len(lines) == 8
    others = SMALL.model_copy(update={"seeds": 3, "arms": ["frozen", "finetuned"]})
    arms(material, split, tmp_path, lines, ["mel"], others)
    assert len(lines) == 8


def test_another_seed_is_another_training(material: Material, split: Split, tmp_path: Path) -> None:
    one, two = (arms(material, split, tmp_path, [], ["mel"], seed=seed)["mel"] for seed in (3, 4))
    assert (one.seed, two.seed) == (3, 4)
    assert not np.array_equal(one.volumes, two.volumes)


@pytest.mark.parametrize("name", ["frozen", "complex-stft"])
def test_a_rank_that_does_not_fit_is_refused(name: str, material: Material) -> None:
    with pytest.raises(UserError, match=r"training.rank: .*50 does not fit through 10 units"):
        build(name, Material(**{**vars(material), "rank": 50}))


def _train_in_process(path: str, spec: str, lines: object) -> None:
    from fmri_audio.codec import checkpoints

    torch.set_num_threads(1)  # two processes of several threads each would wait for each other's cores
    wave = noise_bursts(N_TRS)
    none = np.zeros((1, 1800), np.int64)  # the mel arm reads neither latents nor codes
    sound = StimulusSound(wave, SAMPLE_RATE, Fraction(3, 2), [(0, N_TRS)])
    about = Material(
        checkpoints.load(spec),
        sound,
        none.astype(np.float32),
        none,
        MEL,
        SMALL.rank,
        np.zeros((N_TRS, N_UNITS), np.float32),
        LAGS,
        SHIFT,
    )
    said: list[str] = []
    blocks = contiguous_split(
        [(0, N_TRS)], test_fraction=0.25, gap=10, lags=[3, 4], shift=3, tr=Fraction(3, 2)
    )
    trained_arms(["mel"], about, blocks, SMALL, seed=3, cache=Path(path), say=said.append)
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
    said = [line for _ in processes for line in lines.get(timeout=300)]
    for process in processes:
        process.join()
    assert sum("step 4 of 4" in line for line in said) == 1


def test_what_another_process_trains_comes_last_and_is_waited_for(tmp_path: Path) -> None:
    folders = {name: tmp_path / name for name in "abc"}
    said: list[str] = []
    with open(tmp_path / "a.lock", "w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        taken = store._one_by_one(folders, said.append)
        assert [next(taken), next(taken)] == ["b", "c"] and said == []
        with open(tmp_path / "c.lock", "w") as third, pytest.raises(BlockingIOError):
            fcntl.flock(third, fcntl.LOCK_EX | fcntl.LOCK_NB)
        threading.Timer(0.2, lambda: fcntl.flock(other, fcntl.LOCK_UN)).start()
        assert list(taken) == ["a"] and said == ["waiting for another run that is training a"]
    assert list(store._one_by_one(folders, said.append)) == ["a", "b", "c"] and len(said) == 1


def test_the_codec_s_features_are_not_computed_again(material: Material) -> None:
    np.testing.assert_array_equal(features_of(build("frozen", material), material).numpy(), material.latents)
    np.testing.assert_array_equal(features_of(build("codes", material), material).numpy(), material.codes)


FILES = ("weights.safetensors", "code.npy", "curves.csv", "facts.json")


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        *((name, flip) for name in FILES),
        *((name, garble) for name in FILES),
        ("code.npy", cut),
        ("weights.safetensors", cut),
        ("facts.json", cut),
    ],
)
def test_damaged_arm_is_trained_again(
    material: Material,
    split: Split,
    tmp_path: Path,
    name: str,
    damage: Callable[[Path], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines: list[str] = []
    first = arms(material, split, tmp_path, lines, ["mel"])["mel"]
    told = len(lines)
    [file] = tmp_path.glob(f"mel-*/{name}")
    damage(file)
    again = arms(material, split, tmp_path, lines, ["mel"])["mel"]
    assert len(lines) == 2 * told
    assert "made again" in capsys.readouterr().err
    assert same(state(first.model), state(again.model))
    np.testing.assert_array_equal(first.volumes, again.volumes)
    assert arms(material, split, tmp_path, lines, ["mel"])["mel"].selected == first.selected
    assert len(lines) == 2 * told


def test_arm_of_an_older_build_is_trained_again(material: Material, split: Split, tmp_path: Path) -> None:
    lines: list[str] = []
    arms(material, split, tmp_path, lines, ["mel"])
    told = len(lines)
    [seal] = tmp_path.glob("mel-*.sha256")
    seal.unlink()
    arms(material, split, tmp_path, lines, ["mel"])
    assert len(lines) == 2 * told


def test_training_that_was_cut_short_and_damaged_begins_anew(
    material: Material,
    split: Split,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    first = arms(material, split, tmp_path / "whole", [], ["mel"])["mel"]
    [folder] = (tmp_path / "whole").glob("mel-*/")
    begun = tmp_path / "begun" / folder.name / "working" / "last.ckpt"
    begun.parent.mkdir(parents=True)
    garble(begun)
    again = arms(material, split, tmp_path / "begun", [], ["mel"])["mel"]
    assert same(state(first.model), state(again.model))
    assert f"{begun}: damaged; the training begins anew" in capsys.readouterr().err
