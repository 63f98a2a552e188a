"""Snakemake, tied to the supervisor: ``python -m fmri_audio.pipeline.workflow …`` takes Snakemake's arguments."""

from __future__ import annotations

import sys

from fmri_audio.command import command
from fmri_audio.pipeline.supervision import follow


@command()
def main(arguments: list[str]) -> None:
    """Hand over to Snakemake, which ends the process itself."""
    from snakemake.cli import main as snakemake

    snakemake(arguments)


if __name__ == "__main__":
    follow()
    sys.exit(main(sys.argv[1:]))
