"""Registries find what lies in a folder, in the order of its places."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from fmri_audio.base.registry import Registry

PART = """
from registry_of_toys.base import TOYS, Toy

TOYS.register(Toy({name!r}, {label!r}, {place}), __name__)
"""

BASE = """
from fmri_audio.base.registry import Registry
from tests.base.test_registry import Toy

TOYS = Registry("registry_of_toys")
"""


@dataclass(frozen=True)
class Toy:
    """A part."""

    name: str
    label: str
    place: int


@pytest.fixture
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry[Toy]:
    """A folder with two parts."""
    folder = tmp_path / "registry_of_toys"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "base.py").write_text(BASE)
    (folder / "ball.py").write_text(PART.format(name="ball", label="a ball", place=2))
    (folder / "top.py").write_text(PART.format(name="top", label="a top", place=1))
    monkeypatch.syspath_prepend(str(tmp_path))
    from registry_of_toys.base import TOYS  # type: ignore[import-not-found]

    found: Registry[Toy] = TOYS
    yield found  # type: ignore[misc]
    for name in [name for name in sys.modules if name.startswith("registry_of_toys")]:
        del sys.modules[name]


def test_parts_come_by_place_and_say_who_they_are(toys: Registry[Toy]) -> None:
    labels = toys.said("label")
    assert list(toys) == ["top", "ball"] and len(toys) == len(labels) == 2
    assert dict(labels) == {"top": "a top", "ball": "a ball"}
    assert toys.modules(["ball"]) == ["registry_of_toys.ball"] and "kite" not in toys
    with pytest.raises(KeyError):
        toys["kite"]


def test_a_file_that_is_added_is_a_part(toys: Registry[Toy], tmp_path: Path) -> None:
    labels = toys.said("label")
    assert "kite" not in labels
    (tmp_path / "registry_of_toys" / "kite.py").write_text(PART.format(name="kite", label="a kite", place=1))
    assert list(toys) == ["kite", "top", "ball"] and labels["kite"] == "a kite"


def test_a_name_is_taken_once(toys: Registry[Toy], tmp_path: Path) -> None:
    assert "ball" in toys
    (tmp_path / "registry_of_toys" / "other.py").write_text(
        PART.format(name="ball", label="another", place=3)
    )
    with pytest.raises(ValueError, match="'ball' is a part of registry_of_toys.ball already"):
        list(toys)
