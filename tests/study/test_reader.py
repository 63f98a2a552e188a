"""Reading a study, with and without study.yml, and what is said when it is broken."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import yaml

from fmri_audio.base.errors import UserError
from fmri_audio.study.checker import check_study
from fmri_audio.study.layouts.sherlock import RELEASE
from fmri_audio.study.reader import Study

from . import made
from .conftest import N_TRS, SHAPE


@pytest.fixture
def folder(study_folder: Path, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    return Path(shutil.copytree(study_folder, tmp_path / "study"))


def edit(folder: Path, **changes: object) -> None:
    path = folder / "study.yml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **changes}))


def rewrite(path: Path, change: object, affine: np.ndarray | None = None, tr: float = 1.5) -> None:
    image = nib.load(path)
    data = np.asarray(image.dataobj).copy()
    changed = change(data)  # type: ignore[operator]
    new = nib.Nifti1Image(data if changed is None else changed, image.affine if affine is None else affine)
    new.header.set_zooms((3, 3, 3, tr))
    new.header.set_xyzt_units("mm", "sec")
    new.to_filename(path)


def test_what_is_read_is_what_nibabel_reads(study_folder: Path) -> None:
    study = Study.open(study_folder)
    assert (study.subjects, study.n_trs, study.shift, study.simulated) == ([1, 2], N_TRS, 3, True)
    mask = study.mask()
    image = nib.load(study_folder / "sherlock_movie_s2.nii.gz")
    np.testing.assert_array_equal(study.bold(2, mask), np.asarray(image.dataobj)[mask].T)


def test_integers_with_a_scale_and_plain_nii_are_read(folder: Path) -> None:
    study = Study.open(folder)
    expected = study.bold(1, study.mask())
    image = nib.load(folder / "sherlock_movie_s1.nii.gz")
    scaled = nib.Nifti1Image(np.asarray(image.dataobj), image.affine)
    scaled.set_data_dtype(np.int16)
    scaled.to_filename(folder / "sherlock_movie_s1.nii")
    (folder / "sherlock_movie_s1.nii.gz").unlink()
    np.testing.assert_allclose(Study.open(folder).bold(1, study.mask()), expected, atol=0.1)


def test_without_study_file_the_release_is_expected(folder: Path) -> None:
    (folder / "study.yml").unlink()
    study = Study.open(folder)
    assert study.facts == RELEASE
    assert (study.n_trs, len(study.subjects), study.shift) == (1976, 17, 3)
    assert study.filler(5).sum() == 50 and study.filler(5)[-50:].all() and not study.filler(4).any()
    with pytest.raises(UserError, match="1976"):
        study.bold(1, study.mask())


def test_filler_volumes_are_not_data(folder: Path) -> None:
    edit(folder, fillers=[{"subject": 2, "first_tr": 40, "n_trs": 8}])
    study = Study.open(folder)
    bold = study.bold(2, study.mask())
    assert np.isnan(bold[40:]).all() and np.isfinite(bold[:40]).all()
    assert np.isfinite(study.bold(1, study.mask())).all()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"subjects": [1, 1]}, "twice"),
        ({"shift": 3}, "shift"),
        ({"runs": [{"name": "1", "first_tr": 1, "n_trs": 5}]}, "begins at TR 1"),
        ({"subjects": []}, "subjects"),
        ({"tr": "1e400000000"}, "tr: should be a number"),
        ({"tr": 0}, "tr: 0 s is no repetition time"),
        ({"tr": 1500}, "tr: 1500 s is no repetition time"),
        ({"runs": [{"name": "1", "first_tr": 0, "n_trs": 10**12}]}, "runs.0.n_trs"),
        ({"shift_trs": 10**9}, "shift_trs"),
        ({"fillers": [{"subject": 1, "first_tr": 40, "n_trs": 20}]}, "fillers"),
    ],
)
def test_a_wrong_study_file_is_named_with_its_key(
    folder: Path, changes: dict[str, object], said: str
) -> None:
    edit(folder, **changes)
    with pytest.raises(UserError, match=f"study.yml.*{said}"):
        Study.open(folder)


def test_no_study_is_said_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        Study.open(tmp_path / "nowhere")
    with pytest.raises(UserError, match="not a study"):
        Study.open(tmp_path)


def test_a_sound_study_has_no_problems(study_folder: Path) -> None:
    report = check_study(study_folder)
    assert report.problems == []
    lines = report.table.splitlines()
    assert len(lines) == 4 and "sherlock_movie_s2.nii.gz" in lines[3] and lines[3].endswith("ok")


def test_every_problem_is_found(folder: Path) -> None:
    mask = Study.open(folder).mask()
    voxel = tuple(np.argwhere(mask)[0])

    def spoil(data: np.ndarray) -> None:
        data[(*voxel, slice(None))] = 5
        data[(*tuple(np.argwhere(mask)[1]), 3)] = np.nan

    rewrite(folder / "sherlock_movie_s1.nii.gz", spoil)
    image = nib.load(folder / "sherlock_movie_s2.nii.gz")
    moved = image.affine.copy()
    moved[0, 3] += 6
    rewrite(folder / "sherlock_movie_s2.nii.gz", lambda data: data[..., :-2], affine=moved, tr=2.0)
    edit(folder, subjects=[1, 2, 3])
    problems = "\n".join(check_study(folder).problems)
    for part in (
        "1 voxels of the auditory mask hold NaN",
        "1 voxels of the auditory mask never change",
        f"{N_TRS - 2} volumes, the study has {N_TRS}",
        "TR of 2 s",
        "affine differs",
        "sherlock_movie_s3.nii[.gz] is missing",
    ):
        assert part in problems


def test_a_truncated_file_is_found_by_reader_and_checker(folder: Path) -> None:
    path = folder / "sherlock_movie_s1.nii.gz"
    path.write_bytes(path.read_bytes()[:-5000])
    study = Study.open(folder)
    with pytest.raises(UserError, match="truncated in volume"):
        study.bold(1, study.mask())
    assert any("truncated" in problem for problem in check_study(folder).problems)


def test_nan_in_the_mask_and_wrong_subjects_are_refused(folder: Path) -> None:
    study = Study.open(folder)
    rewrite(folder / "sherlock_movie_s1.nii.gz", lambda data: np.where(study.mask()[..., None], np.nan, data))
    with pytest.raises(UserError, match="NaN or infinite"):
        study.bold(1, study.mask())
    with pytest.raises(UserError, match="no subject 9; it has 1, 2"):
        study.bold(9, study.mask())


def test_something_else_named_nii_is_refused(folder: Path) -> None:
    (folder / "sherlock_movie_s1.nii.gz").write_bytes(gzip.compress(b"no image"))
    with pytest.raises(UserError, match="cannot be read as NIfTI"):
        Study.open(folder)
    assert any("cannot be read" in problem for problem in check_study(folder).problems)


def test_a_mask_of_ones_own_is_checked(folder: Path, tmp_path: Path) -> None:
    study = Study.open(folder)
    own = np.zeros(SHAPE, np.uint8)
    own[4:8, 4:8, 4:8] = 1
    nib.Nifti1Image(own, study.affine).to_filename(tmp_path / "own.nii.gz")
    assert study.mask(str(tmp_path / "own.nii.gz")).sum() == 64
    nib.Nifti1Image(own[1:], study.affine).to_filename(tmp_path / "other.nii.gz")
    with pytest.raises(UserError, match="another grid"):
        study.mask(str(tmp_path / "other.nii.gz"))
    with pytest.raises(UserError, match="does not exist"):
        study.mask(str(tmp_path / "none.nii.gz"))


def without_a_place(path: Path, data: np.ndarray) -> Path:
    """Write an image whose header has neither sform nor qform."""
    made.write_scan(path, data) if data.ndim == 4 else nib.Nifti1Image(data, np.eye(4)).to_filename(path)
    image = nib.load(path, mmap=False)
    image.header.set_zooms((3, 3, 3, 1.5)[: data.ndim])
    image.set_sform(None, code=0)
    image.set_qform(None, code=0)
    image.to_filename(path)
    return path


def test_scans_without_a_place_have_no_mask_in_mni(tmp_path: Path) -> None:
    run = {"name": "1", "first_tr": 0, "n_trs": 9}
    scans = [made.noise(9, seed) for seed in (1, 2)]
    folder = made.write_study(tmp_path / "study", scans, runs=[run])
    without_a_place(folder / "sherlock_movie_s1.nii", scans[0])
    study = Study.open(folder)
    assert not study.placed
    for name in ("auditory", "grey-matter"):
        with pytest.raises(UserError, match=f"{name} lies in MNI, and neither sform nor qform"):
            study.mask(name)
    own = np.zeros(made.SHAPE, np.uint8)
    own[3:5, 3:5, 3:5] = 1
    mask = study.mask(str(without_a_place(tmp_path / "own.nii", own)))
    np.testing.assert_array_equal(study.bold(1, mask), scans[0][mask].T)
    with pytest.raises(UserError, match="s1.nii: neither sform nor qform says where its voxels are"):
        study.bold(2, mask)
    study = Study.open(made.write_study(tmp_path / "other", [scans[1], scans[0]], runs=[run]))
    without_a_place(study.folder / "sherlock_movie_s2.nii", scans[0])
    with pytest.raises(UserError, match="s2.nii: neither sform nor qform says where its voxels are"):
        study.bold(2, own > 0)


def test_the_case_without_orientation_is_a_problem(shared_data: Path) -> None:
    folder = shared_data / "cases" / "nifti-no-orientation"
    [problem] = check_study(folder).problems
    assert problem.startswith("sherlock_movie_s1.nii.gz: neither sform nor qform says where its voxels are")
    with pytest.raises(UserError, match="neither sform nor qform"):
        Study.open(folder).mask()


def test_a_scan_that_was_not_fetched_is_named(tmp_path: Path) -> None:
    run = {"name": "1", "first_tr": 0, "n_trs": 9}
    folder = made.write_study(tmp_path / "study", [made.noise(9, 1)], runs=[run], subjects=[1, 2])
    (folder / "sherlock_movie_s2.nii.gz").symlink_to("../.git/annex/objects/a/b/MD5E-s1--0/MD5E-s1--0.nii.gz")
    (folder / "sherlock_movie_s1.nii").write_text("/annex/objects/MD5E-s1--0.nii\n")
    one, two = check_study(folder).problems
    assert (
        "sherlock_movie_s1.nii: its content has not been fetched (git-annex, DataLad); run datalad get" in one
    )
    assert "sherlock_movie_s2.nii.gz: its content has not been fetched" in two
    with pytest.raises(UserError, match="has not been fetched"):
        Study.open(folder)


def test_what_a_study_asks_for_is_not_allocated(tmp_path: Path) -> None:
    run = {"name": "1", "first_tr": 0, "n_trs": 100_000}
    study = Study.open(made.write_study(tmp_path / "study", [made.noise(9, 1)], runs=[run]))
    with pytest.raises(UserError, match="16×14×14×9 volumes on its own grid where the study has"):
        study.bold(1, np.ones(made.SHAPE, bool))
    edit(study.folder, runs=[{**run, "n_trs": 10**13}])
    with pytest.raises(UserError, match="runs.0.n_trs: .* less than or equal to 100000"):
        check_study(study.folder)
