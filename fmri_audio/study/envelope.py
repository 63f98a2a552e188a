"""How well a voxel follows the loudness of the sound: the simplest encoding model, for maps and for a check."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from scipy.signal import fftconvolve

from fmri_audio.base.kinds import Block
from fmri_audio.base.timeline import trs_to_samples
from fmri_audio.brain.agreement import correlate
from fmri_audio.brain.cleaning import clean_blocks, standardise
from fmri_audio.brain.response import canonical_response

#: Levels per second of sound: finer than the response can tell apart.
LEVEL_RATE = 40
#: The level (dB under the loudest moment) that counts as silence.
RANGE_DB = 60.0


def level_db(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """Level of a sound [T] in dB above silence, 40 times a second: root mean square, 0 to 60."""
    edges = np.arange(len(waveform) * LEVEL_RATE // sample_rate + 1) * sample_rate // LEVEL_RATE
    energy = np.concatenate([[0.0], np.cumsum(np.asarray(waveform, np.float64) ** 2)])
    power = np.diff(energy[edges]) / np.diff(edges)
    if not power.max(initial=0.0) > 0:
        return np.zeros(len(power))
    floor = power.max() * 10 ** (-RANGE_DB / 10)
    return np.asarray(10 * np.log10(np.maximum(power, floor) / floor))


def envelope_response(
    waveform: np.ndarray, sample_rate: int, runs: Sequence[Block], tr: Fraction, shift: int
) -> np.ndarray:
    """The sound's level as BOLD would follow it, through the canonical response, one value per volume.

    Parameters
    ----------
    waveform : array, shape [T]
        The stimulus of all runs, joined.
    sample_rate : int
    runs : sequence of (first, last)
        TRs ``first <= k < last``; every run starts from rest.
    tr : Fraction
        Seconds.
    shift : int
        TRs by which the study is already shifted: volume k is taken at the middle of TR k + shift.

    Returns
    -------
    array of float64, shape [TRs of all runs]
    """
    kernel = canonical_response(LEVEL_RATE)
    rows = []
    for first, last in runs:
        begin, end = (trs_to_samples(k, sample_rate, tr) for k in (first, last))
        level = level_db(waveform[begin:end], sample_rate)
        at = np.array([round((k + shift + Fraction(1, 2)) * tr * LEVEL_RATE) for k in range(last - first)])
        # Rest follows the end of a run: its last volumes answer what was heard before. Volumes moved so far that they
        # were acquired before its start answer nothing.
        followed = fftconvolve(np.pad(level, (0, max(0, at[-1] + 1 - len(level)))), kernel)
        rows.append(np.where(at >= 0, followed[np.maximum(at, 0)], 0.0))
    return np.concatenate(rows)


def envelope_map(
    waveform: np.ndarray, sample_rate: int, bold: np.ndarray, runs: Sequence[Block], tr: Fraction, shift: int
) -> np.ndarray:
    """Correlation of every voxel with the level of the sound through the canonical response.

    Both are detrended, filtered and standardised run by run; nothing is fitted, so nothing has to be held out.

    Parameters
    ----------
    waveform, sample_rate, runs, tr, shift
        As for :func:`envelope_response`.
    bold : array, shape [TRs, voxels]
        As read, neither filtered nor standardised; filler volumes are NaN.

    Returns
    -------
    array of float64, shape [voxels]
        NaN where a voxel, or the level, is constant.
    """
    level = envelope_response(waveform, sample_rate, runs, tr, shift)[:, None]
    rows = np.concatenate([np.arange(*run) for run in runs])
    within = [
        (int(end - (last - first)), int(end))
        for (first, last), end in zip(runs, np.cumsum([last - first for first, last in runs]), strict=True)
    ]
    both = []
    for values in (level, bold[rows]):
        cleaned = clean_blocks(values, within, tr)
        both.append(np.concatenate([standardise(cleaned[a:b], np.arange(b - a)) for a, b in within]))
    common = np.isfinite(both[1]).all(axis=1)
    return correlate(np.broadcast_to(both[0][common], both[1][common].shape), both[1][common])
