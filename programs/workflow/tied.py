"""Runs another module, tied to the supervisor: ``python -m programs.workflow.tied MODULE …``."""

from __future__ import annotations

import runpy
import sys

from fmri_audio.base.command import command
from programs.workflow.supervision import follow


@command()
def main() -> None:
    """Hand over to the module, which ends the process itself."""
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    follow()
    sys.exit(main())
