"""The held-out block's code, decoded from the BOLD of single subjects (measured)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fmri_audio.decoding import regression
from fmri_audio.experiments.through_arm import ThroughArm
from fmri_audio.study.facts import Subject


@dataclass(frozen=True)
class Decoded:
    """The held-out block's code, decoded from volumes by a decoder trained on the same kind of volumes.

    Attributes
    ----------
    subject : int, str or None
        Whose BOLD it was; None where it was the model's own, with noise.
    arm : str
    heard : array, shape [TRs, r]
        The code as the arm's own decoder reads it, predicted: what sound is made of.
    code : array, shape [TRs, r]
        The sound's code before the bottleneck, predicted: what segments are identified by.
    true : array, shape [TRs, r]
        What the sound's own code is.
    alphas : array, shape [r]
        Ridge penalty of each number of the code, chosen within training; NaN where no ridge regression was needed.
    """

    subject: Subject | None
    arm: str
    heard: NDArray[np.float32]
    code: NDArray[np.float32]
    true: NDArray[np.float32]
    alphas: NDArray[np.float64]


def decoded_from_brains(through: ThroughArm) -> Iterator[Decoded]:
    """Every subject's held-out block, decoded by ridge regression trained on that subject alone.

    Both codes are predicted by one regression, which chooses a penalty for every number of either.

    Parameters
    ----------
    through : ThroughArm
        The arm whose code is decoded.
    """
    held_out, own = through.held_out, through.trained.code
    targets = np.concatenate([through.read_codes, own], axis=1)
    for subject in held_out.study.subjects:
        predicted, ridge = regression.decode_units(
            held_out.brains.bold(subject),
            targets,
            held_out.split,
            lags=held_out.settings.lag_trs,
            shift=held_out.study.shift,
            n_folds=held_out.settings.cv_folds,
        )
        heard, code = np.split(predicted, 2, axis=1)
        yield Decoded(subject, through.name, heard, code, through.own_code, ridge.alphas[own.shape[1] :])
