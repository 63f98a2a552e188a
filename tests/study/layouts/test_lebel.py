"""The stories of LeBel et al.: matrices of a subject's own voxels, which begin 10 s after the sound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fmri_audio.base.errors import UserError
from fmri_audio.study.checker import check_study
from fmri_audio.study.reader import Study, find_study
from tests.study import open_data

pytest.importorskip("h5py", reason="needs the extra matrices")


def test_a_story_is_a_run_that_begins_ten_seconds_into_the_sound(tmp_path: Path) -> None:
    study = Study.open(open_data.lebel(tmp_path))
    assert (study.tr, study.shift, study.subjects) == (2, 0, ["UTS01", "UTS02"]) and not study.placed
    assert [(run.name, run.n_trs, run.stimulus_lead, run.stimulus) for run in study.runs] == [
        ("adollshouse", 46, 10, "stimuli/adollshouse.wav"),
        ("wheretheressmoke", 50, 10, "stimuli/wheretheressmoke.wav"),
    ]
    bold = study.bold("UTS02", study.mask("all"))
    assert bold.dtype == np.float32 and bold.shape == (96, 64)
    assert open_data.first_voxel(bold) == [*range(46), *range(50)]


def test_voxels_of_two_brains_are_one_subject_each(tmp_path: Path) -> None:
    folder = open_data.lebel(tmp_path, n_voxels=(64, 50))
    [problem, *_] = check_study(folder).problems
    assert problem.startswith(
        "adollshouse.hf5: 50 voxels, the first subject has 64: voxels of different brains do not correspond; choose"
    )
    both = Study.open(folder)
    with pytest.raises(UserError, match="50×1×1×46 volumes on its own grid"):
        both.bold("UTS02", both.mask("all"))
    alone = Study.open(folder, space="UTS02")
    assert alone.subjects == ["UTS02"] and alone.bold("UTS02", alone.mask("all")).shape == (96, 50)
    assert check_study(folder, space="UTS02").problems == []
    with pytest.raises(
        UserError, match="study.space: it is UTS09, and .* voxels of UTS01, UTS02; choose one"
    ):
        find_study(folder, space="UTS09")


def test_a_mask_is_a_truth_value_per_voxel(tmp_path: Path) -> None:
    study = Study.open(open_data.lebel(tmp_path), space="UTS01")
    np.save(tmp_path / "mask.npy", np.arange(64) < 3)
    assert study.bold("UTS01", study.mask(str(tmp_path / "mask.npy"))).shape == (96, 3)
    for values, said in (
        (np.ones(63, bool), "has another shape than the study's 64 voxels; give a .npy file of 64 truth"),
        (np.zeros(64, bool), "the mask is empty"),
        (np.array(["a"] * 64), "holds no numbers"),
    ):
        np.save(tmp_path / "mask.npy", values)
        with pytest.raises(UserError, match=said):
            study.mask(str(tmp_path / "mask.npy"))
    (tmp_path / "mask.npy").write_bytes(b"no array")
    with pytest.raises(UserError, match="no mask for them is in this file"):
        study.mask(str(tmp_path / "mask.npy"))


def test_stories_that_not_all_heard_are_left_out_unless_asked_for(tmp_path: Path) -> None:
    folder = open_data.lebel(tmp_path)
    open_data.write_hdf5(
        folder / "derivative/preprocessed_data/UTS01/life.hf5", open_data.counted("life", 430)
    )
    found = find_study(folder)
    assert [run.name for run in found.facts.runs] == ["adollshouse", "wheretheressmoke"]
    assert "1 stories that not all of these subjects heard are left out" in found.notes
    with pytest.raises(UserError, match="study.story: UTS02 did not hear life; choose another"):
        find_study(folder, story="life")
    alone = find_study(folder, story="life", space="UTS01")
    assert [run.n_trs for run in alone.facts.runs] == [430]
    assert alone.silent == ["stimuli/life.wav is missing; fetch it: it is the sound of life"]


def test_what_is_not_fetched_is_said(tmp_path: Path) -> None:
    folder = open_data.lebel(tmp_path)
    with pytest.raises(UserError, match="has no tasks, every story is one"):
        find_study(folder, task="life")
    path = folder / "derivative/preprocessed_data/UTS01/adollshouse.hf5"
    path.write_bytes(path.read_bytes()[:300])
    assert any("adollshouse.hf5: cannot be read as HDF5" in one for one in check_study(folder).problems)
    path.unlink()
    path.symlink_to("../../.git/annex/objects/gone")
    assert any("adollshouse.hf5" in one and "fetch" in one for one in check_study(folder).problems)
    (folder / "derivative/respdict.json").unlink()
    with pytest.raises(UserError, match="respdict.json is missing; fetch it: it says how many volumes"):
        find_study(folder)
    (tmp_path / "ds003020").mkdir()
    with pytest.raises(UserError, match="no matrices below derivative/preprocessed_data; fetch UTS01"):
        find_study(tmp_path / "ds003020")


def test_words_of_a_story_are_its_segments(tmp_path: Path) -> None:
    folder = open_data.lebel(tmp_path)
    open_data.textgrid(folder / "derivative/TextGrids/adollshouse.TextGrid", [(0, 1, "once")], 112)
    assert find_study(folder).facts.runs[0].segments == "derivative/TextGrids/adollshouse.TextGrid"
