"""What is tracked belongs together: texts, notebooks, clips, tables, the lock, the README."""

from __future__ import annotations

import ast
import importlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import nbformat
import papermill
import pytest
import yaml
from nbformat import NotebookNode

from fmri_audio.pages import page as pages
from programs.workflow import publish
from programs.workflow.assemble import clips_of, merged, published
from programs.workflow.digests import code_cells
from programs.workflow.plan import Chapter, load_chapters, text_of

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results" / "demo"
CHAPTERS = load_chapters(ROOT / "book" / "chapters.yml")
DRIFTED = "make publish brings it up to date"

each_chapter = pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.name)


@cache
def notebook_of(chapter: Chapter) -> NotebookNode:
    return nbformat.read(published(chapter), as_version=4)


@cache
def tracked() -> tuple[Path, ...]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return tuple(path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file())


@cache
def manifest() -> dict[str, dict[str, str]]:
    return json.loads((RESULTS / "manifest.json").read_text())


JITTERS = {"stripplot", "catplot"}
BOOTSTRAPS = {"lineplot", "relplot", "barplot", "pointplot", "regplot", "lmplot", "catplot"}
CLOCKS = {"perf_counter", "monotonic", "process_time", "now", "today", "time_ns", "uuid4"}


SEEDED = {"default_rng", "seed", "set_state"}
"""Functions of NumPy's random numbers that make the rest repeatable, if they are told where to begin."""


def unrepeatable(tree: ast.AST) -> Iterator[str]:
    """What would make two executions differ: dice without a seed, clocks, and how long a training took."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and ast.unparse(node).endswith("curves['seconds']"):
            yield ast.unparse(node)
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        called, name = ast.unparse(node.func), node.func.attr
        given = {keyword.arg for keyword in node.keywords}
        seaborn = called.startswith("sns.")
        if (
            (seaborn and name in JITTERS and "jitter" not in given)
            or (seaborn and name in BOOTSTRAPS and not given & {"errorbar", "seed"})
            or (
                re.fullmatch(r"(np|numpy)\.random\.[a-z_]+", called)
                and (name not in SEEDED or not node.args)
                and name != "get_state"
            )
            or called.startswith("random.")
        ):
            yield called
        elif name in CLOCKS or called == "time.time":
            yield f"time.{name}"


@each_chapter
def test_notebook_is_the_text_with_outputs(chapter: Chapter) -> None:
    texts = [(cell.cell_type, cell.source) for cell in merged(text_of(chapter), published(chapter)).cells]
    assert [(cell.cell_type, cell.source) for cell in notebook_of(chapter).cells] == texts, DRIFTED


@each_chapter
def test_notebook_was_executed_whole_and_in_order(chapter: Chapter) -> None:
    counts = [cell.execution_count for cell in notebook_of(chapter).cells if cell.cell_type == "code"]
    assert None not in counts
    assert counts == sorted(counts)


@each_chapter
def test_notebook_is_clean(chapter: Chapter) -> None:
    text = published(chapter).read_text()
    assert len(text.encode()) < publish.MAX_NOTEBOOK_BYTES
    assert not re.search(r'"(papermill|execution)": \{', text), "times and machines"
    assert not re.search(r"/(home|root|tmp|work|Users)/", text), "a path of one machine"
    assert "Traceback" not in text
    assert not re.search(r" at 0x[0-9a-f]{6,}", text), "an address in memory"


@each_chapter
def test_chapter_draws_nothing_at_random_and_shows_no_time(chapter: Chapter) -> None:
    for number, (source, _) in enumerate(code_cells(text_of(chapter)), start=1):
        assert not list(unrepeatable(ast.parse(source))), f"code cell {number}"


def test_package_draws_nothing_at_random() -> None:
    for path in sorted((ROOT / "fmri_audio").rglob("*.py")):
        found = list(unrepeatable(ast.parse(path.read_text())))
        if path.parent.name != "chapters":  # which show what they find
            found = [what for what in found if not re.search(r"^time\.|seconds", what)]
        assert not found, path.name


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("sns.stripplot(points, x='a')", 1),
        ("sns.stripplot(points, x='a', jitter=False)", 0),
        ("sns.lineplot(x)", 1),
        ("sns.relplot(x, kind='line', errorbar=None)", 0),
        ("sns.barplot(x, seed=1)", 0),
        ("np.random.rand(3)", 1),
        ("numpy.random.default_rng()", 1),
        ("np.random.default_rng(3)", 0),
        ("np.random.seed(0)", 0),
        ("np.random.seed()", 1),
        ("random.shuffle(x)", 1),
        ("time.perf_counter()", 1),
        ("datetime.now()", 1),
        ("arm.curves['seconds']", 1),
        ("stimulus.seconds", 0),
    ],
)
def test_what_cannot_be_repeated_is_found(source: str, count: int) -> None:
    assert len(list(unrepeatable(ast.parse(source)))) == count


def glued_values(notebook: NotebookNode) -> dict[str, str]:
    """Return the text of every value that a notebook's outputs glue, by key."""
    values: dict[str, str] = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            name = output.get("metadata", {}).get("scrapbook", {}).get("name")
            # A value that is glued without being shown has a prefix before its type.
            plain = [text for kind, text in output.get("data", {}).items() if kind.endswith("text/plain")]
            if name is not None and plain:
                values[name] = "".join(plain[0])
    return values


@each_chapter
def test_glued_numbers_are_the_recorded_ones(chapter: Chapter) -> None:
    recorded = RESULTS / "glued" / f"{chapter.name}.json"
    glued = glued_values(notebook_of(chapter))
    stored = json.loads(recorded.read_text()) if recorded.is_file() else {}
    assert set(glued) == set(stored), DRIFTED
    for key, value in stored.items():
        if isinstance(value, float):
            assert float(glued[key]) == pytest.approx(value, nan_ok=True), key
        elif value is not None:
            assert glued[key].strip("'\"") == str(value), key


def test_clips_are_exactly_those_that_pages_play() -> None:
    played = {name for chapter in CHAPTERS for name in clips_of(notebook_of(chapter))}
    files = {path.name for path in (ROOT / "_static" / "audio").iterdir()}
    assert files == played, DRIFTED
    total = sum((ROOT / "_static" / "audio" / name).stat().st_size for name in files)
    assert total < publish.MAX_AUDIO_BYTES


def test_everything_published_is_what_the_manifest_says() -> None:
    now = publish.manifest("demo", CHAPTERS)
    assert now["files"] == manifest()["files"], DRIFTED
    assert now["code"] == manifest()["code"], DRIFTED


def test_readme_says_what_the_table_says() -> None:
    begin, end = publish.RESULT_MARKS
    text = (ROOT / "README.md").read_text()
    sentence = text.split(begin)[1].split(end)[0].strip()
    assert sentence == publish.result_sentence(RESULTS / "metrics.csv"), DRIFTED
    outside = text.split(begin)[0] + text.split(end)[1]
    assert not re.search(r"(PESQ|STOI|SNR)\D{0,20}\d", outside), "a number outside the marks is nobody's"


def test_readme_names_files_and_targets_that_exist() -> None:
    text = (ROOT / "README.md").read_text()
    for name in re.findall(r"\]\(([^):#]+)\)", text):
        assert (ROOT / name).exists(), name
    rules = re.findall(r"^([a-z -]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE)
    assert set(named) <= {target for line in rules for target in line.split()}


def test_parameters_of_every_chapter_are_explained() -> None:
    for chapter in CHAPTERS:
        explained = papermill.inspect_notebook(str(published(chapter)))
        wanted = {"edition", "build"} | ({"bandwidth"} if chapter.per_bandwidth else set())
        assert set(explained) >= wanted, chapter.name
        assert all(parameter["help"] for parameter in explained.values()), chapter.name


def test_every_chapter_is_in_the_contents_by_its_notebook() -> None:
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text())
    listed = [contents["root"], *(entry["file"] for entry in contents["chapters"])]
    notebooks = [name for name in listed if name.endswith(".ipynb")]
    assert notebooks == [f"book/{chapter.name}.ipynb" for chapter in CHAPTERS]


def test_tracked_files_stay_small() -> None:
    def megabytes(folder: str, *suffixes: str) -> float:
        files = [path for path in tracked() if path.is_relative_to(ROOT / folder)]
        found = [path for path in files if not suffixes or path.suffix in suffixes]
        assert found
        return sum(path.stat().st_size for path in found) / 1e6

    assert megabytes("") <= 90
    assert megabytes("checkpoints") <= 50
    assert megabytes("checkpoints/bottleneck") <= 12
    assert megabytes("_static/audio") <= 16
    assert megabytes("stimulus", ".ogg", ".flac") <= 14
    for name, most in {"encodec-24khz-demo": 18, "mel-vocoder": 7, "vocos-demo": 7}.items():
        file = ROOT / "checkpoints" / f"{name}.safetensors"
        assert not file.exists() or file.stat().st_size <= most * 1e6


def test_nothing_that_is_made_is_tracked() -> None:
    made = {"build", "_build", ".venv", ".bootstrap", ".snakemake", "__pycache__"}
    assert [path for path in tracked() if made & set(path.relative_to(ROOT).parts)] == []


def test_make_alone_prints_help() -> None:
    printed = subprocess.run(["make", "-C", str(ROOT)], capture_output=True, text=True, check=True).stdout
    for word in ("make book", "make test", "STIMULUS=", "PYTHON="):
        assert word in printed


@pytest.mark.skipif(sys.platform == "win32", reason="make is a Unix tool here")
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("codec", "DATA=/nothere"), "error: /nothere: no such folder of recordings"),
        (("book", "EDITION=nothere"), "error: there is no edition 'nothere' in config/"),
        (("book", "PYTHON=/nothere/python"), "error: PYTHON=/nothere/python is not a program"),
        (("publish", "CODEC=released"), "leave out EDITION, STIMULUS, CODEC, CODEC_DECODER and BANDWIDTHS"),
    ],
)
def test_make_says_in_one_sentence_what_is_wrong(arguments: tuple[str, ...], sentence: str) -> None:
    command = [
        "make",
        "-C",
        str(ROOT),
        *([] if "PYTHON" in "".join(arguments) else [f"PYTHON={sys.executable}"]),
    ]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    ours = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert len(ours) == 1
    assert sentence in ours[0]


def test_audio_address_is_the_one_that_publishing_looks_for() -> None:
    cell = nbformat.v4.new_markdown_cell(f'<audio src="{pages.AUDIO_URL}/03-encodec-clip-6.flac">')
    assert clips_of(nbformat.v4.new_notebook(cells=[cell])) == {"03-encodec-clip-6.flac"}


def test_every_other_page_of_the_contents_is_a_text() -> None:
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text())
    pages = [entry["file"] for entry in contents["chapters"] if entry["file"].endswith(".md")]
    assert pages == ["book/voices.md", "book/api.md", "book/api-brains.md", "book/references.md"]
    assert all((ROOT / page).is_file() for page in pages)


def test_what_the_pages_of_the_package_list_is_there_and_has_a_docstring() -> None:
    text = "".join((ROOT / "book" / name).read_text() for name in ("api.md", "api-brains.md"))
    listed = re.findall(r"^\.\. auto(?:function|class):: (\S+)\n(?:   :members: (.+)\n)?", text, re.MULTILINE)
    assert len(listed) > 30
    for name, members in listed:
        module, _, attribute = name.rpartition(".")
        found = getattr(importlib.import_module(module), attribute)
        for one in (found, *(getattr(found, member) for member in members.split(", ") if member)):
            assert one.__doc__, name


def test_what_is_slow_is_there() -> None:
    listed = (ROOT / "tests" / "slow.txt").read_text().splitlines()
    assert listed == sorted(set(listed))
    for path, _, test in (line.partition("::") for line in listed):
        assert (ROOT / path).exists(), path
        assert not test or f"def {test}(" in (ROOT / path).read_text(), test
