"""A Jupyter kernel that ends with the process that runs the notebook: ``python -m programs.workflow.kernel``."""

from __future__ import annotations

from programs.workflow.supervision import die_with_parent

if __name__ == "__main__":
    die_with_parent()
    from ipykernel import kernelapp

    kernelapp.launch_new_instance()
