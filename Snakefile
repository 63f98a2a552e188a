# The whole book as one graph; make is its front door (python -m fmri_audio.pipeline prepares and starts it).
#
#   stimulus → encoding, study → one notebook per chapter, or per chapter and bandwidth → metrics.csv → pages
#
# Digests (fmri_audio/pipeline/digests.py) stand for code, settings and data: they change in time only when
# they change in content. Started by hand: snakemake --cores 2 --config build=build/demo book

import shlex
import sys
from pathlib import Path

from fmri_audio.pipeline.plan import STEPS, Plan

BUILD = Path(config.get("build", "build/demo"))
if not (BUILD / "edition.yml").is_file():
    sys.exit(f"{BUILD / 'edition.yml'} does not exist: start with make book, which resolves the edition")
PLAN = Plan.read(BUILD)
THREADS = int(config.get("threads", 1))


# The step replaces the shell, so that it is the job itself; its arguments are the rule's parameter.
STEP = f"exec {shlex.quote(sys.executable)} -m fmri_audio.pipeline.".replace("{", "{{").replace("}", "}}")


rule book:
    input:
        PLAN.done("html"),


rule stimulus:
    input:
        PLAN.digest("stimulus"),
    output:
        PLAN.done("stimulus"),
    threads: THREADS
    params:
        *[str(word) for word in [BUILD, "stimulus"]],
    shell:
        STEP + "step {params:q}"


rule encoding:
    input:
        PLAN.digest("encoding"),
        PLAN.done("stimulus"),
    output:
        PLAN.done("encoding"),
    threads: workflow.cores or 1
    params:
        *[str(word) for word in [BUILD, "encoding"]],
    shell:
        STEP + "step {params:q}"


rule study:
    input:
        PLAN.digest("study"),
        PLAN.done("stimulus"),
    output:
        PLAN.done("study"),
    threads: THREADS
    params:
        *[str(word) for word in [BUILD, "study"]],
    shell:
        STEP + "step {params:q}"


for run in PLAN.runs:

    rule:
        name:
            f"notebook {run.name}"
        input:
            PLAN.digest(run.name),
            PLAN.needs(run),
        output:
            PLAN.notebook(run),
        threads: THREADS
        priority: -PLAN.runs.index(run)
        params:
            *[str(word) for word in [BUILD, run.name]],
        shell:
            STEP + "execute {params:q}"


rule metrics:
    input:
        [PLAN.notebook(run) for run in PLAN.runs],
    output:
        PLAN.build / "results" / "metrics.csv",
    params:
        *[str(word) for word in [BUILD, PLAN.build / "results" / "metrics.csv", *[run.name for run in PLAN.runs]]],
    shell:
        STEP + "collect {params:q}"


rule sweep:
    input:
        [PLAN.notebook(run) for run in PLAN.runs if run.bandwidth is not None],
    output:
        PLAN.build / "results" / "sweep.csv",
    params:
        *[str(word) for word in [BUILD, PLAN.build / "results" / "sweep.csv", *[run.name for run in PLAN.runs if run.bandwidth is not None]]],
    shell:
        STEP + "collect {params:q}"


rule html:
    input:
        PLAN.digest("pages"),
        PLAN.build / "results" / "metrics.csv",
    output:
        PLAN.done("html"),
    params:
        str(BUILD),
    shell:
        STEP + "render {params:q}"
