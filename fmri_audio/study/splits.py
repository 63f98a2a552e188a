"""Which TRs train and which test: contiguous blocks with a gap between them.

A lag counts TRs from the sound to the volume that answers it, in stimulus time: lag 4 of a study shifted by 3
TRs reads volume k + 1 for the sound of TR k.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fmri_audio.errors import UserError

Block = tuple[int, int]


@dataclass(frozen=True)
class Split:
    """One way to divide a study in time.

    Attributes
    ----------
    train_blocks, test_block
        TRs of the *stimulus*, ``first <= k < last``. Blocks never cross a run.
    bold_train, bold_test
        The volumes that these TRs may read with their lag window: the blocks that are cleaned separately.
    gap : int
        TRs between training and testing that neither uses.
    """

    train_blocks: tuple[Block, ...]
    test_block: Block
    bold_train: tuple[Block, ...]
    bold_test: Block
    gap: int

    @property
    def train(self) -> np.ndarray:
        """Training TRs, ascending."""
        return np.concatenate([np.arange(*block) for block in self.train_blocks])

    @property
    def test(self) -> np.ndarray:
        """Held-out TRs, ascending."""
        return np.arange(*self.test_block)

    @property
    def bold_blocks(self) -> list[Block]:
        """All blocks of volumes, training ones first."""
        return [*self.bold_train, self.bold_test]

    @property
    def bold_train_rows(self) -> np.ndarray:
        """Volumes that standardising may learn from."""
        return np.concatenate([np.arange(*block) for block in self.bold_train])


def usable_block(first: int, last: int, lags: Sequence[int], shift: int) -> Block:
    """TRs of a run whose lag window lies within the run."""
    return first - min(0, min(lags) - shift), last - max(0, max(lags) - shift)


def contiguous_split(
    runs: Sequence[Block], *, test_fraction: float, gap: int, lags: Sequence[int], shift: int
) -> Split:
    """Hold out the end of the last run, and leave a gap before it.

    The end, because the codec is causal: it carries memory of the past into the present, so that a block at
    the end never reaches into training.

    Parameters
    ----------
    runs : sequence of (first, last)
        TRs ``first <= k < last`` of each run.
    test_fraction : float
        Share of all TRs that is held out.
    gap : int
        TRs left out before the held-out block; at least the width of the lag window, so that no volume serves
        both sides.
    lags : sequence of int
        In stimulus time.
    shift : int
        TRs by which the study is already shifted.

    Raises
    ------
    UserError
        The gap is shorter than the lag window, or too little is left on one side.
    """
    width = max(lags) - min(lags) + 1
    if gap < width:
        raise UserError(
            f"training.gap_trs: {gap} is shorter than the lag window of {width} TRs; give at least {width}"
        )
    offsets = min(lags) - shift, max(lags) - shift
    blocks = [usable_block(first, last, lags, shift) for first, last in runs]
    n_test = round(test_fraction * sum(last - first for first, last in runs))
    first, last = blocks[-1]
    test = (max(last - n_test, first), last)
    train = tuple((a, b) for a, b in [*blocks[:-1], (first, test[0] - gap)] if b - a > 2 * width)
    if not train or test[1] - test[0] < 4:
        total = sum(last - first for first, last in runs)
        raise UserError(
            f"{total} TRs leave too little on one side of a gap of {gap}; "
            "use more TRs or another training.test_fraction"
        )
    return Split(
        train, test, tuple((a + offsets[0], b + offsets[1]) for a, b in train),
        (test[0] + offsets[0], test[1] + offsets[1]), gap,
    )  # fmt: skip


def cross_validation_folds(trs: np.ndarray, n_folds: int, gap: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Positions within ``trs`` that fit and that validate, in contiguous folds with a gap.

    Parameters
    ----------
    trs : array of int
        Training TRs, ascending.
    n_folds : int
    gap : int
        TRs on either side of a validation block that do not fit either. It is shortened where the training
        part would otherwise not keep half of the TRs.

    Returns
    -------
    list of (fit, validate)
    """
    folds = []
    gap = min(gap, max(0, (len(trs) // 2 - -(-len(trs) // n_folds)) // 2))
    for part in np.array_split(np.arange(len(trs)), n_folds):
        near = (trs >= trs[part[0]] - gap) & (trs <= trs[part[-1]] + gap)
        folds.append((np.flatnonzero(~near), part))
    return folds
