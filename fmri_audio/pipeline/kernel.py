"""A Jupyter kernel that ends with the process that runs the notebook: ``python -m fmri_audio.pipeline.kernel``."""

from __future__ import annotations

from fmri_audio.pipeline.supervision import die_with_parent

if __name__ == "__main__":
    die_with_parent()
    from ipykernel import kernelapp

    kernelapp.launch_new_instance()
