"""``python -m programs COMMAND …``: all that make starts, and all that its graph starts in turn.

A module is imported when its command is asked for, so that starting one does not wait for what another needs. However
a command fails, it ends as :mod:`fmri_audio.base.command` says: in one sentence and a status.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from fmri_audio.base.command import command
from programs.workflow.supervision import follow


@dataclass(frozen=True)
class Entry:
    """Where a command is: the module whose ``main`` takes its words.

    Attributes
    ----------
    module : str
    words : tuple of str
        Put before those that were given.
    tied : bool
        It is a job of the graph and ends with whoever supervises it.
    """

    module: str
    words: tuple[str, ...] = ()
    tied: bool = False


STEPS, TRAINING = "fmri_audio.edition.steps", "programs.codec_training"

COMMANDS = {
    **{name: Entry("programs.workflow.front", (name,)) for name in ("book", "html", "sweep", "publish")},
    **{name: Entry(STEPS, (name,)) for name in ("resolve", "stimulus", "encode", "study")},
    **{
        name: Entry(f"programs.workflow.{name}", tied=True)
        for name in ("step", "execute", "collect", "render")
    },
    "tied-resolve": Entry(STEPS, ("resolve",), tied=True),
    "tied": Entry("programs.workflow.tied", tied=True),
    "kernel": Entry("programs.workflow.kernel"),
    "cells": Entry("programs.cells"),
    "calibrate": Entry("fmri_audio.experiments.calibration"),
    "confirm-rates": Entry("fmri_audio.experiments.confirmed_rates"),
    "scaling": Entry("fmri_audio.experiments.scaling"),
    "real-brains": Entry("fmri_audio.experiments.real_brains"),
    "matched-brains": Entry("fmri_audio.experiments.matched_brains"),
    "aligned": Entry("fmri_audio.experiments.aligned"),
    "false-alarms": Entry("fmri_audio.experiments.false_alarms"),
    "data": Entry("programs.data_sets.fetch"),
    "codec": Entry(f"{TRAINING}.run"),
    "codec-evaluate": Entry(f"{TRAINING}.evaluation"),
    "vocoder": Entry("programs.vocoder_training.run"),
    "bottleneck": Entry("programs.bottleneck_training.run"),
    "bottleneck-speak": Entry("programs.bottleneck_training.language"),
    "bottleneck-account": Entry("programs.bottleneck_training.account"),
    "bottleneck-bits": Entry("fmri_audio.experiments.ladder_bits"),
    "bottleneck-measure": Entry("programs.bottleneck_training.measure"),
    "bench": Entry("programs.benchmarks.run"),
    **{f"bench-{name}": Entry(f"programs.benchmarks.{name}") for name in ("masking", "training", "ridge")},
}


@command()
def main(words: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status."""
    given = list(sys.argv[1:] if words is None else words)
    if not given or given[0] not in COMMANDS:
        print(f"usage: python -m programs COMMAND …, one of {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    entry = COMMANDS[given[0]]
    if entry.tied:
        follow()
    return importlib.import_module(entry.module).main([*entry.words, *given[1:]]) or 0


if __name__ == "__main__":
    sys.exit(main())
