"""The rendered smoke edition, on a local server, in headless Chromium."""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from playwright.sync_api import Browser, Error, sync_playwright

ROOT = Path(__file__).resolve().parents[2]


def chapters() -> list[str]:
    """Return the addresses of the book's pages, in reading order."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    listed = [toc["root"], *(entry["file"] for entry in toc["chapters"])]
    return [str(Path(name).with_suffix(".html")) for name in listed]


@pytest.fixture(scope="session")
def smoke_book() -> Path:
    """Folder of the rendered smoke edition: the one that FMRI_AUDIO_BOOK names, or one made for the tests."""
    given = os.environ.get("FMRI_AUDIO_BOOK")
    if given:
        return Path(given)
    folder = ROOT / "build" / "tests"
    command = [sys.executable, "-m", "programs", "book", "--edition", "smoke"]
    command += ["--build", str(folder), "--html", str(folder / "html")]
    subprocess.run(command, cwd=ROOT, check=True)
    return folder / "html"


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder without writing to the terminal."""

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="session")
def address(smoke_book: Path) -> Iterator[str]:
    """Address under which the pages are served."""
    handler = functools.partial(_Handler, directory=str(smoke_book))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Headless Chromium of the system; the tests are skipped where there is none."""
    found = next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))),
        None,
    )
    if found is None:
        pytest.skip("needs Chromium (apt-get install chromium)")
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(
                executable_path=found, args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
            )
        except Error as error:
            pytest.fail(f"{found} does not start: {error}")
        yield browser
        browser.close()
