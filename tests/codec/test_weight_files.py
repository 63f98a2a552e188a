"""Weights in eight bits: as near as a row's own scale lets them be, and read back as what they were."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fmri_audio.base.errors import UserError
from fmri_audio.codec.weight_files import SCALE, WeightFile, pack, read, unpack, write


def weights() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    sizes = torch.logspace(-3, 1, 64)[:, None]  # rows of very different size
    return {
        "matrix": torch.randn(64, 128) * sizes,
        "taps": torch.randn(3, 40, 50),
        "small": torch.randn(8, 8),
        "bias": torch.randn(5000),
        "complex": torch.randn(70, 80, dtype=torch.complex64),
    }


def test_every_row_keeps_its_own_precision() -> None:
    given = weights()
    back = unpack(pack(given), given)
    assert {name: (v.shape, v.dtype) for name, v in back.items()} == {
        name: (v.shape, v.dtype) for name, v in given.items()
    }
    for name in ("matrix", "taps"):
        largest = given[name].abs().amax(-1, keepdim=True)
        assert bool(((back[name] - given[name]).abs() <= largest / 127 * 0.51).all())
    assert torch.equal(back["small"], given["small"]) and torch.equal(back["bias"], given["bias"])
    error = (back["complex"] - given["complex"]).abs().square().mean()
    assert float(error) < 1e-4 * float(given["complex"].abs().square().mean())


def test_large_tensors_take_a_byte_a_number() -> None:
    packed = pack(weights())
    whole = {name for name, value in packed.items() if value.dtype == torch.int8}
    assert whole == {"matrix", "taps", "complex"}
    assert all(name + SCALE in packed and packed[name + SCALE].dtype == torch.float16 for name in whole)
    assert pack({"nothing": torch.zeros(64, 128)})["nothing"].abs().max() == 0


def test_a_file_holds_them(tmp_path: Path) -> None:
    given, path = weights(), tmp_path / "w.safetensors"
    write(path, "toy", WeightFile({"a": 1}, {}, pack(given)))
    assert path.stat().st_size < 2 * sum(v.numel() for v in given.values())
    held = read(path, "toy", "toy file", lambda config, shapes: None)
    again = unpack(held.tensors, given)
    assert torch.equal(again["matrix"], unpack(pack(given), given)["matrix"])
    with pytest.raises(ValueError, match="do not fit"):
        unpack(held.tensors, {"matrix": given["matrix"]})


def test_whole_numbers_without_a_scale_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    write(path, "toy", WeightFile({}, {}, {"a": torch.zeros(4, 4, dtype=torch.int8)}))
    with pytest.raises(UserError, match="'a' should be of half precision, not I8"):
        read(path, "toy", "toy file", lambda config, shapes: None)
