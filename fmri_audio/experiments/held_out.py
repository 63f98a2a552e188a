"""The held-out block of an edition: the stretch of sound and volumes on which everything is compared.

Several chapters open it. Whatever is decoded, from the model's own bottleneck or from a brain, begins with the
first held-out TR and starts from the same cold decoder, so that conditions differ in one thing at a time. What is
done with the block has modules of its own:

==================================================  ==============================================================
:mod:`~fmri_audio.experiments.through_codec`         its sound through the codec alone
:mod:`~fmri_audio.experiments.through_arm`           its codes and sounds through a trained arm, noise-free
:mod:`~fmri_audio.experiments.noisy_bottleneck`      the same with the noise of voxels
:mod:`~fmri_audio.experiments.decoded`               its codes, decoded from brains
:mod:`~fmri_audio.experiments.controls`              codes that no brain had a part in
:mod:`~fmri_audio.experiments.block_identification`  its segments told apart, by code and by sound, and bits
:mod:`~fmri_audio.experiments.played_clip`           the clip of it that is played
:mod:`~fmri_audio.experiments.block_tables`          scores, records and tables
==================================================  ==============================================================
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from fractions import Fraction
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fmri_audio.base.errors import UserError
from fmri_audio.base.kinds import Waveform
from fmri_audio.base.timeline import trs_to_samples
from fmri_audio.bottleneck.arms.base import Material, StimulusSound
from fmri_audio.bottleneck.layers import TRGrid
from fmri_audio.bottleneck.store import TrainedArm, trained_arms
from fmri_audio.edition.edition import Edition
from fmri_audio.edition.windows import windows_of_block
from fmri_audio.experiments.brains import Brains
from fmri_audio.sound.segments import Window
from fmri_audio.study.splits import Split, contiguous_split

SEEDED = ("frozen", "finetuned")
"""Arms that are trained from several seeds where the edition asks for it: the two that the book compares."""


class HeldOut:
    """The held-out block of an edition, with the models trained on the rest.

    Parameters
    ----------
    run : Edition

    Raises
    ------
    UserError
        The study does not fit the sound: another TR, too few volumes, too little for a split.
    """

    def __init__(self, run: Edition) -> None:
        self.run, self.settings = run, run.settings.training
        self.stimulus, self.study = run.stimulus, run.study
        if self.study.tr != self.stimulus.tr:
            raise UserError(
                f"{self.study.folder}: its TR is {float(self.study.tr):g} s, the edition's "
                f"{float(self.stimulus.tr):g} s; set tr in the edition file"
            )

    @cached_property
    def split(self) -> Split:
        """The one split of the paper: the end of the last run is held out."""
        return contiguous_split(
            [(first, first + count) for first, count in self.stimulus.runs],
            test_fraction=self.settings.test_fraction,
            gap=self.settings.gap_trs,
            lags=self.settings.lag_trs,
            shift=self.study.shift,
            tr=self.stimulus.tr,
        )

    @property
    def block(self) -> tuple[int, int]:
        """Held-out TRs, first and one after the last."""
        return self.split.test_block

    @property
    def seconds(self) -> tuple[float, float]:
        """The held-out block in seconds of the stimulus."""
        return float(self.block[0] * self.stimulus.tr), float(self.block[1] * self.stimulus.tr)

    @cached_property
    def original(self) -> Waveform:
        """The sound of the held-out block."""
        rate, tr = self.stimulus.sample_rate, self.stimulus.tr
        begin, end = (trs_to_samples(k, rate, tr) for k in self.block)
        return self.stimulus.waveform[begin:end]

    @cached_property
    def windows(self) -> list[Window]:
        """Windows that are scored, their times counted from the start of the block: speech where there is some."""
        return [
            dataclasses.replace(
                window, onset=window.onset - self.seconds[0], offset=window.offset - self.seconds[0]
            )
            for window in windows_of_block(self.run, self.block)
        ]

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """Voxels of the mask, [x, y, z]."""
        return self.study.mask(self.run.settings.study.mask)

    @property
    def n_units(self) -> int:
        """V: as many units as the mask has voxels."""
        return int(self.mask.sum())

    @cached_property
    def brains(self) -> Brains:
        """BOLD of all subjects in the mask, prepared for the split."""
        return Brains(self.study, self.mask, self.split, self.stimulus.rows, self.run.cache)

    @cached_property
    def grid(self) -> TRGrid:
        """The TR grid of the codec's latents."""
        model = self.run.checkpoint.model
        rate = Fraction(self.stimulus.sample_rate, int(model.encoder.hop_length))
        return TRGrid(self.stimulus.tr, rate, len(self.run.encoding.latents))

    @cached_property
    def material(self) -> Material:
        """What all arms are made from; codes at the edition's main bandwidth, whatever bandwidth the chapter has."""
        checkpoint, sound = self.run.checkpoint, self.stimulus
        n_codebooks = checkpoint.model.quantizer.get_num_quantizers_for_bandwidth(
            checkpoint.model.frame_rate, self.run.settings.main_bandwidth
        )
        return Material(
            checkpoint,
            StimulusSound(sound.waveform, sound.sample_rate, sound.tr, sound.runs),
            self.run.encoding.latents,
            self.run.encoding.codes[:n_codebooks],
            self.run.settings.mel,
            self.settings.rank,
            self.brains.group_bold,
            self.settings.lag_trs,
            self.study.shift,
        )

    @cached_property
    def arms(self) -> dict[str, TrainedArm]:
        """The edition's arms, trained on the training blocks, or taken from where an earlier run left them.

        They do not depend on the chapter's bandwidth: the latents are continuous, and codes are carried at the
        edition's main bandwidth.
        """
        return self._trained(self.settings.arms, self.run.settings.seed)

    @cached_property
    def repeated(self) -> dict[str, list[TrainedArm]]:
        """Trainings of the frozen and the fine-tuned arm from all seeds of the edition, the first one's first."""
        first = self.run.settings.seed
        more = [self._trained(SEEDED, seed) for seed in range(first + 1, first + self.settings.seeds)]
        return {name: [self.arms[name], *(arms[name] for arms in more)] for name in SEEDED}

    def _trained(self, names: Sequence[str], seed: int) -> dict[str, TrainedArm]:
        return trained_arms(
            names, self.material, self.split, self.settings, seed=seed, cache=self.run.build / "models"
        )
