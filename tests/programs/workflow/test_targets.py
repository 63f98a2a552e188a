"""Every target that the help names, from its real entry: the Makefile.

What takes long is run on a project with one small chapter, or asked for something that it refuses at once.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.programs.workflow.conftest import ROOT, Toy, lay_out, outside_make
from tests.programs.workflow.test_graph import write_manifest

UV = """#!/bin/sh
test "$1" = --version && echo "uv 1.2.3" || { echo "$@" >> uv.log; cat > /dev/null < /dev/null; }
"""
NO_NUMBER = "--jobs: 'none' should be a whole number from 1 to 256"
CHECKED = """
[tool.mypy]
files = ["fmri_audio/base/errors.py"]
[tool.ruff]
include = ["fmri_audio/base/errors.py"]
[tool.importlinter]
root_package = "fmri_audio"
[[tool.importlinter.contracts]]
name = "The ground stands on nothing"
type = "forbidden"
source_modules = ["fmri_audio.base"]
forbidden_modules = ["fmri_audio.tools"]
[tool.pytest.ini_options]
markers = ["slow"]
"""
TEST = """import os
from pathlib import Path

import pytest


def test_what_is_quick():
    assert True


@pytest.mark.slow
def test_the_smoke_edition_has_been_executed():
    assert Path(os.environ["FMRI_AUDIO_BOOK"], "index.html").is_file()
    assert Path(os.environ["FMRI_AUDIO_BUILD"], "notebooks", "02-middle-6kbps.ipynb").is_file()
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """Return a project with one chapter at one bandwidth. Its tests are run in their order."""
    toy = lay_out(tmp_path_factory.mktemp("targets") / "small project")
    (toy.folder / "book" / "chapters.yml").write_text(
        "- {name: 02-middle, per_bandwidth: true, table: true}\n"
    )
    (toy.folder / "_toc.yml").write_text("format: jb-book\nroot: book/02-middle.ipynb\n")
    (toy.folder / "config" / "demo.yml").write_text("edition: demo\nbandwidths: [6.0]\nmain_bandwidth: 6.0\n")
    (toy.folder / "config" / "smoke.yml").write_text(
        "edition: smoke\nbandwidths: [6.0]\nmain_bandwidth: 6.0\n"
    )
    for name in ("01-first.md", "03-last.md"):
        (toy.folder / "book" / name).unlink()
    (toy.folder / "pyproject.toml").write_text(CHECKED)
    (toy.folder / "tests").mkdir()
    (toy.folder / "tests" / "test_smoke.py").write_text(TEST)
    return toy


def make(folder: Path, *words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = ["make", *words, f"PYTHON={sys.executable}"]
    return subprocess.run(
        command, cwd=folder, env=env or outside_make(), capture_output=True, text=True, check=False
    )


def works(toy: Toy, *words: str) -> str:
    """Run make where it has to succeed, and return what it printed."""
    made = make(toy.folder, *words, env=toy.env)
    assert made.returncode == 0, made.stdout + made.stderr
    return made.stdout


def refuses(folder: Path, sentence: str, *words: str) -> None:
    """Run make where it has to refuse what is asked, for a reason that only the target itself can give."""
    made = make(folder, *words)
    assert made.returncode != 0
    assert sentence in made.stderr, made.stderr
    assert "Traceback" not in made.stderr


def check_help(toy: Toy) -> None:
    assert "make book" in works(toy, "help")


def check_book(toy: Toy) -> None:
    assert works(toy, "book").splitlines()[-1] == "_build/html/index.html"
    assert toy.ran() == ["02-middle@6"]
    assert "twice 12.0" in toy.page("02-middle")


def check_html(toy: Toy) -> None:
    built = toy.folder / "build" / "demo"
    shutil.copy2(built / "site" / "book" / "02-middle.ipynb", toy.folder / "book")
    shutil.copytree(built / "audio", toy.folder / "_static" / "audio")
    write_manifest(toy)
    works(toy, "html")
    assert toy.ran() == [] and "twice 12.0" in toy.page("02-middle")


def check_sweep(toy: Toy) -> None:
    printed = works(toy, "sweep")
    assert sorted(toy.ran()) == ["02-middle@1.5", "02-middle@3"]
    assert [line.split()[0] for line in printed.splitlines()[-4:-1]] == ["1.5", "3.0", "6.0"]


def check_publish(toy: Toy) -> None:
    refuses(
        toy.folder,
        "leave out EDITION, STIMULUS, CODEC, CODEC_DECODER and BANDWIDTHS",
        "publish",
        "EDITION=smoke",
    )


def check_lint(toy: Toy) -> None:
    assert "no issues found in 1 source file" in works(toy, "lint")


def check_quick(toy: Toy) -> None:
    said = works(toy, "quick")
    assert "no issues found in 1 source file" in said and "1 passed" in said and "2 passed" not in said
    assert toy.ran() == []


def check_test(toy: Toy) -> None:
    assert "2 passed" in works(toy, "test")
    assert toy.ran() == ["02-middle@6"]


def check_lock(toy: Toy) -> None:
    refuses(toy.folder, "error: .bootstrap/bin/uv does not exist", "lock")
    uv = toy.folder / ".bootstrap" / "bin" / "uv"
    uv.parent.mkdir(parents=True)
    uv.write_text(UV)
    uv.chmod(0o755)
    (toy.folder / "recogniser.lock").write_text("weights==1.0 --hash=sha256:0\n")
    works(toy, "lock")
    assert re.findall(r"--output-file (\S+)", (toy.folder / "uv.log").read_text()) == [
        "requirements.lock",
        "bootstrap.lock",
        "recogniser.lock",
    ]


def check_clean(toy: Toy) -> None:
    works(toy, "clean")
    assert not {"build", "_build", ".snakemake"} & {path.name for path in toy.folder.iterdir()}


TARGETS: dict[str, Callable[[Toy], None]] = {
    "help": check_help,
    "book": check_book,
    "html": check_html,
    "sweep": check_sweep,
    # The report itself is made in tests/test_report.py.
    "report": lambda toy: refuses(
        ROOT, "there is no edition 'nothere' in config/", "report", "EDITION=nothere"
    ),
    "lint": check_lint,
    "quick": check_quick,
    "test": check_test,
    "publish": check_publish,
    "data": lambda toy: refuses(ROOT, "invalid choice: 'nothere'", "data", "STUDY=nothere"),
    "real-brains": lambda toy: refuses(ROOT, "there is no such folder", "real-brains", "DATA=nothere"),
    "false-alarms": lambda toy: refuses(ROOT, "invalid choice: 'last'", "false-alarms", "STAGE=last"),
    "matched-brains": lambda toy: refuses(ROOT, NO_NUMBER, "matched-brains", "JOBS=none"),
    "aligned": lambda toy: refuses(ROOT, NO_NUMBER, "aligned", "JOBS=none"),
    "confirm-rates": lambda toy: refuses(ROOT, NO_NUMBER, "confirm-rates", "JOBS=none"),
    "calibrate": lambda toy: refuses(ROOT, NO_NUMBER, "calibrate", "JOBS=none"),
    "scaling": lambda toy: refuses(ROOT, NO_NUMBER, "scaling", "JOBS=none"),
    "codec": lambda toy: refuses(ROOT, "which nothing is trained on", "codec", "DATA=stimulus"),
    "vocoder": lambda toy: refuses(ROOT, "leave out --corpus, or --data", "vocoder", "CORPUS=x", "DATA=x"),
    "bench": lambda toy: refuses(ROOT, "--only: invalid choice: 'nothing'", "bench", "ONLY=nothing"),
    "lock": check_lock,
    "clean": check_clean,
}


@pytest.mark.parametrize("target", TARGETS)
def test_target_works_from_its_real_entry(small: Toy, target: str) -> None:
    TARGETS[target](small)


def test_no_target_of_the_help_is_left_out(small: Toy) -> None:
    named = set(re.findall(r"^make ([a-z-]+)", works(small, "help"), re.MULTILINE))
    assert named | {"help"} == set(TARGETS)
