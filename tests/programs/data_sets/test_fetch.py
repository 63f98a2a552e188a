"""Fetching a data set from a loopback server: whole, broken off, gone on with, wrong, and there already."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fmri_audio.base.errors import UserError
from programs.__main__ import main as program
from programs.data_sets import fetch

CONTENT = {
    "sub-01/a_bold.csv": bytes(range(256)) * 4000,
    "annotation/level.tsv": b"onset\tduration\trms\n" * 300,
}


class Server(ThreadingHTTPServer):
    """Serves :data:`CONTENT`; breaks off after so many bytes, or knows no ranges, if told so."""

    breaks_off: int | None = None
    knows_ranges = True
    wrong = False
    asked: list[tuple[str, str | None]]


class Handler(BaseHTTPRequestHandler):
    """Answers like a server of raw files."""

    server: Server

    def do_GET(self) -> None:
        """Send a file, or the rest of it."""
        name = re.sub("^/some/data/abc/", "", self.path)
        asked = self.headers.get("Range")
        self.server.asked.append((name, asked))
        if name not in CONTENT:
            self.send_error(404)
            return
        content = CONTENT[name][::-1] if self.server.wrong else CONTENT[name]
        first = int(asked[len("bytes=") : -1]) if asked and self.server.knows_ranges else 0
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(content) - first))
        self.end_headers()
        last = None if self.server.breaks_off is None else first + self.server.breaks_off
        self.wfile.write(content[first:last])

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server(("127.0.0.1", 0), Handler)
    one.asked = []
    threading.Thread(target=one.serve_forever, daemon=True).start()
    yield one
    one.shutdown()
    one.server_close()


@pytest.fixture
def address(server: Server) -> str:
    return f"http://127.0.0.1:{server.server_port}"


FILES = [
    fetch.Listed(name, "some/data", "abc", len(content), hashlib.sha256(content).hexdigest())
    for name, content in CONTENT.items()
]


def test_all_arrives_and_is_not_asked_for_again(server: Server, address: str, tmp_path: Path) -> None:
    assert fetch.fetch(FILES, tmp_path, address) == 2
    assert all((tmp_path / name).read_bytes() == content for name, content in CONTENT.items())
    assert fetch.fetch(FILES, tmp_path, address) == 0 and len(server.asked) == 2
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_what_broke_off_goes_on(server: Server, address: str, tmp_path: Path, knows_ranges: bool) -> None:
    server.breaks_off = 300_000
    with pytest.raises(UserError, match=r"broke off after 300,000 of 1,024,000 bytes|cannot be reached"):
        fetch.fetch(FILES, tmp_path, address)
    assert not (tmp_path / FILES[0].path).exists(), "nothing has its name before it is whole"
    server.breaks_off, server.knows_ranges = None, knows_ranges
    assert fetch.fetch(FILES, tmp_path, address) == 2
    assert server.asked[1] == (FILES[0].path, "bytes=300000-")
    assert all((tmp_path / name).read_bytes() == content for name, content in CONTENT.items())


def test_a_file_that_was_changed_is_fetched_anew(server: Server, address: str, tmp_path: Path) -> None:
    fetch.fetch(FILES, tmp_path, address)
    path = tmp_path / FILES[1].path
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert fetch.fetch(FILES, tmp_path, address) == 1 and path.read_bytes() == CONTENT[FILES[1].path]


def test_a_file_of_another_hash_is_refused_and_does_not_stay(
    server: Server, address: str, tmp_path: Path
) -> None:
    server.wrong = True
    with pytest.raises(UserError, match="is not the file that is listed"):
        fetch.fetch(FILES, tmp_path, address)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_what_cannot_be_reached_is_one_sentence(
    server: Server,
    address: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    listed = tmp_path / "toy.tsv"
    listed.write_text(f"path\trepository\tcommit\tbytes\tsha256\ngone.csv\tsome/data\tabc\t3\t{'0' * 64}\n")
    monkeypatch.setattr(fetch, "studies", lambda: {"toy": listed})
    assert program(["data", "toy", "--out", str(tmp_path / "out"), "--address", address]) == 1
    said = capsys.readouterr().err
    assert "cannot be reached (Not Found)" in said and "goes on from here" in said


def test_the_list_of_studyforrest_is_whole_and_is_that_of_the_original_files(shared_data: Path) -> None:
    files = {one.path: one for one in fetch.listed(fetch.studies()["studyforrest"])}
    assert sum("_bold.csv" in name for name in files) == 15 * 7
    origin = shared_data / "studyforrest-layout"
    for name, path in (
        ("sub-01/shen_fconn/sub-01_task-avmovie_run-1_bold.csv", None),
        ("sub-02/shen_fconn/sub-02_task-avmovie_run-1_bold.csv", None),
        ("annotation/audio/fg_av_ger_seg0_rms.tsv", "fg_av_ger_seg0_rms.tsv"),
    ):
        content = (origin / (path or name)).read_bytes()
        assert (
            files[name].n_bytes == len(content) and files[name].sha256 == hashlib.sha256(content).hexdigest()
        )
