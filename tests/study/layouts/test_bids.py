"""A BIDS data set as Narratives lie on disk: which volumes, which sound, who is left out, and what is ambiguous."""

from __future__ import annotations

import json
import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile

from fmri_audio.base.errors import UserError
from fmri_audio.study.checker import check_study
from fmri_audio.study.layouts.bids import find_bids
from fmri_audio.study.reader import Study
from tests.study import made

SPACE = "MNI152NLin2009cAsym"
SMALL = (4, 4, 4)
EVENTS = [(0.0, 6.0, "music", "tale_audio.wav"), (8.0, 60.0, "story", "tale_audio.wav")]
"""Six seconds of music and the story after it, in one file: the story begins with TR 5 and lasts 40."""


def add_scan(folder: Path, stem: str, n_trs: int = 50, seed: int = 0, space: str = SPACE) -> Path:
    return made.write_scan(made.scan_path(folder, stem, space), made.noise(n_trs, seed, SMALL))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two subjects who heard one story; a third, twice, of whom the first scan is excluded."""
    folder = tmp_path / "tales"
    for stem in (
        "sub-001_task-tale",
        "sub-002_task-tale",
        "sub-003_task-tale_run-1",
        "sub-003_task-tale_run-2",
        "sub-003_task-tale_run-3",
    ):
        add_scan(folder, stem, seed=int(stem[6]) + 10 * int(stem[-1] if "run" in stem else 0))
        made.write_events(folder, stem, EVENTS)
    made.write_json(folder / "code" / "scan_exclude.json", {"tale": {"sub-003": ["sub-003_task-tale_run-1"]}})
    made.write_json(folder / "dataset_description.json", {"Name": "Tales"})
    (folder / "stimuli").mkdir()
    soundfile.write(folder / "stimuli" / "tale_audio.wav", made.bursts(70), made.RATE)
    return folder


def first_voxel(bold: np.ndarray) -> list[int]:
    return np.round((bold[:, 0] - 1000) * 10).astype(int).tolist()


def one_voxel() -> np.ndarray:
    mask = np.zeros(SMALL, bool)
    mask[0, 0, 0] = True
    return mask


def test_a_run_is_the_story_and_nothing_around_it(folder: Path) -> None:
    study = Study.open(folder)
    assert (study.name, study.subjects, study.shift, study.tr) == (
        "Tales, tale",
        ["001", "002", "003"],
        0,
        made.TR,
    )
    [run] = study.runs
    assert (run.name, run.n_trs, run.stimulus, run.skip_trs) == ("tale", 40, "stimuli/tale_audio.wav", 0)
    assert run.stimulus_lead == Fraction(
        15, 2
    )  # the file began with the music, 5 TRs before the story's first
    assert first_voxel(study.bold("001", one_voxel())) == list(range(5, 45))
    assert study.path("003") == made.scan_path(folder, "sub-003_task-tale_run-2")


def test_exclusions_and_repetitions_are_noted(folder: Path) -> None:
    found = find_bids(folder)
    assert found.problems == []
    assert found.notes == [
        "sub-003_task-tale_run-1 is excluded by code/scan_exclude.json",
        "sub-003_task-tale_run-3 repeats tale and is not used",
    ]


def test_event_meta_goes_before_events_and_may_hold_two_stories(folder: Path) -> None:
    meta = {"tale": {"after": {"onset": 30, "duration": 15}, "before": {"onset": 5, "duration": 20}}}
    made.write_json(folder / "code" / "event_meta.json", meta)
    study = Study.open(folder)
    assert [(run.name, run.first_tr, run.n_trs) for run in study.runs] == [
        ("before", 0, 20),
        ("after", 20, 15),
    ]
    assert first_voxel(study.bold("002", one_voxel())) == [*range(5, 25), *range(30, 45)]
    assert [run.stimulus_lead for run in study.runs] == [Fraction(15, 2), 45]
    [after] = Study.open(folder, story="after").runs
    assert (after.name, after.first_tr, after.n_trs) == ("after", 0, 15)
    with pytest.raises(
        UserError, match=r"nobody heard other in task tale; choose one of after \(3 subjects\), before"
    ):
        Study.open(folder, story="other")


def test_the_sound_of_one_story_may_be_a_file_of_its_own(folder: Path) -> None:
    meta = {"tale": {"before": {"onset": 5, "duration": 20}, "after": {"onset": 30, "duration": 15}}}
    made.write_json(folder / "code" / "event_meta.json", meta)
    shutil.rmtree(folder / "sub-001")
    for path in folder.glob("sub-*/func/*_events.tsv"):
        path.unlink()
    (folder / "stimuli" / "tale_audio.wav").rename(folder / "stimuli" / "after_audio.wav")
    found = find_bids(folder)
    assert [(run.stimulus, run.stimulus_lead) for run in found.facts.runs] == [
        (None, None),
        ("stimuli/after_audio.wav", None),
    ]
    assert found.problems == ["stimuli/before_audio.wav is missing; add the sound of before"]


def test_whoever_heard_another_sound_is_not_mixed_in(folder: Path) -> None:
    other = [(onset, duration, kind, "tale2_audio.wav") for onset, duration, kind, _ in EVENTS]
    made.write_events(folder, "sub-002_task-tale", other)
    soundfile.write(folder / "stimuli" / "tale2_audio.wav", made.bursts(70), made.RATE)
    with pytest.raises(
        UserError, match=r"not everybody heard the same in task tale; choose one of tale \(2 .*tale2"
    ):
        Study.open(folder)
    assert Study.open(folder, story="tale").subjects == ["001", "003"]
    assert Study.open(folder, story="tale2").subjects == ["002"]


def test_ambiguity_is_one_sentence_with_the_choices(folder: Path) -> None:
    add_scan(folder, "sub-001_task-recall")
    with pytest.raises(UserError, match=r"study.task: it names none, and .* has recall, tale; choose one"):
        Study.open(folder)
    with pytest.raises(UserError, match=r"study.task: it is song, and .* has recall, tale"):
        Study.open(folder, task="song")
    assert Study.open(folder, task="tale").subjects == ["001", "002", "003"]
    with pytest.raises(UserError, match=rf"study.space: it is T1w, and .* has {SPACE}; choose"):
        Study.open(folder, task="tale", space="T1w")
    twin = made.scan_path(folder, "sub-001_task-tale")
    shutil.copy(twin, twin.with_name(twin.name.replace("res-native", "res-2")))
    with pytest.raises(UserError, match=r"are the same scan; keep one of them"):
        Study.open(folder, task="tale")


def test_study_yml_may_choose_and_declare_a_shift(folder: Path) -> None:
    add_scan(folder, "sub-001_task-recall")
    (folder / "study.yml").write_text("layout: bids\ntask: tale\nshift_trs: 2\n")
    study = Study.open(folder)
    assert study.shift == 2 and study.runs[0].name == "tale"
    (folder / "study.yml").write_text("layout: bids\ntasks: tale\n")
    with pytest.raises(UserError, match=r"study\.yml: tasks"):
        Study.open(folder)


def test_the_derivatives_alone_are_enough_with_event_meta(folder: Path) -> None:
    made.write_json(folder / "code" / "event_meta.json", {"tale": {"tale": {"onset": 5, "duration": 40}}})
    inside = folder / "derivatives" / "fmriprep"
    sound = Study.open(inside).runs[0].stimulus
    assert sound is not None and (inside / sound).samefile(folder / "stimuli" / "tale_audio.wav")


def test_a_side_file_states_the_tr_before_the_header(folder: Path) -> None:
    path = made.scan_path(folder, "sub-001_task-tale")
    made.write_json(path.with_name(path.name.replace(".nii.gz", ".json")), {"RepetitionTime": 2.0})
    assert Study.open(folder).tr == 2
    problems = check_problems(folder)
    assert any("its header says a TR of 1.5 s, the study 2 s" in problem for problem in problems)


def check_problems(folder: Path) -> list[str]:
    return check_study(folder).problems


def test_nothing_that_tells_when_the_story_began_is_refused(folder: Path) -> None:
    for path in folder.glob("sub-*/func/*_events.tsv"):
        path.unlink()
    with pytest.raises(
        UserError, match=r"neither sub-001_task-tale_events.tsv nor code/event_meta.json tells when"
    ):
        Study.open(folder)
    made.write_json(folder / "code" / "event_meta.json", {"tale": {"tale": {"onset": "soon"}}})
    with pytest.raises(UserError, match=r"event_meta.json: tale should hold onset and duration in TRs"):
        Study.open(folder)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            [(0, 5, "click", "a.wav"), (9, 5, "click", "b.wav")],
            "2 events with different sounds and none of trial_type",
        ),
        ([("soon", 5, "story", "a.wav")], "should be a table with onset and duration in seconds"),
        ([], "there is no row"),
    ],
)
def test_events_that_do_not_tell_are_refused(folder: Path, rows: list[tuple[object, ...]], said: str) -> None:
    made.write_events(folder, "sub-001_task-tale", rows)
    with pytest.raises(UserError, match=said):
        Study.open(folder)


def test_everything_that_is_missing_is_listed(folder: Path) -> None:
    raw = folder / "sub-004" / "func" / "sub-004_task-tale_bold.nii.gz"
    made.write_scan(raw, made.noise(50, 4, SMALL))
    longer = [EVENTS[0], (8.0, 63.0, "story", "tale_audio.wav")]
    made.write_events(folder, "sub-002_task-tale", longer)
    problems = find_bids(folder).problems
    assert any(problem.startswith(f"sub-004_task-tale_space-{SPACE}") for problem in problems)
    assert "sub-002: tale lasts 42 TRs in its events, 40 in the others'; correct them" in problems
    add_scan(folder, "sub-001_task-tale", n_trs=44)
    assert any(
        "44 volumes, what was heard lasts until volume 45" in problem for problem in check_problems(folder)
    )


def test_the_layout_of_narratives(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "narratives-layout"
    if not source.is_dir():
        pytest.skip(f"needs {source}")
    folder = tmp_path / "narratives"
    for name in ("event_meta.json", "scan_exclude.json"):
        made.write_json(folder / "code" / name, json.loads((source / name).read_text()))
    for stem in (
        "sub-001_task-pieman_run-1",
        "sub-001_task-pieman_run-2",
        "sub-003_task-pieman_run-1",
        "sub-021_task-pieman",
        "sub-021_task-piemanpni",
        "sub-139_task-slumlordreach",
        "sub-140_task-slumlordreach",
    ):
        add_scan(folder, stem, n_trs=1200 if "reach" in stem else 300)
    pieman = find_bids(folder, "pieman")
    assert pieman.facts.subjects == ["003"] and len(pieman.notes) == 3
    assert pieman.scans["003"][0].first_volume == 10 and pieman.facts.runs[0].n_trs == 281
    assert find_bids(folder, "piemanpni").facts.subjects == ["021"]
    reach = find_bids(folder, "slumlordreach")
    assert reach.facts.subjects == ["140"]
    assert [(run.name, run.n_trs) for run in reach.facts.runs] == [("slumlord", 602), ("reach", 550)]
    assert [scan.first_volume for scan in reach.scans["140"]] == [20, 646]
    with pytest.raises(UserError, match="has pieman, piemanpni, slumlordreach; choose one"):
        find_bids(folder)
