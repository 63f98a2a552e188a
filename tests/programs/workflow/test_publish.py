"""Whether what lies in the working tree is what was published."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fmri_audio.base.errors import UserError
from fmri_audio.sound.recognition import NO_RECOGNISER, recogniser
from programs.workflow import front
from programs.workflow.plan import Chapter
from programs.workflow.publish import check_published, manifest
from tests.programs.workflow.conftest import chapter

CHAPTERS = (Chapter("01-first"),)
MANIFEST = "results/demo/manifest.json"


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project with a published notebook, clip and table."""
    files = {
        "_config.yml": "",
        "config/demo.yml": "",
        "book/01-first.md": chapter("01-first", "1"),
        "book/01-first.ipynb": "{}",
        "_static/audio/clip.flac": "sound",
        "results/demo/metrics.csv": "a,b\n",
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    monkeypatch.chdir(tmp_path)
    (tmp_path / MANIFEST).write_text(json.dumps(manifest("demo", CHAPTERS)))
    return tmp_path


def refused(sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        check_published("demo", CHAPTERS)
    assert str(caught.value).startswith(sentence) and "\n" not in str(caught.value)


def test_what_was_published_is_accepted_whatever_its_date(tree: Path) -> None:
    (tree / "book" / "01-first.ipynb").touch()
    (tree / "_static" / "audio" / ".DS_Store").touch()
    check_published("demo", CHAPTERS)


@pytest.mark.parametrize(
    "name", ["book/01-first.ipynb", "_static/audio/clip.flac", "results/demo/metrics.csv"]
)
def test_changed_and_missing_files_are_named(tree: Path, name: str) -> None:
    (tree / name).write_text("edited")
    refused(f"{name} is not what was published (see {MANIFEST}): restore it with git checkout -- {name}")
    (tree / name).unlink()
    refused(f"{name} is missing (see {MANIFEST})")


def test_file_that_was_never_published_is_named(tree: Path) -> None:
    (tree / "_static" / "audio" / "another.flac").touch()
    refused(f"_static/audio/another.flac was never published (it is not in {MANIFEST})")


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b"\xff\xfe", b'{"files": 3}'])
def test_manifest_that_cannot_be_read_is_named(tree: Path, content: bytes | None) -> None:
    (tree / MANIFEST).unlink()
    if content is not None:
        (tree / MANIFEST).write_bytes(content)
    refused(f"{MANIFEST} is missing or damaged: restore it with git checkout -- {MANIFEST}")


def test_a_book_without_words_is_not_published(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front, "make_edition", lambda options: pytest.fail("something was made"))
    monkeypatch.setattr(recogniser, "find_recogniser", lambda: None)
    with pytest.raises(UserError) as caught:
        front.main(["publish"])
    assert str(caught.value) == f"nothing is published: {NO_RECOGNISER}"
