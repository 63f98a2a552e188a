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
from fmri_audio.base.settings import FAMILIES, VARIANTS, VOXELS, Variant, Voxels
from fmri_audio.brain.masks import AUDITORY_CENTRES
from fmri_audio.simulation.grid import Grid, distance_to
from fmri_audio.simulation.haemodynamics import CANONICAL, Haemodynamics, above_drift, responses, unit
from fmri_audio.simulation.scanner_noise import Artefacts, draw_artefacts, drift, noise_chunks
from fmri_audio.simulation.voxel_models import VOXEL_MODELS, VoxelModel, smooth_fields
from fmri_audio.sound.acoustics import FEATURE_RATE, N_BANDS, Features
from fmri_audio.study.facts import Run

#: Mean share of an auditory voxel's variance that all subjects have in common, in brains that follow the sound closely.
STRONG = 0.65
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
LEVEL = "level"
"""Name of the feature that says how loud a sound is."""
#: Its weight beside onsets within their family: auditory cortex answers changes more than what lasts.
LEVEL_WEIGHT = 0.35
#: Volumes are written on a scanner's scale: a mean of 1000 and 1 % of noise, in steps of 1/16.
BASELINE, NOISE_UNITS, STEP = 1000.0, 10.0, 1 / 16
#: What cannot be heard, the pictures and what auditory cortex shares beside the sound: as many independent processes
#: each, whose autocorrelation falls to 1/e within these seconds.
N_UNHEARD, UNHEARD_SECONDS = 8, 4.0
UNHEARD = "unheard"
"""Name of their family."""
#: What a surrogate keeps of the features' autocorrelation: lags up to these seconds, falling towards them.
SURROGATE_SECONDS = 40

# One stream of random numbers per purpose, so that none depends on how many another has drawn.
_SHARED, _RESPONSE, _OWN, _PICTURES, _NOISE, _DRIFT, _ARTEFACTS, _TUNING = range(8)


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
    voxels : VoxelModel
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
    voxels: VoxelModel
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
    variant: Variant = "matched",
    voxels: Voxels | VoxelModel = "between",
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
        ``matched`` to the regions of real listeners, who share in auditory cortex what the sound explains and what it
        does not; ``strong``: auditory cortex shares much, all of it the sound's; ``null``: nothing but noise;
        ``null-shared``: as ``matched``, but in place of the features there is a surrogate of them that has nothing to
        do with the sound.
    voxels : str or VoxelModel
        How a region's response is spread over its voxels, see :mod:`fmri_audio.simulation.voxel_models`.
    strength : float, optional
        Mean share of an auditory voxel's variance that subjects have in common; the variant's own unless given.

    Raises
    ------
    UserError
        An impossible strength, or one for ``null``.
    """
    strength = strength_of(variant, strength, voxels)
    model = VOXEL_MODELS[voxels] if isinstance(voxels, str) else voxels
    level = features.values[[features.names.index(LEVEL)]]
    process = features.only(families)
    rng = stream(seed, 0, _SHARED)
    if variant == "null-shared":
        process = surrogate(process, rng)
    unheard, loud = (0.0, 0.0) if variant == "strong" else (model.unheard, model.level)
    if unheard:
        process = process.beside(_unheard(process.values.shape[1], rng))
    rng = stream(seed, 0, _TUNING)  # the same brain whatever it hears
    positions = grid.positions(grid.active)
    distance = distance_to(positions, AUDITORY_CENTRES)
    spread = np.exp(SHARE_SPREAD * smooth_fields(positions, model.tuning_fwhm_mm, 1, rng)[0])
    share = voxel_shares(np.exp(-distance / FALLOFF_MM) * spread, strength)
    tuned = _auditory_weights(positions, process, model.tuning_fwhm_mm, rng)
    sound = _population(process, tuned, share, runs, tr, rng, unheard=unheard, loud=loud, smooth=model.smooth)
    rng = stream(seed, 0, _PICTURES)
    n_other = int(grid.other.sum())
    pictures = _population(
        _unheard(features.values.shape[1], rng),
        rng.standard_normal((N_UNHEARD, n_other)),
        np.full(n_other, strength),
        runs,
        tr,
        rng,
        unheard=1.0,
    )
    level_course = _design(level, runs, tr, CANONICAL)[:, 0]
    return Simulation(grid, list(runs), tr, seed, variant, model, sound, pictures, level_course)


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
    like = simulation.voxels.noise
    slow, slow_maps = drift(
        kept.shape, grid.voxel_mm, runs, tr, like.drift_variance, stream(seed, subject.number, _DRIFT)
    )
    courses = np.concatenate([slow, subject.artefacts.course(runs, tr)], axis=1)
    maps = np.concatenate([slow_maps[:, kept], grid.artefacts[:, mask[grid.tissue]]])
    rng = stream(seed, subject.number, _NOISE)
    row = 0
    for run in runs:
        for noise in noise_chunks(kept.shape, kept, grid.voxel_mm, run, tr, like, rng):
            rows = slice(row, row + len(noise))
            bold = noise * noise_size + courses[rows] @ maps
            for columns, signal in driven:
                bold[:, columns] += signal[rows]
            row += len(noise)
            yield np.asarray(np.round((BASELINE + NOISE_UNITS * bold) / STEP) * STEP, np.float32)


def strength_of(variant: Variant, strength: float | None, voxels: Voxels | VoxelModel = "between") -> float:
    """The strength asked for, or the variant's own with these voxels.

    Raises
    ------
    UserError
        The variant is unknown, the strength impossible, or the variant has none.
    """
    if variant not in VARIANTS:
        raise UserError(f"variant {variant!r}: should be one of {', '.join(VARIANTS)}")
    if isinstance(voxels, str) and voxels not in VOXELS:
        raise UserError(f"voxels {voxels!r}: should be one of {', '.join(VOXELS)}")
    if strength is None:
        model = VOXEL_MODELS[voxels] if isinstance(voxels, str) else voxels
        own = {"null": 0.0, "strong": STRONG}
        return own.get(variant, model.strength)
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


def surrogate(features: Features, rng: np.random.Generator, n_frames: int | None = None) -> Features:
    """Random process with the spectra and cross-spectra of the features, and nothing to do with the sound.

    It is as long as the features, or of ``n_frames``.

    Overlapping pieces of the features, each convolved with a white noise of its own, add up to a Gaussian process
    whose autocovariance is the mean over the pieces (the spectra of Welch 1967). Phases drawn anew for each Fourier
    component of the whole (Prichard & Theiler 1994) would not do: that is the sound through one random filter,
    the same in training and held-out time, and a lagged regression learns it.
    """
    n_heard = features.values.shape[1]
    n_frames = n_heard if n_frames is None else n_frames
    length = max(1, min(SURROGATE_SECONDS * FEATURE_RATE, n_heard // 4))
    values = features.values - features.values.mean(axis=1, keepdims=True)
    starts = range(0, n_heard - length + 1, max(1, length // 2))
    taper = hann(length, sym=False) if length > 1 else np.ones(1)
    taper /= np.sqrt(len(starts) * (taper**2).mean() * length)
    random = np.zeros((len(values), n_frames))
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
    tuned: np.ndarray,
    share: np.ndarray,
    runs: Sequence[Run],
    tr: Fraction,
    rng: np.random.Generator,
    *,
    unheard: float,
    loud: float = 0.0,
    smooth: float = 1.0,
) -> Population:
    """Bring weights to where families contribute as the seed mixes them and responses have variance 1.

    What is unheard has its share of a voxel's response, the level that of what is heard, and every family of the sound
    the same share of the rest on average, counted before they are added. Of the families and of what is unheard a
    share of ``smooth`` goes by the weights ``tuned``, the rest by weights that every voxel has to itself. How loud it
    is moves all voxels one way: of so simple a response, parts that go one way and the other would cancel in a region.
    """
    design = _design(process.values, runs, tr, CANONICAL)
    names, of_family = np.array(process.names), np.array(process.families)
    families = sorted(set(process.families) - {UNHEARD})
    mixture = rng.gamma(MIXTURE, size=(len(families), tuned.shape[1]))
    loud = loud if (names == LEVEL).any() else 0.0
    members = [of_family == family for family in families]
    own = rng.standard_normal(tuned.shape)

    def following(some: np.ndarray, weights: np.ndarray, part: np.ndarray | float) -> np.ndarray:
        """Weights of some features, whose response has this variance."""
        kept = np.where(some[:, None], weights, 0.0)
        return np.asarray(kept * _ratio(np.sqrt(part * np.ones(len(share))), (design @ kept).std(axis=0)))

    def mixed(weights: np.ndarray) -> np.ndarray:
        parts = [following(some, weights, part) for some, part in zip(members, mixture, strict=True)]
        return np.sum(parts, axis=0) if parts else np.zeros_like(weights)

    everything = np.ones(len(names), bool)
    weights = following(names == LEVEL, tuned, (1 - unheard) * loud)
    for several, part in (
        ((mixed(tuned), mixed(own)), (1 - unheard) * (1 - loud)),
        ([following(of_family == UNHEARD, one, 1.0) for one in (tuned, own)], unheard),
    ):
        of_neighbours, of_its_own = (following(everything, one, 1.0) for one in several)
        both = np.sqrt(smooth) * of_neighbours + np.sqrt(1 - smooth) * of_its_own
        weights = weights + following(everything, both, part)
    weights = following(everything, weights, 1.0)
    return Population(process, design, weights, design @ weights, share)


def _auditory_weights(
    positions: np.ndarray, process: Features, fwhm_mm: float, rng: np.random.Generator
) -> np.ndarray:
    """Weights of the features per voxel before families are mixed, smooth over cortex, [features, voxels].

    Preferred frequency runs high-low-high from back to front, two mirrored gradients that meet at the middle
    (Formisano et al. 2003). Level and onsets raise the response of every voxel; modulation, pitch and what is unheard
    raise or lower it, as a voxel's tuning has it, which keeps it from following loudness more than real voxels do.
    """
    y = positions[:, 1]
    back_to_front = (y - y.min()) / max(float(np.ptp(y)), 1e-9)
    preferred = np.abs(2 * back_to_front - 1) * (N_BANDS - 1)
    bands = np.exp(-0.5 * ((np.arange(N_BANDS)[:, None] - preferred) / 2.0) ** 2)
    fields = smooth_fields(positions, fwhm_mm, len(process.names), rng)
    members = {
        family: np.array([name == family for name in process.families]) for family in (*FAMILIES, UNHEARD)
    }
    raised = np.exp(0.3 * fields)
    raised[members["bands"]] *= bands[: members["bands"].sum()]
    raised[[name == LEVEL for name in process.names]] *= LEVEL_WEIGHT
    signed = members["modulation"] | members["pitch"] | members[UNHEARD]
    return np.where(signed[:, None], fields, raised)


def _unheard(n_frames: int, rng: np.random.Generator) -> Features:
    """Independent first-order autoregressive processes, as the pictures of a film change, or what a story means."""
    carry = np.exp(-1 / (UNHEARD_SECONDS * FEATURE_RATE))
    white = rng.standard_normal((N_UNHEARD, n_frames))
    values = lfilter([np.sqrt(1 - carry**2)], [1, -carry], white, axis=1)
    return Features(values, [f"{UNHEARD} {i + 1}" for i in range(N_UNHEARD)], [UNHEARD] * N_UNHEARD)


def _ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Quotient; 0 where the denominator vanishes, as it does where a sound leaves no response."""
    shape = np.broadcast(a, b).shape
    return np.asarray(np.divide(a, b, out=np.zeros(shape), where=np.abs(b) > 1e-9))
