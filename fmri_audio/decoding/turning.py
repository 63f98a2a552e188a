r"""Tests of a correlation with held-out sound, by what the sound is replaced with.

``turned``
    The sound of every held-out run is turned round, after fitting. What has been the test so far.
``refitted``
    The sound of all runs is turned round, in training and held-out time alike, and the model fitted anew.
``phases``
    The sound of every run gets the phases of noise (Theiler et al. 1992), and the model is fitted anew.
``blocks``
    The sound of every run is cut into blocks that change places, and the model is fitted anew.

For one penalty and fixed predictors, ridge regression is a linear map of the training sound, :math:`H = X_* X^\top (X
X^\top + \alpha I)^{-1}`: it is computed once for every held-out run and serves thousands of sounds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from fmri_audio.base.kinds import Block, Matrix
from fmri_audio.brain.solver import solver
from fmri_audio.decoding.regression import products
from fmri_audio.study.lag_windows import lagged
from fmri_audio.study.splits import Split

Sounds = NDArray[np.float64]
"""One sound per column, [TRs, sounds]."""


@dataclass(frozen=True)
class Reader:
    """How one brain reads every held-out run: a map of the training sound, for each split.

    Attributes
    ----------
    splits : sequence of Split
    hats : list of arrays, shape [held-out TRs, training TRs]
    """

    splits: Sequence[Split]
    hats: list[NDArray[np.float64]]

    @classmethod
    def of(
        cls,
        bold_of: Callable[[Split], Matrix],
        splits: Sequence[Split],
        *,
        lags: Sequence[int],
        shift: int,
        penalty: float | None = None,
    ) -> Reader:
        """Fit, but for the sound.

        Parameters
        ----------
        bold_of : callable
            The subject's BOLD [TRs, columns], cleaned and standardised for a split, as
            :func:`fmri_audio.decoding.regression.cleaned_for` returns it.
        splits, lags, shift
            As in :func:`fmri_audio.decoding.regression.predict_folds`.
        penalty : float, optional
            The number of predictors unless given, which is what each training TR has for a sum of squares. It is not
            chosen by the sound, so that no replacement of the sound is at a disadvantage.
        """
        hats = []
        for split in splits:
            clean = bold_of(split)
            train, test = (lagged(clean, rows, lags, shift) for rows in (split.train, split.test))
            kernel, across = _centred(train, test)
            own = penalty if penalty is not None else float(train.shape[1])
            factor = cho_factor(kernel + own * np.eye(len(kernel)))
            hats.append(cho_solve(factor, across.T).T)
        return cls(splits, hats)

    @classmethod
    def mean(cls, readers: Sequence[Reader]) -> Reader:
        """The reader whose predictions are the mean of theirs."""
        hats = [np.mean(several, axis=0) for several in zip(*(one.hats for one in readers), strict=True)]
        return cls(readers[0].splits, hats)

    def read(self, sounds: Sounds) -> list[Sounds]:
        """Predict the held-out part of every sound from its training part, one array per split."""
        found = []
        for split, hat in zip(self.splits, self.hats, strict=True):
            train = sounds[split.train]
            mean = train.mean(axis=0)
            found.append(hat @ (train - mean) + mean)
        return found

    def correlations(self, sounds: Sounds) -> NDArray[np.float64]:
        """Correlation of every sound with what is predicted of it, [splits, sounds]."""
        return np.stack(
            [_matched(a, sounds[split.test]) for split, a in zip(self.splits, self.read(sounds), strict=True)]
        )

    def turned(self, sound: NDArray[np.float64], shifts: NDArray[np.int64]) -> NDArray[np.float64]:
        """Correlation of what is predicted of a sound with that sound, turned round in every held-out run.

        Returns
        -------
        array, shape [splits, 1 + shifts]
            The true pairing comes first.
        """
        rows = []
        for split, predicted in zip(self.splits, self.read(sound[:, None]), strict=True):
            true = sound[split.test]
            turned = np.stack([np.roll(true, s) for s in (0, *shifts)], axis=1)
            rows.append(_matched(np.repeat(predicted, turned.shape[1], axis=1), turned))
        return np.stack(rows)


def _centred(train: Matrix, test: Matrix) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Products of predictors less their training mean: of training TRs with one another, and of test with training."""
    with solver() as backend:
        own, across = (backend.to_numpy(products(rows, train, backend)) for rows in (train, test))
    mean = own.mean(axis=0)
    kernel = own - mean - mean[:, None] + mean.mean()
    return kernel, across - mean - across.mean(axis=1, keepdims=True) + mean.mean()


def _matched(a: Sounds, b: Sounds) -> NDArray[np.float64]:
    """Correlation of matching columns; 0 where either does not vary."""
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    norms = np.linalg.norm(a, axis=0) * np.linalg.norm(b, axis=0)
    return np.asarray(np.divide((a * b).sum(axis=0), norms, out=np.zeros(a.shape[1]), where=norms > 1e-12))


# -- what a sound is replaced with -----------------------------------------------------------------------------

Replace = Callable[[NDArray[np.float64], Sequence[Block], np.random.Generator], NDArray[np.float64]]


def shifts_of(runs: Sequence[Block], gap: int) -> NDArray[np.int64]:
    """Shifts of more than ``gap`` TRs in either direction within every run."""
    shortest = min(last - first for first, last in runs)
    return np.arange(gap + 1, max(gap + 1, shortest - gap))


def turned_round(sound: NDArray[np.float64], runs: Sequence[Block], shifts: NDArray[np.int64]) -> Sounds:
    """The sound with every run turned round by every shift, [TRs, shifts]."""
    made = np.empty((len(sound), len(shifts)))
    for first, last in runs:
        for k, shift in enumerate(shifts):
            made[first:last, k] = np.roll(sound[first:last], shift)
    return made


def other_phases(
    sound: NDArray[np.float64], runs: Sequence[Block], rng: np.random.Generator
) -> NDArray[np.float64]:
    """The sound with the amplitudes of its spectrum and the phases of white noise, run by run."""
    made = np.empty_like(sound)
    for first, last in runs:
        spectrum = np.fft.rfft(sound[first:last])
        noise = np.fft.rfft(rng.standard_normal(last - first))
        noise[0] = 1.0
        made[first:last] = np.fft.irfft(np.abs(spectrum) * noise / np.abs(noise), last - first)
        made[first:last] += sound[first:last].mean() - made[first:last].mean()
    return made


def other_order(n_trs: int) -> Replace:
    """Cut every run into blocks of so many TRs, beginning anywhere, and let them change places."""

    def replaced(
        sound: NDArray[np.float64], runs: Sequence[Block], rng: np.random.Generator
    ) -> NDArray[np.float64]:
        made = np.empty_like(sound)
        for first, last in runs:
            turned = np.roll(sound[first:last], rng.integers(last - first))
            cuts = np.arange(0, last - first, n_trs)
            order = rng.permutation(len(cuts))
            made[first:last] = np.concatenate([turned[cuts[i] : cuts[i] + n_trs] for i in order])
        return made

    return replaced


def p_value(null: NDArray[np.float64], observed: float) -> float:
    """Share of replaced sounds that are at least as good, the true one counted among them."""
    return float((1 + (null >= observed).sum()) / (1 + len(null)))
