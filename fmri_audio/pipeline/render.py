"""Renders a book: ``python -m fmri_audio.pipeline.render BUILD``.

Sphinx's warnings are errors. The pages appear in place in one move, after all of them have been written.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from fmri_audio.command import command
from fmri_audio.errors import UserError
from fmri_audio.files import write_text
from fmri_audio.pipeline.assemble import replace_folder, site_of_edition
from fmri_audio.pipeline.plan import Plan
from fmri_audio.pipeline.supervision import follow
from fmri_audio.pipeline.times import PAGES, noting
from fmri_audio.settings import project_root

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
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(project_root()), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    output = _ANSI.sub("", done.stdout)
    write_text(log, output)
    pages = work / "_build" / "html"
    if done.returncode or not (pages / "index.html").is_file():
        problems = [line.strip() for line in output.splitlines() if _PROBLEM.search(line)] or ["no page was written"]
        for line in problems[:20]:
            print(f"  {line}", file=sys.stderr)
        shutil.rmtree(work, ignore_errors=True)
        raise UserError(f"Sphinx did not render the book without a warning (all of its output: {log})")
    (pages / ".made").write_text(f"{time.time_ns()}\n")
    replace_folder(pages, html)
    shutil.rmtree(work, ignore_errors=True)


def install(rendered: Path, html: Path) -> bool:
    """Copy rendered pages to where readers look for them, unless they are there already; return whether it did.

    Parameters
    ----------
    rendered
        Folder of rendered pages; a file ``.made`` in it names this rendering.
    html
        Folder that readers open, such as ``_build/html``.
    """
    stamp = (rendered / ".made").read_text()
    if (html / ".made").is_file() and (html / ".made").read_text() == stamp:
        return False
    new = html.with_name(f".{html.name}-new")
    shutil.rmtree(new, ignore_errors=True)
    shutil.copytree(rendered, new)
    replace_folder(new, html)
    return True


@command()
def main(build: Path) -> None:
    """Assemble and render an executed edition; returns the exit status."""
    plan = Plan.read(build)
    site = build / "site"
    shutil.rmtree(site, ignore_errors=True)
    with noting(build, PAGES):
        site_of_edition(plan, site)
        render(site, build / "html", build / "logs" / "html.log")
    write_text(plan.done("html"), "")


if __name__ == "__main__":
    follow()
    sys.exit(main(Path(sys.argv[1])))
