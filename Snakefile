# The whole book as one graph; make is its front door (python -m programs book prepares and starts it).
#
#   stimulus → encoding, study → one notebook per chapter, or per chapter and bandwidth → metrics.csv → pages
#
# What is out of date is decided by contents, in programs/workflow/stamps.py: make throws away the stamps that no
# longer hold, and what has no stamp is made here, in order. So no time of a file counts: what stands before something
# else is always "ancient". Started by hand, it makes what is missing: snakemake --cores 2 --config build=build/demo book

import shlex
import sys
from pathlib import Path

from fmri_audio.base.errors import UserError
from programs.workflow.plan import HTML, METRICS, STEPS, SWEEP, Plan

try:
    PLAN = Plan.read(Path(config.get("build", "build/demo")))
except UserError as error:
    sys.exit(f"error: {error}")
THREADS = int(config.get("threads", 1))
# A cluster names no cores, and asking for them is an error there.
CORES = int(config["cores"]) if "cores" in config else workflow.cores or 1
# The step replaces the shell, so that it is the job itself; its arguments are the rule's parameter.
STEP = f"exec {shlex.quote(sys.executable)} -m programs ".replace("{", "{{").replace("}", "}}")


def before(name):
    return [ancient(PLAN.done(need)) for need in PLAN.inputs(name)]


# Everything, and not the pages alone: what is missing in the middle is made again, although the pages are there.
rule book:
    input:
        [PLAN.done(name) for name in PLAN.targets(HTML)],
        [PLAN.outputs(run) for run in PLAN.runs],
        PLAN.table(METRICS),
        PLAN.build / "html" / "index.html",


for step in STEPS:

    rule:
        name:
            step
        input:
            before(step),
        output:
            PLAN.done(step),
        threads: CORES if step == "encoding" else THREADS
        params:
            *[str(PLAN.build), step],
        shell:
            STEP + "step {params:q}"


for run in PLAN.runs:

    rule:
        name:
            f"notebook {run.name}"
        input:
            before(run.name),
        output:
            PLAN.done(run.name),
            PLAN.outputs(run),
        threads: THREADS
        priority: -PLAN.runs.index(run)
        params:
            *[str(PLAN.build), run.name],
        shell:
            STEP + "execute {params:q}"


for table in (METRICS, SWEEP):

    rule:
        name:
            table
        input:
            before(table),
        output:
            PLAN.done(table),
            PLAN.table(table),
        params:
            *[str(PLAN.build), table],
        shell:
            STEP + "collect {params:q}"


rule html:
    input:
        before(HTML),
    output:
        PLAN.done(HTML),
        PLAN.build / "html" / "index.html",
    params:
        str(PLAN.build),
    shell:
        STEP + "render {params:q}"
