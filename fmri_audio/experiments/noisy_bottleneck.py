"""An arm's own bottleneck with the noise of voxels: arithmetic about a bottleneck, no brain."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fmri_audio.base.kinds import Matrix
from fmri_audio.brain.cleaning import standardise
from fmri_audio.decoding.voxel_noise import VoxelNoise, voxel_noise
from fmri_audio.experiments.decoded import Decoded
from fmri_audio.experiments.through_arm import ThroughArm


class NoisyBottleneck:
    """An arm's own volumes with voxel noise, and what is read from them.

    Parameters
    ----------
    through : ThroughArm
    """

    def __init__(self, through: ThroughArm) -> None:
        self.through = through

    @cached_property
    def noise(self) -> VoxelNoise:
        """Voxel noise for the arm's volumes, from training residuals of all subjects."""
        held_out = self.through.held_out
        return voxel_noise(held_out.brains.all_bold, self.through.trained.volumes, held_out.split.bold_train)

    def volumes(self, level: float = 1.0, *, independent: bool = False) -> Matrix:
        """The arm's own BOLD with voxel noise, standardised on training volumes, [volumes, V].

        Parameters
        ----------
        level : float
            Times the noise's standard deviation; 1 is that of the brains, 0 no noise.
        independent : bool
            Leave out the noise's covariance in space and time, for scale: easily calculated with, but no brain's noise.
        """
        held_out, volumes = self.through.held_out, self.through.trained.volumes
        noise = self.noise.sample(len(volumes), held_out.run.settings.seed, independent=independent)
        return standardise(volumes + level * noise, held_out.split.bold_train_rows)

    def decoded(self, level: float = 1.0, *, independent: bool = False) -> Decoded:
        """The block decoded from :meth:`volumes`, by a decoder trained on as noisy ones.

        That is the arm's own, which has seen the noise-free volumes of every training TR, with a gain for every number
        of the code that least squares give on noisy training volumes: without noise it is 1, and with much of it 0,
        which leaves the training mean. So noise alone tells this condition from the noise-free one. Ridge regression
        from volumes to code, as it is needed for brains, would begin anew from training TRs that are fewer than the
        numbers of the code.
        """
        through, split = self.through, self.through.held_out.split
        read = through.read(self.volumes(level, independent=independent))
        first, last = through.held_out.block
        heard, code = (
            _with_gains(read, wanted, split.train)[first:last]
            for wanted in (through.read_codes, through.trained.code)
        )
        return Decoded(None, through.name, heard, code, through.own_code, np.full(code.shape[1], np.nan))


def _with_gains(read: Matrix, wanted: Matrix, trs: NDArray[np.int64]) -> Matrix:
    """Every column of ``read`` [TRs, r] times the gain, and plus the mean, that bring it nearest to ``wanted``."""
    x, y = (np.asarray(values[trs], np.float64) for values in (read, wanted))
    mean_x, mean_y = x.mean(axis=0), y.mean(axis=0)
    gain = ((x - mean_x) * (y - mean_y)).sum(axis=0) / np.maximum(np.square(x - mean_x).sum(axis=0), 1e-12)
    return np.asarray((read - mean_x) * gain + mean_y, np.float32)
