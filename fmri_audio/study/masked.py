"""Masked matrices of BOLD, kept on disk: a scan is read and masked once, then mapped into memory."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from fmri_audio.base.errors import UserError
from fmri_audio.base.files import refuse_unfetched
from fmri_audio.base.fingerprint import fingerprint
from fmri_audio.base.stored import load_array, save_array
from fmri_audio.study.facts import Subject
from fmri_audio.study.layouts.base import LAYOUTS
from fmri_audio.study.reader import Study

#: A file is told from its successors by so many blocks of so many bytes, its beginning and its end among them.
SAMPLED_BLOCKS, BLOCK_BYTES = 8, 1 << 16


def masked_bold(study: Study, subject: Subject, mask: np.ndarray, cache: Path) -> np.ndarray:
    """BOLD of one subject in a mask, read from its scan the first time and from the cache from then on.

    The cache is known by its content: the scan (:func:`file_identity`), the mask, the facts of the study (runs, filler,
    shift), and the code that reads; when any of these changes, the scan is read again. So it is when the matrix is not
    what was stored (:mod:`fmri_audio.base.stored`).

    Parameters
    ----------
    study : Study
    subject : int or str
    mask : array of bool, shape [x, y, z]
    cache : Path
        Folder for the matrices; made when needed.

    Returns
    -------
    memory-mapped array of float32, shape [TRs, voxels]
        Read-only; as :meth:`fmri_audio.study.reader.Study.bold` returns it.

    Raises
    ------
    UserError
        As :meth:`fmri_audio.study.reader.Study.bold`, or the cache cannot be written.
    """
    path = cache / f"bold-{subject}-{_content_key(study, subject, mask)}.npy"
    stored = load_array(path, mapped=True)
    if stored is None:
        save_array(path, study.bold(subject, mask))
        stored = np.load(path, mmap_mode="r")
    return np.asarray(stored)


def iter_subjects(
    study: Study,
    mask: np.ndarray,
    cache: Path,
    subjects: Sequence[Subject] | None = None,
    progress: bool = True,
) -> Iterator[tuple[Subject, np.ndarray]]:
    """Yield every subject with its masked matrix, one at a time.

    Parameters
    ----------
    study : Study
    mask : array of bool, shape [x, y, z]
    cache : Path
    subjects : sequence of int or str, optional
        All of the study's unless given.
    progress : bool
        Say on standard error whose scan is being read.

    Yields
    ------
    subject, and its memory-mapped matrix [TRs, voxels]
    """
    wanted = study.subjects if subjects is None else list(subjects)
    for number, subject in enumerate(wanted, start=1):
        if progress:
            print(f"masking subject {subject} ({number} of {len(wanted)})", file=sys.stderr, flush=True)
        yield subject, masked_bold(study, subject, mask, cache)


def file_identity(path: Path) -> str:
    """Hash what tells a scan from others: path, size, time of change, and samples of its bytes.

    The whole of a scan would take as long to hash as to mask. So a change is missed if it keeps size and time of
    change and touches none of 8 blocks of 64 KiB, evenly spread from the header to the file's last byte.

    Raises
    ------
    UserError
        The scan was not fetched, or cannot be read.
    """
    refuse_unfetched(path)
    try:
        state = path.stat()
        digest = hashlib.sha256(f"{path.resolve()}\n{state.st_size}\n{state.st_mtime_ns}\n".encode())
        with open(path, "rb") as stream:
            for position in np.linspace(0, max(0, state.st_size - BLOCK_BYTES), SAMPLED_BLOCKS).astype(int):
                stream.seek(int(position))
                digest.update(stream.read(BLOCK_BYTES))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); copy it again") from None
    return digest.hexdigest()


def _content_key(study: Study, subject: Subject, mask: np.ndarray) -> str:
    """Hash all that decides a masked matrix."""
    facts = [
        *(f"{file_identity(scan.path)} {scan.first_volume} {scan.n_trs}" for scan in study.scans(subject)),
        study.facts.model_dump_json(),
        str(mask.shape),
        hashlib.sha256(np.packbits(mask).tobytes()).hexdigest(),
        fingerprint("fmri_audio.study.masked", *LAYOUTS.modules()),
    ]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]
