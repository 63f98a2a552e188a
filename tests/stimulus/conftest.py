"""The rendering script and its studio, which lie outside the package."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "stimulus"


@pytest.fixture(scope="module")
def render() -> Iterator[ModuleType]:
    """The rendering script, whose own folder is importable only while it is used."""
    sys.path.insert(0, str(FOLDER))
    import render

    yield render
    sys.path.remove(str(FOLDER))
