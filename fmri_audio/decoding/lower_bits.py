r"""Bits that predictions carry at least, where the components of what is predicted may depend on each other.

For a component :math:`x` that is Gaussian, of variance 1, and any prediction of it with a correlation of :math:`r`,

.. math:: I(x; y) = h(x) - h(x \mid y) \ge -\tfrac12 \log_2 (1 - r^2)

since no distribution has more entropy than the Gaussian one of the same variance (Cover and Thomas 2006, theorem
8.6.5). Components of a sound are not Gaussian; a monotone function of one, learnt in training, makes it so and changes
no information. Several components add up only if they are independent. Principal components are merely uncorrelated: of
a number and its square each tells all, and their sum would count it twice. So there are two figures. ``strongest`` is
the component that is predicted best, and needs no assumption. ``summed`` adds independent components
(:class:`sklearn.decomposition.FastICA`), and is a bound as far as they are independent.

What TRs foretell of each other is not counted twice: innovations are looked at. Correlations of few TRs are never 0;
what turning the sound round gives in the same way is subtracted, run by run, and the bound is the one-sided limit of
the mean over runs.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, t
from sklearn.decomposition import FastICA
from sklearn.exceptions import ConvergenceWarning

from fmri_audio.base.kinds import Block

Array = NDArray[np.float64]

LEVEL = 0.99
"""Of the one-sided limit over runs."""

MOST_COMPONENTS = 16
"""Principal components counted where a block of TRs is held out: more than it can tell apart are only bias."""

_ROUNDS = 400


@dataclass(frozen=True)
class RunPredicted:
    """A run that was held out, with what training had.

    Attributes
    ----------
    predicted, true : arrays, shape [TRs, features]
        Of the run.
    train : sequence of arrays, shape [TRs, features]
        True features of the other runs.
    """

    predicted: Array
    true: Array
    train: Sequence[Array]


@dataclass(frozen=True)
class LowerBits:
    """Bits per TR in every run, what turned sound gives subtracted.

    Attributes
    ----------
    strongest, summed : arrays, shape [runs]
    """

    strongest: Array
    summed: Array

    @property
    def bound(self) -> float:
        """One-sided 99 % limit of the strongest component's mean over runs; no less than 0."""
        return lower_limit(self.strongest)

    @property
    def bound_if_independent(self) -> float:
        """The same of the sum."""
        return lower_limit(self.summed)


def lower_limit(values: Array, level: float = LEVEL) -> float:
    """One-sided limit of a mean, by Student's t, and no less than 0; NaN of a single value."""
    if len(values) < 2:
        return float("nan")
    half = t.ppf(level, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return float(max(values.mean() - half, 0.0))


def lower_bits(runs: Sequence[RunPredicted], *, most_components: int, gap: int, seed: int = 0) -> LowerBits:
    """Bits per TR of held-out predictions, run by run.

    Parameters
    ----------
    runs : sequence of RunPredicted
    most_components : int
        Principal components of the training features that are looked at.
    gap : int
        The sound is turned by more TRs than these, in both directions.
    seed : int
        Of the independent components.

    Raises
    ------
    ValueError
        A run is too short to be turned.
    """
    both = np.array([_of_run(run, most_components, gap, seed) for run in runs])
    return LowerBits(both[:, 0], both[:, 1])


@dataclass(frozen=True)
class _Components:
    """Independent components of features, as innovations, and what makes each Gaussian; learnt in training."""

    mean: Array
    basis: Array
    carry: Array
    sorted: Array

    @classmethod
    def learn(cls, train: Sequence[Array], most: int, seed: int) -> _Components:
        together = np.concatenate([*train]).astype(np.float64)
        mean = together.mean(axis=0)
        _, size, vectors = np.linalg.svd(together - mean, full_matrices=False)
        kept = min(most, int((size > 1e-6 * size[0]).sum()))
        basis = vectors[:kept].T / size[:kept] * np.sqrt(len(together))
        blocks: list[Block] = []
        first = 0
        for one in train:
            blocks.append((first, first + len(one)))
            first += len(one)
        carry, fresh = _innovations((together - mean) @ basis, blocks)
        if kept > 1:
            # Innovations are turned, which the carry of principal components does not survive: it is learnt again.
            ica = FastICA(whiten="unit-variance", random_state=seed, max_iter=_ROUNDS, tol=1e-3)
            with warnings.catch_warnings():
                # Of Gaussian components every turn is independent, and none is found.
                warnings.simplefilter("ignore", ConvergenceWarning)
                ica.fit(fresh)
            basis = basis @ ica.components_.T
            carry, fresh = _innovations((together - mean) @ basis, blocks)
        return cls(mean, basis, carry, np.sort(fresh, axis=0))

    def innovations(self, features: Array) -> Array:
        """What every TR but the first has that the one before did not foretell, [TRs − 1, components]."""
        values = (np.asarray(features, np.float64) - self.mean) @ self.basis
        return np.asarray(values[1:] - self.carry * values[:-1])

    def gaussian(self, fresh: Array) -> Array:
        """Innovations by the rank that they would have in training, as normal scores."""
        n = len(self.sorted)
        ranks = np.stack(
            [np.searchsorted(column, values) for column, values in zip(self.sorted.T, fresh.T, strict=True)],
            axis=1,
        )
        return np.asarray(norm.ppf((ranks + 0.5) / (n + 1)))


def _innovations(values: Array, blocks: Sequence[Block]) -> tuple[Array, Array]:
    """Carry [components] from one TR to the next, and what it leaves of every TR but a block's first."""
    now, before = (np.concatenate([values[a:b][part] for a, b in blocks]) for part in (np.s_[1:], np.s_[:-1]))
    carry = (now * before).sum(axis=0) / (before**2).sum(axis=0)
    return carry, now - carry * before


def _of_run(run: RunPredicted, most: int, gap: int, seed: int) -> tuple[float, float]:
    """Bits per TR of the strongest component and of all, less their mean over turns."""
    components = _Components.learn(run.train, most, seed)
    told = components.innovations(run.predicted)
    asked = components.gaussian(components.innovations(run.true))
    n = len(told)
    turns = np.arange(gap + 1, n - gap)
    if not len(turns):
        raise ValueError(f"a run of {n + 1} TRs cannot be turned by more than {gap}")
    bits = _bits(told, asked[(np.arange(n) + np.concatenate([[0], turns])[:, None]) % n])
    strongest, summed = bits.max(axis=1), bits.sum(axis=1)
    return float(strongest[0] - strongest[1:].mean()), float(summed[0] - summed[1:].mean())


def _bits(told: Array, asked: Array) -> Array:
    """Bits per TR of every component [turns, components]; a wrong sign is no knowledge."""
    a = told - told.mean(axis=0)
    b = asked - asked.mean(axis=1, keepdims=True)
    size = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=1))
    r = np.divide((a * b).sum(axis=1), size, out=np.zeros_like(size), where=size > 0)
    return np.asarray(-0.5 * np.log2(1 - np.clip(r, 0, 1 - 1e-12) ** 2))
