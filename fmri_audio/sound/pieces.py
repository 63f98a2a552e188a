"""Where a long recording of speech is cut to be scored: in its pauses, into pieces that PESQ can hold.

The library ``pesq`` (the ITU's own code) keeps a table of fifty utterances and does not look whether it is full: what
is beyond is written over other values, so that scores are wrong, and then over other memory. An utterance lasts
200 ms at least and so does the pause that ends it, on the library's grid of 4 ms less what it widens utterances by:
97 steps from one to the next. :data:`ALWAYS_HOLDS` is too short for fifty of them whatever the sound is.
"""

from __future__ import annotations

import numpy as np
import scipy.ndimage
import scipy.signal
from numpy.typing import NDArray

from fmri_audio.base.kinds import Signal

LONGEST = 30.0
"""Longest piece in seconds: what ITU-T P.862.3 advises at most."""

ALWAYS_HOLDS = 18.0
"""Length in seconds that holds fewer than fifty utterances whatever it holds."""

MOST_UTTERANCES = 45
"""Utterances that a longer piece may seem to hold: the table's fifty, less a margin: it counts its own way."""

_STEP = 0.004
"""Seconds per step of the library's activity."""

_SHORTEST = 40
"""Steps of an utterance, or of a pause, that count: fewer than the library's fifty, to count rather too many."""

_DEPTH_DB = 40
"""How far under the loudest step the library looks for speech."""

_AROUND = 0.3
"""Seconds over which a pause is quiet."""


def pieces(reference: Signal, sample_rate: int, *, hold: bool) -> list[slice]:
    """Return where to cut a recording: one piece, or several that end in the quietest moments.

    A piece that is too long is cut at the quietest moment of its middle third, and its parts likewise.

    Parameters
    ----------
    reference : array of shape [T], mono, without its mean
    sample_rate : Hz
    hold : whether pieces have to be ones that PESQ's table of utterances holds, besides being :data:`LONGEST` at most
    """
    step = round(_STEP * sample_rate)
    quiet: Signal | None = None
    found, waiting = [], [slice(0, len(reference))]
    while waiting:
        piece = waiting.pop()
        if _fits(reference[piece], sample_rate, hold):
            found.append(piece)
            continue
        if quiet is None:
            quiet = scipy.ndimage.uniform_filter1d(power(reference, step), round(_AROUND / _STEP))
        third = (piece.stop - piece.start) // 3
        first, last = (piece.start + third) // step, (piece.stop - third) // step
        cut = (first + int(quiet[first:last].argmin())) * step
        waiting += [slice(cut, piece.stop), slice(piece.start, cut)]
    return found


def _fits(piece: Signal, sample_rate: int, hold: bool) -> bool:
    """Return whether a piece can be scored as one."""
    if len(piece) > LONGEST * sample_rate:
        return False
    return (
        not hold
        or len(piece) <= ALWAYS_HOLDS * sample_rate
        or utterances(piece, sample_rate) <= MOST_UTTERANCES
    )


def utterances(piece: Signal, sample_rate: int) -> int:
    """Return how many utterances PESQ might find in a piece: rather too many than too few.

    Its filters and its threshold follow the sound. Here all thresholds are tried, on the sound without its hum and
    on the band of the telephone, and shorter utterances and pauses count than there.
    """
    most = 0
    for low, high in ((100.0, 0.45 * sample_rate), (300.0, 3400.0)):
        band = scipy.signal.butter(2, (low, high), "bandpass", fs=sample_rate, output="sos")
        level = power(scipy.signal.sosfilt(band, piece), round(_STEP * sample_rate))
        loudest = level.max(initial=0.0)
        for depth in range(1, _DEPTH_DB + 1) if loudest else ():
            most = max(most, _bursts(level > loudest * 10 ** (-depth / 10)))
    return most


def _bursts(active: NDArray[np.bool_]) -> int:
    """Count the runs of activity that last, after short pauses between them are closed."""
    edges = np.flatnonzero(np.diff(active, prepend=False, append=False))
    starts, stops = edges[::2], edges[1::2]
    if not len(starts):
        return 0
    parted = starts[1:] - stops[:-1] > _SHORTEST
    begins, ends = starts[np.r_[True, parted]], stops[np.r_[parted, True]]
    return int(np.sum(ends - begins >= _SHORTEST))


def power(signal: Signal, step: int) -> NDArray[np.float64]:
    """Return the mean square of each whole step of a signal; a signal of any length takes little memory."""
    steps = np.asarray(signal[: len(signal) // step * step]).reshape(-1, step)
    found = np.empty(len(steps))
    for start in range(0, len(steps), 1 << 14):
        block = steps[start : start + (1 << 14)].astype(np.float64)
        found[start : start + len(block)] = np.square(block).mean(axis=1)
    return found
