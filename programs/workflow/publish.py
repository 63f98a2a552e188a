"""Publishing: the executed demo edition becomes the tracked notebooks, clips, tables and the README's result.

Nothing else writes tracked files. A manifest holds the hash of everything published and of the code it came
from, so that a test can tell when text, notebooks, clips and tables no longer belong together.
"""

from __future__ import annotations

import json
import re
import shutil
import textwrap
from collections.abc import Iterable
from pathlib import Path

import nbformat

from fmri_audio.base.errors import UserError
from fmri_audio.base.files import replacing, sha256_of, write_if_changed
from fmri_audio.base.settings import project_root
from programs.workflow import overview
from programs.workflow.assemble import clips_of, merged, published
from programs.workflow.digests import code_digest
from programs.workflow.plan import Chapter, Plan, text_of

MAX_NOTEBOOK_BYTES = 1_000_000
MAX_AUDIO_BYTES = 16_000_000
RESULT_MARKS = ("<!-- result: begin (written by make publish) -->", "<!-- result: end -->")


def publish(plan: Plan) -> None:
    """Write the executed edition's notebooks, clips, tables and manifest to where they are tracked.

    Raises
    ------
    UserError
        A notebook or the clips are too large, or an output names a path of this machine.
    """
    root = project_root()
    results = root / "results" / plan.edition
    notebooks = {
        chapter: merged(text_of(chapter), plan.notebook(plan.page_run(chapter))) for chapter in plan.chapters
    }
    contents = {chapter: nbformat.writes(notebook) + "\n" for chapter, notebook in notebooks.items()}
    clips = sorted({name for notebook in notebooks.values() for name in clips_of(notebook)})
    _check(plan, contents, clips)

    for chapter, content in contents.items():
        write_if_changed(published(chapter), content)
    _mirror(clips, plan.build / "audio", root / "_static" / "audio")
    glued = {plan.glued(plan.page_run(chapter)): f"{chapter.name}.json" for chapter in plan.chapters}
    (results / "glued").mkdir(parents=True, exist_ok=True)
    for path in (results / "glued").iterdir():
        if path.name not in {name for source, name in glued.items() if source.is_file()}:
            path.unlink()
    for source, name in glued.items():
        if source.is_file():
            write_if_changed(results / "glued" / name, source.read_text(encoding="utf-8"))
    write_if_changed(
        results / "metrics.csv", (plan.build / "results" / "metrics.csv").read_text(encoding="utf-8")
    )
    overview.draw(results / "overview.png")
    write_readme_result(root / "README.md", results / "metrics.csv")
    write_if_changed(
        results / "manifest.json", json.dumps(manifest(plan.edition, plan.chapters), indent=1) + "\n"
    )
    print(f"published: {len(contents)} notebooks, {len(clips)} clips, {results.relative_to(root)}")


def require_recogniser() -> None:
    """See to it that words can be counted: a book whose words are undefined is not published.

    Raises
    ------
    UserError
        There are no weights of a recogniser, or they are not as they should be.
    """
    from fmri_audio.sound.recognition.recogniser import NO_RECOGNISER, find_recogniser

    if find_recogniser() is None:
        raise UserError(f"nothing is published: {NO_RECOGNISER}")


def check_published(edition: str, chapters: Iterable[Chapter]) -> None:
    """See to it that notebooks, clips and results lie in the working tree as they were published.

    Raises
    ------
    UserError
        One is missing, changed or not among those published, or the manifest itself cannot be read.
    """
    path = project_root() / "results" / edition / "manifest.json"
    shown = path.relative_to(project_root())
    try:
        known = dict(json.loads(path.read_text(encoding="utf-8"))["files"])
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        raise UserError(f"{shown} is missing or damaged: restore it with git checkout -- {shown}") from None
    found = _published_files(edition, chapters)
    for name in sorted({*known, *found}):
        if name not in known:
            raise UserError(
                f"{name} was never published (it is not in {shown}): remove it, or run make publish"
            )
        if found.get(name) != known[name]:
            wrong = "is not what was published" if name in found else "is missing"
            mend = f"restore it with git checkout -- {name}, or run make publish"
            raise UserError(f"{name} {wrong} (see {shown}): {mend}")


def _check(plan: Plan, contents: dict[Chapter, str], clips: Iterable[str]) -> None:
    own = {str(project_root()), str(Path.home())} - {"/", "/root"}
    for chapter, content in contents.items():
        size = len(content.encode())
        if size > MAX_NOTEBOOK_BYTES:
            raise UserError(
                f"{chapter.name}.ipynb would be {size / 1e6:.1f} MB, more than 1 MB: make its figures smaller"
            )
        for path in own:
            if path in content:
                raise UserError(
                    f"an output of {chapter.name} names the folder {path}: print paths relative to the project"
                )
    total = sum((plan.build / "audio" / name).stat().st_size for name in clips)
    if total > MAX_AUDIO_BYTES:
        limit = f"{MAX_AUDIO_BYTES / 1e6:.0f} MB"
        raise UserError(
            f"the clips are {total / 1e6:.1f} MB together, more than {limit}: play fewer or shorter ones"
        )


def _mirror(names: Iterable[str], source: Path, target: Path) -> None:
    """Make a folder hold exactly the given files of another."""
    wanted = set(names)
    target.mkdir(parents=True, exist_ok=True)
    for path in target.iterdir():
        if path.name not in wanted:
            path.unlink()
    for name in sorted(wanted):
        if not (target / name).is_file() or sha256_of(target / name) != sha256_of(source / name):
            with replacing(target / name) as temporary:
                shutil.copyfile(source / name, temporary)


def manifest(edition: str, chapters: Iterable[Chapter]) -> dict[str, object]:
    """Return the hashes of everything published as it lies in the working tree, and of the code it came from."""
    listed = list(chapters)
    return {
        "edition": edition,
        "code": {chapter.name: code_digest(chapter) for chapter in listed},
        "files": _published_files(edition, listed),
    }


def _published_files(edition: str, chapters: Iterable[Chapter]) -> dict[str, str]:
    """Return the hash of every published file that is there, by its path; hidden files are nobody's."""
    root = project_root()
    files = [published(chapter) for chapter in chapters]
    files += sorted((root / "_static" / "audio").glob("*"))
    files += sorted(path for path in (root / "results" / edition).rglob("*") if path.name != "manifest.json")
    files = [path for path in files if path.is_file() and not path.name.startswith(".")]
    return {path.relative_to(root).as_posix(): sha256_of(path) for path in files}


def result_sentence(table: Path) -> str:
    """Return the README's sentences of result, every number taken from the published table."""
    from fmri_audio.experiments import ladder_answer  # with torch, which the front door does without

    summary = overview.read(table)
    codec = "; ".join(
        f"{row.pesq_wb:.2f} / {row.stoi:.2f} / {row.estoi:.2f} at {row.Index:g} kbps"
        for row in summary.codec.itertuples()
    )
    text = (
        f"Speech through the codec alone (weights `{summary.checkpoint}`) scores, in PESQ-WB / STOI / ESTOI, {codec}; "
        f"noise with the speech's spectrum and envelope has a STOI of {summary.floor['stoi']:.2f} and an ESTOI of "
        f"{summary.floor['estoi']:.2f}."
    )
    return "\n".join(
        textwrap.wrap(f"{text} {ladder_answer.said()}", 118, break_long_words=False, break_on_hyphens=False)
    )


def write_readme_result(readme: Path, table: Path) -> None:
    """Put the sentence of result between its marks in the README."""
    begin, end = RESULT_MARKS
    text = readme.read_text(encoding="utf-8")
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if not pattern.search(text):
        raise UserError(f"{readme.name} has lost its lines {begin} and {end}: put them back")
    sentence = result_sentence(table)
    write_if_changed(readme, pattern.sub(lambda _: f"{begin}\n{sentence}\n{end}", text))
