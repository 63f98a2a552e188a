"""Putting rendered pages where readers look for them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from programs.workflow.render import install
from tests.programs.workflow.conftest import ROOT

N_PAGES = 60


def pages(folder: Path, text: str) -> Path:
    """Write a book whose every page says whose it is."""
    (folder / "book").mkdir(parents=True)
    for i in range(N_PAGES):
        (folder / "book" / f"{i}.html").write_text(text)
    return folder


def test_what_is_there_stays_and_what_is_not_is_put_back(tmp_path: Path) -> None:
    rendered, html = pages(tmp_path / "rendered", "one"), tmp_path / "site" / "html"
    assert install(rendered, html)
    assert not install(rendered, html)
    (html / "book" / "3.html").unlink()
    assert install(rendered, html)
    (html / "book" / "3.html").write_text("two")
    (html / "of another book.html").touch()
    assert install(rendered, html)
    assert {path.read_text() for path in html.rglob("*.html")} == {"one"}
    assert sorted(path.name for path in html.parent.iterdir()) == [".html.lock", "html"]


def test_two_books_at_once_are_never_mixed(tmp_path: Path) -> None:
    books = [pages(tmp_path / name, name) for name in ("one", "two")]
    html = tmp_path / "html"
    code = (
        "import sys\nfrom pathlib import Path\nfrom programs.workflow.render import install\n"
        "for _ in range(20):\n    install(Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(book), str(html)], env=env) for book in books
    ]
    assert [process.wait(60) for process in running] == [0, 0]
    assert len({path.read_text() for path in html.rglob("*.html")}) == 1
    assert len(list(html.rglob("*.html"))) == N_PAGES
