"""The code of the chapters as plain Python, which checkers of style and types can read: ``python -m programs cells``.

Every ``book/NN-name.md`` becomes ``build/cells/NN_name.py``: its code cells in order, nothing else.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

import jupytext

from fmri_audio.base.files import write_if_changed
from fmri_audio.base.settings import project_root

HEAD = "# mypy: allow-redefinition\n\n"
"""Cells use short names again for other things."""


def code_of(chapter: Path) -> str:
    """Return the code cells of a chapter's text as one Python file, each below a line ``# %%``."""
    notebook = jupytext.read(chapter)
    notebook.cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    notebook.metadata = {"jupytext": {"notebook_metadata_filter": "-all", "cell_metadata_filter": "-all"}}
    return HEAD + str(jupytext.writes(notebook, "py:percent"))


def write(book: Path, cells: Path) -> list[Path]:
    """Write the code of all chapters of a book into a folder, and take away what is no chapter's any more.

    Parameters
    ----------
    book : Path
        Folder of ``NN-name.md``.
    cells : Path
        Folder of ``NN_name.py``.

    Returns
    -------
    list of Path
        The files, in reading order.
    """
    chapters = {chapter.stem.replace("-", "_"): chapter for chapter in sorted(book.glob("[0-9][0-9]-*.md"))}
    cells.mkdir(parents=True, exist_ok=True)
    for old in cells.iterdir():
        if old.stem not in chapters:
            shutil.rmtree(old) if old.is_dir() else old.unlink()
    for name, chapter in chapters.items():
        write_if_changed(cells / f"{name}.py", code_of(chapter))
    return [cells / f"{name}.py" for name in chapters]


def main(words: Sequence[str]) -> None:
    """Write the code of this project's book."""
    argparse.ArgumentParser("python -m programs cells", description=__doc__).parse_args(words)
    write(project_root() / "book", project_root() / "build" / "cells")
