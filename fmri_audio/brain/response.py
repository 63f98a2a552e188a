"""The canonical haemodynamic response, and how long it takes."""

from __future__ import annotations

import math
import warnings
from fractions import Fraction

import numpy as np

#: How long after a sound its response still has to be counted with. The canonical double gamma rises to its peak 5 s
#: after the sound and falls back through zero at 12.07 s, where ``t**10 == 6 * 15!/5!``; what follows is a shallow
#: undershoot of a tenth of the peak, which the high-pass filter and the noise outweigh.
RESPONSE_SECONDS = 12


def response_trs(tr: Fraction) -> int:
    """TRs that the response takes, rounded up: 8 of 1.5 s."""
    return math.ceil(RESPONSE_SECONDS / tr)


def canonical_response(rate: int) -> np.ndarray:
    """SPM's double gamma (Friston et al. 1998, by ``nilearn``) sampled at ``rate`` Hz over 32 s, sum 1, [samples]."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from nilearn.glm.first_level import spm_hrf
    return np.asarray(spm_hrf(1 / rate, oversampling=1), np.float64)
