"""Opening one scan, by what its name says it is, and the volumes that belong to the study."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fmri_audio.base.errors import UserError
from fmri_audio.brain import parcels
from fmri_audio.brain.matrices import MatrixImage, is_matrix, open_matrix
from fmri_audio.brain.nifti import open_nifti, volumes
from fmri_audio.study.facts import Scan


def open_image(path: Path) -> Any:
    """Open a scan without reading its data.

    A matrix [TRs, voxels], in HDF5 or CIFTI, is taken as an image of shape (voxels, 1, 1, TRs) without a place
    (:mod:`fmri_audio.brain.matrices`).

    Raises
    ------
    UserError
        It cannot be read (:func:`fmri_audio.brain.nifti.open_nifti`), or is not four-dimensional. Dimensions of 1
        after the fourth do not count.
    """
    if is_matrix(path):
        return open_matrix(path)
    image = open_nifti(path)
    n_dims = max((i + 1 for i, n in enumerate(image.shape) if n > 1 or i < 4), default=0)
    if n_dims != 4:
        raise UserError(f"{path}: has {n_dims} dimensions, a scan has 4 (x, y, z, time)")
    return image


def open_scan(scan: Scan) -> Any:
    """Open the file of a scan as :func:`open_image` does; of a table, the columns that the scan names."""
    if scan.path.suffix == parcels.ENDING:
        return parcels.open_parcels(scan.path, scan.columns)
    return open_image(scan.path)


def scan_volumes(scan: Scan, image: Any) -> Iterator[np.ndarray]:
    """Yield the volumes of a scan that belong to the study.

    The file is read to its end in any case: only there does a compressed one show that its bytes are undamaged.
    """
    last = scan.first_volume + scan.n_trs
    read = image.volumes() if isinstance(image, MatrixImage) else volumes(scan.path, image)
    for k, volume in enumerate(read):
        if scan.whole or scan.first_volume <= k < last:
            yield volume
