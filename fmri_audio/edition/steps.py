"""The steps before the notebooks: the sound prepared, encoded once for all bandwidths, and the study laid on disk."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from fmri_audio.base.files import replacing, to_json, write_if_changed
from fmri_audio.base.settings import Settings
from fmri_audio.edition.edition import Edition
from fmri_audio.edition.resolve import check_volumes, resolve
from fmri_audio.study.reader import write_facts
from fmri_audio.study.stimulus import is_measured, study_facts


def _write_encoding_marker(opened: Edition) -> None:
    """Encode the stimulus and say in ``encoding.json`` where it lies."""
    encoding = opened.encoding
    facts = {
        "key": opened._encoding_key,
        "cache": str(opened.cache),
        "codec": opened.checkpoint.id,
        "codebooks": encoding.codes.shape[0],
        "frames": encoding.codes.shape[1],
    }
    write_if_changed(opened.build / "encoding.json", to_json(facts))


def _write_study_marker(opened: Edition) -> None:
    """Lay the study on disk; a measured one stays where it is and leaves its facts in the build folder."""
    marker = opened.build / "study" / "study.yml"
    if is_measured(opened.settings):
        check_volumes(opened.settings, marker.with_name("checked.txt"))
    study = opened.study
    if study.folder.resolve() != marker.parent.resolve():
        with replacing(marker) as temporary:
            write_facts(study.facts, temporary)


def _all_subjects(settings: Settings) -> list[int | str]:
    """Everybody in a measured study."""
    return study_facts(settings).subjects if is_measured(settings) else []


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m programs", description="Steps before the notebooks.")
    steps = parser.add_subparsers(dest="step", required=True)
    first = steps.add_parser("resolve", help="check an edition and write it whole")
    first.add_argument("--edition", required=True)
    first.add_argument("--stimulus", default="")
    first.add_argument("--codec", default="")
    first.add_argument("--bandwidths", default="")
    first.add_argument("--decoder", default="")
    first.add_argument("--out", type=Path, required=True)
    for name, help_text in (
        ("stimulus", "prepare the sound"),
        ("encode", "encode it once"),
        ("study", "lay the study on disk"),
    ):
        step = steps.add_parser(name, help=help_text)
        step.add_argument("--edition", required=True)
        step.add_argument("--build", required=True)
    return parser


def _run(arguments: argparse.Namespace) -> None:
    if arguments.step == "resolve":
        notes = resolve(
            arguments.edition,
            arguments.out,
            arguments.stimulus,
            arguments.codec,
            arguments.bandwidths,
            arguments.decoder,
        )
        print(*notes, sep="\n")
        return
    opened = Edition.open(arguments.edition, build=arguments.build)
    if arguments.step == "stimulus":
        stimulus = opened.stimulus
        done = "; ".join(stimulus.steps)
        print(f"{stimulus.name}: {stimulus.n_trs} TRs; {done}; segments: {stimulus.segment_source}")
    elif arguments.step == "encode":
        _write_encoding_marker(opened)
        codebooks, frames = opened.encoding.codes.shape
        print(f"{opened.checkpoint.id}: {frames} frames, {codebooks} codebooks")
    else:
        _write_study_marker(opened)
        study, n_used = opened.study, opened.stimulus.n_trs
        print(f"study {study.name}: {len(study.subjects)} subjects, {study.n_trs} TRs, {n_used} of them used")
        for subject in sorted(set(_all_subjects(opened.settings)) - set(study.subjects), key=str):
            print(f"subject {subject} is left out: filler instead of data at some of these TRs")


def main(words: Sequence[str]) -> None:
    """Run one step; return the exit status."""
    _run(_parser().parse_args(words))
