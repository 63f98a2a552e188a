"""DNSMOS P.835, overall quality, by the model that the ``speechmos`` package (MIT, Microsoft) carries.

The package is not imported: it needs others that it does not declare. Its processing is followed here.
"""

from __future__ import annotations

import importlib.metadata
import math
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmri_audio.base.errors import UserError
from fmri_audio.base.kinds import Signal
from fmri_audio.sound.metrics.base import METRIC_RATE, METRICS, Metric, constant

MODEL = "speechmos/dnsmos_models/sig_bak_ovr.onnx"
"""The model for P.835's three scales (signal, background, overall), not the personalised one."""

WINDOW = 9.01
"""Seconds that the model hears at once; windows begin a second apart."""

_TO_MOS = (-0.06766283, 1.11546468, 0.04602535)
"""Polynomial, highest power first, from what the model says of overall quality to MOS."""


def dnsmos_ovrl(degraded: Signal) -> float:
    """Return DNSMOS P.835's overall quality (Reddy et al. 2022) of a sound at 16 kHz as MOS; NaN of silence.

    It hears the degraded sound alone: speech of another, or speech that a decoder makes up without a brain, can have
    as good a score as the original. The sound is taken as it is; its level counts.

    As in the published script, the score is the mean over windows of 9.01 s a second apart. A sound shorter than a
    window is repeated, doubling, until it fills one. What is left at the end for no whole window is not heard; nor is
    a window that rounding leaves a sample short, a third of them, which the script drops too.

    Parameters
    ----------
    degraded : array of shape [T], mono, of any length

    Raises
    ------
    UserError
        The package with the model is not installed.
    """
    if constant(degraded):
        return math.nan
    session = _session()
    raw = [float(session.run(None, {"input_1": window[None]})[0][0][2]) for window in _windows(degraded)]
    return float(np.mean(np.polyval(_TO_MOS, raw)))


def _windows(sound: Signal) -> Iterator[NDArray[np.float32]]:
    """Yield the windows that the model hears, [9.01 s], one at a time."""
    length = int(WINDOW * METRIC_RATE)
    while len(sound) < length:
        sound = np.append(sound, sound)
    for start in range(int(len(sound) // METRIC_RATE - WINDOW) + 1):
        window = sound[start * METRIC_RATE : int((start + WINDOW) * METRIC_RATE)]
        if len(window) >= length:
            yield np.asarray(window, np.float32)


@cache
def _session() -> Any:
    """Load the model, once; on one core, so that its sums are always taken in the same order."""
    import onnxruntime

    try:
        path = importlib.metadata.distribution("speechmos").locate_file(MODEL)
    except importlib.metadata.PackageNotFoundError:
        raise UserError(
            "speechmos, which carries the model of DNSMOS, is not installed: pip install speechmos"
        ) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


METRICS.register(
    Metric(
        "dnsmos_ovrl",
        "DNSMOS overall, no reference",
        "MOS",
        1,
        2,
        56,
        lambda _, degraded, __: dnsmos_ovrl(degraded),
        speech_only=True,
        cheap=False,
    ),
    __name__,
)
