"""A toy project: the real pipeline and Snakefile over three chapters that compute next to nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

TOY_EDITION = '''
"""Stands in for fmri_audio.edition.steps: the same commands, nothing to compute."""
import argparse, json, time
from pathlib import Path
from fmri_audio.base.errors import UserError
from fmri_audio.base.settings import dump_settings, load_settings


def main(words):
    parser = argparse.ArgumentParser()
    parser.add_argument("step")
    for name in ("edition", "stimulus", "codec", "bandwidths", "decoder", "out", "build"):
        parser.add_argument("--" + name, default="")
    options = parser.parse_args(words)
    while Path("hold " + options.step).exists():
        time.sleep(0.1)
    if options.step == "resolve":
        asked = options.bandwidths.replace("all", "").split()
        changes = {"bandwidths": [float(b) for b in asked]} if asked else {}
        settings = load_settings(options.edition, changes)
        if options.stimulus and not Path(options.stimulus).is_file():
            raise UserError(f"{options.stimulus} does not exist")
        if options.stimulus:
            settings = load_settings(options.edition, {**changes, "stimulus.source": options.stimulus})
        if settings.bandwidths == "all" or options.bandwidths == "all":
            settings = settings.model_copy(update={"bandwidths": [1.5, 3.0, 6.0]})
        dump_settings(settings, Path(options.out), [])
    else:
        folder = Path(options.build) / options.step
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "made.txt").write_text("made")
        if options.step == "encode":
            cache = Path(options.build) / "cache"
            cache.mkdir(exist_ok=True)
            (cache / "encoding-1a2b.npz").write_text("arrays")
            (Path(options.build) / "encoding.json").write_text(json.dumps({"key": "1a2b", "cache": str(cache)}))
    with open("steps.log", "a") as log:
        log.write(options.step + "\\n")
'''

HEAD = """---
jupytext:
  formats: ipynb,md:myst
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

# {title}

Prose of {title}.

```{{code-cell}} ipython3
:tags: [parameters]

edition = "demo"  # edition: a name in config/ or the path of an edition file
{bandwidth}build = ""  # folder for results; empty: build/<edition>
```

```{{code-cell}} ipython3
from pathlib import Path
with open("runs.log", "a") as log:
    log.write("{title}" + {suffix} + "\\n")
{code}
```
"""
PER_BANDWIDTH = "bandwidth = 6.0  # codec bandwidth in kbps\n"

ADD = """import json
import time
from fmri_audio.tools import double
while Path("hold").exists():
    time.sleep(0.1)
print("twice", double(bandwidth))
folder = Path(build, "results")
folder.mkdir(parents=True, exist_ok=True)
row = f"{bandwidth},twice,{double(bandwidth)}"
(folder / f"02-middle-{bandwidth:g}kbps.csv").write_text(f"bandwidth_kbps,metric,value\\n{row}\\n")
from IPython.display import HTML, display
for name, content in (("glued", {"twice": double(bandwidth)}), ("clips", {f"clip-{bandwidth:g}": {}})):
    (folder / name).mkdir(exist_ok=True)
    (folder / name / f"02-middle-{bandwidth:g}kbps.json").write_text(json.dumps(content))
sound = Path(build, "audio", f"clip-{bandwidth:g}.flac")
sound.parent.mkdir(exist_ok=True)
sound.write_bytes(b"sound")
display(HTML(f'<audio controls src="../_static/audio/{sound.name}"></audio>'))"""


def outside_make() -> dict[str, str]:
    """Return the environment without what make says to a make that it starts: the tests may run under make."""
    return {
        name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}
    }


class Toy:
    """A project folder with helpers to run it and to see what it ran."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def command(self, command: str = "book", *options: str) -> list[str]:
        return [sys.executable, "-m", "programs", command, *options]

    @property
    def env(self) -> dict[str, str]:
        return {**outside_make(), "PYTHONPATH": str(self.folder), "OMP_NUM_THREADS": "1"}

    def make(self, command: str = "book", *options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(command, *options),
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
        )

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            list(command) or self.command(),
            cwd=self.folder,
            env=self.env,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def ran(self) -> list[str]:
        """Return the notebooks run since the last call, in order."""
        log = self.folder / "runs.log"
        names = log.read_text().split() if log.is_file() else []
        log.unlink(missing_ok=True)
        return names

    def edit(self, name: str, change: Callable[[str], str]) -> None:
        path = self.folder / name
        path.write_text(change(path.read_text()))

    def page(self, name: str) -> str:
        return (self.folder / "_build" / "html" / "book" / f"{name}.html").read_text()


def chapter(title: str, code: str, per_bandwidth: bool = False) -> str:
    return HEAD.format(
        title=title,
        code=code,
        bandwidth=PER_BANDWIDTH if per_bandwidth else "",
        suffix='f"@{bandwidth:g}"' if per_bandwidth else '""',
    )


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """Return a project with chapters 01-first (needs all), 02-middle (per bandwidth), 03-last (needs 02).

    Its folder has a space in its name. One project serves a module's tests, in their order.
    """
    return lay_out(tmp_path_factory.mktemp("project") / "toy project")


def lay_out(folder: Path) -> Toy:
    """Write the toy project's files."""
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "programs", folder / "programs", ignore=ignore)
    shutil.copytree(ROOT / "fmri_audio" / "base", folder / "fmri_audio" / "base", ignore=ignore)
    for name in ("__init__.py", "pages/__init__.py", "pages/extension.py"):
        (folder / "fmri_audio" / name).parent.mkdir(exist_ok=True)
        shutil.copy2(ROOT / "fmri_audio" / name, folder / "fmri_audio" / name)
    for name in (
        "edition/__init__",
        "edition/edition",
        "edition/resolve",
        "sound/__init__",
        "sound/recognition/__init__",
        "sound/recognition/recogniser",
        "study/__init__",
        "study/stimulus",
    ):
        name = f"{name}.py"
        (folder / "fmri_audio" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "fmri_audio" / name).write_text("from fmri_audio.base import errors\n")
    (folder / "fmri_audio" / "edition" / "steps.py").write_text(TOY_EDITION)
    (folder / "fmri_audio" / "tools.py").write_text("def double(value):\n    return 2 * value\n")
    (folder / "fmri_audio" / "unused.py").write_text("")
    for name in ("Snakefile", "Makefile"):
        shutil.copy2(ROOT / name, folder)
    (folder / "_static").mkdir()
    (folder / "config").mkdir()
    (folder / "config" / "demo.yml").write_text(
        "edition: demo\nbandwidths: [3.0, 6.0]\nmain_bandwidth: 6.0\n"
    )
    (folder / "_config.yml").write_text(
        "title: toy\nonly_build_toc_files: true\nexecute: {execute_notebooks: 'off'}\n"
        "html: {use_repository_button: false}\n"
    )
    (folder / "_toc.yml").write_text(
        "format: jb-book\nroot: book/01-first.ipynb\n"
        "chapters:\n- file: book/02-middle.ipynb\n- file: book/03-last.ipynb\n"
    )
    book = folder / "book"
    book.mkdir()
    (book / "chapters.yml").write_text(
        "- {name: 01-first, needs: [02-middle, 03-last]}\n"
        "- {name: 02-middle, per_bandwidth: true, table: true, needs: [stimulus, encoding]}\n"
        "- {name: 03-last, needs: [02-middle, study]}\n"
    )
    (book / "01-first.md").write_text(chapter("01-first", "print('first')"))
    (book / "02-middle.md").write_text(chapter("02-middle", ADD, per_bandwidth=True))
    (book / "03-last.md").write_text(chapter("03-last", "print('last')"))
    return Toy(folder)
