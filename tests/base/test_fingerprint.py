"""Fingerprints change with code that is reached, and with nothing else."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fmri_audio.base import fingerprint

MODULES = [name for top in fingerprint.OURS for name in fingerprint.module_names(top)]
RESULTS = {
    "prepared sound": "fmri_audio.study.stimulus",
    "encoding": "fmri_audio.representations.encodec",
    "simulated study": "fmri_audio.simulation.simulator",
    "masked BOLD": "fmri_audio.study.masked",
    "trained arm": "fmri_audio.bottleneck.store",
    "calibration": "fmri_audio.experiments.calibration",
    "scaling": "fmri_audio.experiments.scaling",
}
"""What is kept between runs, and the module whose fingerprint is in its name."""

IMPORTERS: dict[str, set[str]] = {module: set() for module in MODULES}
"""Module → those that import it, or a module in its folder."""
for _module in MODULES:
    for _imported in [
        *fingerprint._imports(_module)[0],
        *([_module.rpartition(".")[0]] if "." in _module else []),
    ]:
        IMPORTERS[_imported].add(_module)

SOURCE = '''"""A module."""

import json
from fmri_audio.base import errors, files

RADIUS = 12.0
"""Millimetres."""


def inside(distance: float, *, unit: str = "mm") -> str:
    """Say whether it is inside."""
    # of the mask
    return f"{distance:{'.1f'}} {unit}" if distance < RADIUS else ""
'''


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package that fingerprints are taken of."""
    for top in fingerprint.OURS:
        shutil.copytree(fingerprint.ROOT / top, tmp_path / top, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(fingerprint, "ROOT", tmp_path)
    forget()
    yield tmp_path  # type: ignore[misc]
    forget()


def forget() -> None:
    """Forget what has been read."""
    for remembered in (fingerprint._source, fingerprint._imports, fingerprint.code_hash):
        remembered.cache_clear()


def file_of(module: str, root: Path) -> Path:
    path = root.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@pytest.mark.parametrize(
    "change",
    [
        ("# of the mask", "# of another mask"),
        ("    # of the mask\n", ""),
        ('"""A module."""', '"""One."""'),
        ('"""Millimetres."""', '"""mm."""'),
        ('    """Say whether it is inside."""\n', ""),
        ("\n\n\ndef", "\n\ndef"),
        ("(distance: float, *, unit", "(\n    distance: float,\n    *,\n    unit"),
        ("12.0", "(12.0)"),
    ],
)
def test_prose_and_layout_change_nothing(change: tuple[str, str]) -> None:
    assert change[0] in SOURCE
    assert fingerprint.source_hash(SOURCE.replace(*change)) == fingerprint.source_hash(SOURCE)


@pytest.mark.parametrize(
    "change",
    [
        ("12.0", "12.5"),
        ("12.0", "12"),
        ("RADIUS = ", "RADIUS: float = "),
        ("< RADIUS", "<= RADIUS"),
        ('"mm"', '"cm"'),
        (".1f", ".2f"),
        ("import json", "import json as j"),
        (' else ""', ' else " "'),
        ("errors, files", "errors"),
        ("*, unit", "unit"),
        ("RADIUS = 12.0", "RADIUS = (12.0, '')"),
    ],
)
def test_code_changes_the_hash(change: tuple[str, str]) -> None:
    assert change[0] in SOURCE
    assert fingerprint.source_hash(SOURCE.replace(*change)) != fingerprint.source_hash(SOURCE)


def test_an_empty_string_counts_where_it_is_no_end_of_a_format() -> None:
    assert fingerprint.source_hash("x = ('a', '')") != fingerprint.source_hash("x = ('a',)")


def test_imports_are_followed_wherever_they_stand() -> None:
    source = "import numpy.linalg\nfrom fmri_audio.base.errors import UserError\n"
    source += "def f():\n    from fmri_audio.sound import lag\n"
    modules, libraries = fingerprint.of_source(source)
    assert modules == [
        "fmri_audio.base.errors",
        "fmri_audio.sound",
        "fmri_audio.sound.lag",
    ] and libraries == ["numpy"]
    hidden = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from fmri_audio.sound import lag\n"
    hidden += "else:\n    import torch\n"
    assert fingerprint.of_source(hidden) == ([], ["torch"])
    with pytest.raises(ValueError, match="line 1: imports should be absolute"):
        fingerprint.of_source("from . import lag")
    with pytest.raises(ModuleNotFoundError, match=r"fmri_audio\.nothere"):
        fingerprint.of_source("import fmri_audio.nothere")


def test_every_module_can_be_followed() -> None:
    for module in MODULES:
        assert module in fingerprint.closure(module)
        assert fingerprint.closure(module.rpartition(".")[0] or module)


@pytest.mark.parametrize("result", RESULTS)
def test_what_really_is_imported_is_in_the_closure_or_a_registered_part(result: str) -> None:
    """The closure misses nothing that Python loads, but parts, which registries find by themselves."""
    code = (
        f"import sys, {RESULTS[result]}; print(*(m for m in sys.modules if m.split('.')[0] == 'fmri_audio'))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    parts = re.compile(r"fmri_audio\.(sound\.metrics|study\.layouts|bottleneck\.arms|representations)\.")
    missing = set(loaded) - set(fingerprint.closure(RESULTS[result]))
    reached_by_parts = {one for part in missing if parts.match(part) for one in fingerprint.closure(part)}
    assert missing <= reached_by_parts


@pytest.mark.parametrize("changed", MODULES)
def test_a_changed_constant_changes_the_results_that_reach_it_and_no_other(
    changed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What reaches a module is found by a walk of its own, from the module to those that import it."""
    reaching, ahead = {changed}, [changed]
    while ahead:
        for importer in IMPORTERS[ahead.pop()] - reaching:
            reaching.add(importer)
            ahead.append(importer)
    before = {result: fingerprint.fingerprint(module) for result, module in RESULTS.items()}
    source, real = fingerprint._source(changed), fingerprint.code_hash
    new = fingerprint.source_hash(source + "\nCHANGED = 1\n")
    assert new != real(changed)
    monkeypatch.setattr(fingerprint, "code_hash", lambda name: new if name == changed else real(name))
    moved = {
        result for result, module in RESULTS.items() if fingerprint.fingerprint(module) != before[result]
    }
    assert moved == {result for result, module in RESULTS.items() if module in reaching}


def test_the_radius_of_the_auditory_mask_is_seen_and_its_prose_is_not(copy: Path) -> None:
    """The fault that lists kept by hand had: old brains were used again."""
    masks = file_of("fmri_audio.brain.masks", copy)
    before, text = fingerprint.fingerprint(RESULTS["simulated study"]), masks.read_text(encoding="utf-8")
    assert "AUDITORY_RADIUS = " in text
    masks.write_text(text.replace('"""', '"""In other words: ', 1), encoding="utf-8")
    forget()
    assert fingerprint.fingerprint(RESULTS["simulated study"]) == before
    masks.write_text(re.sub(r"(AUDITORY_RADIUS = )", r"\g<1>1 + ", text), encoding="utf-8")
    forget()
    assert fingerprint.fingerprint(RESULTS["simulated study"]) != before
    assert "AUDITORY_RADIUS = 1 + " in masks.read_text(encoding="utf-8")


def test_versions_of_libraries_count(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = fingerprint.ingredients("fmri_audio.representations.encodec")
    assert any(line.endswith("  torch") and line.startswith("torch 2.") for line in lines)
    before = fingerprint.fingerprint("fmri_audio.representations.encodec")
    monkeypatch.setattr(fingerprint, "_version", lambda library: "other")
    assert fingerprint.fingerprint("fmri_audio.representations.encodec") != before


def other_pythons() -> list[str]:
    """Other versions of Python on this machine that the project supports."""
    others = [minor for minor in range(11, 16) if minor != sys.version_info.minor]
    named = [shutil.which(f"python3.{minor}") for minor in others]
    # Those of pyenv are found on the path only where a project has chosen them.
    kept = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    named += [str(path) for minor in others for path in kept.glob(f"3.{minor}.*/bin/python")]
    return [path for path in named if path and works(path)]


def works(python: str) -> bool:
    return subprocess.run([python, "-c", "import ast"], capture_output=True, check=False).returncode == 0


HASH_ALL = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("fingerprint", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
for top in module.OURS:
    for name in module.module_names(top):
        print(name, module.code_hash(name))
"""

TREES = {
    "f'{a:{b}} {c!r:>{d}.3} {e=}'": "0ba3e080",
    "match x:\n    case [1, *_] | {'a': None}:\n        pass": "dd2ee78b",
    "def f(a, /, b: int = -1, *c, d=u'x', **e) -> None: return [*c, '']": "26135416",
    "class A(B, metaclass=C):\n    x: int = 10**400\n    y = b'\\0' if 0 else 1j": "e610675a",
    "async def f():\n    async with a as b, c:\n        yield await d\n"
    "try:\n    pass\nexcept* E as e:\n    raise\n": "218aba93",
}
"""Code in which syntax trees of versions differ most, and how its hash begins on every one of them."""


@pytest.mark.parametrize("source", TREES)
def test_the_hash_is_the_same_on_every_python(source: str) -> None:
    assert fingerprint.source_hash(source).startswith(TREES[source])


def test_the_package_has_the_same_hashes_under_another_python() -> None:
    others = other_pythons()
    if not others:
        pytest.skip("no other Python that the project supports is installed")
    ours = "".join(f"{name} {fingerprint.code_hash(name)}\n" for name in MODULES)
    for python in others:
        command = [python, "-c", HASH_ALL, str(Path(fingerprint.__file__))]
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == ours, python
