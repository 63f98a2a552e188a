"""The held-out block through one trained arm: its codes, and the sounds that the arm's way back makes of codes."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from fmri_audio.base.kinds import Waveform
from fmri_audio.bottleneck.store import TrainedArm
from fmri_audio.experiments.held_out import HeldOut
from fmri_audio.experiments.through_codec import decode_latents, quantise

Codes = NDArray[np.float32]


class ThroughArm:
    """The held-out block through one trained arm.

    Parameters
    ----------
    held_out : HeldOut
    arm : str or TrainedArm
        An arm of the edition by its name, or one of its trainings (:attr:`HeldOut.repeated`).
    """

    def __init__(self, held_out: HeldOut, arm: str | TrainedArm) -> None:
        self.held_out = held_out
        self.trained = held_out.arms[arm] if isinstance(arm, str) else arm

    @property
    def name(self) -> str:
        """The arm's name in the tables."""
        return self.trained.arm

    @property
    def own_code(self) -> Codes:
        """The code of the block's sound before the bottleneck, [TRs, r]."""
        return self._of_block(self.trained.code)

    @cached_property
    def read_codes(self) -> Codes:
        """The code as the arm's own decoder reads it from its own BOLD (noise-free), [TRs, r]; NaN outside the split.

        The way back to sound was trained behind that reader and knows no other code: decoders of every condition
        predict this one. The code before the bottleneck has another scale, and sounds many times too loud.
        """
        return self.read(self.trained.volumes)

    def read(self, volumes: NDArray[np.float32]) -> Codes:
        """What the arm's own decoder reads from volumes [volumes, V], [TRs, r]; NaN outside the split."""
        codes, given = np.full_like(self.trained.code, np.nan), torch.from_numpy(volumes)
        for first, last in (*self.held_out.split.train_blocks, self.held_out.block):
            codes[first:last] = self.trained.model.read((first, last), given).cpu().numpy()
        return codes

    @property
    def read_code(self) -> Codes:
        """The held-out block of :attr:`read_codes`, [TRs, r]."""
        return self._of_block(self.read_codes)

    @property
    def mean_code(self) -> Codes:
        """The training mean of the code that the arm's decoder reads, at every held-out TR: no brain at all."""
        first, last = self.held_out.block
        mean = self.read_codes[self.held_out.split.train].mean(axis=0)
        return np.tile(mean, (last - first, 1))

    def sound_of(self, code: Codes) -> Waveform:
        """The sound of the block's code [TRs, r] through the arm's way back."""
        return self.trained.model.sound_of_code(code, self.held_out.block[0])

    @cached_property
    def noise_free(self) -> Waveform:
        """The block through the arm's own bottleneck: no brain, no noise."""
        return self.sound_of(self.read_code)

    @cached_property
    def without_brain(self) -> Waveform:
        """The block decoded from the training mean of the code."""
        return self.sound_of(self.mean_code)

    def requantised(self, kbps: float) -> Waveform:
        """The block through the bottleneck of an arm of latents, these quantised again at a bandwidth."""
        return decode_latents(self.held_out, quantise(self.held_out, self._latents, kbps))

    @cached_property
    def _latents(self) -> NDArray[np.float32]:
        """Latents [C, l] that come out of the bottleneck of an arm of latents."""
        with torch.inference_mode():
            return np.asarray(self.trained.model.through(self.held_out.block).cpu().numpy())

    def _of_block(self, codes: Codes) -> Codes:
        return codes[self.held_out.block[0] : self.held_out.block[1]]
