"""The clip of the held-out block that chapters play."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cached_property

import numpy as np

from fmri_audio.base.kinds import Waveform
from fmri_audio.edition.transcripts import transcript
from fmri_audio.experiments.held_out import HeldOut
from fmri_audio.sound.segments import Window


class PlayedClip:
    """The middle of the held-out window with most going on.

    Parameters
    ----------
    held_out : HeldOut
    """

    def __init__(self, held_out: HeldOut) -> None:
        self.held_out = held_out

    @cached_property
    def window(self) -> Window:
        """Where it is, in seconds from the start of the block."""
        held_out = self.held_out
        rate = held_out.stimulus.sample_rate
        loudest = max(
            held_out.windows, key=lambda window: float(np.square(window.of(held_out.original, rate)).mean())
        )
        middle, half = (loudest.onset + loudest.offset) / 2, held_out.run.settings.windows.clip_seconds / 2
        return dataclasses.replace(loudest, onset=middle - half, offset=middle + half)

    def hear(self, sounds: Mapping[str, Waveform]) -> dict[str, Waveform]:
        """The clip of every sound of the block."""
        return {
            name: self.window.of(sound, self.held_out.stimulus.sample_rate) for name, sound in sounds.items()
        }

    @property
    def transcript(self) -> str:
        """What is said in it."""
        start, clip = self.held_out.seconds[0], self.window
        whole = dataclasses.replace(clip, onset=clip.onset + start, offset=clip.offset + start)
        return transcript(self.held_out.run, whole)
