"""Whatever of an edition is deleted, cut off or changed is made again, and nothing else is.

``FMRI_AUDIO_REMAKE=1`` with ``FMRI_AUDIO_BUILD`` (see ``make test``) deletes every file of a copy of the smoke
edition in turn and makes the book again each time; that takes hours.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from programs.workflow.digests import Hashes
from programs.workflow.plan import HTML, METRICS, Plan
from programs.workflow.stamps import Stamp, Stamps
from tests.programs.workflow.conftest import ROOT, Toy
from tests.programs.workflow.test_graph import EVERYTHING

DRY_RUNS = """
import contextlib, io, json, sys
from pathlib import Path
from snakemake.cli import main

asked = {}
for path in map(Path, json.loads(sys.argv[1])):
    aside = path.with_name("aside")
    path.rename(aside)
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), contextlib.suppress(SystemExit):
        main(["--dry-run", "--cores", "1", "--nolock", "--rerun-triggers", "mtime", "--config", "build=build/demo",
              "--", "book"])
    aside.rename(path)
    asked[str(path)] = [line.split("rule ")[1].rstrip(":") for line in said.getvalue().splitlines()
                        if line.startswith(("rule ", "localrule "))]
print(json.dumps(asked))
"""


@pytest.fixture(autouse=True)
def made(toy: Toy) -> None:
    """Build the toy book before the first test, and forget what was run before each."""
    if not (toy.folder / "_build").exists():
        first = toy.make()
        assert first.returncode == 0, first.stderr
    toy.ran()


def plan_of(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.chdir(toy.folder)
    return Plan.read(Path("build/demo"))


def declared(plan: Plan) -> dict[Path, str]:
    """Return every file that stamps list, the stamps themselves among them, with what makes it."""
    found: dict[Path, str] = {}
    for name in plan.targets(HTML):
        stamp = Stamp.read(plan.done(name))
        assert stamp is not None, name
        for path in [plan.done(name), *(plan.build / path for path in stamp.files)]:
            found.setdefault(path, name)
    return found


def test_every_declared_file_that_is_gone_is_asked_for(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of(toy, monkeypatch)
    files = declared(plan)
    kinds = {path.suffix for path in files}
    assert {".csv", ".json", ".ipynb", ".flac", ".npz", ".html", ""} <= kinds
    for path, name in files.items():
        aside = path.with_name("aside")
        path.rename(aside)
        wrong = Stamps(plan).wrong(HTML, just_made=True)
        aside.rename(path)
        assert list(wrong) == [name], path
    assert Stamps(plan).wrong(HTML, just_made=True) == {}


def test_the_same_of_the_smoke_edition(monkeypatch: pytest.MonkeyPatch) -> None:
    build = os.environ.get("FMRI_AUDIO_BUILD")
    if not build:
        pytest.skip("needs the smoke edition that make test executes (FMRI_AUDIO_BUILD)")
    plan = Plan.read(Path(build))
    stamps, true_hash = Stamps(plan), Hashes.of
    read_later = {run.name for run in plan.runs if run.chapter.table} | {METRICS}
    assert read_later <= {name for path, name in declared(plan).items() if path.suffix == ".csv"}
    for path, name in declared(plan).items():
        if path == plan.done(name):
            continue
        monkeypatch.setattr(
            Hashes, "of", lambda self, one, gone=path: "absent" if one == gone else true_hash(self, one)
        )
        assert list(stamps.wrong(HTML, just_made=True)) == [name], path


def test_snakemake_by_hand_plans_what_is_missing_in_the_middle(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(toy, monkeypatch)
    run = plan.run("02-middle-6kbps")
    files = [*plan.outputs(run), plan.table(METRICS), plan.done("study"), plan.build / "html" / "index.html"]
    done = subprocess.run(
        [sys.executable, "-c", DRY_RUNS, json.dumps([str(path) for path in files])],
        cwd=toy.folder,
        env=toy.env,
        capture_output=True,
        text=True,
        check=True,
    )
    asked = json.loads(done.stdout.splitlines()[-1])
    # Where a stamp itself is missing, what comes after is made again too.
    expected = [*[["notebook 02-middle-6kbps"]] * 4, [METRICS], ["study", "notebook 03-last"], [HTML]]
    for path, rules in zip(files, expected, strict=True):
        assert asked[str(path)] == [*rules, "book"], path


def test_one_of_each_kind_is_made_again_and_nothing_else(toy: Toy) -> None:
    build = toy.folder / "build" / "demo"
    damages: dict[str, Callable[[bytes], bytes | None]] = {
        "results/02-middle-6kbps.csv": lambda _: None,
        "results/glued/02-middle-3kbps.json": lambda content: content[:5],
        "audio/clip-3.flac": lambda content: content[:-1] + b"x",
        "results/metrics.csv": lambda content: b"".join(content.splitlines(keepends=True)[:-1]),
        "stimulus/made.txt": lambda content: b"",
        "cache/encoding-1a2b.npz": lambda content: content[::-1],
        "html/book/03-last.html": lambda content: b"\xff\xfe",
        "done/study": lambda content: content[:-20],
        "edition.yml": lambda content: b"\xff\xfe: [",
        "digests/hashes.json": lambda content: content[:-2],
        "../../_build/html/book/01-first.html": lambda _: None,
    }
    before = {name: (build / name).read_bytes() for name in damages}
    for name, damage in damages.items():
        damaged = damage(before[name])
        (build / name).unlink()
        if damaged is not None:
            (build / name).write_bytes(damaged)
    made = toy.make()
    assert made.returncode == 0, made.stderr
    assert sorted(toy.ran()) == ["02-middle@3", "02-middle@6"], (
        "what they wrote is as before, so no other is run"
    )
    for name, content in before.items():
        if name != "digests/hashes.json":
            assert (build / name).read_bytes() == content, name
    assert "results/02-middle-6kbps.csv: missing, or not as written; made again" in made.stdout


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe"], ids=["empty", "cut off", "no text"])
def test_damaged_notebook_is_executed_again(toy: Toy, content: bytes) -> None:
    notebook = toy.folder / "build" / "demo" / "notebooks" / "03-last.ipynb"
    notebook.write_bytes(content)
    made = toy.make()
    assert made.returncode == 0, made.stderr
    assert toy.ran() == ["03-last"]
    assert json.loads(notebook.read_text())["nbformat"] == 4


def test_clock_that_was_ahead_hides_no_change(toy: Toy) -> None:
    for path in (toy.folder / "build").rglob("*"):
        os.utime(path, (4e9, 4e9), follow_symlinks=False)
    toy.edit("fmri_audio/tools.py", lambda text: text.replace("2 * value", "value * 2"))
    made = toy.make()
    assert made.returncode == 0, made.stderr
    assert sorted(toy.ran()) == sorted(EVERYTHING)


def test_what_no_longer_writes_its_table_is_named(toy: Toy) -> None:
    toy.edit("book/chapters.yml", lambda text: text.replace("{name: 03-last", "{name: 03-last, table: true"))
    made = toy.make()
    assert made.returncode == 1
    assert "03-last wrote no table build/demo/results/03-last.csv" in made.stderr
    toy.edit("book/chapters.yml", lambda text: text.replace("{name: 03-last, table: true", "{name: 03-last"))
    assert toy.make().returncode == 0


@pytest.fixture
def smoke(tmp_path: Path) -> Iterator[Path]:
    """Return a copy of the executed smoke edition."""
    build = os.environ.get("FMRI_AUDIO_BUILD")
    if not (build and os.environ.get("FMRI_AUDIO_REMAKE")):
        pytest.skip("takes hours: set FMRI_AUDIO_REMAKE=1 and FMRI_AUDIO_BUILD (an executed smoke edition)")
    yield Path(shutil.copytree(build, tmp_path / "build" / "smoke"))
    shutil.rmtree(tmp_path / "build")


def test_every_file_of_the_smoke_edition_is_made_again(smoke: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "programs", "book", "--edition", "smoke"]
    command += ["--build", str(smoke.parent), "--html", str(tmp_path / "html")]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(command, cwd=ROOT, env=env, check=True)
    plan = Plan.read(smoke)
    for path, name in declared(plan).items():
        before = path.read_bytes()
        path.unlink()
        subprocess.run(command, cwd=ROOT, env=env, check=True)
        # The encoding's marker names the folder that it lies in, and pages name their date.
        assert path.read_bytes() == before or name in ("encoding", HTML), path
