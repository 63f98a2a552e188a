"""Runs one notebook: ``python -m programs execute BUILD RUN``.

The chapter's text is turned into a notebook, papermill executes it with the run's parameters, and the result
is put in place in one move when all of it has succeeded. What went wrong is one sentence on standard error,
with the traceback in ``BUILD/logs``.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nbformat
import papermill
from nbformat import NotebookNode
from papermill.engines import NBClientEngine, NotebookExecutionManager, papermill_engines
from papermill.exceptions import PapermillExecutionError
from traitlets.config import Config

from fmri_audio.base.errors import UserError
from fmri_audio.base.files import replacing, write_if_changed, write_text
from fmri_audio.base.settings import project_root
from programs.workflow.assemble import INJECTED, KERNELSPEC, read_text
from programs.workflow.plan import NotebookRun, Plan, text_of
from programs.workflow.stamps import Stamps
from programs.workflow.supervision import RUNTIME, turn
from programs.workflow.times import noting

_ENGINE = "fmri-audio"
_SAY_EVERY_SECONDS = 3.0
_SAY_AT_LEAST_EVERY_SECONDS = 30.0
_OUT_OF_MEMORY = {"MemoryError", "_ArrayMemoryError", "OutOfMemoryError"}
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


class Progress:
    """Says on standard output which cell of which run is being executed, often enough to see that it moves."""

    def __init__(self, title: str, n_cells: int) -> None:
        self.title, self.n_cells = title, n_cells
        self.started = self.said = time.monotonic()
        self.cell = 0
        self.finished = threading.Event()
        threading.Thread(target=self._beat, daemon=True, name="progress").start()

    def start(self, cell: int) -> None:
        """Note that a cell (counted from 1) has begun."""
        self.cell = cell
        if cell == 1 or time.monotonic() - self.said >= _SAY_EVERY_SECONDS:
            self._say()

    def finish(self) -> None:
        """Note that all cells have been executed."""
        self.finished.set()
        print(f"{self.title}: done in {time.monotonic() - self.started:.0f} s", flush=True)

    def _say(self) -> None:
        self.said = time.monotonic()
        seconds = self.said - self.started
        print(f"{self.title}: cell {self.cell} of {self.n_cells} ({seconds:.0f} s)", flush=True)

    def _beat(self) -> None:
        while not self.finished.wait(1.0):
            if time.monotonic() - self.said >= _SAY_AT_LEAST_EVERY_SECONDS:
                self._say()


class ProgressEngine(NBClientEngine):  # type: ignore[misc]
    """papermill's own engine, reporting each code cell to a :class:`Progress`."""

    @classmethod
    def execute_managed_notebook(
        cls, nb_man: NotebookExecutionManager, kernel_name: str, progress: Progress, **kwargs: Any
    ) -> Any:
        """Execute the notebook, as papermill does."""
        numbers = {id(cell): i for i, cell in enumerate(_code(nb_man.nb), start=1)}
        cell_start = nb_man.cell_start

        def start(cell: NotebookNode, cell_index: int | None = None, **others: Any) -> None:
            if id(cell) in numbers:
                progress.start(numbers[id(cell)])
            cell_start(cell, cell_index, **others)

        nb_man.cell_start = start
        return super().execute_managed_notebook(nb_man, kernel_name, **kwargs)


def _code(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def kernel_environment(build: Path) -> None:
    """Make ``python3`` mean this interpreter, and keep Jupyter's and IPython's files below the build folder.

    A kernel of that name that the user or the system has installed could be another Python altogether.
    """
    folder = (build / "jupyter").resolve()
    argv = [sys.executable, "-m", "programs", "kernel", "--log-level=ERROR", "-f", "{connection_file}"]
    spec = {"argv": argv, "display_name": KERNELSPEC["display_name"], "language": KERNELSPEC["language"]}
    write_if_changed(folder / "kernels" / KERNELSPEC["name"] / "kernel.json", json.dumps(spec))
    os.environ["JUPYTER_PATH"] = os.pathsep.join(
        [str(folder), *filter(None, [os.environ.get("JUPYTER_PATH")])]
    )
    os.environ["JUPYTER_RUNTIME_DIR"] = str((build / RUNTIME).resolve())
    os.environ["IPYTHONDIR"] = str(folder / "ipython")
    os.environ["PYTHONHASHSEED"] = "0"  # sets of words in one order, so that a chapter run again is the same
    (folder / "ipython").mkdir(parents=True, exist_ok=True)
    root = str(Path(__file__).resolve().parents[2])
    os.environ["PYTHONPATH"] = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])


def parameters(plan: Plan, run: NotebookRun) -> dict[str, Any]:
    """Return the run's parameters, as its parameters cell names them."""
    values: dict[str, Any] = {"edition": str(plan.edition_file), "build": str(plan.build)}
    if run.bandwidth is not None:
        values["bandwidth"] = run.bandwidth
    return values


def clean(notebook: NotebookNode) -> NotebookNode:
    """Drop what differs from run to run without being a result: times, machines, identifiers, progress.

    What cells say on standard error is progress, warnings with paths, and seconds: it is kept in the logs. How text on
    standard output was cut into messages is an accident; consecutive ones become one.
    """
    notebook.metadata = nbformat.from_dict(
        {
            "jupytext": notebook.metadata.get("jupytext", {}),
            "kernelspec": dict(KERNELSPEC),
            "language_info": {"name": "python"},
        }
    )
    for cell in notebook.cells:
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
        if INJECTED in cell.metadata.get("tags", ()):
            cell["id"] = INJECTED
        if cell.cell_type == "code":
            cell.outputs = _joined([output for output in cell.outputs if output.get("name") != "stderr"])
    return notebook


def _joined(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Outputs with consecutive ones of one stream made one."""
    joined: list[NotebookNode] = []
    for output in outputs:
        before = joined[-1] if joined else None
        if (
            before is not None
            and output.output_type == before.output_type == "stream"
            and output.name == before.name
        ):
            before.text += output.text
        else:
            joined.append(output)
    return joined


def said(notebook: NotebookNode) -> str:
    """What the cells wrote on standard error, cell by cell."""
    lines = []
    for number, cell in enumerate(_code(notebook), start=1):
        text = "".join(output.text for output in cell.outputs if output.get("name") == "stderr")
        if text:
            lines.append(f"cell {number}:\n{_ANSI.sub('', text).rstrip()}\n")
    return "".join(lines)


def execute(plan: Plan, run: NotebookRun) -> None:
    """Execute one run and put its notebook in place.

    Raises
    ------
    UserError
        A cell failed; the sentence says which, why, and where the traceback is. Or the chapter's table is missing.
    """
    stamps = Stamps(plan)
    begun = stamps.begun(run.name)
    for stale in (
        plan.done(run.name),
        plan.notebook(run),
        plan.results(run),
        plan.glued(run),
        plan.clips(run),
    ):
        stale.unlink(missing_ok=True)
    notebook = read_text(text_of(run.chapter))
    number = plan.runs.index(run) + 1
    progress = Progress(
        f"[{number}/{len(plan.runs)}] {run.title}", len(_code(notebook)) + 1
    )  # the injected parameters
    executed = _papermill(notebook, plan, run, progress)
    write_text(plan.build / "logs" / f"{run.name}.stderr.txt", said(executed))
    with replacing(plan.notebook(run)) as temporary:
        nbformat.write(clean(executed), temporary)
    check_outputs(plan, run)
    stamps.write(run.name, begun)
    progress.finish()


def check_outputs(plan: Plan, run: NotebookRun) -> None:
    """See to it that a run has left every file that is declared; one that cites or plays nothing lists nothing.

    Raises
    ------
    UserError
        It wrote no table although ``chapters.yml`` says so, or one of which ``chapters.yml`` does not know.
    """
    for listing in (plan.glued(run), plan.clips(run)):
        if not listing.is_file():
            write_text(listing, "{}\n")
    if plan.results(run).is_file() != run.chapter.table:
        wrote, said = ("a", "no table") if not run.chapter.table else ("no", "table: true")
        raise UserError(
            f"{run.title} wrote {wrote} table {plan.results(run)}, and book/chapters.yml says {said}"
        )


def _connection(build: Path, run: NotebookRun) -> Config:
    """Have the kernel's connection file lie in the build folder, where the next make finds it if it is left over."""
    folder = (build / RUNTIME).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return Config({"ConnectionFileMixin": {"connection_file": str(folder / f"{run.name}.json")}})


def _papermill(notebook: NotebookNode, plan: Plan, run: NotebookRun, progress: Progress) -> NotebookNode:
    papermill_engines.register(_ENGINE, ProgressEngine)
    logging.getLogger("papermill").setLevel(logging.ERROR)
    kernel_environment(plan.build)
    source = plan.build / "logs" / f"{run.name}.ipynb"
    with replacing(source) as temporary:
        nbformat.write(notebook, temporary)
    try:
        executed: NotebookNode = papermill.execute_notebook(
            source,
            None,
            parameters(plan, run),
            engine_name=_ENGINE,
            kernel_name=KERNELSPEC["name"],
            progress_bar=False,
            cwd=project_root(),
            progress=progress,
            config=_connection(plan.build, run),
        )
    except PapermillExecutionError as error:
        log = plan.build / "logs" / f"{run.name}.log"
        write_text(log, _ANSI.sub("", f"{error.source}\n\n" + "\n".join(error.traceback)))
        if error.ename == "UserError":
            raise UserError(f"{run.title}: {error.evalue}") from None
        if (
            error.ename in _OUT_OF_MEMORY
            or "not enough memory" in error.evalue
            or "allocate memory" in error.evalue
        ):
            raise UserError(
                f"{run.title}, cell {progress.cell}: the machine has too little memory; close other programs, run one "
                f"step at a time (JOBS=1) or use fewer TRs or voxels (traceback in {log})"
            ) from None
        what = f"{error.ename}: {error.evalue}".strip().splitlines()[0]
        raise UserError(f"{run.title}, cell {progress.cell} failed: {what} (traceback in {log})") from None
    except RuntimeError as error:  # nbclient: the kernel died or did not start
        raise UserError(
            f"{run.title}, cell {progress.cell}: {error}; perhaps the machine ran out of memory"
        ) from None
    finally:
        progress.finished.set()
    source.unlink(missing_ok=True)
    return executed


def main(words: Sequence[str]) -> None:
    """Execute the run of the given name; returns the exit status."""
    build, name = Path(words[0]), words[1]
    with turn(build / "turns"):
        plan = Plan.read(build)
        with noting(build, name):
            execute(plan, plan.run(name))
