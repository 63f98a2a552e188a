"""Reading the codes that giblet-responses keeps as ``{stem}_encodec.npz``."""

from __future__ import annotations

import zipfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fmri_audio.base.errors import UserError
from fmri_audio.base.files import refuse_unfetched
from fmri_audio.codec.checkpoints import FULL_WIDTH
from fmri_audio.codec.codes_files import MOST_BYTES
from fmri_audio.compat.codes import Codes, as_codes
from fmri_audio.compat.grid import Grid, exact_tr
from fmri_audio.sound.audio import FRAME_RATE

_WHOLE, _NUMBERS = ("iu", "whole numbers"), ("iuf", "numbers")
_KINDS = {
    "features": _NUMBERS,  # those that are not whole are refused with what to use instead
    "tr_indices": _WHOLE,
    "start_times": _NUMBERS,
    "end_times": _NUMBERS,
    "n_frames": _WHOLE,
}
KEYS = tuple(_KINDS)
"""What a cache holds: features [n_trs, K · F] or [n_trs, K, F], and a number per TR under each of the others."""

NEAR = 0.001
"""Seconds by which the times of a cache may miss those of the TRs."""

_AGAIN = "encode the sound again, or give a file written by giblet-responses"


def read_cache(path: Path | str, tr: float | str | Fraction = 1.5) -> tuple[Codes, pd.DataFrame]:
    """Read cached codes as :meth:`~fmri_audio.compat.AudioProcessor.audio_to_features` would return them.

    Codebooks that are filled with zeros are left out. Rows of 112 frames are put on the exact grid: each at its own
    time, where giblet-responses took it from, with the frame that was cut off repeated from the one before it.

    Parameters
    ----------
    path : path
    tr : float, str or Fraction
        Repetition time in seconds with which the cache was made.

    Returns
    -------
    features : array of int64, shape [n_trs, K · F]
        K codebooks by F frames per TR, 113 for 1.5 s.
    table : DataFrame
        A row per TR: ``tr_index``, ``start_time`` and ``end_time`` (s), ``n_frames``, ``n_codebooks``,
        ``encoding_mode``, ``first_frame``.

    Raises
    ------
    UserError
        The file is missing, not fetched or damaged, its times are those of another TR, or it holds no codes.

    Warns
    -----
    UserWarning
        Codebooks are filled with zeros, or frames are missing, so that TRs put end to end drift.
    """
    path, exact = Path(path), exact_tr(tr, "tr")
    held = _arrays(path)
    grid = Grid(exact, FRAME_RATE, _first_tr(path, held, exact))
    frames = np.unique(held["n_frames"])
    if len(frames) != 1 or frames[0] < 1:
        raise UserError(f"{path}: n_frames should be one positive number for all TRs; {_AGAIN}")
    codec = (int(FULL_WIDTH["codebooks"]), int(FULL_WIDTH["codebook_size"]))
    codes = as_codes(held["features"], grid, None, int(frames[0]), codec, str(path))
    n_trs, n_codebooks, _ = codes.shape
    return codes.reshape(n_trs, -1), grid.table(n_trs, n_codebooks=n_codebooks, encoding_mode="encodec")


def _first_tr(path: Path, held: dict[str, NDArray[Any]], tr: Fraction) -> int:
    """TR of the first row, once all rows are found to be consecutive TRs of this length."""
    indices, n_trs = held["tr_indices"].astype(np.int64), len(np.atleast_1d(held["features"]))
    if any(held[key].shape != (n_trs,) for key in KEYS[1:]) or not n_trs:
        raise UserError(f"{path}: its arrays should have one row for each of {n_trs} TRs; {_AGAIN}")
    if indices[0] < 0 or (np.diff(indices) != 1).any():
        raise UserError(f"{path}: tr_indices should count up by one; {_AGAIN}")
    ends = np.stack([indices, indices + 1]) * float(tr)
    if not (np.abs(np.stack([held["start_times"], held["end_times"]]) - ends) <= NEAR).all():
        lasts = float(held["end_times"][0] - held["start_times"][0])
        raise UserError(
            f"{path}: its first TR lasts {lasts:g} s and its times are not those of TRs of {float(tr):g} s; "
            "give the TR that it was made with"
        )
    return int(indices[0])


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of a cache, numbers all of them."""
    refuse_unfetched(path)
    if not path.is_file():
        raise UserError(f"{path} does not exist: give a file written by giblet-responses")
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(part.file_size for part in archive.infolist())
        if size > MOST_BYTES:
            raise UserError(f"{path} would take {size / 1e6:,.0f} MB, more than any codes; {_AGAIN}")
        with np.load(path, allow_pickle=False) as stored:
            missing = [key for key in KEYS if key not in stored.files]
            if missing:
                raise UserError(f"{path} is no cache of codes ({missing[0]} is missing); {_AGAIN}")
            held = {key: np.asarray(stored[key]) for key in KEYS}  # bytes, where a part is no array
    except UserError:
        raise
    except PermissionError:
        raise UserError(f"{path} cannot be read: you may not open it") from None
    except Exception:  # a header that was tampered with makes its reader fail in any way
        raise UserError(f"{path} is no cache of codes, or is damaged; {_AGAIN}") from None
    for key, (letters, called) in _KINDS.items():
        if held[key].dtype.kind not in letters:
            raise UserError(f"{path}: {key} should be {called}, not {held[key].dtype}; {_AGAIN}")
    return held
