"""The rungs of the ladder that have voxels in them: all windows as one run, through a device or through brains.

Windows are joined to one run, because BOLD is continuous: every window is answered by volumes that still answer the
one before. What is read is decoded as one sound, and windows are cut out of it again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fmri_audio.base.kinds import Waveform
from fmri_audio.base.settings import FAMILIES, Voxels
from fmri_audio.bottleneck.brain_like import BrainLike
from fmri_audio.bottleneck.clock import STEP
from fmri_audio.bottleneck.coders import Coder
from fmri_audio.bottleneck.passing import BRAIN_SHAPE, Sent
from fmri_audio.bottleneck.voxels import Channel, InTime
from fmri_audio.decoding.code_reading import CodeRead, as_measured, read_code
from fmri_audio.experiments.ladder import TR
from fmri_audio.simulation.brains import Simulation, plan_simulation, simulate_bold
from fmri_audio.simulation.grid import Grid
from fmri_audio.simulation.haemodynamics import SHIFT_TRS
from fmri_audio.sound.acoustics import acoustic_features
from fmri_audio.sound.audio import SAMPLE_RATE
from fmri_audio.study.facts import Run
from programs.bottleneck_training.windows import Sounds

BETWEEN_WINDOWS = 4 * STEP
"""Seconds of silence between windows."""

LAGS = ((3, 4), (2, 3, 4, 5, 6), (1, 2, 3, 4, 5, 6, 7, 8))
"""Windows of volumes that a decoder of brains may read, in TRs of stimulus time; training sound chooses."""

FOLDS, SEED = 6, 31

Known = Literal["", "other"]
"""What the decoder is given: what was read, or the same of half a run later."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Reel:
    """Windows joined to one run.

    Attributes
    ----------
    sound : array, shape [T]
        Of whole TRs.
    starts : list of int
        First sample of each window.
    lengths : list of int
    """

    sound: Waveform
    starts: list[int]
    lengths: list[int]

    @classmethod
    def of(cls, sounds: Sounds) -> Reel:
        """Join windows; each begins with a step of the code."""
        step, gap = int(STEP * SAMPLE_RATE), int(BETWEEN_WINDOWS * SAMPLE_RATE)
        starts, parts, at = [], [], 0
        for wave in sounds.waves:
            starts.append(at)
            padded = np.pad(wave, (0, gap + -(len(wave) + gap) % step))
            parts.append(padded)
            at += len(padded)
        whole = -(-at // int(TR * SAMPLE_RATE)) * int(TR * SAMPLE_RATE)
        sound = np.pad(np.concatenate(parts), (0, whole - at)).astype(np.float32)
        return cls(sound, starts, [len(wave) for wave in sounds.waves])

    @property
    def n_trs(self) -> int:
        """TRs of the run."""
        return len(self.sound) // int(TR * SAMPLE_RATE)

    def cut(self, sound: Waveform) -> Iterator[Waveform]:
        """Yield the windows of a sound of the whole run."""
        for start, length in zip(self.starts, self.lengths, strict=True):
            yield sound[start : start + length]


class Brains:
    """Simulated brains that hear the run, made when they are asked for.

    Attributes
    ----------
    plan, like : callable
        Of a model of a voxel: what subjects share, and what such a brain lends a code.
    bold : callable
        Of a model of a voxel and a subject.
    channel : callable
        Of numbers per TR, a model of a voxel, and whether the map is ideal: voxels as numbers drive them.

    Parameters
    ----------
    reel : Reel
    """

    def __init__(self, reel: Reel) -> None:
        self.reel = reel
        self.features = acoustic_features(reel.sound, SAMPLE_RATE)
        self.plan, self.bold = cache(self._plan), cache(self._bold)
        self.like, self.channel = cache(self._like), cache(self._channel)

    def _plan(self, voxels: Voxels) -> Simulation:
        run = Run(name="1", first_tr=0, n_trs=self.reel.n_trs)
        grid = Grid.of_shape(BRAIN_SHAPE)
        return plan_simulation(self.features, grid, [run], TR, seed=SEED, families=FAMILIES, voxels=voxels)

    def _bold(self, voxels: Voxels, subject: int) -> NDArray[np.float32]:
        return simulate_bold(self.plan(voxels), subject)

    def _like(self, voxels: Voxels) -> BrainLike:
        return BrainLike.of(self.plan(voxels))

    def _channel(self, n_numbers: int, voxels: Voxels, ideal: bool) -> Channel:
        brain = self.like(voxels)
        time = InTime.of(self.reel.n_trs, TR, brain.autocorrelation)
        return Channel(brain.map(n_numbers, SEED, ideal=ideal), time)

    def group(self, voxels: Voxels, n_subjects: int) -> list[NDArray[np.float32]]:
        """BOLD of the first so many subjects."""
        return [self.bold(voxels, number) for number in range(1, n_subjects + 1)]


def through_device(
    coder: Coder,
    dimensions: int,
    reel: Reel,
    brains: Brains,
    voxels: Voxels,
    k: float,
    *,
    ideal: bool,
    known: Known = "",
) -> list[Waveform]:
    """Windows after numbers drove voxels as no brain does, by an ideal map or by the brain's own tuning."""
    sent = Sent.of(coder, reel.sound, dimensions, TR)
    channel = brains.channel(sent.rows.shape[1], voxels, ideal)
    mean, reliability = channel.passed(sent.rows, k, np.random.default_rng([SEED, round(1000 * k)]))
    return _heard(coder, sent, mean, reliability, reel, known)


def read_from_brains(
    coder: Coder,
    dimensions: int,
    reel: Reel,
    brains: Brains,
    voxels: Voxels,
    n_subjects: int,
    known: Known = "",
) -> list[Waveform]:
    """Windows decoded from simulated BOLD, whose voxels follow acoustics and know nothing of the code."""
    sent = Sent.of(coder, reel.sound, dimensions, TR)
    read = read_numbers(sent.rows, reel, brains.group(voxels, n_subjects))
    return _heard(coder, sent, read.mean.astype(np.float64), read.reliability.astype(np.float64), reel, known)


def from_nothing(coder: Coder, dimensions: int, reel: Reel) -> list[Waveform]:
    """Windows that the decoder makes of nothing: every number at its mean, which no voxel and no brain has told."""
    sent = Sent.of(coder, reel.sound, dimensions, TR)
    return _heard(coder, sent, np.zeros_like(sent.rows), np.zeros_like(sent.rows), reel, "")


def read_numbers(rows: Array, reel: Reel, bold: list[NDArray[np.float32]]) -> CodeRead:
    """Numbers of the whole run, every TR held out once."""
    return read_code(
        [as_measured(one, TR) for one in bold],
        rows.astype(np.float32),
        [(0, reel.n_trs)],
        tr=TR,
        windows=LAGS,
        shift=SHIFT_TRS,
        n_folds=FOLDS,
    )


def _heard(
    coder: Coder, sent: Sent, mean: Array, reliability: Array, reel: Reel, known: Known
) -> list[Waveform]:
    """Decode what is known as one sound, and cut the windows out of it."""
    if known == "other":
        half = len(mean) // 4 * 2  # even: TRs of 1.5 s carry 12 and 13 steps in turn
        mean, reliability = np.roll(mean, half, axis=0), np.roll(reliability, half, axis=0)
    return list(reel.cut(sent.heard(coder, mean, reliability)))
