"""The raw Sherlock film: cropped per subject, joined as the release, and not shifted."""

from __future__ import annotations

from pathlib import Path

import pytest

from fmri_audio.base.errors import UserError
from fmri_audio.study.layouts import sherlock, sherlock_raw
from fmri_audio.study.reader import Study, find_study
from tests.study import open_data, trees


def test_every_subject_is_cropped_as_the_readme_says(tmp_path: Path) -> None:
    study = Study.open(open_data.sherlock_raw(tmp_path))
    assert study.subjects == ["03", "04"] and study.shift == 0 and study.tr == sherlock.RELEASE.tr
    runs = [(run.name, run.first_tr, run.n_trs, run.skip_trs, run.stimulus_lead) for run in study.runs]
    assert runs == [("1", 0, 60, 26, 0), ("2", 60, 64, 26, 0)]
    for subject, first in (("03", 20), ("04", 6)):
        rows = open_data.first_voxel(study.bold(subject, open_data.one_voxel()))
        assert rows == [*range(first, first + 60), *range(first, first + 64)]


def test_the_readme_of_the_data_set_and_what_is_known_agree() -> None:
    parts = sherlock_raw.parts_in(open_data.crops(20))
    assert parts == sherlock_raw.KNOWN
    assert [n_trs for n_trs, _ in parts.values()] == [946, 1030]
    assert {first for _, crops in parts.values() for first in crops.values()} == {6, 20}
    assert sherlock_raw.parts_in("Sixteen subjects watched a film.") is None


def test_without_its_readme_what_is_known_is_taken_with_a_note(tmp_path: Path) -> None:
    folder = open_data.sherlock_raw(tmp_path)
    (folder / "README").unlink()
    found = find_study(folder)
    assert [run.n_trs for run in found.facts.runs] == [946, 1030]
    assert [scan.first_volume for scan in found.scans["04"]] == [6, 6]
    assert found.notes[0].startswith("README's tables of TRs to crop are not there")
    assert "not shifted, there by 3 TRs" in found.notes[-1]


def test_raw_scans_alone_are_the_users_to_preprocess(tmp_path: Path) -> None:
    trees.plant(
        tmp_path, ["sub-01/func/sub-01_task-sherlockPart1_bold.nii.gz", "derivatives/PCC_481vox_3mm.nii"]
    )
    with pytest.raises(
        UserError,
        match=r"its scans are raw and preprocessing is yours: run fMRIPrep with --output-spaces MNI152\w+ .*"
        r"derivatives/fmriprep/sub-01/func/sub-01_task-sherlockPart1_space-MNI152\w+_desc-preproc_bold.nii.gz",
    ):
        find_study(tmp_path)


def test_what_is_missing_is_listed_with_its_remedy(tmp_path: Path) -> None:
    folder = open_data.sherlock_raw(tmp_path, subjects=(3, 4, 17))
    (folder / trees.preprocessed("sub-03_task-sherlockPart2")).unlink()
    (folder / "stimuli/sherlockPart1.wav").unlink()
    found = find_study(folder)
    assert found.facts.subjects == ["04"]
    said = "\n".join(found.problems)
    assert "sub-03_task-sherlockPart2_space-MNI152NLin2009cAsym…_desc-preproc_bold.nii.gz is missing" in said
    assert "sub-17_task-sherlockPart1: README says nothing of how many TRs come before the film" in said
    assert "stimuli/sherlockPart1.m4v is missing, as the film is not in the data set: put your copy" in said
    assert found.silent == [one for one in found.problems if "film is not in" in one]


def test_one_part_can_be_asked_for(tmp_path: Path) -> None:
    folder = open_data.sherlock_raw(tmp_path)
    [run] = find_study(folder, task="sherlockPart2").facts.runs
    assert (run.name, run.n_trs, run.skip_trs) == ("2", 64, 26)
