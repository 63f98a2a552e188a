"""``python -m programs kernel …``: a Jupyter kernel that ends with the process that runs the notebook."""

from __future__ import annotations

from collections.abc import Sequence

from programs.workflow.supervision import die_with_parent


def main(words: Sequence[str]) -> None:
    """Start a kernel with the words that Jupyter gives it."""
    die_with_parent()
    from ipykernel import kernelapp

    kernelapp.launch_new_instance(list(words))
