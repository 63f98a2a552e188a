"""Controls of decoding: what an arm's decoder would make if a brain carried less than it may, or nothing.

Every control is a code that goes the same way back to sound as a decoded one:

==================  =========================================================================================
``envelope-only``   predicted from the sound's own level, one number per TR
``speech-only``     predicted from the share of each TR in which somebody speaks
``random-sound``    that of another stretch of sound, drawn from training
==================  =========================================================================================

The first two know the true sound of the moment, without noise, so that no brain that carried only this could do
better by the same regression: what is decoded from a brain says more than loudness, or than where speech is, only as
far as it is closer to the original than they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fmri_audio.base.kinds import Matrix, Waveform
from fmri_audio.decoding.encoding import DELAYS, delayed
from fmri_audio.decoding.regression import fit_ridge
from fmri_audio.sound.acoustics import acoustic_features
from fmri_audio.study.envelope import level_db

if TYPE_CHECKING:
    from fmri_audio.experiments.held_out import HeldOut
    from fmri_audio.experiments.through_arm import ThroughArm


CONTROL_LABELS = {
    "envelope-only": "its level alone, no brain",
    "speech-only": "speech or not, no brain",
    "random-sound": "random sound, no brain",
}
"""How a reader knows the controls, in the order of the tables."""

N_RANDOM = 2
"""Stretches of training sound drawn for ``random-sound``."""


def sounds(through: ThroughArm) -> dict[str, list[Waveform]]:
    """The held-out block as every control of :data:`CONTROL_LABELS` has it, through an arm's way back to sound.

    Parameters
    ----------
    through : ThroughArm

    Returns
    -------
    dict
        Name of the control → its sounds, arrays [T]: one, or as many as stretches were drawn.
    """
    sound = through.held_out.stimulus
    codes = {
        "envelope-only": [code_from(through, envelope(sound.waveform, sound.sample_rate, sound.n_trs))],
        "speech-only": [code_from(through, speech_share(sound.segments, sound.n_trs, sound.tr))],
        "random-sound": random_codes(through, through.held_out.run.settings.seed),
    }
    return {name: [through.sound_of(code) for code in several] for name, several in codes.items()}


def envelope(waveform: NDArray[np.float32], sample_rate: int, n_trs: int) -> Matrix:
    """Mean level of every TR in dB above silence (:func:`fmri_audio.study.envelope.level_db`), [TRs, 1].

    Parameters
    ----------
    waveform : array, shape [T]
        As long as the TRs.
    sample_rate : int
        Hz.
    n_trs : int
    """
    level = level_db(waveform, sample_rate)
    return np.array([part.mean() for part in np.array_split(level, n_trs)], np.float32)[:, None]


def speech_share(segments: pd.DataFrame, n_trs: int, tr: Fraction) -> Matrix:
    """Share of every TR in which somebody speaks, 0 to 1, [TRs, 1].

    Parameters
    ----------
    segments : DataFrame
        ``onset`` and ``offset`` in seconds, and ``kind``; none overlap.
    n_trs : int
    tr : Fraction
        Seconds.
    """
    begin = np.arange(n_trs) * float(tr)
    share = np.zeros(n_trs)
    spoken = segments[segments["kind"] == "speech"]
    for onset, offset in zip(spoken["onset"], spoken["offset"], strict=True):
        covered = np.minimum(offset, begin + float(tr)) - np.maximum(onset, begin)
        share += np.clip(covered, 0, None) / float(tr)
    return np.asarray(np.minimum(share, 1.0), np.float32)[:, None]


def reach(lags: Sequence[int]) -> list[int]:
    """TRs, counted from the one that is decoded, whose sound the volumes of a lag window answer.

    A volume at a lag answers the sound of :data:`fmri_audio.decoding.encoding.DELAYS` TRs before it.
    """
    return sorted({lag - delay for lag in lags for delay in DELAYS})


def code_from(through: ThroughArm, feature: Matrix) -> Matrix:
    """The held-out block's code as an arm's decoder reads it, predicted from a feature of the true sound.

    Ridge regression, with the penalty of every number of the code chosen as in decoding from brains, from the
    feature of all TRs whose sound the lag window answers. It learns from training TRs alone.

    Parameters
    ----------
    through : ThroughArm
    feature : array, shape [TRs, features]
        Of the whole stimulus.

    Returns
    -------
    array, shape [held-out TRs, r]
    """
    held_out = through.held_out
    return _predict(held_out, feature, through.read_codes, reach(held_out.settings.lag_trs))


def foretold(held_out: HeldOut, features: Matrix, targets: Matrix) -> float:
    """Share of the variance of targets over held-out TRs that features of the same TRs predict, by ridge regression.

    Parameters
    ----------
    held_out : HeldOut
    features, targets : arrays, shape [TRs, …]
        Of the whole stimulus.

    Returns
    -------
    float
        Mean over targets of the coefficient of determination about the training mean; at most 1, below 0 where the
        prediction is worse than that mean.
    """
    split = held_out.split
    true, mean = targets[split.test], targets[split.train].mean(axis=0)
    error = np.square(true - _predict(held_out, features, targets, [0])).sum(axis=0)
    return float((1 - error / np.square(true - mean).sum(axis=0)).mean())


def acoustics(waveform: NDArray[np.float32], sample_rate: int, n_trs: int) -> Matrix:
    """Mean over each TR of all that simulated brains can follow, [TRs, features].

    Features of :func:`fmri_audio.sound.acoustics.acoustic_features`; arguments as for :func:`envelope`.
    """
    values = acoustic_features(np.asarray(waveform, np.float64), sample_rate).values
    return np.stack([part.mean(axis=1) for part in np.array_split(values, n_trs, axis=1)]).astype(np.float32)


def _predict(held_out: HeldOut, features: Matrix, targets: Matrix, offsets: Sequence[int]) -> Matrix:
    """Targets of the held-out TRs, by ridge regression from standardised features of TRs at offsets from each."""
    split = held_out.split
    mean, spread = features[split.train].mean(axis=0), features[split.train].std(axis=0)
    standard = (features - mean) * np.divide(1, spread, out=np.zeros_like(spread), where=spread > 1e-6)

    def around(trs: NDArray[np.int64]) -> Matrix:
        """Predictors of TRs; before and after a run there is nothing unusual: the mean."""
        within = [(run, trs[(trs >= run[0]) & (trs < run[1])]) for run in split.runs]
        return np.concatenate(
            [delayed(standard, some, [-o for o in offsets], 0, run) for run, some in within]
        )

    ridge = fit_ridge(
        around(split.train),
        targets[split.train],
        split.train,
        n_folds=held_out.settings.cv_folds,
        gap=split.gap,
    )
    return ridge.predict(around(split.test))


def random_codes(through: ThroughArm, seed: int, count: int = N_RANDOM) -> list[Matrix]:
    """Codes of other sound, as an arm's decoder reads them from its own volumes (noise-free).

    Stretches as long as the held-out block begin at training TRs drawn at random; one that reaches the end of
    training goes on at its start. The same seed draws the same TRs for every arm.

    Parameters
    ----------
    through : ThroughArm
    seed, count : int

    Returns
    -------
    list of arrays, shape [held-out TRs, r]
    """
    split = through.held_out.split
    train = split.train
    starts = np.random.default_rng(seed).choice(len(train), count, replace=False)
    length = np.arange(len(split.test))
    return [through.read_codes[train[(start + length) % len(train)]] for start in starts]
