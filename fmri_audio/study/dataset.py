"""Windows of one study for training: the sound as the codec writes it, and the brain that heard it."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import torch
from torch.utils.data import Dataset

from fmri_audio.timeline import frames_of_tr


class StudyDataset(Dataset[dict[str, torch.Tensor]]):
    """Windows of consecutive TRs of one subject (or, labelled so by the caller, of a group mean).

    Sound is cut from *one* encoding of the whole run, so that a window starts with the codec's real state and
    not with padding.

    Parameters
    ----------
    codes : array of int, shape [K, L]
    latents : array of float32, shape [C, L]
        The whole run, at ``frame_rate``.
    bold : array of float32, shape [TRs, voxels]
        Cleaned and standardised; NaN outside the blocks of the split.
    trs : sequence of int
        First TR of each window.
    window : int
        TRs per window.
    lags : sequence of int
        Response lags read, in TRs of stimulus time; negative ones are allowed.
    shift : int
        TRs by which the study is already shifted: lag ``l`` of TR ``k`` is volume ``k + l - shift``.
    tr : Fraction
        Seconds.
    frame_rate : Fraction
        Codec frames per second.

    Notes
    -----
    An item is a dictionary of ``codes`` [K, frames], ``latents`` [C, frames], ``bold`` [TRs, voxels] (the volumes at
    the window's own TRs), ``lagged_bold`` [TRs, lags, voxels] (all that a decoder may read) and ``tr`` (the first TR).
    """

    def __init__(
        self,
        codes: np.ndarray,
        latents: np.ndarray,
        bold: np.ndarray,
        trs: Sequence[int],
        *,
        window: int,
        lags: Sequence[int],
        shift: int,
        tr: Fraction,
        frame_rate: Fraction,
    ) -> None:
        self.codes, self.latents, self.bold = codes, latents, bold
        self.trs, self.window, self.lags, self.shift = list(trs), window, list(lags), shift
        self.tr, self.frame_rate = tr, frame_rate
        for first in self.trs:
            rows = self._rows(first)
            if rows.min() < 0 or rows.max() >= len(bold):
                raise ValueError(
                    f"the window at TR {first} reads volumes outside the run with lags {self.lags}"
                )
            if not np.isfinite(bold[rows]).all():
                raise ValueError(
                    f"the window at TR {first} reads volumes that belong to no block of the split"
                )

    def __len__(self) -> int:
        return len(self.trs)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        first = self.trs[index]
        start = frames_of_tr(first, self.tr, self.frame_rate).first
        stop = frames_of_tr(first + self.window - 1, self.tr, self.frame_rate).last + 1
        own = np.clip(np.arange(first, first + self.window), 0, len(self.bold) - 1)
        return {
            "codes": torch.from_numpy(np.asarray(self.codes[:, start:stop], np.int64)),
            "latents": torch.from_numpy(np.ascontiguousarray(self.latents[:, start:stop])),
            "bold": torch.from_numpy(self.bold[own]),
            "lagged_bold": torch.from_numpy(self.bold[self._rows(first)]),
            "tr": torch.tensor(first),
        }

    def _rows(self, first: int) -> np.ndarray:
        """Volumes of every TR and lag of a window, [TRs, lags]."""
        trs = np.arange(first, first + self.window)
        return np.asarray(trs[:, None] + np.asarray(self.lags) - self.shift)


def lagged(bold: np.ndarray, trs: np.ndarray, lags: Sequence[int], shift: int) -> np.ndarray:
    """The decoder's input: for every TR the volumes of its lag window side by side.

    Parameters
    ----------
    bold : array, shape [TRs, voxels]
    trs : array of int
        TRs of the stimulus.
    lags, shift
        As in :class:`StudyDataset`.

    Returns
    -------
    array of float32, shape [len(trs), lags × voxels]

    Raises
    ------
    ValueError
        A volume lies outside the run or in no block of the split.
    """
    rows = np.asarray(trs)[:, None] + np.asarray(list(lags)) - shift
    if rows.size and (rows.min() < 0 or rows.max() >= len(bold)):
        raise ValueError(f"lags {list(lags)} read volumes outside the run")
    picked = bold[rows].reshape(len(rows), -1)
    if not np.isfinite(picked).all():
        raise ValueError("the lag window reads volumes that belong to no block of the split")
    return np.asarray(picked, np.float32)
