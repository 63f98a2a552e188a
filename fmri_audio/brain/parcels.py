"""Scans that are tables: the mean of every parcel of an atlas at every volume, a column per parcel.

Parcels have a name and no place, as the columns of other matrices (:mod:`fmri_audio.brain.matrices`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from fmri_audio.base.errors import UserError
from fmri_audio.base.files import refuse_unfetched
from fmri_audio.brain.matrices import MatrixImage

ENDING = ".csv"
_LONGEST_HEADER = 1 << 20


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


def open_parcels(path: Path, labels: Sequence[str] = ()) -> MatrixImage:
    """Open a table of parcels, without reading its numbers.

    Parameters
    ----------
    path : Path
    labels : sequence of str
        Columns that are read, in this order; all of them unless given.

    Returns
    -------
    MatrixImage
        Its :meth:`~fmri_audio.brain.matrices.MatrixImage.volumes` name the line of a row that is not one number per
        column.

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
    columns = [known.index(label) for label in wanted]

    def rows() -> Iterator[np.ndarray]:
        with path.open(encoding="utf-8") as stream:
            next(stream)
            for number, line in enumerate(stream, start=2):
                yield _row(path, number, line.split(","), columns, len(known))

    return MatrixImage(path, n_volumes, len(wanted), 0.0, rows)


def _row(path: Path, number: int, cells: Sequence[str], columns: Sequence[int], width: int) -> np.ndarray:
    try:
        if len(cells) != width:
            raise ValueError(f"{len(cells)} cells, where the header has {width}")
        return np.array([float(cells[i]) for i in columns], np.float32)
    except ValueError as error:
        raise UserError(f"{path}, line {number}: {error}; fetch the file again") from None
