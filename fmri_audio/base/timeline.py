"""Exact arithmetic between TRs, seconds, samples and codec frames.

Everything is a rational number (:class:`fractions.Fraction`), because the grids do not fit each other: a TR of
1.5 s is 112.5 frames of a 75 Hz codec, and slices of 112 frames would drift by 6.1 s over 920 TRs. Here every TR
keeps all frames it touches (113), and a frame shared by two TRs counts by its share in each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

Frames = TypeVar("Frames", NDArray[np.generic], torch.Tensor)


@dataclass(frozen=True)
class FrameSpan:
    """The frames that one TR touches.

    Attributes
    ----------
    first, last
        First and last frame, both included.
    first_weight, last_weight
        Share of the first and of the last frame that lies within the TR, in (0, 1]; frames between lie
        within it whole.
    """

    first: int
    last: int
    first_weight: Fraction
    last_weight: Fraction

    @property
    def count(self) -> int:
        """How many frames the TR touches."""
        return self.last - self.first + 1


def whole_trs(n_samples: int, sample_rate: int, tr: Fraction) -> int:
    """Return how many whole TRs a sound of ``n_samples`` holds."""
    return math.floor(Fraction(n_samples, sample_rate) / tr)


def seconds_to_samples(seconds: float | Fraction, sample_rate: int) -> int:
    """Return the sample nearest to a moment."""
    return round(Fraction(seconds) * sample_rate)


def trs_to_samples(n_trs: int, sample_rate: int, tr: Fraction) -> int:
    """Return the number of samples in ``n_trs`` TRs (rounded to the nearest where the grids do not meet)."""
    return seconds_to_samples(n_trs * tr, sample_rate)


def frames_of_samples(n_samples: int, hop_length: int) -> int:
    """Return the number of frames that a codec with this hop makes of a sound: the last may be partial."""
    return math.ceil(Fraction(n_samples, hop_length))


def frames_of_tr(tr_index: int, tr: Fraction, frame_rate: Fraction) -> FrameSpan:
    """Return the frames that TR ``tr_index`` touches and how much of the outer two is its own.

    Parameters
    ----------
    tr_index
        TR, counted from 0.
    tr
        Length of a TR in seconds.
    frame_rate
        Frames per second.
    """
    start = tr_index * tr * frame_rate
    stop = start + tr * frame_rate
    first, last = math.floor(start), math.ceil(stop) - 1
    first_weight = min(Fraction(first + 1), stop) - start
    last_weight = stop - max(Fraction(last), start)
    return FrameSpan(first, last, first_weight, last_weight)


def frames_per_tr(tr: Fraction, frame_rate: Fraction) -> int:
    """Return the largest number of frames that any TR touches (113 for 1.5 s at 75 Hz)."""
    width = Fraction(tr * frame_rate)
    # A TR can start at any multiple of 1/denominator within a frame; the latest start touches most frames.
    return math.ceil(width + Fraction(width.denominator - 1, width.denominator))


def frame_table(
    n_trs: int, tr: Fraction, frame_rate: Fraction, first_tr: int = 0
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return, for consecutive TRs, the frames each one takes and the weight of each frame.

    Returns
    -------
    index : array of shape [n_trs, frames_per_tr]
        Frame numbers, counted from the first frame that TR ``first_tr`` touches.
    weight : array of shape [n_trs, frames_per_tr]
        Share of the frame that lies within the TR; 0 where a TR touches fewer frames than the longest.
    """
    width = frames_per_tr(tr, frame_rate)
    origin = frames_of_tr(first_tr, tr, frame_rate).first
    index = np.empty((n_trs, width), dtype=np.int64)
    weight = np.ones((n_trs, width))
    for row in range(n_trs):
        span = frames_of_tr(first_tr + row, tr, frame_rate)
        index[row] = np.minimum(span.first - origin + np.arange(width), span.last - origin)
        weight[row, 0] = float(span.first_weight)
        weight[row, span.count - 1] = float(span.last_weight)
        weight[row, span.count :] = 0
    return index, weight


def n_frames_of_trs(n_trs: int, tr: Fraction, frame_rate: Fraction, first_tr: int = 0) -> int:
    """Return the number of frames that ``n_trs`` consecutive TRs touch together."""
    first = frames_of_tr(first_tr, tr, frame_rate).first
    return frames_of_tr(first_tr + n_trs - 1, tr, frame_rate).last - first + 1


def run_samples(
    runs: Sequence[tuple[int, int]], sample_rate: int, tr: Fraction, hop_length: int
) -> list[tuple[int, int]]:
    """Return the samples of each run of a joined sound, so that a codec can start afresh with every run.

    Parameters
    ----------
    runs : sequence of (first TR, number of TRs)
    sample_rate
        In Hz.
    tr
        Length of a TR in seconds.
    hop_length
        Samples per frame of the codec.

    Returns
    -------
    list of (first, last)
        Samples ``first <= t < last``.

    Raises
    ------
    ValueError
        A run begins within a frame, so that its frames would not lie on the grid of the joined sound.
    """
    spans = []
    for first, count in runs:
        begin, end = (trs_to_samples(k, sample_rate, tr) for k in (first, first + count))
        if begin % hop_length:
            raise ValueError(
                f"the run from TR {first} on begins within a codec frame; give the run before it "
                f"a multiple of {(tr * Fraction(sample_rate, hop_length)).denominator} TRs"
            )
        spans.append((begin, end))
    return spans


def cut_trs(features: Frames, n_trs: int, tr: Fraction, frame_rate: Fraction, first_tr: int = 0) -> Frames:
    """Cut features into one piece per TR; a frame that two TRs share goes to both.

    Parameters
    ----------
    features : array or tensor of shape [C, L]
        Frames of the whole sound, from the first frame that TR ``first_tr`` touches.
    n_trs
        How many TRs to cut.
    tr
        Length of a TR in seconds.
    frame_rate
        Frames per second.
    first_tr
        TR with which the features begin: it decides where the half frames fall.

    Returns
    -------
    array or tensor of shape [n_trs, C, frames_per_tr]

    Raises
    ------
    ValueError
        There are fewer frames than these TRs need.
    """
    needed = n_frames_of_trs(n_trs, tr, frame_rate, first_tr)
    if features.shape[-1] < needed:
        raise ValueError(f"{n_trs} TRs need {needed} frames, the features have {features.shape[-1]}")
    index, _ = frame_table(n_trs, tr, frame_rate, first_tr)
    if isinstance(features, torch.Tensor):
        return features[:, torch.from_numpy(index).to(features.device)].transpose(0, 1)
    return features[:, index].swapaxes(0, 1)


def join_trs(pieces: Frames, tr: Fraction, frame_rate: Fraction, first_tr: int = 0) -> Frames:
    """Join pieces of TRs into one sequence: the inverse of :func:`cut_trs`.

    Real features are overlap-added, each frame weighted by its share in the TR. Codes (integers) cannot be
    averaged: of two TRs that share a frame, the one with the larger share gives it, the earlier if equal.

    Parameters
    ----------
    pieces : array or tensor of shape [n_trs, C, frames_per_tr]

    Returns
    -------
    array or tensor of shape [C, L]
        L is :func:`n_frames_of_trs`.
    """
    n_trs, channels = pieces.shape[0], pieces.shape[1]
    index, weight = frame_table(n_trs, tr, frame_rate, first_tr)
    if pieces.shape[2] != index.shape[1]:
        raise ValueError(f"pieces have {pieces.shape[2]} frames, a TR here has {index.shape[1]}")
    length = n_frames_of_trs(n_trs, tr, frame_rate, first_tr)
    weight = _shares(index, weight, length, exclusive=_is_integer(pieces))
    if isinstance(pieces, torch.Tensor):
        flat = pieces.transpose(0, 1).reshape(channels, -1)
        shares = torch.from_numpy(weight.ravel()).to(flat)
        joined = torch.zeros((channels, length), dtype=flat.dtype, device=flat.device)
        return joined.index_add_(1, torch.from_numpy(index.ravel()).to(flat.device), flat * shares)
    array = pieces.swapaxes(0, 1).reshape(channels, -1)
    result = np.zeros((length, channels), dtype=array.dtype)
    np.add.at(result, index.ravel(), (array * weight.ravel().astype(array.dtype)).T)
    return result.T


def pooled(
    features: Frames, n_trs: int, tr: Fraction, frame_rate: Fraction, first_tr: int = 0
) -> NDArray[np.float32]:
    """Average features over each TR; a frame that two TRs share counts in each by its share.

    Parameters
    ----------
    features : array or tensor of shape [C, L]
        From the first frame that TR ``first_tr`` touches.

    Returns
    -------
    array of float32, shape [n_trs, C]
    """
    pieces = np.asarray(cut_trs(features, n_trs, tr, frame_rate, first_tr))
    _, weight = frame_table(n_trs, tr, frame_rate, first_tr)
    total = (pieces * weight[:, None]).sum(axis=2) / weight.sum(axis=1, keepdims=True)
    return np.asarray(total, np.float32)


def _is_integer(features: NDArray[np.generic] | torch.Tensor) -> bool:
    """Tell codes from real features."""
    if isinstance(features, torch.Tensor):
        return not features.is_floating_point()
    return bool(np.issubdtype(features.dtype, np.integer))


def _shares(
    index: NDArray[np.int64], weight: NDArray[np.float64], length: int, exclusive: bool
) -> NDArray[np.float64]:
    """Scale weights so that every frame's add up to 1; ``exclusive`` gives the frame to one TR alone."""
    if exclusive:
        owner = np.full(length, -1, dtype=np.int64)
        best = np.zeros(length)
        for position in np.flatnonzero(weight.ravel() > 0):
            frame = index.ravel()[position]
            if weight.ravel()[position] > best[frame]:
                owner[frame], best[frame] = position, weight.ravel()[position]
        shares = np.zeros(weight.size)
        shares[owner] = 1
        return shares.reshape(weight.shape)
    total = np.zeros(length)
    np.add.at(total, index.ravel(), weight.ravel())
    return weight / total[index]
