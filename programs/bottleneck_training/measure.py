"""``python -m programs bottleneck-measure``: what the sound side of the ladder keeps, on all arms and widths.

Every condition (:mod:`programs.bottleneck_training.conditions`) is measured by itself and kept until the code, the
weights or the sounds that it comes from change; a run that was stopped goes on, and what a table of the project holds
is not measured again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import torch

from fmri_audio.base.errors import UserError
from fmri_audio.base.files import check_writable, write_text
from fmri_audio.base.rows import write_rows
from fmri_audio.base.settings import project_root
from fmri_audio.bottleneck.coders import CODERS
from fmri_audio.experiments.ladder import CONDITIONS, SCORES, WINDOWS, Condition, Ladder, Score
from programs.bottleneck_training import language
from programs.bottleneck_training.conditions import Makers, jobs, measured
from programs.bottleneck_training.windows import Sounds, sounds_of


def main(words: Sequence[str]) -> None:
    """Measure what is not measured yet, and write the tables."""
    parser = argparse.ArgumentParser(prog="python -m programs bottleneck-measure", description=__doc__)
    parser.add_argument("--codec", default="demo", help="checkpoint (default: %(default)s)")
    parser.add_argument(
        "--corpus", type=Path, help="training sound, for starts and PCAs (default: that of the work folder)"
    )
    parser.add_argument(
        "--data", type=Path, help="folder of recordings to measure beside the play (default: the play alone)"
    )
    parser.add_argument("--work", type=Path, help="folder of what is measured (default: build/bottleneck)")
    parser.add_argument("--arms", nargs="+", default=list(CODERS), help="(default: all)")
    parser.add_argument("--windows", type=int, help="at most so many windows")
    parser.add_argument("--only", default="", help="measure conditions whose name holds this")
    parser.add_argument("--so-far", action="store_true", help="measure nothing: write what is measured")
    parser.add_argument("--jobs", type=int, default=1, help="processes (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="root of the tables (default: the project)")
    options = parser.parse_args(list(words))
    root, work = options.out or project_root(), options.work or project_root() / "build" / "bottleneck"
    for table in (CONDITIONS, WINDOWS, SCORES):
        check_writable(root / table)
    kept = work / "measured"
    kept.mkdir(parents=True, exist_ok=True)
    if options.data is None:
        print("the play alone: recordings to measure beside it are given as --data", flush=True)
    elif not options.data.is_dir():
        raise UserError(f"{options.data}: no folder of recordings to measure beside the play")
    sounds = sounds_of(options.data, project_root()).part(options.windows)
    minutes = sum(one.seconds for one in sounds.windows) / 60
    print(f"{len(sounds.windows)} windows, {minutes:.1f} minutes", flush=True)
    corpus = options.corpus or work / "corpus"
    makers = Makers(options.codec, corpus, work)
    if language.Read.of(work) is None:
        print("no phonemes with a voice: `python -m programs bottleneck-speak` says them", flush=True)
    every = list(jobs(makers, sounds, options.arms))
    wanted = [job for job in every if options.only in job.condition.condition and not options.so_far]
    if not (wanted or options.so_far):
        raise UserError(f"--only {options.only}: no condition's name holds that")
    _take_from_tables(root, kept)
    in_turn: dict[tuple[str, str], list[Condition]] = {}
    for condition in dict.fromkeys(job.measured for job in wanted):
        if not _part(kept, condition).is_file():
            in_turn.setdefault((condition.arm, condition.made), []).append(condition)
    work_on = joblib.delayed(partial(_measure, kept, options.codec, corpus, work, sounds, options.arms))
    joblib.Parallel(options.jobs)(work_on(part) for part in in_turn.values())
    done = [job for job in every if _part(kept, job.measured).is_file()]
    scores = [
        Score(**{**row, "condition": job.condition.condition})
        for job in done
        for row in json.loads(_part(kept, job.measured).read_text())
    ]
    (root / CONDITIONS).parent.mkdir(parents=True, exist_ok=True)
    write_rows(sounds.windows, root / WINDOWS)
    write_rows([job.condition for job in done], root / CONDITIONS)
    write_rows(scores, root / SCORES, digits=4)
    print(f"wrote {root / CONDITIONS} and two more: {len(done)} of {len(every)} conditions")


def _take_from_tables(root: Path, kept: Path) -> None:
    """Make a part of every condition that the tables have and the folder has not."""
    if not all((root / table).is_file() for table in (CONDITIONS, WINDOWS, SCORES)):
        return
    table = Ladder.read(root)
    rows: dict[str, list[dict[str, Any]]] = {}
    for score in table.scores:
        rows.setdefault(score.condition, []).append(asdict(score))
    for condition in table.conditions:
        if not (part := _part(kept, condition)).is_file():
            write_text(part, json.dumps(rows.get(condition.condition, [])))


def _part(kept: Path, condition: Condition) -> Path:
    name = hashlib.sha256(condition.condition.encode()).hexdigest()[:12]
    return kept / f"{name}-{condition.made_by}.json"


def _measure(
    kept: Path,
    codec: str,
    corpus: Path,
    work: Path,
    sounds: Sounds,
    arms: Sequence[str],
    asked: Sequence[Condition],
) -> None:
    """Measure some conditions in a process that opens coders for itself."""
    torch.set_num_threads(1)
    makers = Makers(codec, corpus, work)
    said, left = {one.window: one.said for one in sounds.windows}, list(asked)
    for job in jobs(makers, sounds, arms):
        if not left:
            return
        if job.condition in left:
            left.remove(job.condition)
            scores = measured(job, sounds)
            write_text(_part(kept, job.condition), json.dumps([asdict(one) for one in scores]))
            wrong = sum(one.wrong or 0 for one in scores) / max(1, sum(said[one.window] for one in scores))
            print(f"{job.condition.condition}: words wrong {wrong:.3f} in {len(scores)} windows", flush=True)
