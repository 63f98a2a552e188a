"""``python -m programs tied MODULE …``: another program's module, such as Snakemake's, tied to the supervisor."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Sequence


def main(words: Sequence[str]) -> None:
    """Hand over to the module, which ends the process itself."""
    sys.argv = list(words)
    runpy.run_module(words[0], run_name="__main__", alter_sys=True)
