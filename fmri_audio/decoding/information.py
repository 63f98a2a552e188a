"""Bits that identification implies, by Fano's inequality (Cover and Thomas 2006, theorem 2.10.1)."""

from __future__ import annotations

import numpy as np


def identification_bits(accuracy: float, ways: int) -> float:
    r"""Bits that identifying one of ``ways`` equally likely segments carries at least, by Fano's inequality.

    :math:`\log_2 n - H(e) - e \log_2 (n - 1)` with :math:`e` the share of errors; 0 at chance or below.
    """
    if not 0 <= accuracy <= 1 or ways < 2:
        raise ValueError(f"an accuracy of {accuracy:g} among {ways} is impossible")
    if accuracy <= 1 / ways:
        return 0.0
    error = 1 - accuracy
    doubt = 0.0 if error == 0 else -error * np.log2(error) - accuracy * np.log2(accuracy)
    return float(np.log2(ways) - doubt - error * np.log2(ways - 1))
