"""A code that needs no training: principal components of short blocks of features, the same for every block.

Weights are shared over time, so that a few minutes of sound give thousands of examples of a block, where a map of a
whole TR has as many examples as there are TRs. What is learnt costs nothing but a decomposition, and every trained
bottleneck of the same width has to beat it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

BLOCK_SECONDS = Fraction(1, 5)
"""Length of a block, to the nearest frame."""

_SHIFTS_PER_BLOCK = 4
"""Training blocks overlap: one begins every quarter of a block."""

Array = NDArray[np.float32]


@dataclass(frozen=True)
class BlockCode:
    """Principal components of blocks of features.

    Attributes
    ----------
    mean : array, shape [C · frames]
    components : array, shape [k, C · frames]
        In order of the variance they hold, so that a narrower code is a prefix.
    frames : int
        Frames in a block.
    per_second : float
        Blocks a second.
    """

    mean: Array
    components: Array
    frames: int
    per_second: float

    @classmethod
    def fit(
        cls, stretches: Sequence[Array], frame_rate: Fraction, per_tr: int, tr: Fraction, seed: int
    ) -> BlockCode:
        """Learn a code of at most ``per_tr`` numbers per TR from stretches of features.

        Parameters
        ----------
        stretches : sequence of arrays, each of shape [C, l]
            Consecutive frames of training sound; those shorter than a block are left out.
        frame_rate : Fraction
            Frames per second.
        per_tr : int
            Most numbers per TR; the code has as many as whole numbers per block allow, and no more than its examples.
        tr : Fraction
            Seconds.
        seed : int
            Of the randomised decomposition (Halko et al. 2011, by scikit-learn).

        Raises
        ------
        ValueError
            No stretch holds a block, or not even one number per block fits.
        """
        frames = max(1, round(BLOCK_SECONDS * frame_rate))
        per_second = frame_rate / frames
        width = int(per_tr / (per_second * tr))
        step = max(1, frames // _SHIFTS_PER_BLOCK)
        examples = [
            part[:, begin : begin + frames].reshape(-1)
            for part in stretches
            for begin in range(0, part.shape[1] - frames + 1, step)
        ]
        if not examples or width < 1:
            raise ValueError(
                f"{len(examples)} blocks of sound cannot be written with {per_tr} numbers per TR"
            )
        blocks = np.stack(examples)
        fitted = PCA(min(width, *blocks.shape), svd_solver="randomized", random_state=seed).fit(blocks)
        return cls(
            np.asarray(fitted.mean_, np.float32),
            np.asarray(fitted.components_, np.float32),
            frames,
            float(per_second),
        )

    def per_tr(self, tr: Fraction) -> float:
        """Numbers per TR that the code has, on average."""
        return len(self.components) * self.per_second * float(tr)

    def restore(self, features: Array) -> Array:
        """Return features [C, L] after the code and back; the last block is filled up with its last frame."""
        channels, length = features.shape
        padded = np.pad(features, ((0, 0), (0, -length % self.frames)), mode="edge")
        blocks = (
            padded.reshape(channels, -1, self.frames).transpose(1, 0, 2).reshape(-1, channels * self.frames)
        )
        back = (blocks - self.mean) @ self.components.T @ self.components + self.mean
        joined = back.reshape(-1, channels, self.frames).transpose(1, 0, 2).reshape(channels, -1)
        return np.ascontiguousarray(joined[:, :length], np.float32)
