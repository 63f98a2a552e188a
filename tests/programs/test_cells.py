"""The code of chapters as plain Python."""

from __future__ import annotations

from pathlib import Path

from programs import cells

CHAPTER = """---
jupytext:
  text_representation: {extension: .md, format_name: myst}
kernelspec: {display_name: Python 3, language: python, name: python3}
---

# Title

```{code-cell} ipython3
:tags: [parameters]

edition = "demo"  # which
```

Prose with `code` in it.

```{code-cell} ipython3
edition = len(edition)
edition
```
"""


def test_a_chapter_s_cells_stand_in_order_without_its_prose(tmp_path: Path) -> None:
    (tmp_path / "02-some-name.md").write_text(CHAPTER)
    (tmp_path / "references.md").write_text("# References\n")
    stale = tmp_path / "cells" / "03_gone.py"
    stale.parent.mkdir()
    stale.touch()
    [written] = cells.write(tmp_path, tmp_path / "cells")
    assert list((tmp_path / "cells").iterdir()) == [written] == [tmp_path / "cells" / "02_some_name.py"]
    code = written.read_text()
    assert code.startswith("# mypy: allow-redefinition\n")
    assert [line for line in code.splitlines() if line][1:] == [
        "# %%",
        'edition = "demo"  # which',
        "# %%",
        "edition = len(edition)",
        "edition",
    ]
