"""From what is heard to what the scanner measures: haemodynamic responses, and what drift leaves of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from scipy.signal import fftconvolve

from fmri_audio.brain.cleaning import HIGH_PASS_SECONDS
from fmri_audio.brain.response import canonical_response
from fmri_audio.sound.acoustics import FEATURE_RATE
from fmri_audio.study.facts import Run

#: The release is shifted by this many TRs against the haemodynamic lag; so is a simulated study.
SHIFT_TRS = 3
#: Responses differ between subjects (Aguirre, Zarahn & D'Esposito 1998; Handwerker, Ollinger & D'Esposito 2004):
#: standard deviation and bound of their delay (s), and of the logarithm of their width, relative to the canonical
#: response.
LATENCY_SD, LATENCY_BOUND = 0.4, 0.8
DISPERSION_SD, DISPERSION_BOUND = 0.06, 0.12


@dataclass(frozen=True)
class Haemodynamics:
    """Response of one subject: the canonical one, ``latency`` seconds later and ``dispersion`` times as wide."""

    latency: float = 0.0
    dispersion: float = 1.0

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Haemodynamics:
        """Response of a subject drawn at random; its mean is the canonical one."""
        latency = np.clip(rng.normal(0.0, LATENCY_SD), -LATENCY_BOUND, LATENCY_BOUND)
        width = np.clip(rng.normal(0.0, DISPERSION_SD), -DISPERSION_BOUND, DISPERSION_BOUND)
        return cls(float(latency), float(np.exp(width)))

    def kernel(self, rate: float = FEATURE_RATE) -> np.ndarray:
        """The response sampled at ``rate`` Hz, sum 1, [samples]."""
        return canonical_response(rate, self.latency, self.dispersion)


CANONICAL = Haemodynamics()


def responses(
    values: np.ndarray, runs: Sequence[Run], tr: Fraction, haemodynamics: Haemodynamics = CANONICAL
) -> np.ndarray:
    """Features as BOLD would follow them, one row per volume of the shifted file.

    Row k is taken at the middle of TR k + 3, because the release is already shifted by 3 TRs. Every run
    starts from rest, and rest follows its end.

    Parameters
    ----------
    values : array, shape [features, frames]
        At ``FEATURE_RATE``, 0 at rest.
    runs : sequence of Run
    tr : Fraction
        Seconds.
    haemodynamics : Haemodynamics

    Returns
    -------
    array, shape [TRs, features]
        In the features' own units.
    """
    kernel = haemodynamics.kernel()
    rows = []
    for run in runs:
        start, stop = (round(k * tr * FEATURE_RATE) for k in (run.first_tr, run.last_tr))
        heard = values[:, start:stop]
        at = [round((k + SHIFT_TRS + Fraction(1, 2)) * tr * FEATURE_RATE) for k in range(run.n_trs)]
        rest = max(0, at[-1] + 1 - heard.shape[1])
        followed = fftconvolve(np.pad(heard, ((0, 0), (0, rest))), kernel[None], axes=1)
        rows.append(followed[:, at].T)
    return np.concatenate(rows)


def drift_basis(n_trs: int, tr: Fraction) -> np.ndarray:
    """What cleaning takes out of a run: mean, linear trend and cosines slower than 128 s, [TRs, regressors].

    The same as :func:`fmri_audio.brain.cleaning.clean_blocks` removes, with orthonormal columns.
    """
    k = np.arange(n_trs)
    slow = int(2 * n_trs * float(tr) / HIGH_PASS_SECONDS)
    columns = [np.ones(n_trs)]
    if n_trs >= 3:
        columns.append(k - k.mean())
    columns += [np.cos(np.pi * (i + 1) * (k + 0.5) / n_trs) for i in range(slow)]
    return np.asarray(np.linalg.qr(np.stack(columns, axis=1))[0])


def above_drift(course: np.ndarray, runs: Sequence[Run], tr: Fraction) -> np.ndarray:
    """Take from every run what cannot be told from the scanner's drift, [TRs, columns].

    A signal without it passes through the cleaning of whole runs untouched, so that shares of variance hold
    for cleaned data.
    """
    kept = np.empty_like(course)
    for run in runs:
        rows = slice(run.first_tr, run.last_tr)
        basis = drift_basis(run.n_trs, tr)
        kept[rows] = course[rows] - basis @ (basis.T @ course[rows])
    return kept


def unit(x: np.ndarray) -> np.ndarray:
    """Columns with mean 0 and variance 1; a column that does not vary becomes 0."""
    centred = x - x.mean(axis=0)
    spread = centred.std(axis=0)
    return np.asarray(np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 1e-9))
