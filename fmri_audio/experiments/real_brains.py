"""What real brains give: sound level and words per TR, decoded from held-out runs of a measured study.

``python -m programs real-brains FOLDER`` writes ``results/real-brains.csv``, one row per quantity with its intervals
and its null, ``results/real-brains-excerpt.csv``, what is played, and ``results/real-brains.json``, hashes of all that
went in. The pipeline is ``config/analyses/real-brains.yml``; subjects it was fixed on are in no row of the group
``held back``.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fmri_audio.base.errors import UserError
from fmri_audio.base.files import check_writable, replacing, sha256_of, write_text
from fmri_audio.base.fingerprint import fingerprint
from fmri_audio.base.kinds import Block, Matrix
from fmri_audio.base.rows import read_rows, write_rows
from fmri_audio.base.settings import project_root
from fmri_audio.decoding import series
from fmri_audio.decoding.series import PIPELINE_FILE, Pipeline, Recorded, Score, Series
from fmri_audio.decoding.turning import Reader
from fmri_audio.study.annotated import TARGETS, Target, heard, level_db, read_level
from fmri_audio.study.facts import Subject
from fmri_audio.study.layouts.base import LAYOUTS
from fmri_audio.study.reader import Study
from fmri_audio.study.splits import Split

TABLE = Path("results/real-brains.csv")
EXCERPT = Path("results/real-brains-excerpt.csv")
ACCOUNT = Path("results/real-brains.json")

SEGMENT_SECONDS = (6, 12, 24, 48)
DISTANCE_TRS = 12
"""Between a segment and its distractors at least."""
SHIFT_GAP_SECONDS = 40
"""Shifts nearer than this are no chance: sound level is slow."""
HIGH_PASS_SECONDS = 128.0
AS_IT_IS = "as it is"
DRAWS = 20
"""Groups of subjects, and sets of training runs, that are drawn for each number of them."""
EXCERPT_SECONDS = 40
FRAME_SECONDS = 0.04

HELD_BACK, FIXED_ON, EVERYBODY = "held back", "fixed on", "everybody"


@dataclass(frozen=True)
class Row:
    """One quantity.

    Attributes
    ----------
    quantity : ``r``, ``partial r``, ``identified`` or ``bits per TR``
    target : ``level`` or ``words``
    detail : what was kept or compared: ``as it is``, ``128 s and faster``, ``8 to 16 s`` …
    arm : ``within`` a subject, ``across`` (trained on the others' mean), ``averaged`` predictions, ``no brain``
    group : whose: ``held back``, ``fixed on``, ``everybody``
    n_subjects : of which predictions are averaged
    n_runs : that were trained on
    value : mean over subjects (or groups of them) and runs
    runs_low, runs_high, subjects_low, subjects_high : 95 % intervals over runs and over subjects; empty for one subject
    null_mean, null_spread, null_high : mean, standard deviation and 95 % quantile with the sound turned round
    n_shifts, effective_shifts : of the null, or of decoders fitted anew where there is a p; empty where there is none
    p : of decoders that were fitted anew under every shift; empty where there are none
    n : subjects (or groups) times runs
    tested : the correlation that p is of; these decoders read every column, with a penalty that no sound has chosen
    """

    quantity: str
    target: str
    detail: str
    arm: str
    group: str
    n_subjects: int
    n_runs: int
    value: float
    runs_low: float
    runs_high: float
    subjects_low: float | None
    subjects_high: float | None
    null_mean: float | None
    null_spread: float | None
    null_high: float | None
    n_shifts: int | None
    effective_shifts: float | None
    p: float | None
    n: int
    tested: float | None = None


def recorded(
    study: Study,
    pipeline: Pipeline,
    targets: Sequence[Target] = TARGETS,
    subjects: Sequence[Subject] | None = None,
    mask: str | None = None,
) -> Recorded:
    """Read what is decoded: the runs that the pipeline uses, of all subjects or of some.

    Parameters
    ----------
    study : Study
    pipeline : Pipeline
    targets : sequence of {"level", "words"}
    subjects : sequence of int or str, optional
    mask : str, optional
        As :meth:`~fmri_audio.study.reader.Study.mask` takes it; ``auditory`` where voxels have a place and everything
        where they have none, unless given.

    Raises
    ------
    UserError
        A run that the pipeline names is not there, a subject is not, or there is filler among the volumes used.
    """
    names = [run.name for run, _ in study.facts.kept()]
    wanted = names if pipeline.runs is None else pipeline.runs
    if lacking := [name for name in wanted if name not in names]:
        raise UserError(
            f"{study.folder}: there is no run {lacking[0]}; it has {', '.join(names)} (runs, in {PIPELINE_FILE})"
        )
    kept = [(run.name, block) for run, block in study.facts.kept() if run.name in wanted]
    rows = np.concatenate([np.arange(*block) for _, block in kept])
    edges = np.concatenate([[0], np.cumsum([last - first for _, (first, last) in kept])])
    everything = mask is None and not study.placed
    voxels = np.ones(study.shape, bool) if everything else study.mask(mask or "auditory")
    place = np.concatenate([np.arange(*block) for _, block in study.facts.kept()])
    within = np.isin(place, rows)
    bold = {subject: study.bold(subject, voxels)[rows] for subject in (subjects or study.subjects)}
    for subject, volumes in bold.items():
        if not np.isfinite(volumes).all():
            raise UserError(
                f"{study.path(subject)}: some of the TRs used are filler, the same volume over and over; leave out "
                f"subject {subject}"
            )
    return Recorded(
        bold,
        {name: heard(study.folder, study.facts, name)[within] for name in targets},
        [(int(a), int(b)) for a, b in itertools.pairwise(edges)],
        [name for name, _ in kept],
        study.tr,
        study.shift,
    )


@dataclass(frozen=True)
class Decoded:
    """Predictions of every subject, from the own brain and from the others' mean, for each target.

    Attributes
    ----------
    within, across : mapping of target to mapping of subject to array [TRs]
    """

    within: dict[str, dict[Subject, Series]]
    across: dict[str, dict[Subject, Series]]


def decode_all(
    what: Recorded,
    pipeline: Pipeline,
    groups: Sequence[Sequence[Subject]],
    say: Callable[[str], None] = print,
) -> Decoded:
    """Decode every target from every subject of the groups; across subjects, from the others of the same group."""
    splits = pipeline.splits(what.runs, what.tr, what.shift)
    found = Decoded({t: {} for t in what.heard}, {t: {} for t in what.heard})
    for group in groups:
        total = np.sum([_standard(what.bold[one], what.runs) for one in group], axis=0)
        for subject in group:
            for target, true in what.heard.items():
                own = what.bold[subject]
                found.within[target][subject] = series.decode(
                    own, true, splits, pipeline, what.tr, what.shift
                )
                if len(group) > 1:
                    others = (total - _standard(own, what.runs)) / (len(group) - 1)
                    found.across[target][subject] = series.decode(
                        others, true, splits, pipeline, what.tr, what.shift, tested=own
                    )
            say(f"decoded {subject}")
    return found


def _standard(bold: Matrix, runs: Sequence[Block]) -> Matrix:
    """Every run of mean 0 and deviation 1, so that no subject outweighs another in a mean."""
    result = np.zeros_like(bold, dtype=np.float32)
    for first, last in runs:
        block = np.asarray(bold[first:last], np.float64)
        spread = block.std(axis=0)
        result[first:last] = (block - block.mean(axis=0)) / np.where(spread > 1e-9, spread, 1.0)
    return result


def rows_of(
    what: Recorded, pipeline: Pipeline, decoded: Decoded, group: str, subjects: Sequence[Subject]
) -> Iterator[Row]:
    """All quantities of one group: within, across, and from the mean of their predictions."""
    blocks = [split.test_block for split in pipeline.splits(what.runs, what.tr, what.shift)]
    gap = round(SHIFT_GAP_SECONDS / float(what.tr))
    splits = pipeline.splits(what.runs, what.tr, what.shift)
    several = series.readers([what.bold[one] for one in subjects], splits, pipeline, what.tr, what.shift)
    for target, true in what.heard.items():
        anew = {
            arm: series.fitted_anew(readers, true, what.runs, gap)
            for arm, readers in (("within", several), ("averaged", [Reader.mean(several)]))
        }
        arms = {"within": [decoded.within[target][one] for one in subjects]}
        if len(subjects) > 1:
            arms["across"] = [decoded.across[target][one] for one in subjects]
            arms["averaged"] = [np.mean(arms["within"], axis=0)]
        for arm, predicted in arms.items():
            label = (target, arm, group, len(subjects) if arm == "averaged" else 1, len(blocks) - 1)
            for detail, prepare in kept(what):
                found = series.score(
                    predicted, true, blocks, gap, prepare, anew=anew.get(arm) if detail == AS_IT_IS else None
                )
                yield _row("r", detail, found, *label)
            for other, given in what.heard.items():
                if other != target:
                    found = series.score(predicted, true, blocks, gap, given=given)
                    yield _row("partial r", f"given {other}", found, *label)
            for seconds in SEGMENT_SECONDS:
                n_trs = round(seconds / float(what.tr))
                told = series.identified(predicted, true, blocks, n_trs, gap, DISTANCE_TRS)
                yield _row("identified", f"{seconds} s", told, *label)
            yield _bits(predicted, true, blocks, what, gap, label)


def kept(what: Recorded) -> list[tuple[str, series.Prepare]]:
    """What is kept of a series before it is compared, with its name: all, what is fast, and every octave."""
    bands = [
        (f"{shortest or 2 * float(what.tr):g} to {longest:g} s", series.band(what.tr, shortest, longest))
        for shortest, longest in series.octaves(what.tr)
    ]
    fast = (f"{HIGH_PASS_SECONDS:g} s and faster", series.high_pass(what.tr, HIGH_PASS_SECONDS))
    return [(AS_IT_IS, series.as_it_is), fast, *bands]


def _row(
    quantity: str, detail: str, found: Score, target: str, arm: str, group: str, n_subjects: int, n_runs: int
) -> Row:
    each = found.per_subject_run
    low, high = series.interval(each.mean(axis=0))
    between_low, between_high = series.interval(each.mean(axis=1)) if len(each) > 1 else (None, None)
    null = found.null
    return Row(
        quantity,
        target,
        detail,
        arm,
        group,
        n_subjects,
        n_runs,
        found.mean,
        low,
        high,
        between_low,
        between_high,
        float(null.mean()),
        float(null.std()),
        float(np.quantile(null, 0.95)),
        len(null),
        found.effective_shifts,
        found.p,
        each.size,
        None if found.anew is None else float(found.anew[0]),
    )


def _bits(
    predicted: Sequence[Series],
    true: Series,
    blocks: Sequence[Block],
    what: Recorded,
    gap: int,
    label: tuple[str, str, str, int, int],
) -> Row:
    """Bits per TR less those by chance, with intervals over runs (each run by itself) and over subjects."""
    target, arm, group, n_subjects, n_runs = label
    found = np.array(
        [[series.shared_bits(one, true, [block], what.tr, gap) for block in blocks] for one in predicted]
    )
    each = found[:, :, 0] - found[:, :, 1]
    low, high = series.interval(each.mean(axis=0))
    between_low, between_high = series.interval(each.mean(axis=1)) if len(each) > 1 else (None, None)
    return Row(
        "bits per TR",
        target,
        "less chance",
        arm,
        group,
        n_subjects,
        n_runs,
        float(each.mean()),
        low,
        high,
        between_low,
        between_high,
        float(found[:, :, 1].mean()),
        None,
        None,
        None,
        None,
        None,
        each.size,
    )


def by_subjects(what: Recorded, pipeline: Pipeline, decoded: Decoded, seed: int) -> Iterator[Row]:
    """How correlation grows with the number of subjects whose predictions are averaged, 1 to all of them."""
    blocks = [split.test_block for split in pipeline.splits(what.runs, what.tr, what.shift)]
    gap = round(SHIFT_GAP_SECONDS / float(what.tr))
    rng = np.random.default_rng(seed)
    for target, true in what.heard.items():
        own = [decoded.within[target][one] for one in what.subjects]
        for n in range(1, len(own) + 1):
            groups = _drawn(rng, len(own), n)
            predicted = [np.mean([own[i] for i in group], axis=0) for group in groups]
            label = (target, "averaged", EVERYBODY, n, len(blocks) - 1)
            yield _row("r", "as it is", series.score(predicted, true, blocks, gap), *label)
            fast = series.high_pass(what.tr, HIGH_PASS_SECONDS)
            yield _row(
                "r",
                f"{HIGH_PASS_SECONDS:g} s and faster",
                series.score(predicted, true, blocks, gap, fast),
                *label,
            )
            told = series.identified(predicted, true, blocks, round(24 / float(what.tr)), gap, DISTANCE_TRS)
            yield _row("identified", "24 s", told, *label)


def by_runs(
    what: Recorded,
    pipeline: Pipeline,
    subjects: Sequence[Subject],
    seed: int,
    say: Callable[[str], None] = print,
) -> Iterator[Row]:
    """How correlation grows with the number of runs trained on, within subjects."""
    splits = pipeline.splits(what.runs, what.tr, what.shift)
    blocks = [split.test_block for split in splits]
    gap = round(SHIFT_GAP_SECONDS / float(what.tr))
    rng = np.random.default_rng(seed)
    for n in range(1, len(blocks)):
        some = [with_runs(split, rng.choice(len(split.train_blocks), n, replace=False)) for split in splits]
        for target, true in what.heard.items():
            predicted = [
                series.decode(what.bold[one], true, some, pipeline, what.tr, what.shift) for one in subjects
            ]
            label = (target, "within", HELD_BACK, 1, n)
            yield _row("r", "as it is", series.score(predicted, true, blocks, gap), *label)
            averaged = series.score([np.mean(predicted, axis=0)], true, blocks, gap)
            yield _row("r", "as it is", averaged, target, "averaged", HELD_BACK, len(subjects), n)
        say(f"trained on {n} runs")


def with_runs(split: Split, which: NDArray[np.int64]) -> Split:
    """Train a split on some of its blocks alone."""
    chosen = sorted(int(i) for i in which)
    blocks = tuple(split.train_blocks[i] for i in chosen)
    used = (*blocks, split.test_block)
    return replace(
        split,
        train_blocks=blocks,
        bold_train=tuple(split.bold_train[i] for i in chosen),
        runs=tuple(run for run in split.runs if any(run[0] <= first < run[1] for first, _ in used)),
    )


def _drawn(rng: np.random.Generator, total: int, n: int) -> list[tuple[int, ...]]:
    """Different groups of ``n``, at most :data:`DRAWS` of them, all of them where there are no more."""
    every = list(itertools.combinations(range(total), n)) if n in (1, total - 1, total) else None
    if every is not None and len(every) <= DRAWS:
        return every
    found: dict[tuple[int, ...], None] = {}
    while len(found) < DRAWS:
        found[tuple(sorted(int(i) for i in rng.choice(total, n, replace=False)))] = None
    return list(found)


# -- what is played --------------------------------------------------------------------------------------------


def excerpt(
    study: Study, what: Recorded, pipeline: Pipeline, decoded: Decoded, run: str, first_second: int
) -> list[dict[str, float]]:
    """The level of one stretch of a run, as it was and as it is decoded, in dB, one row per frame of 40 ms.

    What has one value per TR has it in every frame of that TR. Predictions shrink towards the mean, as those of ridge
    do, and stay as they are.

    Raises
    ------
    UserError
        The study has no table of the level, or no such run.
    """
    if run not in what.names:
        raise UserError(
            f"--excerpt {run}:{first_second}: there is no run {run}; choose from {', '.join(what.names)}"
        )
    one = next(r for r in study.facts.runs if r.name == run)
    if one.level is None:
        raise UserError(f"{study.folder}: run {run} has no table of its level to play")
    block, tr = what.runs[what.names.index(run)], float(what.tr)
    held_back = [s for s in what.subjects if s not in pipeline.fixed_on]
    own = decoded.within["level"]
    columns = {
        "tr_level": what.heard["level"],
        "one_brain": own[held_back[0]],
        "all_brains": np.mean([own[s] for s in what.subjects], axis=0),
        "no_brain": series.without_brain(
            what.heard["level"], pipeline.splits(what.runs, what.tr, what.shift)
        ),
    }
    onset, _, power = read_level(study.folder / one.level)
    seconds = one.skip_trs * tr + first_second + np.arange(0, EXCERPT_SECONDS, FRAME_SECONDS)
    fine = level_db(np.interp(seconds, onset, power))
    rows = block[0] + ((seconds - one.skip_trs * tr) / tr + 1e-9).astype(int)
    return [
        {
            "seconds": round(float(moment - seconds[0]), 2),
            "level": float(fine[k]),
            **{name: float(values[rows[k]]) for name, values in columns.items()},
        }
        for k, moment in enumerate(seconds)
    ]


# -- the command -----------------------------------------------------------------------------------------------


def account(study: Study, pipeline: Pipeline, what: Recorded) -> dict[str, object]:
    """Hashes of all that went in, and who was in which group."""
    scans = {str(s): [scan.path for scan in study.scans(s)] for s in what.subjects}
    tables = {name for run in study.facts.runs for name in (run.level, run.words, run.stimulus) if name}
    files = {path.relative_to(study.folder).as_posix(): path for paths in scans.values() for path in paths}
    files |= {name: study.folder / name for name in sorted(tables)}
    return {
        "study": study.name,
        "pipeline": pipeline.model_dump(mode="json"),
        "subjects": [str(one) for one in what.subjects],
        HELD_BACK: [str(one) for one in what.subjects if one not in pipeline.fixed_on],
        "runs": what.names,
        "trs": len(next(iter(what.heard.values()))),
        "tr": str(what.tr),
        "made_by": fingerprint("fmri_audio.experiments.real_brains", *LAYOUTS.modules()),
        "files": {name: sha256_of(path) for name, path in sorted(files.items())},
    }


def compute(study: Study, pipeline: Pipeline, seed: int = 20) -> tuple[list[Row], Recorded, Decoded]:
    """Compute the whole table."""
    what = recorded(study, pipeline)
    held_back = [one for one in what.subjects if one not in pipeline.fixed_on]
    fixed_on = [one for one in what.subjects if one in pipeline.fixed_on]
    groups = {name: group for name, group in ((HELD_BACK, held_back), (FIXED_ON, fixed_on)) if group}
    decoded = decode_all(what, pipeline, list(groups.values()))
    rows = [row for name, group in groups.items() for row in rows_of(what, pipeline, decoded, name, group)]
    rows += by_subjects(what, pipeline, decoded, seed)
    rows += by_runs(what, pipeline, held_back, seed + 1)
    return rows, what, decoded


def read(path: Path | None = None) -> list[Row]:
    """Read the table of the project, or another one.

    Raises
    ------
    UserError
        It is not there.
    """
    return read_rows(Row, path or project_root() / TABLE, "make real-brains")


def main(words: Sequence[str]) -> None:
    """Compute and write the published table."""
    parser = argparse.ArgumentParser(
        prog="python -m programs real-brains",
        description="Rewrite results/real-brains.csv from a measured study.",
    )
    parser.add_argument("folder", type=Path, help="of the study, as make data STUDY=studyforrest fetches it")
    parser.add_argument("--pipeline", type=Path, default=project_root() / PIPELINE_FILE)
    parser.add_argument("--out", type=Path, default=project_root(), help="folder that holds results/")
    parser.add_argument("--excerpt", default="6:300", help="RUN:SECOND that is played (default: %(default)s)")
    options = parser.parse_args(list(words))
    paths = [options.out / name for name in (TABLE, EXCERPT, ACCOUNT)]
    for path in paths:
        check_writable(path)
    pipeline, study = Pipeline.read(options.pipeline), Study.open(options.folder)
    rows, what, decoded = compute(study, pipeline)
    run, _, second = options.excerpt.partition(":")
    played = excerpt(study, what, pipeline, decoded, run, int(second))
    write_rows(rows, paths[0], digits=4)
    with replacing(paths[1]) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(played[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: f"{v:.4g}" for k, v in row.items()} for row in played)
    write_text(paths[2], json.dumps(account(study, pipeline, what), indent=1) + "\n")
    print(f"wrote {', '.join(str(path) for path in paths)}")
