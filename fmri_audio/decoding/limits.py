r"""What a scan could carry at best, by arithmetic alone: how slow the response is, and how many voxels are different.

None of this decodes anything. A Gaussian channel whose output shares a part :math:`s` of its variance with the input
carries :math:`-\tfrac12 \log_2 (1 - s)` bits per independent value (Shannon 1948); the question is how many values are
independent.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def equivalent_bandwidth(kernel: NDArray[np.floating], rate: float) -> float:
    r"""Bandwidth in Hz of the ideal filter that passes as much white noise as a kernel does.

    .. math:: B = \int_0^\infty |H(f)|^2 \, df \Big/ \max_f |H(f)|^2

    Parameters
    ----------
    kernel : array, shape [samples]
        Response to an impulse.
    rate : float
        Samples per second.
    """
    power = np.abs(np.fft.rfft(kernel, 16 * len(kernel))) ** 2
    return float(np.sum(np.square(kernel, dtype=np.float64)) * rate / 2 / power.max())


def independent_per_second(kernel: NDArray[np.floating], rate: float) -> float:
    """Independent values per second that a signal filtered by a kernel can take: twice its bandwidth (Shannon 1948)."""
    return 2 * equivalent_bandwidth(kernel, rate)


def passed(kernel: NDArray[np.floating], rate: float, frequency: float) -> float:
    """Amplitude of a modulation at a frequency (Hz) after the kernel, as a share of the one that passes best.

    The kernel has to have died down where it ends: a jump there passes every frequency.
    """
    spectrum = np.abs(np.fft.rfft(kernel, 16 * len(kernel)))
    turn = np.exp(-2j * np.pi * frequency * np.arange(len(kernel)) / rate)
    return float(np.abs(np.sum(kernel * turn)) / spectrum.max())


def channel_bits(n_values: float, share: float) -> float:
    """Bits that so many independent values carry, each sharing a part of its variance with what is to be known."""
    if not 0 <= share < 1:
        raise ValueError(f"a share of {share:g} is impossible")
    return float(-0.5 * n_values * np.log2(1 - share))


def resolved_elements(n_voxels: float, voxel_mm: float, fwhm_mm: float) -> float:
    """Resolution elements that voxels make up: their volume over that of a cube as wide as the noise is smooth.

    Never more than there are voxels (Worsley et al. 1992 call them resels).
    """
    return float(n_voxels * min(1.0, (voxel_mm / fwhm_mm) ** 3))


def as_upper_bound(bits: float, known: float) -> float:
    """Return an upper bound on what brains tell, or NaN where as much has been read from them already.

    A bound below a lower bound rests on an assumption that does not hold, and is none.

    Parameters
    ----------
    bits : float
        Of the upper bound, per TR.
    known : float
        The highest lower bound on the same quantity, per TR; NaN where there is none.
    """
    return float("nan") if bits < known else bits
