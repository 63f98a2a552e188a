"""What is executed again after which change. The tests of this module build on one another."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys

import nbformat
import pytest

from programs.workflow.times import Times, times_file
from tests.programs.workflow.conftest import Toy

EVERYTHING = ["02-middle@3", "02-middle@6", "03-last", "01-first"]


def write_manifest(toy: Toy) -> None:
    """Have the toy's published files be what was published."""
    code = (
        "import json\nfrom pathlib import Path\nfrom fmri_audio.base.files import write_text\n"
        "from programs.workflow.plan import load_chapters\nfrom programs.workflow.publish import manifest\n"
        "write_text('results/demo/manifest.json', json.dumps(manifest('demo', load_chapters())))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=toy.folder, env=toy.env, check=True)


@pytest.fixture(autouse=True)
def in_order(toy: Toy) -> None:
    """Build the toy book before the first test, and forget what was run before each."""
    if not (toy.folder / "_build").exists():
        made = toy.make()
        assert made.returncode == 0, made.stderr
        assert sorted(toy.ran()) == sorted(EVERYTHING)
        assert "[1/4] 02-middle at 3 kbps: cell 1 of 3" in made.stdout
    toy.ran()


def test_pages_show_text_and_outputs_of_the_main_bandwidth(toy: Toy) -> None:
    page = toy.page("02-middle")
    assert "Prose of 02-middle" in page
    assert "twice 12.0" in page
    assert (toy.folder / "_build" / "html" / "index.html").is_file()


def test_executed_notebooks_name_no_time_and_no_folder(toy: Toy) -> None:
    text = (toy.folder / "build" / "demo" / "notebooks" / "02-middle-6kbps.ipynb").read_text()
    assert str(toy.folder) not in text
    assert "start_time" not in text and "iopub" not in text


def test_results_of_all_runs_come_together(toy: Toy) -> None:
    table = (toy.folder / "build" / "demo" / "results" / "metrics.csv").read_text()
    assert table.splitlines() == ["bandwidth_kbps,metric,value", "3.0,twice,6.0", "6.0,twice,12.0"]


def test_times_are_kept_of_a_book_made_from_nothing_and_of_no_other(toy: Toy) -> None:
    build = toy.folder / "build" / "demo"
    times = Times.read(times_file(build))
    assert [step.name for step in times.steps] == [
        "resolve",
        "stimulus",
        "encoding",
        "study",
        "02-middle-3kbps",
        "02-middle-6kbps",
        "03-last",
        "01-first",
        "pages",
    ]
    assert all(0 < step.seconds < times.seconds for step in times.steps)
    # A notebook's kernel is another process, and its work counts too.
    assert min(step.processor_seconds for step in times.steps if step.name[0] == "0") > 0.2
    assert times.hardware and times.jobs >= 1 and times.cores >= 1
    kept, note = times_file(build).read_text(), (build / "times" / "03-last.json").read_text()
    toy.edit("book/03-last.md", lambda text: text.replace("print('last')", "print('last of all')"))
    assert toy.make().returncode == 0
    assert toy.ran() == ["03-last", "01-first"]
    assert (build / "times" / "03-last.json").read_text() != note
    assert times_file(build).read_text() == kept
    toy.edit("book/03-last.md", lambda text: text.replace("print('last of all')", "print('last')"))
    assert toy.make().returncode == 0


def test_nothing_changed_runs_nothing_within_20_s(toy: Toy) -> None:
    before = toy.page("02-middle")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert toy.make().returncode == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Processor time, because wall time depends on what else the machine is doing.
    assert after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime < 20
    assert toy.ran() == []
    assert toy.page("02-middle") == before


def test_touching_files_runs_nothing(toy: Toy) -> None:
    for name in ("book/02-middle.md", "fmri_audio/tools.py", "config/demo.yml"):
        (toy.folder / name).touch()
    assert toy.make().returncode == 0
    assert toy.ran() == []


def test_prose_is_rendered_without_executing(toy: Toy) -> None:
    toy.edit("book/02-middle.md", lambda text: text.replace("Prose of", "Better prose of"))
    assert toy.make().returncode == 0
    assert toy.ran() == []
    assert "Better prose of 02-middle" in toy.page("02-middle")
    assert "twice 12.0" in toy.page("02-middle")


def test_code_of_a_chapter_runs_it_and_what_depends_on_it(toy: Toy) -> None:
    toy.edit("book/03-last.md", lambda text: text.replace("print('last')", "print('very last')"))
    assert toy.make().returncode == 0
    assert toy.ran() == ["03-last", "01-first"]
    assert "very last" in toy.page("03-last")


def test_package_runs_what_uses_it(toy: Toy) -> None:
    toy.edit("fmri_audio/unused.py", lambda text: text + "VALUE = 1\n")
    assert toy.make().returncode == 0
    assert toy.ran() == []
    documented = '(value):\n    """Twice a value."""\n'
    toy.edit("fmri_audio/tools.py", lambda text: "# Arithmetic.\n" + text.replace("(value):\n", documented))
    assert toy.make().returncode == 0
    assert toy.ran() == [], "prose changes nothing"
    toy.edit("fmri_audio/tools.py", lambda text: text.replace("2 * value", "value + value"))
    assert toy.make().returncode == 0
    assert sorted(toy.ran()) == sorted(EVERYTHING)


def test_code_that_only_a_step_uses_runs_the_step(toy: Toy) -> None:
    steps = toy.folder / "steps.log"
    steps.unlink()
    toy.edit("fmri_audio/edition/edition.py", lambda text: text + "# changed\n")
    assert toy.make().returncode == 0
    assert not steps.exists(), "a comment is no change"
    toy.edit("fmri_audio/edition/edition.py", lambda text: text + "CHANGED = 1\n")
    assert toy.make().returncode == 0
    assert steps.read_text().split() == ["encode"]
    toy.edit("fmri_audio/edition/resolve.py", lambda text: text + "CHANGED = 1\n")
    assert toy.make().returncode == 0
    assert steps.read_text().split() == ["encode", "resolve", "study"]


def test_another_bandwidth_adds_its_runs_only(toy: Toy) -> None:
    assert toy.make("book", "--bandwidths", "1.5 3 6").returncode == 0
    assert sorted(toy.ran()) == ["01-first", "02-middle@1.5", "03-last"]


def test_sweep_runs_every_bandwidth_and_prints_one_table(toy: Toy) -> None:
    made = toy.make("sweep")
    assert made.returncode == 0, made.stderr
    assert toy.ran() == []
    rows = (toy.folder / "build" / "demo" / "results" / "sweep.csv").read_text().splitlines()
    assert rows[1:] == ["1.5,twice,3.0", "3.0,twice,6.0", "6.0,twice,12.0"]
    assert "12.0" in made.stdout


def test_page_says_which_values_it_was_run_with(toy: Toy) -> None:
    toy.edit("config/demo.yml", lambda text: text.replace("main_bandwidth: 6.0", "main_bandwidth: 3.0"))
    assert toy.make().returncode == 0
    page = nbformat.read(toy.folder / "build" / "demo" / "site" / "book" / "02-middle.ipynb", as_version=4)
    assert "bandwidth = 3.0" in page.cells[2].source
    assert "twice 6.0" in toy.page("02-middle")


def test_failing_chapter_is_one_sentence_and_leaves_no_notebook(toy: Toy) -> None:
    toy.edit("book/03-last.md", lambda text: text.replace("print('very last')", "1 / 0"))
    made = toy.make()
    assert made.returncode == 1
    lines = made.stderr.splitlines()
    assert "03-last, cell 3 failed: ZeroDivisionError: division by zero" in lines[0]
    assert len(lines) == 2 and all(line.startswith("error: ") for line in lines)
    assert not (toy.folder / "build" / "demo" / "notebooks" / "03-last.ipynb").exists()
    assert "1 / 0" in (toy.folder / "build" / "demo" / "logs" / "03-last.log").read_text()
    assert "very last" in toy.page("03-last"), "the pages of the last good run stay"


def test_user_error_in_a_chapter_is_its_sentence(toy: Toy) -> None:
    raising = (
        "from fmri_audio.base.errors import UserError; raise UserError('talk.wav is silent: give another')"
    )
    toy.edit("book/03-last.md", lambda text: text.replace("1 / 0", raising))
    made = toy.make()
    assert made.returncode == 1
    assert made.stderr.splitlines()[0] == "error: 03-last: talk.wav is silent: give another"
    toy.edit("book/03-last.md", lambda text: text.replace(raising, "print('mended')"))
    assert toy.make().returncode == 0
    assert "mended" in toy.page("03-last")


def test_settings_run_everything(toy: Toy) -> None:
    toy.edit("config/demo.yml", lambda text: text + "seed: 7\n")
    assert toy.make().returncode == 0
    assert sorted(toy.ran()) == sorted(EVERYTHING)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--edition", "nothere"), "there is no edition 'nothere' in config/"),
        (("--edition", "../config/demo"), "there is no edition"),
        (("--stimulus", "missing file.wav"), "missing file.wav does not exist"),
        (("--jobs", "many"), "JOBS=many"),
    ],
)
def test_wrong_options_are_one_sentence(toy: Toy, options: tuple[str, ...], sentence: str) -> None:
    made = toy.make("book", *options)
    assert made.returncode == 1
    assert made.stderr.startswith("error: ") and sentence in made.stderr
    assert len(made.stderr.splitlines()) == 1
    assert toy.ran() == []


def test_publish_refuses_anything_but_the_demo_edition(toy: Toy) -> None:
    made = toy.make("publish", "--stimulus", "config/demo.yml")
    assert made.returncode == 1
    assert "leave out EDITION, STIMULUS, CODEC, CODEC_DECODER and BANDWIDTHS" in made.stderr


def test_pages_of_the_published_book_need_no_execution(toy: Toy) -> None:
    assert toy.make().returncode == 0
    toy.ran()
    for name in ("01-first", "02-middle", "03-last"):
        built = toy.folder / "build" / "demo" / "site" / "book" / f"{name}.ipynb"
        (toy.folder / "book" / f"{name}.ipynb").write_bytes(built.read_bytes())
    shutil.copytree(toy.folder / "build" / "demo" / "audio", toy.folder / "_static" / "audio")
    write_manifest(toy)
    toy.edit("book/02-middle.md", lambda text: text.replace("Better prose", "Still better prose"))
    made = toy.make("html")
    assert made.returncode == 0, made.stderr
    assert toy.ran() == []
    assert "Still better prose" in toy.page("02-middle") and "twice 6.0" in toy.page("02-middle")
    toy.edit("book/02-middle.md", lambda text: text.replace("print(", "print ("))
    made = toy.make("html")
    assert made.returncode == 1
    assert "02-middle.md has other code than" in made.stderr


@pytest.mark.parametrize(
    "name", ["book/03-last.ipynb", "_static/audio/clip-3.flac", "results/demo/manifest.json"]
)
def test_published_files_that_are_not_those_of_the_manifest_are_refused(toy: Toy, name: str) -> None:
    path = toy.folder / name
    before, page = path.read_bytes(), toy.page("03-last")
    path.write_bytes(before.replace(b"mended", b"edited").replace(b"sound", b"noise").replace(b"{", b"", 1))
    made = toy.make("html")
    assert made.returncode == 1
    (line,) = made.stderr.splitlines()
    assert line.startswith(f"error: {name} is ") and f"git checkout -- {name}" in line
    path.unlink()
    made = toy.make("html")
    assert made.stderr.startswith(f"error: {name} is missing")
    path.write_bytes(before)
    assert toy.page("03-last") == page


def test_warning_of_sphinx_is_an_error_and_the_old_pages_stay(toy: Toy) -> None:
    before = toy.page("01-first")
    toy.edit("book/01-first.md", lambda text: text + "\n[nowhere](nowhere.md)\n")
    made = toy.make()
    assert made.returncode == 1
    assert "nowhere" in (toy.folder / "build" / "demo" / "logs" / "html.log").read_text()
    assert "Sphinx did not render the book without a warning" in made.stderr
    assert toy.page("01-first") == before


def test_stamps_name_what_a_run_depends_on(toy: Toy) -> None:
    stamp = json.loads((toy.folder / "build" / "demo" / "done" / "02-middle-6kbps").read_text())
    named = "\n".join(stamp["made_from"])
    assert "fmri_audio.tools" in named and "fmri_audio.unused" not in named
    assert json.loads((toy.folder / "build" / "demo" / "digests" / "hashes.json").read_text())
