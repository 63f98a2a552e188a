"""Where regressions are solved."""

from __future__ import annotations

import pytest
import torch
from himalaya.backend import get_backend

from fmri_audio.brain import solver


def test_a_gpu_is_used_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for there, name in ((True, "torch_cuda"), (False, "numpy")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert solver.backend_name() == name


def test_the_backend_is_put_back_whatever_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solver, "backend_name", lambda: "torch")

    def fails() -> None:
        with solver.solver() as backend:
            assert backend.name == get_backend().name == "torch"
            raise RuntimeError("within")

    with pytest.raises(RuntimeError, match="within"):
        fails()
    assert get_backend().name == "numpy"
