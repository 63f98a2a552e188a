"""Scans that are matrices [TRs, voxels]: cortical voxels in HDF5, grayordinates in CIFTI.

Their columns have no place in a grid. So a matrix is taken as an image of shape (voxels, 1, 1, TRs) whose header says
nothing of where its voxels lie: all that reads volumes reads it, and no mask in MNI is laid on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError

import nibabel as nib
import numpy as np
from nibabel.cifti2.cifti2 import Cifti2HeaderError
from nibabel.cifti2.cifti2_axes import SeriesAxis
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from fmri_audio.base.errors import UserError
from fmri_audio.base.extras import from_extra
from fmri_audio.base.files import refuse_unfetched
from fmri_audio.brain.nifti import TR_SECONDS

#: How the names of matrices end.
HDF5_ENDINGS = (".hf5", ".h5", ".hdf5")
CIFTI_ENDING = ".dtseries.nii"
#: The data set of an HDF5 file that is taken where it holds several.
USUAL_NAME = "data"
#: Voxels that a matrix may have.
MOST_COLUMNS = 1 << 24
#: Rows of a matrix that are read at a time.
_ROWS = 32

Rows = Callable[[], Iterator[np.ndarray]]


class MatrixImage:
    """A matrix [TRs, voxels], opened; see :func:`open_matrix`.

    Attributes
    ----------
    path : Path
    shape : (voxels, 1, 1, TRs)
    affine : array, shape [4, 4]
        The identity: columns have no place.
    header : Nifti1Header
        States neither a sform nor a qform, and the TR where the file does.
    """

    def __init__(self, path: Path, n_trs: int, n_voxels: int, tr: float, rows: Rows) -> None:
        if not (1 <= n_voxels <= MOST_COLUMNS and n_trs >= 1):
            raise UserError(
                f"{path}: a matrix of {n_trs} TRs and {n_voxels} voxels is no scan; mend it or fetch it again"
            )
        self.path, self.shape, self.affine, self._rows = path, (n_voxels, 1, 1, n_trs), np.eye(4), rows
        self.header = nib.Nifti1Header()
        self.header.set_xyzt_units("mm", "sec")
        self.header["pixdim"][4] = tr

    def volumes(self) -> Iterator[np.ndarray]:
        """Yield one TR after the other, float32 [voxels, 1, 1].

        Raises
        ------
        UserError
            The file is damaged.
        """
        try:
            for row in self._rows():
                yield np.asarray(row, np.float32).reshape(self.shape[:3])
        except (OSError, ValueError, RuntimeError) as error:
            raise UserError(f"{self.path}: damaged or cut off ({error}); fetch it again") from None


def is_matrix(path: Path) -> bool:
    """Whether a file's name is that of a matrix."""
    return path.name.lower().endswith((*HDF5_ENDINGS, CIFTI_ENDING))


def open_matrix(path: Path) -> MatrixImage:
    """Open a matrix without reading its data.

    Raises
    ------
    UserError
        The content was not fetched, the file is none of its kind, or it holds no matrix over time.
    """
    refuse_unfetched(path)
    return _open_cifti(path) if path.name.lower().endswith(CIFTI_ENDING) else _open_hdf5(path)


def _open_hdf5(path: Path) -> MatrixImage:
    """A matrix in HDF5, which states no TR: the only one there, or the one called ``data``."""
    with from_extra("matrices"):
        import h5py

    try:
        with h5py.File(path, "r") as file:
            found = {
                name: one.shape
                for name, one in file.items()
                if isinstance(one, h5py.Dataset) and len(one.shape) == 2 and one.dtype.kind in "fiu"
            }
    except OSError as error:
        raise UserError(f"{path}: cannot be read as HDF5 ({_first_line(error)}); fetch it again") from None
    name = next(iter(found)) if len(found) == 1 else USUAL_NAME
    if name not in found:
        held = ", ".join(found) or "none"
        raise UserError(
            f"{path}: no matrix [TRs, voxels] called {USUAL_NAME} in it (matrices: {held}); give one file per story, "
            "as the data set does"
        )

    n_trs, n_voxels = found[name]

    def rows() -> Iterator[np.ndarray]:
        with h5py.File(path, "r") as file:
            for first in range(0, n_trs, _ROWS):
                yield from file[name][first : first + _ROWS]

    return MatrixImage(path, n_trs, n_voxels, 0.0, rows)


def _open_cifti(path: Path) -> MatrixImage:
    """A CIFTI-2 dense time series, its columns grayordinates."""
    broken = (ImageFileError, HeaderDataError, Cifti2HeaderError, ExpatError, OSError, ValueError, KeyError)
    try:
        image: Any = nib.load(path)
        if not isinstance(image, nib.Cifti2Image):
            raise UserError(f"{path}: is not CIFTI-2, as its name says; fetch it again or rename it")
        series, grayordinates = (image.header.get_axis(k) for k in (0, 1))
    except broken as error:
        raise UserError(f"{path}: cannot be read as CIFTI ({_first_line(error)}); fetch it again") from None
    if not isinstance(series, SeriesAxis) or series.unit != "SECOND":
        raise UserError(f"{path}: its rows are not moments in seconds; give a dense time series (dtseries)")
    if not TR_SECONDS[0] <= series.step <= TR_SECONDS[1]:
        raise UserError(f"{path}: its header says a TR of {series.step:g} s; correct it")
    n_trs, n_voxels = len(series), len(grayordinates)
    stored: Any = image.dataobj
    needed = int(stored.offset) + n_trs * n_voxels * image.get_data_dtype().itemsize
    if path.stat().st_size < needed:
        raise UserError(f"{path}: truncated, its header states {needed:,} bytes; fetch it again")

    def rows() -> Iterator[np.ndarray]:
        for first in range(0, n_trs, _ROWS):
            yield from np.asarray(stored[first : first + _ROWS])

    return MatrixImage(path, n_trs, n_voxels, float(series.step), rows)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or ["no reason given"])[0][:120]
