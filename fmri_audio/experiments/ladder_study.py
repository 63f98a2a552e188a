"""The ladder's code read from the brains of a study: its last rung, with whatever scans an edition has.

The arms were trained on other sound, so that every TR of the study can be held out in turn. Beside what is read stand
the same decoder on what was read of another moment, and on nothing: only the difference from them counts as carried.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from fmri_audio.base.errors import UserError
from fmri_audio.base.kinds import Waveform
from fmri_audio.bottleneck.coder_files import LoadedCoder
from fmri_audio.bottleneck.passing import Sent, Width
from fmri_audio.decoding.code_reading import Brain, CodeRead, read_code
from fmri_audio.decoding.regression import brain_of
from fmri_audio.experiments.whole_study import WholeStudy
from fmri_audio.study.facts import Subject

CONTROLS = {"other": "another moment, same decoder", "prior": "no brain, same decoder"}
"""What is decoded beside what was read."""


class CodeOfStudy:
    """One arm's code at one width, read from a study.

    Parameters
    ----------
    whole : WholeStudy
    loaded : LoadedCoder
    asked : float
        Numbers per TR.

    Raises
    ------
    UserError
        The arm has no code so wide, or another rate of samples than the stimulus.
    """

    def __init__(self, whole: WholeStudy, loaded: LoadedCoder, asked: float) -> None:
        self.whole, self.loaded = whole, loaded
        self.stimulus, self.study = whole.stimulus, whole.study
        coder = loaded.coder
        if self.stimulus.sample_rate != coder.sample_rate:
            raise UserError(
                f"{self.stimulus.name} has {self.stimulus.sample_rate} samples per second, {coder.name} works with "
                f"{coder.sample_rate}"
            )
        self.width = Width.of(coder, asked, self.study.tr)

    @cached_property
    def sent(self) -> Sent:
        """The stimulus as numbers of its TRs."""
        coder = self.loaded.coder
        return Sent.of(coder, self.stimulus.waveform, self.width.dimensions, self.study.tr)

    def brain(self, subject: Subject) -> Brain:
        """A subject's BOLD, as it is cleaned for a split."""
        mask, rows, cache = self.whole.held_out.mask, self.stimulus.rows, self.whole.run.cache
        return lambda split: brain_of(self.study, subject, mask, split, rows, cache)

    def read(self, subjects: Sequence[Subject]) -> CodeRead:
        """Numbers of the whole stimulus from the averaged BOLD of some subjects, every TR held out once."""
        settings = self.whole.settings
        return read_code(
            [self.brain(subject) for subject in subjects],
            self.sent.rows[: self.stimulus.n_trs].astype(np.float32),
            self.whole.runs,
            tr=self.study.tr,
            windows=[settings.lag_trs],
            shift=self.study.shift,
            n_folds=len(self.whole.splits),
            inner_folds=settings.cv_folds,
        )

    @property
    def noise_free(self) -> Waveform:
        """The code itself as sound, without voxels."""
        rows = self.sent.rows
        return self.sent.heard(self.loaded.coder, rows, np.ones_like(rows))

    def heard(self, read: CodeRead, control: str = "") -> Waveform:
        """What was read as sound of the whole stimulus, or a control of it (:data:`CONTROLS`)."""
        mean, reliability = (np.zeros_like(self.sent.rows) for _ in range(2))
        mean[: len(read.mean)], reliability[: len(read.mean)] = read.mean, read.reliability
        if control == "prior":
            mean, reliability = np.zeros_like(mean), np.zeros_like(reliability)
        elif control == "other":
            # An even number of TRs: where TRs carry steps in turn, one more and one less, each meets its like.
            half = len(mean) // 4 * 2
            mean, reliability = np.roll(mean, half, axis=0), np.roll(reliability, half, axis=0)
        elif control:
            raise ValueError(f"no control {control!r}: {', '.join(CONTROLS)}")
        return self.sent.heard(self.loaded.coder, mean, reliability)
