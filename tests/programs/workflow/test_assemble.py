"""Merging text with outputs, finding clips, putting folders in place."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import nbformat
import pytest

from fmri_audio.base.errors import UserError
from programs.workflow.assemble import (
    clips_of,
    copy_clips,
    merged,
    read_text,
    replace_folder,
    show_parameters,
    site_of_published,
)
from programs.workflow.digests import Hashes, code_cells
from programs.workflow.plan import included
from tests.programs.workflow.conftest import chapter


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Return a text and the notebook that it was executed into, with an injected cell and a warning."""
    text, executed = tmp_path / "02-each.md", tmp_path / "02-each-3kbps.ipynb"
    text.write_text(chapter("02-each", "print('out')", per_bandwidth=True))
    notebook = read_text(text)
    injected = nbformat.v4.new_code_cell(
        "bandwidth = 3.0", metadata={"tags": ["injected-parameters"]}, id="x"
    )
    notebook.cells.insert(2, injected)
    last = notebook.cells[-1]
    last.outputs = [
        nbformat.v4.new_output("stream", name="stderr", text="/home/me/warning.py"),
        nbformat.v4.new_output("stream", name="stdout", text="out"),
    ]
    last.execution_count = 3
    nbformat.write(notebook, executed)
    return text, executed


def test_page_has_current_prose_and_executed_outputs(pair: tuple[Path, Path]) -> None:
    text, executed = pair
    text.write_text(text.read_text().replace("Prose of", "New prose of"))
    page = merged(text, executed)
    assert "New prose of 02-each" in page.cells[0].source
    assert [output.text for output in page.cells[-1].outputs] == ["out"]
    assert page.cells[-1].execution_count == 3
    assert "bandwidth = 3.0" not in [cell.source for cell in page.cells]


def test_merging_twice_is_the_same_to_the_byte(pair: tuple[Path, Path]) -> None:
    assert nbformat.writes(merged(*pair)) == nbformat.writes(merged(*pair))


def test_other_code_is_refused(pair: tuple[Path, Path]) -> None:
    text, executed = pair
    text.write_text(text.read_text().replace("'out'", "'other'"))
    with pytest.raises(UserError, match="has other code"):
        merged(text, executed)


def test_missing_notebook_says_what_to_do(pair: tuple[Path, Path]) -> None:
    with pytest.raises(UserError, match="does not exist: run make publish"):
        merged(pair[0], pair[0].with_name("none.ipynb"))


def test_looks_are_no_code(pair: tuple[Path, Path]) -> None:
    text, _ = pair
    before = code_cells(text)
    text.write_text(text.read_text().replace(":tags: [parameters]", ":tags: [parameters, hide-input]"))
    assert code_cells(text) == before
    text.write_text(text.read_text().replace(":tags: [parameters, hide-input]", ":tags: [hide-input]"))
    assert code_cells(text) != before


def test_parameters_other_than_the_defaults_are_shown(pair: tuple[Path, Path]) -> None:
    page = merged(*pair)
    n_cells = len(page.cells)
    show_parameters(page, {"edition": "demo", "bandwidth": 6.0})
    assert len(page.cells) == n_cells
    show_parameters(page, {"edition": "demo", "bandwidth": 3.0})
    assert page.cells[2].source == "# the values of this run\nbandwidth = 3.0"


def test_clips_are_found_in_outputs_and_text() -> None:
    output = nbformat.v4.new_output(
        "display_data", data={"text/html": '<audio src="../_static/audio/a-b-1.5.flac">'}
    )
    cells = [
        nbformat.v4.new_code_cell("", outputs=[output]),
        nbformat.v4.new_markdown_cell("[clip](../_static/audio/c.flac)"),
    ]
    assert clips_of(nbformat.v4.new_notebook(cells=cells)) == {"a-b-1.5.flac", "c.flac"}


def test_clip_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a page plays gone\.flac"):
        copy_clips({"gone.flac"}, tmp_path, tmp_path / "site")


def test_pages_that_are_not_executed_come_with_the_book(tmp_path: Path) -> None:
    site_of_published((), tmp_path / "site")
    assert {"api.md", "references.md"} <= {path.name for path in (tmp_path / "site" / "book").iterdir()}
    assert (tmp_path / "site" / "references.bib").is_file()


def test_texts_that_pages_take_passages_from_come_with_them(tmp_path: Path) -> None:
    site_of_published((), tmp_path / "site")
    page = (tmp_path / "site" / "book" / "voices.md").read_text()
    wanted = re.findall(r'\{include\} (\S+)\n:start-after: "(.+)"\n(?::end-before: "(.+)"\n)?', page)
    assert len(wanted) == 2
    for name, after, before in wanted:
        text = (tmp_path / "site" / "book" / name).read_text()
        assert text.count(after) == 1 and text.count(before or after) == 1, name
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "page.md").write_text("```{include} ../there.md\n```\n")
    assert included(tmp_path) == [tmp_path / "there.md"]


def test_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    for name in ("new", "old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.html").touch()
    replace_folder(tmp_path / "new", tmp_path / "old")
    assert [path.name for path in (tmp_path / "old").iterdir()] == ["new.html"]
    assert not (tmp_path / "new").exists()
    (tmp_path / "newer").mkdir()
    replace_folder(tmp_path / "newer", tmp_path / "deeper" / "first")
    assert (tmp_path / "deeper" / "first").is_dir()


def test_hash_follows_content(tmp_path: Path) -> None:
    sound = tmp_path / "sound.wav"
    hashes = Hashes(tmp_path / "hashes.json")
    assert hashes.of(sound) == "absent"
    sound.write_bytes(b"one")
    first = hashes.of(sound)
    hashes.save()
    assert Hashes(tmp_path / "hashes.json").of(sound) == first
    sound.write_bytes(b"three")
    assert Hashes(tmp_path / "hashes.json").of(sound) != first


def test_hash_follows_content_under_its_old_size_and_date(tmp_path: Path) -> None:
    sound, hashes = tmp_path / "sound.wav", Hashes(tmp_path / "hashes.json")
    sound.write_bytes(b"one")
    stat, first = sound.stat(), hashes.of(sound)
    sound.write_bytes(b"two")
    os.utime(sound, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert hashes.of(sound) != first


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff\xfe", b'{"sound.wav": [3, 1, "x"]}', b'{"a": 3}']
)
def test_damaged_memory_of_hashes_is_forgotten(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "sound.wav").write_bytes(b"one")
    (tmp_path / "hashes.json").write_bytes(content)
    hashes = Hashes(tmp_path / "hashes.json")
    assert hashes.of(tmp_path / "sound.wav") == hashlib.sha256(b"one").hexdigest()
    hashes.save()
    assert Hashes(tmp_path / "hashes.json").known.keys() == {*hashes.known}
