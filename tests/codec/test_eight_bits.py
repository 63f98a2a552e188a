"""Weights in eight bits: as near as a row's own scale lets them be, and read back as what they were."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fmri_audio.codec.eight_bits import SCALE, pack, unpack
from fmri_audio.codec.weight_files import WeightFile, read, write


def weights() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    sizes = torch.logspace(-3, 1, 64)[:, None]  # rows of very different size
    return {
        "matrix": torch.randn(64, 128) * sizes,
        "taps": torch.randn(3, 40, 51),
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
    whole = {name for name in packed if name + SCALE in packed}
    assert whole == {"matrix", "taps", "complex"}
    assert {packed[name].shape for name in whole} == {(64, 64), (3, 40, 26), (2, 70, 40)}
    assert {value.dtype for name, value in packed.items() if name not in weights()} == {torch.float16}
    assert pack({"nothing": torch.zeros(64, 128)})["nothing"].abs().max() == 0


def test_a_file_holds_them(tmp_path: Path) -> None:
    given, path = weights(), tmp_path / "w.safetensors"
    write(path, "toy", WeightFile({"a": 1}, {}, pack(given)))
    assert path.stat().st_size < 2 * sum(v.numel() for v in given.values())
    held = read(path, "toy", "toy file", lambda config, shapes: None)
    again, before = unpack(held.tensors, given), unpack(pack(given), given)
    assert all(torch.equal(again[name], before[name]) for name in ("matrix", "taps", "complex"))
    with pytest.raises(ValueError, match="do not fit"):
        unpack(held.tensors, {"matrix": given["matrix"]})
