"""What the note says of the literature."""

from __future__ import annotations

import re
from pathlib import Path

from fmri_audio.base.settings import project_root
from fmri_audio.claims.functions.registry import Value, registered


@registered
def bibliography_year(entry: str) -> dict[str, Value]:
    """Read the year of an entry in the paper's bibliography."""
    return {f"references.bib, {entry}": float(_bib_field(entry, "year"))}


def _bib_field(entry: str, field: str) -> str:
    text = (Path(project_root()) / "references.bib").read_text(encoding="utf-8")
    found = re.search(rf"@\w+{{{re.escape(entry)},.*?\n  {field} = {{(.*?)}}", text, re.DOTALL)
    if found is None:
        raise LookupError(f"references.bib has no {field} for {entry}")
    return found[1]


@registered
def preprint_year(identifier: str) -> dict[str, Value]:
    """Read the year that an arXiv identifier begins with."""
    return {f"arXiv {identifier}": 2000.0 + int(identifier[:2])}
