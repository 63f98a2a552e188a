"""Matrices as scans: what their files say, and one sentence for what they are not."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from fmri_audio.base.errors import UserError
from fmri_audio.brain import matrices, nifti
from fmri_audio.study.scans import open_image
from tests.study.open_data import write_cifti, write_hdf5

ROWS = np.arange(70 * 9, dtype=np.float32).reshape(70, 9)


def test_grayordinates_are_read_a_tr_at_a_time(tmp_path: Path) -> None:
    image = open_image(write_cifti(tmp_path / "x.dtseries.nii", ROWS, 0.71))
    assert isinstance(image, matrices.MatrixImage) and image.shape == (9, 1, 1, 70)
    assert nifti.seconds_per_volume(image) == pytest.approx(0.71) and not nifti.is_placed(image)
    read = list(image.volumes())
    np.testing.assert_array_equal(np.stack(read)[..., 0, 0], ROWS)
    assert read[0].dtype == np.float32 and read[0].shape == (9, 1, 1)


def test_what_is_no_time_series_of_grayordinates_is_one_sentence(tmp_path: Path) -> None:
    path = write_cifti(tmp_path / "x.dtseries.nii", ROWS, 0.71)
    whole = path.read_bytes()
    for content, said in (
        (b"", "cannot be read as CIFTI"),
        (whole[:600], "cannot be read as CIFTI"),
        (whole[:-100], "truncated, its header states"),
        (whole.replace(b"<Matrix>", b"<Matrix<", 1), "cannot be read as CIFTI"),
    ):
        path.write_bytes(content)
        with pytest.raises(UserError, match=said) as caught:
            list(open_image(path).volumes())
        assert "\n" not in str(caught.value)
    nib.Nifti1Image(np.zeros((2, 2, 2, 3), np.float32), np.eye(4)).to_filename(tmp_path / "plain.nii")
    (tmp_path / "plain.nii").rename(path)
    with pytest.raises(UserError, match="is not CIFTI-2, as its name says"):
        open_image(path)
    with pytest.raises(UserError, match="its rows are not moments in seconds"):
        open_image(write_cifti(path, ROWS, 0.71, "HERTZ"))
    with pytest.raises(UserError, match="its header says a TR of 710 s; correct it"):
        open_image(write_cifti(path, ROWS, 710))


def test_a_matrix_in_hdf5_is_the_only_one_or_the_one_called_data(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py", reason="needs the extra matrices")
    image = open_image(write_hdf5(tmp_path / "x.hf5", ROWS, repeats=3))
    assert image.shape == (9, 1, 1, 70) and nifti.seconds_per_volume(image) == 0
    np.testing.assert_array_equal(np.stack(list(image.volumes()))[..., 0, 0], ROWS)
    path = tmp_path / "y.h5"
    with h5py.File(path, "w") as file:
        file["resp"], file["names"] = ROWS, np.array([b"a"])
    assert open_image(path).shape == (9, 1, 1, 70)
    with h5py.File(path, "a") as file:
        file["more"] = ROWS
    with pytest.raises(
        UserError, match=r"no matrix \[TRs, voxels\] called data in it \(matrices: more, resp\)"
    ):
        open_image(path)
    path.write_bytes(b"\x89HDF\r\n\x1a\n and then nothing")
    with pytest.raises(UserError, match="cannot be read as HDF5") as caught:
        open_image(path)
    assert "\n" not in str(caught.value)
    with h5py.File(path, "w") as file:
        file["data"] = np.zeros((0, 4))
    with pytest.raises(UserError, match="a matrix of 0 TRs and 4 voxels is no scan"):
        open_image(path)
