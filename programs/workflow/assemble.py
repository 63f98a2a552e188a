"""Puts the book's sources together: the current text, the outputs of executed notebooks, clips, tables.

A chapter's page is its text with the outputs of its executed notebook; since the code of the two is the same,
prose can change without executing anything.
"""

from __future__ import annotations

import ast
import ctypes
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import jupytext
import nbformat
from nbformat import NotebookNode

from fmri_audio.base.errors import UserError
from fmri_audio.base.settings import project_root
from programs.workflow.digests import code_cells
from programs.workflow.plan import Chapter, Plan, included, text_of

KERNELSPEC = {"display_name": "Python 3", "language": "python", "name": "python3"}
_CLIP = re.compile(r"_static/audio/([A-Za-z0-9][A-Za-z0-9._+-]*)")
INJECTED = "injected-parameters"


def read_text(text: Path) -> NotebookNode:
    """Return a chapter's text as a notebook without outputs, its cells numbered."""
    notebook: NotebookNode = jupytext.read(text)
    for index, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{index}"
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    notebook.metadata["kernelspec"] = dict(KERNELSPEC)
    return notebook


def merged(text: Path, executed: Path) -> NotebookNode:
    """Return a chapter's current text with the outputs of its executed notebook.

    Nothing remains in it that differs between machines: no times, paths or random identifiers of its own.

    Raises
    ------
    UserError
        The notebook is missing, or has been executed from other code than the text's.
    """
    if not executed.is_file():
        raise UserError(f"{executed} does not exist: run make publish, or make book to execute an edition")
    if code_cells(text) != code_cells(executed):
        raise UserError(
            f"{text.name} has other code than {executed} was executed from: run make publish (or make book)"
        )
    notebook = read_text(text)
    outputs = [cell for cell in _code(nbformat.read(executed, as_version=4)) if not _tagged(cell, INJECTED)]
    for cell, source in zip(_code(notebook), outputs, strict=True):
        # Warnings name files of the machine they appeared on; the page does not show them (nb_output_stderr).
        cell.outputs = [output for output in source.outputs if output.get("name") != "stderr"]
        cell.execution_count = source.execution_count
    notebook.metadata = nbformat.from_dict(
        {
            "jupytext": {"formats": notebook.metadata.get("jupytext", {}).get("formats", "md:myst,ipynb")},
            "kernelspec": dict(KERNELSPEC),
            "language_info": {"name": "python"},
        }
    )
    return notebook


def _code(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def _tagged(cell: NotebookNode, tag: str) -> bool:
    return tag in cell.metadata.get("tags", ())


def show_parameters(notebook: NotebookNode, values: dict[str, object]) -> None:
    """Add a cell below the parameters that sets those whose values were not the defaults in this run."""
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type == "code" and _tagged(cell, "parameters"):
            defaults = _assigned(cell.source)
            other = {
                name: value for name, value in values.items() if name in defaults and defaults[name] != value
            }
            if other:
                lines = [
                    "# the values of this run",
                    *(f"{name} = {value!r}" for name, value in other.items()),
                ]
                added = nbformat.v4.new_code_cell(
                    "\n".join(lines), id=INJECTED, metadata={"tags": [INJECTED]}
                )
                notebook.cells.insert(index + 1, added)
            return


def _assigned(source: str) -> dict[str, object]:
    """Return the constants that a parameters cell assigns."""
    values: dict[str, object] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            values.update(
                {target.id: node.value.value for target in node.targets if isinstance(target, ast.Name)}
            )
    return values


def clips_of(notebook: NotebookNode) -> set[str]:
    """Return the names of the clips that a notebook's text and outputs refer to."""
    names: set[str] = set()
    for cell in notebook.cells:
        names.update(_CLIP.findall(cell.source))
        for output in cell.get("outputs", ()):
            for value in output.get("data", {}).values():
                if isinstance(value, str):
                    names.update(_CLIP.findall(value))
    return names


def copy_clips(names: Iterable[str], source: Path, target: Path) -> None:
    """Copy clips.

    Raises
    ------
    UserError
        A page plays a clip that is not there.
    """
    target.mkdir(parents=True, exist_ok=True)
    for name in sorted(names):
        if not (source / name).is_file():
            raise UserError(
                f"a page plays {name}, which is not in {source}: run make clean, then make book again"
            )
        shutil.copy2(source / name, target / name)


def site_of_edition(plan: Plan, site: Path) -> None:
    """Put together the book of an executed edition in the folder ``site``."""

    def page(chapter: Chapter) -> NotebookNode:
        run = plan.page_run(chapter)
        notebook = merged(text_of(chapter), plan.notebook(run))
        values: dict[str, object] = {"edition": plan.edition}
        if run.bandwidth is not None:
            values["bandwidth"] = run.bandwidth
        show_parameters(notebook, values)
        return notebook

    _site(plan.chapters, page, plan.build / "audio", plan.build / "results" / "metrics.csv", site)


def published(chapter: Chapter) -> Path:
    """Return the path of a chapter's published notebook."""
    return project_root() / "book" / f"{chapter.name}.ipynb"


def site_of_published(chapters: tuple[Chapter, ...], site: Path) -> None:
    """Put together the published book, from tracked files alone, in the folder ``site``."""
    root = project_root()

    def page(chapter: Chapter) -> NotebookNode:
        return merged(text_of(chapter), published(chapter))

    _site(chapters, page, root / "_static" / "audio", root / "results" / "demo" / "metrics.csv", site)


def _site(
    chapters: tuple[Chapter, ...],
    page: Callable[[Chapter], NotebookNode],
    clips: Path,
    table: Path,
    site: Path,
) -> None:
    """Write the sources of a book: configuration, static files, pages, their clips and the table of results."""
    root = project_root()
    (site / "book").mkdir(parents=True)
    for path in [root / "_config.yml", root / "_toc.yml", *sorted(root.glob("*.bib"))]:
        shutil.copy2(path, site / path.name)
    stems = {chapter.name for chapter in chapters}
    for path in sorted((root / "book").iterdir()):
        if path.suffix in {".md", ".bib"} and path.stem not in stems:
            shutil.copy2(path, site / "book" / path.name)
    for path in included(root):
        copy = site / path.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy)
    audio = root / "_static" / "audio"
    shutil.copytree(
        root / "_static",
        site / "_static",
        ignore=lambda folder, _: ["audio"] if Path(folder) == audio.parent else [],
    )
    for chapter in chapters:
        notebook = page(chapter)
        copy_clips(clips_of(notebook), clips, site / "_static" / "audio")
        nbformat.write(notebook, site / "book" / f"{chapter.name}.ipynb")
    if table.is_file():
        (site / "results").mkdir()
        shutil.copy2(table, site / "results" / table.name)


def replace_folder(new: Path, target: Path) -> None:
    """Put a finished folder in another's place; at no time is the target a mixture of the two."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists() and not _exchange(new, target):
        old = target.with_name(f".{target.name}-old")
        shutil.rmtree(old, ignore_errors=True)
        target.rename(old)
        new.rename(target)
        shutil.rmtree(old)
    elif new.exists() and not target.exists():
        new.rename(target)
    shutil.rmtree(new, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two folders in one system call (Linux); return whether that worked."""
    if sys.platform != "linux":
        return False
    at_cwd, exchange = -100, 2
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    return call is not None and call(at_cwd, os.fsencode(one), at_cwd, os.fsencode(other), exchange) == 0
