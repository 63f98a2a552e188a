"""Windows of one study for training: the sound in every representation, and the brain that heard it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from fmri_audio.study.splits import Block
from fmri_audio.study.tracks import SoundTracks, Track

#: Label of items that belong to no subject.
GROUP_MEAN = "group mean"


class StudyDataset(Dataset[dict[str, Any]]):
    """Windows of consecutive TRs of one subject, or, labelled so, of the group mean.

    Sound is cut from *one* encoding of the whole run, so that a window starts with the codec's real state and
    not with padding. :meth:`of_subject` and :meth:`of_group_mean` build it from what a study has.

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
    subject : int or str
        Whose brain it is; every item says so.
    others : mapping of str to Track
        Further representations of the same sound.

    Raises
    ------
    ValueError
        A window reads volumes outside the run or in no block of the split.

    Notes
    -----
    An item is a dictionary of ``codes`` [K, frames], ``latents`` [C, frames], the ``others`` ([channels, frames] at
    frame rates of their own), ``bold`` [TRs, voxels] (the volumes at the window's own TRs), ``lagged_bold`` [TRs, lags,
    voxels] (all that a decoder may read), ``tr`` (the first TR) and ``subject``. Items of one dataset have equal
    shapes: where the grids do not meet, a window that touches fewer frames than another repeats its last one.
    Frames of mel and STFT are centred on their beginning, as is usual, and so see half a window beyond either end.
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
        subject: int | str = "unnamed",
        others: Mapping[str, Track] | None = None,
    ) -> None:
        self.tracks = {"codes": Track(codes, frame_rate), "latents": Track(latents, frame_rate), **(others or {})}
        self.bold, self.subject, self.tr = bold, str(subject), tr
        self.trs, self.window, self.lags, self.shift = list(trs), window, list(lags), shift
        for first in self.trs:
            _check_rows(bold, first, self._rows(first), self.lags)
        self._widths = {name: self._width(track) for name, track in self.tracks.items()}

    @classmethod
    def of_subject(
        cls,
        sound: SoundTracks,
        bold: np.ndarray,
        subject: int | str,
        blocks: Sequence[Block],
        *,
        window: int,
        lags: Sequence[int],
        shift: int,
        tr: Fraction,
        step: int | None = None,
    ) -> StudyDataset:
        """Windows of one subject within the training or the held-out blocks of a split.

        Parameters
        ----------
        sound : SoundTracks
            The whole sound.
        bold : array of float32, shape [TRs, voxels]
            From :func:`fmri_audio.decoding.regression.brain_of`.
        subject : int or str
        blocks : sequence of (first, last)
            TRs of the stimulus, such as ``split.train_blocks`` or ``[split.test_block]``.
        window, lags, shift, tr
            As for the class.
        step : int, optional
            TRs from one window to the next; windows do not overlap unless it is given.

        Raises
        ------
        ValueError
            No window can be read whole.
        """
        trs = window_starts(bold, blocks, window=window, lags=lags, shift=shift, step=step)
        if not trs:
            raise ValueError(f"subject {subject} has no window of {window} TRs whose volumes are all there")
        return cls(
            sound.codes.values, sound.latents.values, bold, trs, window=window, lags=lags, shift=shift, tr=tr,
            frame_rate=sound.codes.frame_rate, subject=subject, others={"mel": sound.mel, "stft": sound.stft},
        )  # fmt: skip

    @classmethod
    def of_group_mean(
        cls, sound: SoundTracks, bold: Sequence[np.ndarray], blocks: Sequence[Block], **arguments: Any
    ) -> StudyDataset:
        """Windows of the mean over subjects, labelled ``group mean``.

        A mean averages out what is each subject's own; what is decoded from it was decoded from nobody's brain.

        Parameters
        ----------
        sound : SoundTracks
        bold : sequence of arrays, shape [TRs, voxels]
            One per subject, standardised. A volume that one of them lacks is missing from the mean, too, so that all
            of it is equally noisy.
        blocks, arguments
            As for :meth:`of_subject`.
        """
        mean = np.asarray(sum(np.asarray(one, np.float64) for one in bold) / len(bold), np.float32)
        return cls.of_subject(sound, mean, GROUP_MEAN, blocks, **arguments)

    def __len__(self) -> int:
        return len(self.trs)

    def __getitem__(self, index: int) -> dict[str, Any]:
        first = self.trs[index]
        sound = {
            name: torch.from_numpy(_tensor_ready(track.cut(first, self.window, self.tr, self._widths[name])))
            for name, track in self.tracks.items()
        }
        return {
            **sound,
            "bold": torch.from_numpy(self.bold[first : first + self.window]),
            "lagged_bold": torch.from_numpy(self.bold[self._rows(first)]),
            "tr": torch.tensor(first),
            "subject": self.subject,
        }

    def _rows(self, first: int) -> np.ndarray:
        """Volumes of every TR and lag of a window, [TRs, lags]."""
        return _lag_rows(np.arange(first, first + self.window), self.lags, self.shift)

    def _width(self, track: Track) -> int:
        """Most frames that any of the windows touches."""
        spans = [track.span(first, self.window, self.tr) for first in self.trs]
        return max((stop - start for start, stop in spans), default=0)


def window_starts(
    bold: np.ndarray,
    blocks: Sequence[Block],
    *,
    window: int,
    lags: Sequence[int],
    shift: int,
    step: int | None = None,
) -> list[int]:
    """First TRs of the windows of some blocks whose volumes, their own and those of their lags, are all there.

    A window begins as early as it can be read, at the beginning of a block and after missing volumes.

    Parameters
    ----------
    bold : array, shape [TRs, voxels]
        NaN where there is nothing to read: outside the blocks of the split, and a subject's filler volumes.
    blocks : sequence of (first, last)
        TRs of the stimulus.
    window, lags, shift, step
        As for :meth:`StudyDataset.of_subject`.
    """
    finite = np.isfinite(bold).all(axis=1)
    starts = []
    for first, last in blocks:
        start = first
        while start + window <= last:
            trs = np.arange(start, start + window)
            rows = np.concatenate([trs, _lag_rows(trs, lags, shift).ravel()])
            readable = rows.min() >= 0 and rows.max() < len(bold) and bool(finite[rows].all())
            if readable:
                starts.append(start)
            start += (step or window) if readable else 1
    return starts


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
    rows = _lag_rows(np.asarray(trs), lags, shift)
    if rows.size and (rows.min() < 0 or rows.max() >= len(bold)):
        raise ValueError(f"lags {list(lags)} read volumes outside the run")
    picked = bold[rows].reshape(len(rows), -1)
    if not np.isfinite(picked).all():
        raise ValueError("the lag window reads volumes that belong to no block of the split")
    return np.asarray(picked, np.float32)


def _lag_rows(trs: np.ndarray, lags: Sequence[int], shift: int) -> np.ndarray:
    """Volumes that answer TRs of the stimulus, [TRs, lags]."""
    return np.asarray(trs[:, None] + np.asarray(list(lags)) - shift)


def _check_rows(bold: np.ndarray, first: int, rows: np.ndarray, lags: Sequence[int]) -> None:
    """Raise a ValueError unless a window's volumes, its own and those of its lags, can all be read."""
    own = np.arange(first, first + len(rows))
    rows = np.concatenate([own, rows.ravel()])
    if rows.min() < 0 or rows.max() >= len(bold):
        raise ValueError(f"the window at TR {first} reads volumes outside the run with lags {list(lags)}")
    if not np.isfinite(bold[rows]).all():
        raise ValueError(f"the window at TR {first} reads volumes that belong to no block of the split")


def _tensor_ready(values: np.ndarray) -> np.ndarray:
    """Integers as int64, anything else as it is."""
    return values.astype(np.int64) if np.issubdtype(values.dtype, np.integer) else values
