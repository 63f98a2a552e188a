"""Cells of the chapters show what the package computes: they are short, and import what is made for them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from programs.workflow.digests import code_cells
from programs.workflow.plan import Chapter, load_chapters, text_of

ROOT = Path(__file__).resolve().parents[1]
CHAPTERS = load_chapters(ROOT / "book" / "chapters.yml")
MAX_LINES = 15
ROOMS = ("fmri_audio.chapters", "fmri_audio.pages", "fmri_audio.edition", "fmri_audio.claims")
"""What a cell may import of the project."""

each_chapter = pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.name)


def sources(chapter: Chapter) -> list[str]:
    return [source for source, _ in code_cells(text_of(chapter))]


def lines_of(source: str) -> int:
    return sum(bool(line.strip()) for line in source.splitlines())


def imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Every import: the module, and the name that it is known by afterwards."""
    for node in ast.walk(tree):
        for alias in node.names if isinstance(node, ast.Import | ast.ImportFrom) else ():
            module = node.module or "" if isinstance(node, ast.ImportFrom) else alias.name
            yield module, alias.asname or alias.name.split(".")[0]


def foreign(source: str) -> list[str]:
    """Modules of the project that a cell should not import."""
    modules = [module for module, _ in imported(ast.parse(source))]
    ours = [module for module in modules if module.split(".")[0] in ("fmri_audio", "programs")]
    return [module for module in ours if not re.match(rf"({'|'.join(map(re.escape, ROOMS))})(\.|$)", module)]


@each_chapter
def test_cells_are_short(chapter: Chapter) -> None:
    lengths = {number: lines_of(source) for number, source in enumerate(sources(chapter), 1)}
    assert {number: length for number, length in lengths.items() if length > MAX_LINES} == {}


@each_chapter
def test_cells_import_what_is_made_for_them(chapter: Chapter) -> None:
    found = {number: foreign(source) for number, source in enumerate(sources(chapter), 1)}
    assert {number: modules for number, modules in found.items() if modules} == {}


@each_chapter
def test_cells_use_all_that_they_import(chapter: Chapter) -> None:
    tree = ast.parse("\n".join(sources(chapter)))
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert {name for _, name in imported(tree)} <= used


def dead_links(text: str) -> list[str]:
    """Links of a page to a page that the site does not have: of a chapter it has the notebook."""
    chapters = {chapter.name for chapter in CHAPTERS}
    pages = {f"{name}.ipynb" for name in chapters}
    pages |= {page.name for page in (ROOT / "book").glob("*.md") if page.stem not in chapters}
    linked = re.findall(r"\]\((?![a-z]+:)([^)#]+?\.(?:md|ipynb))(?:#[^)]*)?\)", text)
    return [page for page in linked if page.split("/")[-1] not in pages]


def test_links_lead_to_pages_of_the_site() -> None:
    found = {page.name: dead_links(page.read_text()) for page in (ROOT / "book").glob("*.md")}
    assert {name: links for name, links in found.items() if links} == {}


def test_link_to_the_source_of_a_chapter_is_dead() -> None:
    text = "[one](02-problem.md), [two](02-problem.ipynb), [three](voices.md#x)"
    assert dead_links(text) == ["02-problem.md"]


def test_chapter_per_bandwidth_does_not_look_at_the_others() -> None:
    for chapter in CHAPTERS:
        if chapter.per_bandwidth:
            cells = "\n".join(sources(chapter))
            found = [name for module, name in imported(ast.parse(cells)) if module == "fmri_audio.chapters"]
            modules = [(ROOT / "fmri_audio" / "chapters" / f"{name}.py").read_text() for name in found]
            for code in (cells, *modules):
                assert not re.search(r"\.(main_)?bandwidths?\b(?<!run\.bandwidth)", code), chapter.name


@pytest.mark.parametrize(
    ("source", "modules"),
    [
        ("from fmri_audio.chapters import problem", []),
        ("from fmri_audio.pages.page import Page\nimport numpy as np", []),
        ("import fmri_audio.claims", []),
        ("from fmri_audio.sound import scoring", ["fmri_audio.sound"]),
        ("from fmri_audio import cli", ["fmri_audio"]),
        ("from fmri_audio.pages_of_others import x", ["fmri_audio.pages_of_others"]),
        ("if x:\n    from programs.benchmarks import codec", ["programs.benchmarks"]),
    ],
)
def test_what_a_cell_should_not_import_is_found(source: str, modules: list[str]) -> None:
    assert foreign(source) == modules


def test_empty_lines_and_options_are_no_code() -> None:
    assert lines_of("a = 1\n\n  \nb = 2\n") == 2
    options = [source for source in sources(CHAPTERS[0]) if source.startswith((":", "---"))]
    assert options == []
