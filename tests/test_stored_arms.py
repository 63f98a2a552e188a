"""Trained arms around their store: restored exactly, and trained again where a file is not what was stored."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from fmri_audio.arms import Material
from fmri_audio.stored_arms import stored_arms
from fmri_audio.study.splits import Split, contiguous_split
from fmri_audio.trained import TrainedArm, trained_arms

from .materials import N_TRS
from .test_stored import cut, flip, garble
from .test_training import SMALL, same, state


@pytest.fixture(scope="module")
def split() -> Split:
    return contiguous_split([(0, N_TRS)], test_fraction=0.25, gap=10, lags=[3, 4], shift=3, tr=Fraction(3, 2))


FILES = ("weights.safetensors", "code.npy", "curves.csv", "facts.json")


def arms(
    material: Material, split: Split, cache: Path, lines: list[str], names: tuple[str, ...] = ("mel",)
) -> dict[str, TrainedArm]:
    return stored_arms(names, material, split, SMALL, seed=3, cache=cache, say=lines.append)


def test_arms_are_those_of_the_store_itself(material: Material, split: Split, tmp_path: Path) -> None:
    names, lines = ("frozen", "mel"), list[str]()
    plain = trained_arms(names, material, split, SMALL, seed=3, cache=tmp_path / "plain", say=lines.append)
    ours = arms(material, split, tmp_path / "ours", lines, names)
    assert list(ours) == list(plain)
    for name, one in plain.items():
        assert same(state(one.model), state(ours[name].model))
        np.testing.assert_array_equal(one.volumes, ours[name].volumes)
    keys = [{path.parent.name for path in (tmp_path / which).glob("*/facts.json")} for which in ("plain", "ours")]
    assert keys[0] == keys[1]
    told = len(lines)
    arms(material, split, tmp_path / "ours", lines, ("mel", "frozen"))
    assert len(lines) == told, "nothing is trained twice"


@pytest.mark.parametrize(
    ("name", "damage"), [*((name, flip) for name in FILES), *((name, garble) for name in FILES), ("code.npy", cut),
                         ("weights.safetensors", cut), ("facts.json", cut)],
)  # fmt: skip
def test_damaged_arm_is_trained_again(
    material: Material,
    split: Split,
    tmp_path: Path,
    name: str,
    damage: Callable[[Path], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines: list[str] = []
    first = arms(material, split, tmp_path, lines)["mel"]
    told = len(lines)
    [file] = tmp_path.glob(f"mel-*/{name}")
    damage(file)
    again = arms(material, split, tmp_path, lines)["mel"]
    assert len(lines) == 2 * told
    assert "made again" in capsys.readouterr().err
    assert same(state(first.model), state(again.model))
    np.testing.assert_array_equal(first.volumes, again.volumes)
    assert arms(material, split, tmp_path, lines)["mel"].selected == first.selected
    assert len(lines) == 2 * told


def test_arm_of_an_older_build_is_trained_again(material: Material, split: Split, tmp_path: Path) -> None:
    lines: list[str] = []
    trained_arms(["mel"], material, split, SMALL, seed=3, cache=tmp_path, say=lines.append)
    told = len(lines)
    arms(material, split, tmp_path, lines)
    assert len(lines) == 2 * told


def test_training_that_was_cut_short_and_damaged_begins_anew(
    material: Material,
    split: Split,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    first = arms(material, split, tmp_path / "whole", [])["mel"]
    [folder] = (tmp_path / "whole").glob("mel-*/")
    begun = tmp_path / "begun" / folder.name / "working" / "last.ckpt"
    begun.parent.mkdir(parents=True)
    garble(begun)
    again = arms(material, split, tmp_path / "begun", [])["mel"]
    assert same(state(first.model), state(again.model))
    assert f"{begun}: damaged; the training begins anew" in capsys.readouterr().err
