"""Simulated brains in memory: what voxels follow, and the BOLD of one subject after the other.

:func:`plan_simulation` draws what a study's subjects share, :func:`simulate_bold` gives one subject's BOLD in
auditory cortex. :mod:`fmri_audio.simulation.simulator` writes the same volumes, from the same code, to disk.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from scipy.optimize import brentq
from scipy.signal import fftconvolve, lfilter
from scipy.signal.windows import hann

from fmri_audio.base.errors import UserError
from fmri_audio.base.settings import FAMILIES, VARIANTS, Variant
from fmri_audio.brain.masks import AUDITORY_CENTRES
from fmri_audio.simulation.grid import Grid, distance_to
from fmri_audio.simulation.haemodynamics import CANONICAL, Haemodynamics, above_drift, responses, unit
from fmri_audio.simulation.scanner_noise import Artefacts, draw_artefacts, drift, noise_chunks
from fmri_audio.sound.acoustics import FEATURE_RATE, N_BANDS, Features
from fmri_audio.study.facts import Run

#: Mean share of an auditory voxel's variance that all subjects have in common. Leave-one-out correlation of N
#: subjects is s / √(s + (1 − s) / (N − 1)) where a share s is common: .4, as in the posterior temporal cortex of 27
#: listeners to Alice in Wonderland, asks for s = .187 if all voxels and subjects are alike. They are not: voxels
#: differ in s, subjects in gain, and jerks of the head add their variance. With all that the mean over voxels of
#: 27 simulated subjects is .4 at this s (the tests measure it).
REALISTIC_STRENGTH = 0.21
STRENGTHS: dict[Variant, float] = {
    "realistic": REALISTIC_STRENGTH,
    "null": 0.0,
    "null-shared": REALISTIC_STRENGTH,
    "strong": 0.65,
}
#: No voxel shares more of its variance than this; a study's mean stays below it.
MAX_SHARE = 0.75
#: What is a subject's own, as a share of all that follows the sound.
INDIVIDUAL_SHARE = 0.2
#: How far (mm) from the centre of Heschl's gyrus the response falls to 1/e, and the spread of its logarithm
#: from voxel to voxel.
FALLOFF_MM, SHARE_SPREAD = 20.0, 0.35
#: Standard deviation and bound of the logarithm of the responses' size between subjects.
GAIN_SPREAD, GAIN_BOUND = 0.15, 0.3
#: Concentration of the Dirichlet distribution that mixes the families of features in a voxel.
MIXTURE = 2.0
#: Weight of the level beside onsets. Auditory cortex answers changes more than what lasts; this much makes sound
#: power explain r ≈ .15 of a voxel in the realistic variant, as in the same 27 listeners.
LEVEL_WEIGHT = 0.35
#: Volumes are written on a scanner's scale: a mean of 1000 and 1 % of noise, in steps of 1/16.
BASELINE, NOISE_UNITS, STEP = 1000.0, 10.0, 1 / 16
#: The pictures: as many independent processes, whose autocorrelation falls to 1/e within these seconds.
N_PICTURES, PICTURE_SECONDS = 8, 4.0
#: What a surrogate keeps of the features' autocorrelation: lags up to these seconds, falling towards them.
SURROGATE_SECONDS = 40

# One stream of random numbers per purpose, so that none depends on how many another has drawn.
_SHARED, _RESPONSE, _OWN, _PICTURES, _NOISE, _DRIFT, _ARTEFACTS = range(7)


@dataclass(frozen=True)
class Population:
    """Voxels that follow one process in all subjects.

    Attributes
    ----------
    process : Features
        What they follow.
    design : array, shape [TRs, features]
        The process through the canonical response, above the drift, z-scored.
    weights : array, shape [features, voxels]
    shared : array, shape [TRs, voxels]
        ``design @ weights``, of variance 1: what all subjects have in common.
    share : array, shape [voxels]
        Share of a voxel's variance, drift and artefacts apart, that this is in a subject of average gain.
    """

    process: Features
    design: np.ndarray
    weights: np.ndarray
    shared: np.ndarray
    share: np.ndarray

    @property
    def noise_variance(self) -> np.ndarray:
        """What the signal of a subject of average gain leaves to noise, [voxels]."""
        return np.asarray(1 - self.share / (1 - INDIVIDUAL_SHARE))

    def of_subject(self, design: np.ndarray, gain: float, rng: np.random.Generator) -> np.ndarray:
        """Signal of one subject, [TRs, voxels]: the shared response and one of the subject's own.

        Its own are the delay of its response and weights of its own. Both follow the process too, but are
        orthogonal to the shared response in every voxel, so that what subjects share is ``share`` exactly.

        Parameters
        ----------
        design : array, shape [TRs, features]
            The process through the subject's own response.
        gain : float
        rng : Generator
            Draws the subject's own weights.
        """
        followed = unit(design @ self.weights)
        delay = _ratio(followed, (followed * self.shared).mean(axis=0)) - self.shared
        own = unit(design @ rng.standard_normal(self.weights.shape))
        delay_variance = (delay**2).mean(axis=0)
        own = own - self.shared * (own * self.shared).mean(axis=0)
        own = own - delay * _ratio((own * delay).mean(axis=0), delay_variance)
        room = INDIVIDUAL_SHARE / (1 - INDIVIDUAL_SHARE)
        delay = delay * np.sqrt(np.minimum(1, _ratio(np.full_like(delay_variance, room), delay_variance)))
        individual = delay + np.sqrt(np.clip(room - delay_variance, 0, None)) * unit(own)
        return np.asarray(gain * np.sqrt(self.share) * (self.shared + individual))


@dataclass(frozen=True)
class SimulatedSubject:
    """What distinguishes one subject: its response, the size of its signal, and when its head jerked."""

    number: int
    haemodynamics: Haemodynamics
    gain: float
    artefacts: Artefacts


@dataclass(frozen=True)
class Simulation:
    """A study's brains before any is simulated: all that its subjects share.

    Attributes
    ----------
    grid : Grid
    runs : list of Run
    tr : Fraction
    seed : int
    variant : str
    sound, pictures : Population
        Auditory cortex, and the voxels that follow something else.
    level : array, shape [TRs]
        Level of the real sound through the canonical response, above the drift, z-scored: in every variant and
        whatever families the voxels follow.
    """

    grid: Grid
    runs: list[Run]
    tr: Fraction
    seed: int
    variant: Variant
    sound: Population
    pictures: Population
    level: np.ndarray

    @property
    def n_trs(self) -> int:
        """Volumes per subject."""
        return self.runs[-1].last_tr

    def subject(self, number: int) -> SimulatedSubject:
        """Draw a subject; the same number is always the same one."""
        rng = stream(self.seed, number, _RESPONSE)
        haemodynamics = Haemodynamics.draw(rng)
        # The mean of the square is 1, so that the share stated is that of an average subject.
        gain = np.exp(np.clip(rng.normal(0.0, GAIN_SPREAD), -GAIN_BOUND, GAIN_BOUND) - GAIN_SPREAD**2)
        artefacts = draw_artefacts(self.n_trs, self.tr, stream(self.seed, number, _ARTEFACTS))
        return SimulatedSubject(number, haemodynamics, float(gain), artefacts)

    def signal(self, population: Population, subject: SimulatedSubject) -> np.ndarray:
        """Noise-free signal of a subject in one population, [TRs, voxels], in units of the noise."""
        design = _design(population.process.values, self.runs, self.tr, subject.haemodynamics)
        purpose = _OWN if population is self.sound else _PICTURES
        return population.of_subject(design, subject.gain, stream(self.seed, subject.number, purpose))

    def attainable(self, subject: SimulatedSubject) -> tuple[np.ndarray, np.ndarray]:
        """Correlations with one subject's cleaned BOLD in auditory cortex that perfect models reach.

        Returns
        -------
        shared, full : arrays, shape [active voxels]
            Of the response that all subjects share, and of all that follows the sound in this one.
        """
        course = above_drift(subject.artefacts.course(self.runs, self.tr), self.runs, self.tr)
        maps = self.grid.artefacts[:, self.grid.active[self.grid.tissue]]
        jerks = np.einsum("iv,ij,jv->v", maps, course.T @ course / len(course), maps)
        common = subject.gain**2 * self.sound.share
        driven = common / (1 - INDIVIDUAL_SHARE)
        total = driven + self.sound.noise_variance + jerks
        return np.sqrt(common / total), np.sqrt(driven / total)


def plan_simulation(
    features: Features,
    grid: Grid,
    runs: Sequence[Run],
    tr: Fraction,
    *,
    seed: int,
    families: Sequence[str],
    variant: Variant = "realistic",
    strength: float | None = None,
) -> Simulation:
    """Draw what the subjects of a study share.

    Parameters
    ----------
    features : Features
        All acoustic features of the sound, by :func:`fmri_audio.sound.acoustics.acoustic_features`.
    grid : Grid
    runs : sequence of Run
    tr : Fraction
        Seconds.
    seed : int
    families : sequence of str
        Families of features that auditory cortex follows.
    variant : str
        ``realistic`` or ``strong``; ``null``: nothing but noise; ``null-shared``: auditory cortex follows a
        surrogate of the features that has nothing to do with the sound.
    strength : float, optional
        Mean share of an auditory voxel's variance that subjects have in common; the variant's own unless given.

    Raises
    ------
    UserError
        An impossible strength, or one for ``null``.
    """
    strength = strength_of(variant, strength)
    level = features.values[[features.names.index("level")]]
    process = features.only(families)
    rng = stream(seed, 0, _SHARED)
    if variant == "null-shared":
        process = surrogate(process, rng)
    positions = grid.positions(grid.active)
    distance = distance_to(positions, AUDITORY_CENTRES)
    spread = rng.lognormal(0.0, SHARE_SPREAD, len(positions))
    share = voxel_shares(np.exp(-distance / FALLOFF_MM) * spread, strength)
    sound = _population(process, _auditory_weights(positions, process, rng), share, runs, tr, rng)
    rng = stream(seed, 0, _PICTURES)
    film = _picture_process(features.values.shape[1], rng)
    n_other = int(grid.other.sum())
    pictures = _population(
        film, rng.standard_normal((N_PICTURES, n_other)), np.full(n_other, strength), runs, tr, rng
    )
    return Simulation(
        grid, list(runs), tr, seed, variant, sound, pictures, _design(level, runs, tr, CANONICAL)[:, 0]
    )


def simulate_bold(simulation: Simulation, subject: int) -> np.ndarray:
    """BOLD of one subject in auditory cortex, exactly as the simulated study's file holds it.

    Parameters
    ----------
    simulation : Simulation
    subject : int
        Number, from 1.

    Returns
    -------
    array of float32, shape [TRs, active voxels]
        In scanner units, neither filtered nor standardised.
    """
    grid = simulation.grid
    return np.concatenate(list(volumes(simulation, simulation.subject(subject), grid.active)))


def volumes(simulation: Simulation, subject: SimulatedSubject, mask: np.ndarray) -> Iterator[np.ndarray]:
    """Yield one subject's BOLD, some volumes at a time, [volumes, voxels of the mask], float32.

    Parameters
    ----------
    simulation : Simulation
    subject : SimulatedSubject
    mask : array of bool, shape [x, y, z]
        Voxels wanted, all of them tissue; which ones makes no difference to their BOLD.
    """
    grid, runs, tr, seed = simulation.grid, simulation.runs, simulation.tr, simulation.seed
    kept = mask[grid.box]
    noise_size = np.ones(int(mask.sum()), np.float32)
    driven = []
    for population, voxels in ((simulation.sound, grid.active), (simulation.pictures, grid.other)):
        columns = np.flatnonzero(voxels[mask])
        if len(columns):
            driven.append((columns, simulation.signal(population, subject).astype(np.float32)))
            noise_size[columns] = np.sqrt(population.noise_variance)
    slow, slow_maps = drift(kept.shape, grid.voxel_mm, runs, tr, stream(seed, subject.number, _DRIFT))
    courses = np.concatenate([slow, subject.artefacts.course(runs, tr)], axis=1)
    maps = np.concatenate([slow_maps[:, kept], grid.artefacts[:, mask[grid.tissue]]])
    rng = stream(seed, subject.number, _NOISE)
    row = 0
    for run in runs:
        for noise in noise_chunks(kept.shape, kept, grid.voxel_mm, run, tr, rng):
            rows = slice(row, row + len(noise))
            bold = noise * noise_size + courses[rows] @ maps
            for columns, signal in driven:
                bold[:, columns] += signal[rows]
            row += len(noise)
            yield np.asarray(np.round((BASELINE + NOISE_UNITS * bold) / STEP) * STEP, np.float32)


def strength_of(variant: Variant, strength: float | None) -> float:
    """The strength asked for, or the variant's own.

    Raises
    ------
    UserError
        The variant is unknown, the strength impossible, or the variant has none.
    """
    if variant not in VARIANTS:
        raise UserError(f"variant {variant!r}: should be one of {', '.join(VARIANTS)}")
    if strength is None:
        return STRENGTHS[variant]
    if not 0 <= strength < MAX_SHARE:
        raise UserError(f"strength {strength:g}: should be at least 0 and below {MAX_SHARE:g}")
    if variant == "null" and strength > 0:
        raise UserError(f"strength {strength:g}: the variant null has no signal; leave strength out")
    return strength


def voxel_shares(relative: np.ndarray, mean: float) -> np.ndarray:
    """Shares of variance that rise with ``relative``, stay below ``MAX_SHARE`` and have this mean, [voxels]."""
    if mean == 0:
        return np.zeros_like(relative)

    def shares(log_scale: float) -> np.ndarray:
        return np.asarray(-MAX_SHARE * np.expm1(-np.exp(log_scale) * relative))

    return shares(brentq(lambda log_scale: shares(log_scale).mean() - mean, -40.0, 20.0, xtol=1e-10))


def surrogate(features: Features, rng: np.random.Generator) -> Features:
    """Random process with the spectra and cross-spectra of the features, and nothing to do with the sound.

    Overlapping pieces of the features, each convolved with a white noise of its own, add up to a Gaussian process
    whose autocovariance is the mean over the pieces (the spectra of Welch 1967). Phases drawn anew for each Fourier
    component of the whole (Prichard & Theiler 1994) would not do: that is the sound through one random filter,
    the same in training and held-out time, and a lagged regression learns it.
    """
    n_frames = features.values.shape[1]
    length = max(1, min(SURROGATE_SECONDS * FEATURE_RATE, n_frames // 4))
    values = features.values - features.values.mean(axis=1, keepdims=True)
    starts = range(0, n_frames - length + 1, max(1, length // 2))
    taper = hann(length, sym=False) if length > 1 else np.ones(1)
    taper /= np.sqrt(len(starts) * (taper**2).mean() * length)
    random = np.zeros_like(values)
    for start in starts:
        piece = values[:, start : start + length] * taper
        white = rng.standard_normal((1, n_frames + length - 1))
        random += fftconvolve(white, piece, mode="valid", axes=1)
    return Features(random, features.names, features.families)


def stream(seed: int, subject: int, purpose: int) -> np.random.Generator:
    """Random numbers for one purpose in one subject (0: what all share)."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(subject, purpose)))


def _design(
    values: np.ndarray, runs: Sequence[Run], tr: Fraction, haemodynamics: Haemodynamics
) -> np.ndarray:
    """Processes [processes, frames] as BOLD follows them, above the drift and z-scored, [TRs, processes]."""
    return unit(above_drift(responses(values, runs, tr, haemodynamics), runs, tr))


def _population(
    process: Features,
    weights: np.ndarray,
    share: np.ndarray,
    runs: Sequence[Run],
    tr: Fraction,
    rng: np.random.Generator,
) -> Population:
    """Bring weights to where families contribute as the seed mixes them and responses have variance 1.

    Every family has the same share of a voxel's response on average, counted before they are added.
    """
    design = _design(process.values, runs, tr, CANONICAL)
    families = sorted(set(process.families))
    mixture = rng.gamma(MIXTURE, size=(len(families), weights.shape[1]))
    mixture /= mixture.sum(axis=0)
    scaled = np.zeros_like(weights)
    for family, part in zip(families, mixture, strict=True):
        members = np.array([name == family for name in process.families])
        spread = (design[:, members] @ weights[members]).std(axis=0)
        scaled[members] = weights[members] * _ratio(np.sqrt(part), spread)
    scaled *= _ratio(np.ones(len(share)), (design @ scaled).std(axis=0))
    return Population(process, design, scaled, design @ scaled, share)


def _auditory_weights(positions: np.ndarray, process: Features, rng: np.random.Generator) -> np.ndarray:
    """Weights of the features per voxel before families are mixed, [features, voxels].

    Preferred frequency runs high-low-high from back to front, two mirrored gradients that meet at the middle
    (Formisano et al. 2003). Level and onsets raise the response of every voxel; modulation and pitch raise or
    lower it, as a voxel's tuning has it, which keeps it from following loudness more than real voxels do.
    """
    y = positions[:, 1]
    back_to_front = (y - y.min()) / max(float(np.ptp(y)), 1e-9)
    preferred = np.abs(2 * back_to_front - 1) * (N_BANDS - 1)
    bands = np.exp(-0.5 * ((np.arange(N_BANDS)[:, None] - preferred) / 2.0) ** 2)
    weights = rng.lognormal(0.0, 0.3, (len(process.names), len(positions)))
    signs = rng.choice([-1.0, 1.0], weights.shape)
    members = {family: np.array([name == family for name in process.families]) for family in FAMILIES}
    if members["bands"].any():
        weights[members["bands"]] *= bands
    weights[[name == "level" for name in process.names]] *= LEVEL_WEIGHT
    signed = members["modulation"] | members["pitch"]
    weights[signed] *= signs[signed]
    return np.asarray(weights)


def _picture_process(n_frames: int, rng: np.random.Generator) -> Features:
    """Independent first-order autoregressive processes, as the pictures of a film change."""
    carry = np.exp(-1 / (PICTURE_SECONDS * FEATURE_RATE))
    white = rng.standard_normal((N_PICTURES, n_frames))
    values = lfilter([np.sqrt(1 - carry**2)], [1, -carry], white, axis=1)
    return Features(values, [f"picture {i + 1}" for i in range(N_PICTURES)], ["pictures"] * N_PICTURES)


def _ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Quotient; 0 where the denominator vanishes, as it does where a sound leaves no response."""
    shape = np.broadcast(a, b).shape
    return np.asarray(np.divide(a, b, out=np.zeros(shape), where=np.abs(b) > 1e-9))
