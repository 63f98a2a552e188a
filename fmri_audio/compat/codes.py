"""Codes in the order of giblet-responses: which rows they are, and what in them is none."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmri_audio.base.errors import UserError
from fmri_audio.compat.grid import Grid

Codes = NDArray[np.int64]

_USERS_LINE = 5
"""Calls from a warning up to the line of whoever called the function that called :func:`as_codes`."""


def refuse_regression(features: NDArray[Any], name: str = "features") -> None:
    """Raise a UserError if features are codes: whole numbers, on which no regression is to be fitted.

    Entries 17 and 18 of a codebook are no more alike than 17 and 900. A squared error between codes, their mean or
    their convolution with a response is therefore a number about nothing.

    Parameters
    ----------
    features : array of any shape
    name : str
        With which the sentence begins.
    """
    if np.issubdtype(np.asarray(features).dtype, np.integer):
        raise UserError(f"{name}: {_NO_AMOUNTS}")


_NO_AMOUNTS = (
    "codes are names of codebook entries and no amounts, so that nothing can be regressed on them; regress on the "
    "latents (AudioProcessor.audio_to_latents), or predict each code as a class of its codebook (cross-entropy)"
)


def as_codes(
    features: NDArray[Any],
    grid: Grid,
    n_codebooks: int | None,
    frames_per_tr: int | None,
    codec: tuple[int, int],
    name: str = "features",
) -> Codes:
    """Return features as codes on the exact grid, with a warning for whatever they are not.

    Parameters
    ----------
    features : array of integers, shape [n_trs, K · F] or [n_trs, K, F]
        Of F frames per TR: all that a TR touches, or these cropped to whole ones.
    grid : Grid
    n_codebooks, frames_per_tr : int, optional
        K and F, if they are known.
    codec : tuple of int
        Codebooks that it has, and entries of each.
    name : str
        With which sentences begin.

    Returns
    -------
    array of int64, shape [n_trs, K', grid.width]
        K' is smaller than K where codebooks are filled with zeros.

    Raises
    ------
    UserError
        The features are no whole numbers, of another shape, or no codes of this codec.

    Warns
    -----
    UserWarning
        Codebooks are filled with zeros, or frames are missing, so that TRs put end to end drift.
    """
    if not np.issubdtype(features.dtype, np.integer):
        raise UserError(f"{name}: these are {features.dtype}, and {_NO_AMOUNTS}")
    codes = _unpacked(features, grid, n_codebooks, frames_per_tr, name)
    known, entries = codec
    if codes.min() < 0 or codes.max() >= entries:
        raise UserError(
            f"{name}: codes should be from 0 to {entries - 1}, found {codes.min()} to {codes.max()}; "
            "encode the sound again"
        )
    codes = _without_zeros(codes, grid, name)
    if codes.shape[1] > known:
        raise UserError(f"{name}: {codes.shape[1]} codebooks are more than the {known} that the codec has")
    return _on_grid(codes, grid, name)


def _unpacked(
    features: NDArray[Any], grid: Grid, n_codebooks: int | None, frames_per_tr: int | None, name: str
) -> Codes:
    """Codes [n_trs, K, F] of features that may be flat."""
    shape = features.shape
    if len(shape) == 2 and 0 not in shape:
        frames = _frames_of_rows(shape[1], grid, n_codebooks, frames_per_tr)
        codes = features.reshape(shape[0], shape[1] // frames, frames) if frames else None
    else:
        codes = features if len(shape) == 3 and 0 not in shape else None
    fits = codes is not None and all(
        wanted in (None, found)
        for wanted, found in zip((n_codebooks, frames_per_tr), codes.shape[1:], strict=True)
    )
    if codes is None or not fits:
        asked = f" with {n_codebooks} codebooks" if n_codebooks else ""
        asked += f" of {frames_per_tr} frames" if frames_per_tr else ""
        raise UserError(
            f"{name}: no codes{asked} have the shape {list(shape)}; a TR of {float(grid.tr):g} s has {grid.width} "
            "frames, and rows are codebooks × frames: leave out n_codebooks and frames_per_tr, or correct them"
        )
    return codes.astype(np.int64)


def _frames_of_rows(width: int, grid: Grid, n_codebooks: int | None, frames_per_tr: int | None) -> int:
    """Frames F of rows of K · F numbers; 0 if there is no whole number of codebooks."""
    if n_codebooks and not frames_per_tr:
        return width // n_codebooks if width % n_codebooks == 0 else 0
    tried = [frames_per_tr] if frames_per_tr else [grid.width, grid.cropped_width]
    return next((frames for frames in tried if frames and width % frames == 0), 0)


def _without_zeros(codes: Codes, grid: Grid, name: str) -> Codes:
    """Leave out the first codebook that is filled with zeros and those behind it, which add to it."""
    filled = np.asarray(~codes.any(axis=2))
    n_all = codes.shape[1]
    n_real = next(iter(np.flatnonzero(filled.all(axis=0))), n_all)
    if n_real == 0:
        raise UserError(f"{name}: the first codebook is filled with zeros; encode the sound again")
    if n_real < n_all:
        _warn(
            f"{name}: of {n_all} codebooks only the first {n_real} hold codes, codebook {n_real + 1} is filled with "
            f"zeros; {n_real} are used, because a zero is an entry like any other and would be heard"
        )
    empty = np.flatnonzero(filled[:, :n_real].any(axis=1))
    if len(empty):
        _warn(
            f"{name}: {len(empty)} TRs, from TR {grid.first_tr + empty[0]} on, have a codebook filled with zeros, "
            "which will be heard; encode the sound again"
        )
    return codes[:, :n_real]


def _on_grid(codes: Codes, grid: Grid, name: str) -> Codes:
    """Codes [n_trs, K, grid.width] of rows that may have been cropped to whole frames."""
    n_trs, _, frames = codes.shape
    if frames == grid.width:
        return codes
    exact = float(grid.tr * grid.frame_rate)
    if frames != grid.cropped_width:
        raise UserError(
            f"{name}: rows of {frames} frames are no TRs of {float(grid.tr):g} s, which are {exact:g} frames at "
            f"{float(grid.frame_rate):g} Hz; give the TR that they were made with, or encode the sound again"
        )
    short = float(n_trs * (grid.tr - frames / grid.frame_rate))
    _warn(
        f"{name}: {frames} frames stand for {exact:g}, so that {n_trs} TRs put end to end are {short:.2f} s short; "
        f"every TR is put at its own time and {grid.n_missing(n_trs)} missing frames repeat the one before them; "
        "encode the sound again to have them"
    )
    return grid.cut(grid.place(codes), n_trs)


def _warn(sentence: str) -> None:
    warnings.warn(sentence, UserWarning, stacklevel=_USERS_LINE)
