"""SMN4Lang: a TR that no frame fits, scans that begin before the sound, volumes and grayordinates."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from fmri_audio.base.errors import UserError
from fmri_audio.study.checker import check_study
from fmri_audio.study.reader import Study, find_study
from tests.study import open_data, trees


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return open_data.smn4lang(tmp_path_factory.mktemp("smn") / "data")


def test_a_story_begins_with_the_sixteenth_volume(folder: Path) -> None:
    study = Study.open(folder)
    assert study.tr == Fraction(71, 100) and study.subjects == ["01", "02"] and study.placed
    assert [(run.name, run.n_trs, run.stimulus_lead) for run in study.runs] == [
        ("story_1", 57, 0),
        ("story_2", 113, 0),
    ]
    rows = open_data.first_voxel(study.bold("02", open_data.one_voxel()))
    assert rows == [*range(15, 15 + 57), *range(15, 15 + 113)]


def test_grayordinates_are_a_space_and_hold_the_same(folder: Path) -> None:
    volumes, matrix = Study.open(folder), Study.open(folder, space="CIFTI")
    assert matrix.shape == (64, 1, 1) and not matrix.placed and matrix.facts == volumes.facts
    everywhere = [study.bold("01", study.mask("all")) for study in (volumes, matrix)]
    np.testing.assert_array_equal(*everywhere)
    with pytest.raises(
        UserError, match="study.mask: auditory lies in MNI, and the scans are matrices whose 64"
    ):
        matrix.mask("auditory")


def test_the_check_looks_at_all_grayordinates(folder: Path) -> None:
    report = check_study(folder, space="CIFTI")
    assert report.problems == [] and "64×1×1" in report.table
    assert any("matrices whose voxels have no place" in note for note in report.notes)
    assert report.warnings == []


def test_sixty_runs_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    place = tmp_path / "derivatives/preprocessed_data/sub-01/MNI"
    for run in (1, 2, 10, 60):
        trees.plant(place, [f"sub-01_task-RDR_run-{run}_bold.nii.gz"])
        raw = tmp_path / "sub-01/func"
        rows = [("10.650000", "406.416000", f"audio/story_{run}.wav")]
        trees.tell(raw / f"sub-01_task-RDR_run-{run}_events.tsv", rows, "onset\tduration\tstim_file")
    trees.plant(place, ["sub-01_task-rest_run-1_bold.nii.gz"])
    (tmp_path / "task-RDR_bold.json").write_text('{"RepetitionTime": 0.71}')
    trees.plant(raw, ["sub-01_task-RDR_run-3_bold.nii.gz"])
    found = find_study(tmp_path)
    assert [run.name for run in found.facts.runs] == ["story_1", "story_2", "story_10", "story_60"]
    assert {run.n_trs for run in found.facts.runs} == {572}
    assert {scan.first_volume for scan in found.scans["01"]} == {15}
    assert (
        "sub-01_task-RDR_run-3_bold.nii.gz is missing below derivatives/preprocessed_data/…/MNI; fetch it"
        in (found.problems)
    )
    assert "stimuli/audio/story_60.wav is missing; add the sound of story_60" in found.silent


def test_nothing_fetched_is_one_sentence(tmp_path: Path) -> None:
    trees.plant(tmp_path / "ds004078", ["sub-01/func/sub-01_task-RDR_run-1_bold.nii.gz"])
    with pytest.raises(UserError, match="no scans below derivatives/preprocessed_data; fetch sub-"):
        find_study(tmp_path / "ds004078")
