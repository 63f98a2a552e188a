"""STOI: short-time objective intelligibility, by the ``pystoi`` package (MIT)."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from pystoi import stoi as _stoi

from fmri_audio.base.kinds import Signal
from fmri_audio.sound.metrics.base import METRIC_RATE, METRICS, Metric, over_pieces

_TOO_SHORT = 1e-5
"""What pystoi returns instead of a score when fewer than 30 frames are left."""


def stoi(reference: Signal, degraded: Signal, *, extended: bool = False) -> float:
    """Return short-time objective intelligibility (Taal et al. 2011) at 16 kHz; NaN where undefined.

    Sounds longer than 30 s are scored in pieces. Both sounds lose their mean.

    Parameters
    ----------
    reference, degraded : arrays of shape [T], mono, aligned
    extended : the variant that also compares spectra at each moment, see :mod:`fmri_audio.sound.metrics.estoi`
    """
    return over_pieces(reference, degraded, lambda ref, deg: _stoi_of(ref, deg, extended), hold=False)


def _stoi_of(reference: Signal, degraded: Signal, extended: bool) -> float:
    """Return STOI of one piece."""
    ref, deg = (np.asarray(signal, np.float64) for signal in (reference, degraded))
    with warnings.catch_warnings(), _same_dither():
        warnings.filterwarnings("ignore", "Not enough STFT frames", RuntimeWarning)
        try:
            value = float(_stoi(ref - ref.mean(), deg - deg.mean(), METRIC_RATE, extended=extended))
        except ValueError:  # shorter than a single frame
            return math.nan
    return math.nan if value == _TOO_SHORT else value


@contextmanager
def _same_dither() -> Iterator[None]:
    """Let the extended variant add the same tiny noise every time, and leave NumPy's generator as it was."""
    state = np.random.get_state()  # noqa: NPY002 - the one that pystoi draws from
    np.random.seed(0)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002


METRICS.register(
    Metric(
        "stoi",
        "STOI",
        "1",
        1,
        3,
        50,
        lambda reference, degraded, _: stoi(reference, degraded),
        speech_only=True,
    ),
    __name__,
)
