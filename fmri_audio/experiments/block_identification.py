"""Segments of the held-out block told apart, by the code of an arm or by what its sound is like; and bits."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fmri_audio.base.kinds import Waveform
from fmri_audio.decoding.identification import Identified, SoundFacts, Trial, identify_segments, trials
from fmri_audio.decoding.lower_bits import MOST_COMPONENTS, LowerBits, RunPredicted, lower_bits
from fmri_audio.decoding.regression import FoldPrediction
from fmri_audio.edition.windows import segment_trs
from fmri_audio.experiments.decoded import Decoded
from fmri_audio.experiments.held_out import HeldOut
from fmri_audio.experiments.through_arm import Codes, ThroughArm
from fmri_audio.sound.line_spectra import LEAST_VARIATION_HZ, line_spectra


class BlockIdentification:
    """Identification of segments of the held-out block, with its joint null.

    Distractors are of the same kind and loudness and lie further away than the gap; the sound is turned over the
    whole run, the same for all subjects.

    Parameters
    ----------
    held_out : HeldOut
    """

    def __init__(self, held_out: HeldOut) -> None:
        self.held_out = held_out

    @property
    def segment_trs(self) -> int:
        """TRs of a segment to identify."""
        return segment_trs(self.held_out.run)

    @cached_property
    def facts(self) -> SoundFacts:
        """Kind and level of every TR of the stimulus."""
        sound = self.held_out.stimulus
        return SoundFacts.of(sound.waveform, sound.sample_rate, sound.tr, sound.segments)

    @cached_property
    def line_spectra(self) -> NDArray[np.float32]:
        """Line spectral frequencies of the stimulus, [TRs, frequencies]."""
        sound = self.held_out.stimulus
        return line_spectra(sound.waveform, sound.sample_rate, sound.tr)

    @cached_property
    def trials(self) -> list[Trial]:
        """Segments of the held-out block, each with its distractors."""
        split = self.held_out.split
        return trials(
            [self.held_out.block], split.runs, n_trs=self.segment_trs, gap=split.gap, facts=self.facts
        )

    def by_code(self, through: ThroughArm, several: Sequence[Decoded]) -> Identified:
        """Identify by an arm's code, from all subjects.

        Parameters
        ----------
        through : ThroughArm
        several : sequence of Decoded
            One per subject.
        """
        code = through.trained.code
        mean, spread = _mean_and_spread(code[self.held_out.split.train])
        folds = [[FoldPrediction(self.held_out.block, one.code, mean, spread, one.alphas)] for one in several]
        return self._identified(folds, code)

    def by_line_spectra(self, sounds: Sequence[Waveform]) -> Identified:
        """Identify by what decoded sounds of the block are like.

        By line spectral frequencies, taken from the decoded and from the original sound in the same way: no arm is
        trained on them. A decoder colours all its sound alike, so that those of a decoded sound are standardised by
        their own mean and spread over the block, which need no knowledge of the original.

        Parameters
        ----------
        sounds : sequence of arrays, shape [T]
            Of the block; one per subject.
        """
        stimulus = self.held_out.stimulus
        mean, spread = _mean_and_spread(self.line_spectra[self.held_out.split.train])
        true = np.asarray((self.line_spectra - mean) / spread, np.float32)
        already, unfitted = (np.zeros_like(mean), np.ones_like(mean)), np.full_like(mean, np.nan)
        folds = []
        for sound in sounds:
            heard = line_spectra(sound, stimulus.sample_rate, stimulus.tr)
            own_mean, own_spread = _mean_and_spread(heard)
            own = np.where(own_spread > LEAST_VARIATION_HZ, (heard - own_mean) / own_spread, 0.0)
            folds.append(
                [FoldPrediction(self.held_out.block, np.asarray(own, np.float32), *already, unfitted)]
            )
        return self._identified(folds, true)

    def _identified(self, folds: list[list[FoldPrediction]], true: NDArray[np.float32]) -> Identified:
        return identify_segments(folds, true, self.held_out.split.runs, self.trials, n_trs=self.segment_trs)


def bits_of_code(through: ThroughArm, code: Codes) -> LowerBits:
    """Bits per TR that a code of the block [TRs, r], read from volumes, carries about its sound's own code.

    A single block has no spread over blocks, so that there is an estimate and no limit.
    """
    own, split = np.asarray(through.trained.code, np.float64), through.held_out.split
    train = [own[a:b] for a, b in split.train_blocks]
    run = RunPredicted(np.asarray(code, np.float64), own[slice(*through.held_out.block)], train)
    gap = max(through.held_out.settings.lag_trs)
    return lower_bits([run], most_components=MOST_COMPONENTS, gap=gap)


def _mean_and_spread(values: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of every column, the latter at least 1e-6."""
    values = np.asarray(values, np.float64)
    return values.mean(axis=0), np.maximum(values.std(axis=0), 1e-6)
