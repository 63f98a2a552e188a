"""Renders a book: ``python -m programs render BUILD``.

Sphinx's warnings are errors. The pages appear in place in one move, after all of them have been written.
"""

from __future__ import annotations

import filecmp
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from fmri_audio.base.errors import UserError
from fmri_audio.base.files import write_text
from fmri_audio.base.settings import project_root
from programs.workflow.assemble import replace_folder, site_of_edition
from programs.workflow.plan import HTML, Plan
from programs.workflow.stamps import Stamps
from programs.workflow.supervision import exclusive
from programs.workflow.times import PAGES, noting

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_PROBLEM = re.compile(r"(WARNING|ERROR|CRITICAL)\b", re.IGNORECASE)


def render(site: Path, html: Path, log: Path) -> None:
    """Render the sources in ``site`` to the folder ``html``.

    Raises
    ------
    UserError
        Sphinx warned or failed; the first warnings are in the message and all of its output in ``log``.
    """
    print("rendering the pages …", flush=True)
    work = html.with_name(f".{html.name}-new")
    shutil.rmtree(work, ignore_errors=True)
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build", str(site)]
    command += ["--path-output", str(work), "-W", "--keep-going", "--all"]
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(project_root()), os.environ.get("PYTHONPATH", "")]),
    }
    done = subprocess.run(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    output = _ANSI.sub("", done.stdout)
    write_text(log, output)
    pages = work / "_build" / "html"
    if done.returncode or not (pages / "index.html").is_file():
        problems = [line.strip() for line in output.splitlines() if _PROBLEM.search(line)] or [
            "no page was written"
        ]
        for line in problems[:20]:
            print(f"  {line}", file=sys.stderr)
        shutil.rmtree(work, ignore_errors=True)
        raise UserError(f"Sphinx did not render the book without a warning (all of its output: {log})")
    replace_folder(pages, html)
    shutil.rmtree(work, ignore_errors=True)


def install(rendered: Path, html: Path) -> bool:
    """Copy rendered pages to where readers look for them, unless they are there already; return whether it did.

    Pages of several editions may be installed in one folder: only one process at a time does, and the last stay.

    Parameters
    ----------
    rendered
        Folder of rendered pages.
    html
        Folder that readers open, such as ``_build/html``.

    Raises
    ------
    UserError
        Another process has been installing pages there for a minute.
    """
    with exclusive(html.with_name(f".{html.name}.lock"), patience=60.0):
        if _same_files(rendered, html):
            return False
        new = html.with_name(f".{html.name}-new")
        shutil.rmtree(new, ignore_errors=True)
        shutil.copytree(rendered, new)
        replace_folder(new, html)
    return True


def _same_files(one: Path, other: Path) -> bool:
    """Whether two folders hold files of the same names and contents."""
    names = [sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) for folder in (one, other)]
    if names[0] != names[1]:
        return False
    files = [name for name in names[0] if (one / name).is_file()]
    return filecmp.cmpfiles(one, other, files, shallow=False)[0] == files


def main(words: Sequence[str]) -> None:
    """Assemble and render an executed edition."""
    build = Path(words[0])
    plan = Plan.read(build)
    stamps = Stamps(plan)
    begun = stamps.begun(HTML)
    site = build / "site"
    shutil.rmtree(site, ignore_errors=True)
    with noting(build, PAGES):
        site_of_edition(plan, site)
        render(site, build / "html", build / "logs" / "html.log")
    stamps.write(HTML, begun)
