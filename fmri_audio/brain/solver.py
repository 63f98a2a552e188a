"""Where ridge regressions are solved: on a GPU where there is one, in double precision either way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import torch


def backend_name() -> str:
    """Name of himalaya's backend: ``torch_cuda`` where PyTorch sees a GPU, ``numpy`` elsewhere."""
    return "torch_cuda" if torch.cuda.is_available() else "numpy"


@contextmanager
def solver() -> Iterator[ModuleType]:
    """Set himalaya's backend for as long as the context lasts (himalaya keeps it in a global variable).

    Yields
    ------
    module
        The backend: ``asarray`` brings arrays to where it computes, ``to_numpy`` brings them back.
    """
    from himalaya.backend import get_backend, set_backend

    before = get_backend()
    backend = set_backend(backend_name())
    try:
        yield backend
    finally:
        set_backend(before)
