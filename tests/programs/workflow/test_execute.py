"""Executing a chapter: twice the same notebook, byte for byte, with times and progress in the logs."""

from __future__ import annotations

import shutil
import textwrap
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from fmri_audio.base.errors import UserError
from programs.workflow import execute
from programs.workflow import plan as plans
from programs.workflow.plan import Chapter, Plan

CHAPTER = textwrap.dedent("""
    ---
    jupytext:
      formats: md:myst,ipynb
      text_representation:
        extension: .md
        format_name: myst
    kernelspec:
      display_name: Python 3
      language: python
      name: python3
    ---

    # Small

    ```{code-cell} ipython3
    :tags: [parameters]

    edition = "demo"  # edition
    build = ""  # folder
    ```

    ```{code-cell} ipython3
    import sys, time
    import matplotlib.pyplot as plt
    from IPython.display import HTML, display

    for number in range(3):
        print("line", number, flush=True)
        time.sleep(0.3 * (number == 1))
        print(f"{time.perf_counter():.3f} s", file=sys.stderr, flush=True)
    display(HTML("<b>shown</b>"))
    print({"frozen", "finetuned", "mel", "codes"})
    ```

    ```{code-cell} ipython3
    figure, axis = plt.subplots(figsize=(2, 1))
    axis.plot([1, 3, 2], label="one")
    axis.legend()
    plt.show()
    ```
    """).lstrip()


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "small.md").write_text(CHAPTER)
    monkeypatch.setattr(plans, "project_root", lambda: tmp_path)
    for name in ("JUPYTER_PATH", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "PYTHONPATH", "PYTHONHASHSEED"):
        monkeypatch.setenv(name, "")  # put back when the test ends
    return Plan(tmp_path / "build", {"edition": "demo", "codec": "demo"}, (Chapter("small"),))


def test_a_chapter_executed_twice_is_the_same_notebook(plan: Plan) -> None:
    made = []
    for _ in range(2):
        execute.execute(plan, plan.runs[0])
        made.append(plan.notebook(plan.runs[0]).read_bytes())
        told = (plan.build / "logs" / "small.stderr.txt").read_text()
        assert told.startswith("cell 3:\n") and told.count(" s\n") == 3
        shutil.rmtree(plan.build)
    assert made[0] == made[1]
    notebook = nbformat.reads(made[0].decode(), as_version=4)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert [output.output_type for output in outputs] == ["stream", "display_data", "stream", "display_data"]
    assert outputs[0].text == "line 0\nline 1\nline 2\n"
    assert all(output.get("name") != "stderr" for output in outputs)


@pytest.mark.parametrize(
    "error", ["MemoryError", "RuntimeError('DefaultCPUAllocator: can\\'t allocate memory')"]
)
def test_too_little_memory_is_one_sentence(plan: Plan, error: str) -> None:
    begins = CHAPTER.partition("```{code-cell} ipython3\nimport sys")[0]
    plans.text_of(plan.chapters[0]).write_text(f"{begins}```{{code-cell}} ipython3\nraise {error}\n```\n")
    with pytest.raises(
        UserError, match=r"^small, cell 3: the machine has too little memory; .*JOBS=1"
    ) as raised:
        execute.execute(plan, plan.runs[0])
    assert "\n" not in str(raised.value)
    assert not plan.notebook(plan.runs[0]).exists()


def test_cleaning_joins_messages_and_names_cells() -> None:
    said = [
        new_output("stream", name=name, text=text)
        for name, text in (("stdout", "a"), ("stderr", "3 s"), ("stdout", "b\n"))
    ]
    shown = new_output("display_data", {"text/plain": "x"})
    injected = new_code_cell(
        "edition = 'x'", metadata={"tags": ["injected-parameters"], "papermill": {"duration": 2}}
    )
    code = new_code_cell("print()", outputs=[*said, shown, said[0].copy()], id="cell-1")
    cleaned = execute.clean(new_notebook(cells=[injected, code]))
    assert [cell["id"] for cell in cleaned.cells] == ["injected-parameters", "cell-1"]
    assert cleaned.cells[0].metadata == {"tags": ["injected-parameters"]}
    assert [output.get("text") for output in cleaned.cells[1].outputs] == ["ab\n", None, "a"]


def test_what_cells_said_is_kept_without_colours() -> None:
    red = new_output("stream", name="stderr", text="\x1b[31mno\x1b[0m\n")
    cells = [new_code_cell("1"), new_code_cell("2", outputs=[red])]
    assert execute.said(new_notebook(cells=cells)) == "cell 2:\nno\n"
    assert execute.said(new_notebook(cells=cells[:1])) == ""
