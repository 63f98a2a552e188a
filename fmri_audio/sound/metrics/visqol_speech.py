"""ViSQOL in its speech mode, by the ``visqol-python`` package (Apache-2.0), with the lattice model in its wheel.

The mode is part of the name: audio mode, which the EnCodec paper reports, is another scale. Without the lattice
model, speech mode falls back on a formula that scores 1 to 2 higher, so nothing is scored without it.
"""

from __future__ import annotations

import logging
import math
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from fmri_audio.base.errors import UserError
from fmri_audio.base.kinds import Signal
from fmri_audio.sound.metrics.base import METRIC_RATE, METRICS, Metric, over_pieces

if TYPE_CHECKING:
    from visqol import VisqolApi

SHORTEST = 0.64
"""Shortest sound in seconds: one patch of 20 frames every 20 ms, the nine frames before it, and a window of 80 ms."""


def visqol_speech(reference: Signal, degraded: Signal) -> float:
    """Return ViSQOL v3 in speech mode (Chinen et al. 2020) as MOS-LQO at 16 kHz; NaN where undefined.

    Sounds longer than 30 s are scored in pieces: its time grows with the square of the length. Both sounds lose
    their mean. It brings the degraded sound to the reference's level, and aligns it anew, as a whole and patch by
    patch. It has an absolute noise floor: of a reference at a hundredth of full scale, it hears little noise.

    Parameters
    ----------
    reference, degraded : arrays of shape [T], mono, aligned

    Raises
    ------
    UserError
        The runtime of the lattice model is not installed.
    """
    scorer = _scorer()
    return over_pieces(reference, degraded, lambda ref, deg: _score_of(scorer, ref, deg), hold=False)


def _score_of(scorer: VisqolApi, reference: Signal, degraded: Signal) -> float:
    """Return ViSQOL of one piece."""
    if len(reference) < round(SHORTEST * METRIC_RATE):
        return math.nan
    ref, deg = (np.asarray(signal, np.float64) for signal in (reference, degraded))
    with np.errstate(
        invalid="ignore"
    ):  # nothing but silence may be left of a degraded sound that it has aligned
        found = scorer.measure_from_arrays(ref - ref.mean(), deg - deg.mean(), METRIC_RATE)
    return float(found.moslqo)


@cache
def _scorer() -> VisqolApi:
    """Load the model, once."""
    from visqol import VisqolApi

    logging.getLogger("visqol").setLevel(logging.ERROR)
    made = VisqolApi()
    try:
        with _silent_loading():
            made.create(mode="speech", use_lattice_model=True)
    except ImportError as error:
        raise UserError(
            "ViSQOL's speech mode scores 1 to 2 too high without its lattice model, whose runtime is not installed: "
            "run pip install 'visqol-python[lattice]'"
        ) from error
    return made


@contextmanager
def _silent_loading() -> Iterator[None]:
    """Keep from standard error the line that the runtime writes there whenever it loads a model."""
    kept = os.dup(2)
    try:
        with tempfile.TemporaryFile() as nowhere:
            os.dup2(nowhere.fileno(), 2)
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


METRICS.register(
    Metric(
        "visqol_speech",
        "ViSQOL, speech mode",
        "MOS-LQO",
        1,
        2,
        54,
        lambda reference, degraded, _: visqol_speech(reference, degraded),
        speech_only=True,
        cheap=False,
    ),
    __name__,
)
