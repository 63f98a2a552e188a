"""Which TRs train and which test: contiguous blocks with a gap between them.

A lag counts TRs from the sound to the volume that answers it, in stimulus time: lag 4 of a study shifted by 3
TRs reads volume k + 1 for the sound of TR k.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from fmri_audio.base.errors import UserError
from fmri_audio.base.kinds import Block
from fmri_audio.brain.response import RESPONSE_SECONDS, response_trs

_FEWEST_TEST_TRS = 4

N_FOLDS = 4
"""Blocks in which a whole stimulus is held out, if it has no more runs than that."""


@dataclass(frozen=True)
class Split:
    """One way to divide a study in time. It holds for all subjects: what is held out of one is held out of all.

    Attributes
    ----------
    train_blocks, test_block
        TRs of the *stimulus*, ``first <= k < last``. Blocks never cross a run; training blocks may lie on both sides
        of the held-out one.
    bold_train, bold_test
        The volumes that these TRs may read with their lag window: the blocks that are cleaned separately.
    gap : int
        TRs between training and testing that neither uses.
    runs
        TRs of each run, ``first <= k < last``.
    """

    train_blocks: tuple[Block, ...]
    test_block: Block
    bold_train: tuple[Block, ...]
    bold_test: Block
    gap: int
    runs: tuple[Block, ...]

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

    @property
    def runs_without_training(self) -> tuple[Block, ...]:
        """Runs that no training block lies in."""
        return tuple(
            run for run in self.runs if not any(run[0] <= first < run[1] for first, _ in self.train_blocks)
        )

    @property
    def declarations(self) -> list[str]:
        """What has to be said about this split: one sentence for every run that is standardised by its own BOLD."""
        return [
            f"The run of TRs {first + 1} to {last} has no training TRs: its voxels are standardised by its own BOLD, "
            "without any knowledge of the sound."
            for first, last in self.runs_without_training
        ]


def usable_block(first: int, last: int, lags: Sequence[int], shift: int) -> Block:
    """TRs of a run whose lag window lies within the run."""
    return first - min(0, min(lags) - shift), last - max(0, max(lags) - shift)


def least_gap(lags: Sequence[int], tr: Fraction) -> int:
    """The shortest admissible gap in TRs: the width of the lag window and the response.

    The lag window, so that no volume serves both sides; the response
    (:data:`~fmri_audio.brain.response.RESPONSE_SECONDS`), so that no volume of one side still answers the sound of
    the other.
    """
    return max(lags) - min(lags) + 1 + response_trs(tr)


def contiguous_split(
    runs: Sequence[Block], *, test_fraction: float, gap: int, lags: Sequence[int], shift: int, tr: Fraction
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
        TRs left out before the held-out block; at least :func:`least_gap`.
    lags : sequence of int
        In stimulus time.
    shift : int
        TRs by which the study is already shifted.
    tr : Fraction
        Seconds.

    Raises
    ------
    UserError
        The gap is too short, or too little is left on one side.
    """
    n_test = round(test_fraction * sum(last - first for first, last in runs))
    first, last = usable_block(*runs[-1], lags, shift)
    try:
        return _split(runs, (max(last - n_test, first), last), gap, lags, shift, tr)
    except _TooLittle as error:
        raise UserError(f"{error}; use more TRs or another training.test_fraction") from None


def k_fold(
    runs: Sequence[Block], n_folds: int, *, gap: int, lags: Sequence[int], shift: int, tr: Fraction
) -> list[Split]:
    """Hold out every TR once, in contiguous blocks, with a gap on either side of the held-out one.

    Every run is cut into equal blocks, as many as its share of the TRs. Training on what follows a held-out block is
    not free of it where the codec remembers: :func:`fmri_audio.decoding.leakage.codec_memory` measures how much.

    Parameters
    ----------
    runs : sequence of (first, last)
    n_folds : int
        Blocks in all; at least one per run.
    gap, lags, shift, tr
        As for :func:`contiguous_split`.

    Returns
    -------
    list of Split
        In the order of their held-out blocks.

    Raises
    ------
    UserError
        The gap is too short, there are fewer folds than runs, or too little is left on one side.
    """
    if n_folds < max(2, len(runs)):
        raise UserError(
            f"{n_folds} folds are too few for {len(runs)} runs; ask for at least {max(2, len(runs))}"
        )
    usable = [usable_block(first, last, lags, shift) for first, last in runs]
    blocks = [
        block
        for run, count in zip(usable, _folds_per_run([b - a for a, b in usable], n_folds), strict=True)
        for block in itertools.pairwise(np.linspace(*run, count + 1).round().astype(int).tolist())
    ]
    try:
        return [_split(runs, block, gap, lags, shift, tr) for block in blocks]
    except _TooLittle as error:
        raise UserError(f"{error}; use more TRs or other than {n_folds} folds") from None


def leave_one_run_out(
    runs: Sequence[Block], *, gap: int, lags: Sequence[int], shift: int, tr: Fraction
) -> list[Split]:
    """Hold out every run once, whole, and train on the others.

    The held-out run has no training TRs to be standardised by; the split says so (:attr:`Split.declarations`). No gap
    is left out between runs, because the scanner stopped there.

    Parameters
    ----------
    runs : sequence of (first, last)
    gap, lags, shift, tr
        As for :func:`contiguous_split`.

    Returns
    -------
    list of Split

    Raises
    ------
    UserError
        There is only one run, the gap is too short, or a run is.
    """
    if len(runs) < 2:
        raise UserError(
            f"leaving one run out needs at least 2 runs; there are {len(runs)}: ask for folds instead"
        )
    blocks = [usable_block(first, last, lags, shift) for first, last in runs]
    try:
        return [_split(runs, block, gap, lags, shift, tr) for block in blocks]
    except _TooLittle as error:
        raise UserError(f"{error}; use longer runs") from None


class _TooLittle(Exception):
    """A split leaves too little on one side; its message is the beginning of a sentence."""


def _split(
    runs: Sequence[Block], test: Block, gap: int, lags: Sequence[int], shift: int, tr: Fraction
) -> Split:
    """Train on all that lies further than ``gap`` from a held-out block of one of the runs.

    Training blocks of up to twice the lag window are left out, because they are too short to be filtered.
    """
    width, needed = max(lags) - min(lags) + 1, least_gap(lags, tr)
    if gap < needed:
        raise UserError(
            f"training.gap_trs: {gap} is shorter than the lag window of {width} TRs and the response of "
            f"{response_trs(tr)} TRs ({RESPONSE_SECONDS} s) together; give at least {needed}"
        )
    train = []
    for run in runs:
        first, last = usable_block(*run, lags, shift)
        sides = [(first, last)]
        if run[0] <= test[0] < run[1]:
            sides = [(first, test[0] - gap), (test[1] + gap, last)]
        train += [(a, b) for a, b in sides if b - a > 2 * width]
    if not train or test[1] - test[0] < _FEWEST_TEST_TRS:
        total = sum(last - first for first, last in runs)
        raise _TooLittle(f"{total} TRs leave too little on one side of a gap of {gap}")
    before, after = min(lags) - shift, max(lags) - shift
    return Split(
        tuple(train),
        test,
        tuple((a + before, b + after) for a, b in train),
        (test[0] + before, test[1] + after),
        gap,
        tuple((int(first), int(last)) for first, last in runs),
    )


def _folds_per_run(lengths: Sequence[int], n_folds: int) -> list[int]:
    """Give every run one fold, and each further one to the run whose blocks are longest."""
    counts = [1] * len(lengths)
    for _ in range(n_folds - len(lengths)):
        longest = max(range(len(lengths)), key=lambda run: lengths[run] / counts[run])
        counts[longest] += 1
    return counts


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
