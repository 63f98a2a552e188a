"""What is installed for whom: the package by itself, its extras, and the lock that has all of them."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import yaml

from fmri_audio import __version__, cli
from fmri_audio.base.errors import UserError
from fmri_audio.base.extras import from_extra
from fmri_audio.base.fingerprint import OURS
from fmri_audio.sound import recognition

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
BOOK_ROOMS = ("experiments", "pages", "claims", "chapters")
RUN_NOT_IMPORTED = {"jupyter-book", "snakemake", "speechmos", "sphinxcontrib-bibtex"}
"""Started as programs, named in a configuration, or holding a file that is read."""


def names(requirements: list[str]) -> set[str]:
    return {normal(re.split(r"[=<>!~\[; ]", one)[0]) for one in requirements}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


LIBRARY = names(PROJECT["dependencies"])
EXTRAS = {extra: names(listed) for extra, listed in PROJECT["optional-dependencies"].items()}


@cache
def distributions() -> dict[str, set[str]]:
    found = importlib.metadata.packages_distributions()
    return {module: {normal(name) for name in listed} for module, listed in found.items()}


def imported(path: Path) -> set[tuple[str, str | None]]:
    """Packages that a file imports, each with the extra that a ``with from_extra`` around the import names."""

    def walk(node: ast.AST, extra: str | None) -> Iterator[tuple[str, str | None]]:
        if isinstance(node, ast.With):
            named = re.fullmatch(r"from_extra\('([a-z]+)'\)", ast.unparse(node.items[0].context_expr))
            extra = named[1] if named else extra
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        modules += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
        yield from ((module.partition(".")[0], extra) for module in modules)
        for child in ast.iter_child_nodes(node):
            yield from walk(child, extra)

    found = set(walk(ast.parse(path.read_text()), None))
    return {
        (module, extra) for module, extra in found if module not in {*OURS, *sys.stdlib_module_names, "tests"}
    }


def allowed(path: Path) -> set[str]:
    """Packages that a file may import as a matter of course."""
    parts = path.relative_to(ROOT).parts
    if path == ROOT / "programs" / "kokoro.py":  # asks whether its packages are here before it imports them
        rendering = (ROOT / "stimulus" / "requirements.txt").read_text().splitlines()
        return LIBRARY | names([one for one in rendering if not one.startswith("#")])
    if parts[0] == "fmri_audio" and parts[1] not in BOOK_ROOMS:
        return LIBRARY
    return (
        LIBRARY | EXTRAS["book"] | (EXTRAS["workflow"] | EXTRAS["bench"] if parts[0] == "programs" else set())
    )


@pytest.mark.parametrize("top", OURS)
def test_what_is_imported_is_installed_or_named_as_an_extra(top: str) -> None:
    for path in sorted((ROOT / top).rglob("*.py")):
        for module, extra in imported(path):
            found = distributions().get(module, {normal(module)})
            assert found & (allowed(path) | EXTRAS.get(extra or "", set())), f"{path}: {module}"


def test_what_is_installed_is_imported() -> None:
    used = {module for top in OURS for path in (ROOT / top).rglob("*.py") for module, _ in imported(path)}
    packages = {name for module in used for name in distributions().get(module, {normal(module)})}
    wanted = LIBRARY | EXTRAS["book"] | EXTRAS["workflow"] | EXTRAS["recognition"] | EXTRAS["bench"]
    assert wanted - packages == RUN_NOT_IMPORTED


def test_no_package_is_asked_for_twice() -> None:
    listed = [name for part in (LIBRARY, *EXTRAS.values()) for name in part]
    assert sorted(listed) == sorted(set(listed))


def test_a_missing_extra_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    with pytest.raises(
        UserError, match=re.escape("pocketsphinx is not installed: run pip install '.[recognition]'")
    ):
        recognition.identify_sentence(np.zeros(16, np.float32), 16_000, ["a sentence"])
    monkeypatch.delitem(sys.modules, "fmri_audio.claims.report", raising=False)
    monkeypatch.delattr("fmri_audio.claims.report", raising=False)
    monkeypatch.setitem(sys.modules, "nbformat", None)
    assert cli.main(["report"]) == 1
    assert "nbformat is not installed: run pip install '.[book]'" in capsys.readouterr().err


def test_a_module_of_the_project_that_is_missing_is_an_error_of_the_program() -> None:
    with pytest.raises(ModuleNotFoundError), from_extra("book"):
        __import__("fmri_audio.nowhere")


def test_lock_has_hashes_for_everything_and_no_addresses() -> None:
    for name in ("requirements.lock", "bootstrap.lock", "recogniser.lock"):
        text = (ROOT / name).read_text()
        assert "://" not in text
        assert " @ " not in text
        assert "--index" not in text
        pins = re.split(r"\n(?=\S)", text.strip())
        assert all("==" in pin and "--hash=sha256:" in pin for pin in pins)


def test_lock_pins_everything_but_the_bench() -> None:
    pinned = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    locked = set(EXTRAS) - {"bench"}
    assert LIBRARY | set().union(*(EXTRAS[extra] for extra in locked)) <= pinned
    assert not EXTRAS["bench"] & pinned
    recipe = re.search(r"^lock:.*?\n\n", (ROOT / "Makefile").read_text(), re.MULTILINE | re.DOTALL)
    assert recipe is not None and set(re.findall(r"--extra ([a-z]+)", recipe[0])) == locked
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert {"pip": ["-r requirements.lock"]} in environment["dependencies"]


def test_what_names_the_project_says_what_the_citation_says(capsys: pytest.CaptureFixture[str]) -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    authors = [author["name"] for author in citation["authors"]]
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    assert (
        citation["title"]
        == config["title"]
        == (ROOT / "README.md").read_text().splitlines()[0].removeprefix("# ")
    )
    assert ", ".join(authors) == config["author"] and authors == [
        author["name"] for author in PROJECT["authors"]
    ]
    assert f"Copyright (c) {config['copyright']} {config['author']}" in (ROOT / "LICENSE").read_text()
    assert citation["license"] == PROJECT["license"]
    assert citation["version"] == PROJECT["version"] == __version__
    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text()
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"fmri-audio {__version__}\n"


def test_addresses_are_those_of_the_citation() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    known = {"Repository": citation.get("repository-code"), "Documentation": citation.get("url")}
    assert PROJECT.get("urls", {}) == {
        name: address for name, address in known.items() if address is not None
    }
    assert re.findall(r"^BOOK_URL \?=(.*)", (ROOT / "Makefile").read_text(), re.MULTILINE) == [""]


def test_hooks_before_a_commit_are_the_checks_of_make_lint() -> None:
    rules = re.search(r"^lint:.*?\n\n", (ROOT / "Makefile").read_text(), re.MULTILINE | re.DOTALL)
    assert rules is not None
    checks = re.findall(r"\$\(RUN\) (-[mc] .+?)\)?(?: \|\| .*)?$", rules[0], re.MULTILINE)
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    assert checks == [hook["entry"].removeprefix(".venv/bin/python ") for hook in hooks]
    assert all(hook["language"] == "system" and hook["pass_filenames"] is False for hook in hooks)


def test_every_module_has_a_room() -> None:
    """But for the command, which is a thin shell over all of them."""
    flat = {path.name for path in (ROOT / "fmri_audio").glob("*.py")}
    assert flat == {"__init__.py", "cli.py"}
