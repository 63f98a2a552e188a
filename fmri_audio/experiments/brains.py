"""BOLD of a study's subjects, ready for decoding: what bottlenecks match and what is decoded from."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fmri_audio.base.kinds import Matrix
from fmri_audio.brain.cleaning import standardise
from fmri_audio.decoding import regression
from fmri_audio.study.facts import Subject
from fmri_audio.study.reader import Study
from fmri_audio.study.splits import Split


class Brains:
    """BOLD of all subjects in a mask, prepared for one split and kept once prepared.

    Parameters
    ----------
    study : Study
    mask : array of bool, shape [x, y, z]
    split : Split
        In TRs of the stimulus.
    rows : array of int, shape [TRs], optional
        Volume of the study that belongs to every TR of the stimulus; unless given, all of them in their order.
    cache : Path
        Folder of masked matrices.
    """

    def __init__(
        self, study: Study, mask: NDArray[np.bool_], split: Split, rows: NDArray[np.int64] | None, cache: Path
    ) -> None:
        self.study, self.mask, self.split, self.rows, self.cache = study, mask, split, rows, cache
        self._prepared: dict[Subject, Matrix] = {}

    def bold(self, subject: Subject) -> Matrix:
        """One subject's BOLD in the mask, cleaned by block and standardised by training alone, [TRs, voxels]."""
        if subject not in self._prepared:
            self._prepared[subject] = regression.brain_of(
                self.study, subject, self.mask, self.split, self.rows, self.cache
            )
        return self._prepared[subject]

    @property
    def all_bold(self) -> list[Matrix]:
        """BOLD of every subject, in their order."""
        return [self.bold(subject) for subject in self.study.subjects]

    @cached_property
    def group_bold(self) -> Matrix:
        """Mean BOLD of all subjects, standardised on training volumes, [TRs, voxels]: what bottlenecks match."""
        total = sum(self.all_bold)
        return standardise(
            np.asarray(total / len(self.study.subjects), np.float32), self.split.bold_train_rows
        )
