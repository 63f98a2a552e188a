"""One recording through one arm, and through voxels if asked: what ``fmri-audio bottleneck pass`` does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from fmri_audio.base.errors import UserError
from fmri_audio.base.kinds import Waveform
from fmri_audio.base.settings import FAMILIES, Voxels, project_root
from fmri_audio.base.timeline import whole_trs
from fmri_audio.bottleneck.brain_like import BrainLike
from fmri_audio.bottleneck.clock import Clock
from fmri_audio.bottleneck.coder_files import LoadedCoder
from fmri_audio.bottleneck.coders import Coder
from fmri_audio.bottleneck.nested import prefix
from fmri_audio.bottleneck.voxels import Channel, InTime
from fmri_audio.simulation.brains import plan_simulation
from fmri_audio.simulation.grid import Grid
from fmri_audio.sound.acoustics import acoustic_features
from fmri_audio.sound.audio import SAMPLE_RATE, match_loudness, read_mono
from fmri_audio.sound.metrics.evaluate import Scores, score
from fmri_audio.study.facts import Run

_SHORTEST = 0.4
"""Seconds that loudness is defined for."""


@dataclass(frozen=True)
class Width:
    """A width as it is on an arm's grid.

    Attributes
    ----------
    dimensions : int
        Numbers per step of the code.
    per_tr : float
        Numbers per TR, on average.
    per_second : float
    """

    dimensions: int
    per_tr: float
    per_second: float

    @classmethod
    def of(cls, coder: Coder, per_tr: float, tr: Fraction) -> Width:
        """Round a width asked for, numbers per TR, to the grid of an arm.

        Raises
        ------
        UserError
            The arm has no code so wide.
        """
        clock, most = Clock(tr, coder.step), coder.code.dimensions
        if not 0 < per_tr <= float(clock.width(most)) + 0.5 * float(clock.per_tr):
            raise UserError(
                f"a width of {per_tr:g} numbers per TR: {coder.name} has from 1 to {float(clock.width(most)):g} of "
                f"them at a TR of {float(tr):g} s"
            )
        dimensions = clock.dimensions(per_tr)
        return cls(dimensions, float(clock.width(dimensions)), float(dimensions / coder.step))


def through(coder: Coder, waveform: Waveform, width: Width) -> Waveform:
    """A sound [T] at the arm's rate after a code of some width, noise-free, as loud as it comes back."""
    whole = prefix(width.dimensions, coder.code.dimensions).numpy()
    return coder.decode(coder.encode(waveform) * whole, whole, len(waveform))


Array = NDArray[np.float64]

BRAIN_SECONDS = 600
"""Of the embedded play, to which the simulated brain listens when its drive and tuning are taken."""

BRAIN_SHAPE = (48, 20, 16)
"""Voxels of 3 mm around both auditory cortices: those of the demo edition."""


@dataclass(frozen=True)
class ThroughVoxels:
    """A sound that passed voxels.

    Attributes
    ----------
    sound : array, shape [T]
    n_voxels : int
    patterns : int
        Patterns of voxels that numbers drive.
    bits_per_tr : float
        That volumes tell of the numbers; infinite without noise.
    reliability : float
        Mean share of a number's variance that the reader knows.
    """

    sound: Waveform
    n_voxels: int
    patterns: int
    bits_per_tr: float
    reliability: float


def simulated_brain(voxels: Voxels, tr: Fraction, seed: int, shape: Sequence[int] = BRAIN_SHAPE) -> BrainLike:
    """A brain that listens to the embedded play, as :func:`fmri_audio.simulation.brains.plan_simulation` has it."""
    heard = read_mono(project_root() / "stimulus" / "part1.ogg").waveform[: BRAIN_SECONDS * SAMPLE_RATE]
    run = Run(name="1", first_tr=0, n_trs=whole_trs(len(heard), SAMPLE_RATE, tr))
    features = acoustic_features(heard, SAMPLE_RATE)
    grid = Grid.of_shape(shape)
    plan = plan_simulation(features, grid, [run], tr, seed=seed, families=FAMILIES, voxels=voxels)
    return BrainLike.of(plan)


@dataclass(frozen=True)
class Sent:
    """A sound's code as TRs carry it.

    Attributes
    ----------
    rows : array, shape [TRs, N]
        Numbers of mean 0 and variance 1; 0 where a TR carries a step less than others.
    clock : Clock
    dimensions : int
        Numbers per step.
    n_samples : int
        Of the sound.
    """

    rows: Array
    clock: Clock
    dimensions: int
    n_samples: int

    @classmethod
    def of(cls, coder: Coder, waveform: Waveform, dimensions: int, tr: Fraction) -> Sent:
        """Write a sound [T] as numbers of TRs; the last TR is filled up with silence."""
        clock = Clock(tr, coder.step)
        n_trs = math.ceil(Fraction(len(waveform), coder.sample_rate) / tr)
        missing = math.ceil(n_trs * tr * coder.sample_rate) - len(waveform)
        code = coder.encode(np.pad(np.asarray(waveform, np.float32), (0, missing)))[:, :dimensions]
        rows = np.nan_to_num(clock.carried(code, n_trs)).astype(np.float64)
        return cls(rows, clock, dimensions, len(waveform))

    def heard(self, coder: Coder, mean: Array, reliability: Array) -> Waveform:
        """The sound of what a reader makes of the numbers: posterior means and reliabilities, [TRs, N] each."""
        known = np.zeros((self.clock.n_steps(len(self.rows)), coder.code.dimensions), np.float32)
        trust = np.zeros_like(known)
        known[:, : self.dimensions] = self.clock.told(mean.astype(np.float32))
        trust[:, : self.dimensions] = self.clock.told(reliability.astype(np.float32)).clip(0, 1)
        return coder.decode(known, trust, self.n_samples)


def through_voxels(
    coder: Coder,
    waveform: Waveform,
    width: Width,
    tr: Fraction,
    brain: BrainLike,
    k: float,
    seed: int,
    *,
    ideal: bool,
) -> ThroughVoxels:
    """Send a sound's code through voxels, the response and noise, and decode what the best linear reader makes of it.

    Parameters
    ----------
    coder : Coder
    waveform : array, shape [T]
    width : Width
    tr : Fraction
        Seconds.
    brain : BrainLike
    k : float
        Times the variance of the brain's noise; 0: none, and an exact inverse.
    seed : int
        Of the map and of the noise.
    ideal : bool
        Numbers drive orthogonal patterns of voxels, which no brain does; otherwise the patterns of the brain's tuning.

    Raises
    ------
    UserError
        More numbers than voxels (ideal), or than patterns and no noise: they do not pass.
    """
    sent = Sent.of(coder, waveform, width.dimensions, tr)
    n_trs, n_numbers = sent.rows.shape
    try:
        space = brain.map(n_numbers, seed, ideal=ideal)
        channel = Channel(space, InTime.of(n_trs, tr, brain.autocorrelation))
        mean, reliability = channel.passed(sent.rows, k, np.random.default_rng([seed, 1]))
    except ValueError as error:
        raise UserError(f"a width of {width.per_tr:g} numbers per TR does not pass: {error}") from None
    return ThroughVoxels(
        sent.heard(coder, mean, reliability),
        brain.n_voxels,
        int(np.linalg.matrix_rank(space.weights)),
        channel.bits(k) if k else math.inf,
        float(reliability.mean()),
    )


def scored(coder: Coder, original: Waveform, passed: Waveform) -> Scores:
    """Score a sound that an arm passed: at lag 0, which is known, and at the loudness of the original.

    SNR and SI-SDR are undefined where the arm makes phase up.
    """
    long_enough = len(original) >= _SHORTEST * coder.sample_rate
    levelled = match_loudness(passed, original, coder.sample_rate) if long_enough else passed
    return score(original, levelled, coder.sample_rate, waveform=not coder.makes_phase)


def facts(loaded: LoadedCoder, tr: Fraction) -> dict[str, str]:
    """What is to be said of an arm, by name."""
    coder = loaded.coder
    clock, most = Clock(tr, coder.step), coder.code.dimensions
    weights = sum(value.numel() for value in coder.trained_state().values())
    return {
        "arm": coder.name,
        "label": coder.label,
        "weights": loaded.id,
        "licence": loaded.licence,
        "description": loaded.description,
        "sha256": loaded.sha256,
        "codec": coder.checkpoint or "none",
        "trained": f"{weights:,} numbers, eight bits each",
        "step": f"{float(coder.step) * 1000:g} ms of sound, {most} numbers at most",
        "widths": f"{float(clock.per_tr):g} to {float(clock.width(most)):g} numbers per TR of {float(tr):g} s, "
        f"in steps of {float(clock.per_tr):g}",
        "look-ahead": f"{float(coder.look_ahead) * 1000:.0f} ms",
        "phase": "made up" if coder.makes_phase else "kept",
    }
