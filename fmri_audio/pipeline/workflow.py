"""Snakemake, tied to the supervisor: ``python -m fmri_audio.pipeline.workflow …`` takes Snakemake's arguments."""

from __future__ import annotations

import sys

from fmri_audio.pipeline.supervision import follow

if __name__ == "__main__":
    follow()
    from snakemake.cli import main

    main(sys.argv[1:])
