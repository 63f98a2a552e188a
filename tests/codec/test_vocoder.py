"""The file of a vocoder: what was saved is loaded, and what is damaged is one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from fmri_audio.base.errors import UserError
from fmri_audio.codec import vocoder, weight_files
from fmri_audio.codec.vocoder import FORMAT, TOPOLOGY, Vocoder
from tests.base.test_stored import DAMAGES

TINY = {"dim": 8, "intermediate": 12, "layers": 2}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    summary = {"codec": "demo-1", "licence": "MIT", "description": "random"}
    return vocoder.save(Vocoder({**TINY, "bandwidths": [6.0]}), tmp_path / "one.safetensors", summary)


def test_what_was_saved_is_loaded(saved: Path) -> None:
    loaded, again = vocoder.load(saved), vocoder.load(saved)
    assert (loaded.codec, loaded.licence, loaded.description) == ("demo-1", "MIT", "random")
    assert loaded.id == f"one-{loaded.sha256[:8]}" and not loaded.network.training
    features = torch.randn(2, 128, 20)
    sound = loaded.network(features, torch.tensor([0, 0]))
    assert sound.shape == (2, 6400) and torch.equal(sound, again.network(features, torch.tensor([0, 0])))


def test_what_half_precision_cannot_hold_is_not_written(tmp_path: Path) -> None:
    held = weight_files.WeightFile({}, {}, {"large": torch.tensor([1.0, 7e4])})
    with pytest.raises(ValueError, match="large holds a value that half precision cannot"):
        weight_files.write(tmp_path / "one.safetensors", "a format", held)
    assert not list(tmp_path.iterdir())


def test_the_usual_topology_is_below_seven_megabytes() -> None:
    for bandwidths, n_fft in (([1.5, 3.0, 6.0, 12.0, 24.0], 1280), ([], 1440)):
        shapes = vocoder.wanted_shapes({**TOPOLOGY, "bandwidths": bandwidths, "n_fft": n_fft})
        assert 6.0e6 < 2 * sum(torch.Size(shape).numel() for shape in shapes.values()) < 7e6


def test_the_same_content_gives_the_same_bytes(saved: Path, tmp_path: Path) -> None:
    network = vocoder.load(saved).network
    other = vocoder.save(
        network, tmp_path / "two.safetensors", {"description": "random", "licence": "MIT", "codec": "demo-1"}
    )
    assert saved.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_file_is_one_sentence(saved: Path, damage: Any) -> None:
    damage(saved)
    with pytest.raises(UserError) as caught:
        vocoder.load(saved)
    assert str(saved) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("layers", 0),
        ("layers", True),
        ("dim", 10**9),
        ("n_fft", 100),
        ("hop", 319),
        ("padding", "valid"),
        ("bandwidths", "all"),
        ("bandwidths", ["x"]),
        ("colour", 1),
    ],
)
def test_a_configuration_of_no_network_is_one_sentence(entry: str, value: object, saved: Path) -> None:
    held = weight_files.read(saved, FORMAT, "vocoder", lambda *_: None)
    weight_files.write(
        saved, FORMAT, weight_files.WeightFile({**held.config, entry: value}, {}, held.tensors)
    )
    with pytest.raises(UserError, match=entry if entry not in ("n_fft", "hop") else "samples every"):
        vocoder.load(saved)


def test_weights_of_another_width_are_one_sentence(saved: Path) -> None:
    held = weight_files.read(saved, FORMAT, "vocoder", lambda *_: None)
    weight_files.write(saved, FORMAT, weight_files.WeightFile({**held.config, "dim": 9}, {}, held.tensors))
    with pytest.raises(UserError, match="do not fit the network"):
        vocoder.load(saved)


def test_weights_that_are_no_numbers_are_one_sentence(saved: Path) -> None:
    held = weight_files.read(saved, FORMAT, "vocoder", lambda *_: None)
    held.tensors["head.out.bias"][0] = float("inf")
    weight_files.write(saved, FORMAT, held)
    with pytest.raises(UserError, match="NaN or infinite"):
        vocoder.load(saved)


def test_a_codec_is_no_vocoder(tiny_checkpoint_file: Path) -> None:
    with pytest.raises(UserError, match="not a vocoder of this package"):
        vocoder.load(tiny_checkpoint_file)
