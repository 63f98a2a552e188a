"""Scans that are tables: the mean of every parcel of an atlas at every volume, a column per parcel.

Parcels have a name and no place, so a table is taken as an image of shape (parcels, 1, 1, volumes) whose header says
nothing of where its voxels lie.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np

from fmri_audio.base.errors import UserError
from fmri_audio.base.files import refuse_unfetched

ENDING = ".csv"
_LONGEST_HEADER = 1 << 20


class ParcelTable:
    """A table of parcels over time, opened; see :func:`open_parcels`.

    Attributes
    ----------
    path : Path
    labels : tuple of str
        Of the columns that are read.
    shape : (parcels, 1, 1, volumes)
    affine : array, shape [4, 4]
        The identity: parcels have no place.
    header : Nifti1Header
        States neither a place nor a TR.
    """

    def __init__(self, path: Path, columns: Sequence[int], labels: Sequence[str], n_volumes: int) -> None:
        self.path, self.labels, self._columns = path, tuple(labels), list(columns)
        self.shape, self.affine = (len(self.labels), 1, 1, n_volumes), np.eye(4)
        self.header = nib.Nifti1Header()
        self.header.set_xyzt_units("mm", "sec")
        self.header["pixdim"][4] = 0.0

    def volumes(self) -> Iterator[np.ndarray]:
        """Yield one volume after the other, float32 [parcels, 1, 1].

        Raises
        ------
        UserError
            A row is not one number per column.
        """
        width = len(labels_of(self.path))
        with self.path.open(encoding="utf-8") as stream:
            next(stream)
            for number, line in enumerate(stream, start=2):
                cells = line.split(",")
                try:
                    if len(cells) != width:
                        raise ValueError(f"{len(cells)} cells, where the header has {width}")
                    row = np.array([float(cells[i]) for i in self._columns], np.float32)
                except ValueError as error:
                    raise UserError(f"{self.path}, line {number}: {error}; fetch the file again") from None
                yield row.reshape(self.shape[:3])


def labels_of(path: Path) -> list[str]:
    """Names of a table's columns.

    Raises
    ------
    UserError
        It cannot be read, is empty, or names a column twice.
    """
    refuse_unfetched(path)
    try:
        with path.open(encoding="utf-8") as stream:
            head = stream.readline(_LONGEST_HEADER)
    except (OSError, UnicodeError) as error:
        raise UserError(f"{path}: cannot be read as a table of parcels ({error}); fetch it again") from None
    labels = [label.strip().strip('"') for label in head.split(",")]
    if not all(labels) or len(set(labels)) < len(labels):
        raise UserError(f"{path}: its first line should name every parcel once; fetch it again")
    return labels


def open_parcels(path: Path, labels: Sequence[str] = ()) -> ParcelTable:
    """Open a table of parcels, without reading its numbers.

    Parameters
    ----------
    path : Path
    labels : sequence of str
        Columns that are read, in this order; all of them unless given.

    Raises
    ------
    UserError
        It is no such table, or lacks a column.
    """
    known = labels_of(path)
    wanted = list(labels) or known
    if lacking := [label for label in wanted if label not in known]:
        raise UserError(f"{path}: has no parcel {lacking[0]}; fetch the file again")
    with path.open("rb") as stream:
        n_volumes = sum(1 for line in stream if line.strip()) - 1
    if n_volumes < 1:
        raise UserError(f"{path}: holds no volume; fetch it again")
    return ParcelTable(path, [known.index(label) for label in wanted], wanted, n_volumes)
