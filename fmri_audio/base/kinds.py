"""Names of the kinds of values that many modules hand to one another."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Waveform = NDArray[np.float32]
"""Samples of one channel, or ``[T, C]`` where a function says so."""
Signal = NDArray[np.floating]
"""Samples of one channel in any precision."""
Matrix = NDArray[np.float32]
"""Rows by columns, TRs by voxels for the most part."""
Block = tuple[int, int]
"""First TR of a stretch, and the first one after it."""
Say = Callable[[str], None]
"""What takes a line of progress."""
