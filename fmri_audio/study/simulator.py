"""A simulated study with known truth, written in the layout of the Sherlock release.

Auditory cortex of every simulated subject follows acoustic features of the sound (band energies, onsets,
slow modulation: none of them taken from the codec) through a haemodynamic response; every other voxel of grey
matter carries noise alone. What a scanner adds is added: noise that is correlated in time and space, drift,
differences between subjects. The truth is saved beside it.
"""

from __future__ import annotations

import gzip
import itertools
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import gamma
from pathlib import Path

import nibabel as nib
import numpy as np
import soundfile as sf
from scipy.ndimage import gaussian_filter
from scipy.signal import butter, fftconvolve, sosfiltfilt

from fmri_audio.brain import auditory_mask, grey_matter, voxel_positions
from fmri_audio.errors import UserError
from fmri_audio.study.reader import (
    PATTERN,
    RELEASE_AFFINE,
    RELEASE_SHAPE,
    STUDY_FILE,
    Run,
    StudyFile,
    read_facts,
    write_facts,
)
from fmri_audio.timeline import trs_to_samples, whole_trs

#: Features are computed at this rate (Hz), fine enough for onsets and 8 Hz modulation.
FEATURE_RATE = 40
N_BANDS = 16
BAND_EDGES_HZ = (80.0, 8000.0)
SHIFT_TRS = 3
#: Grey matter outside the auditory mask starts at this probability; elsewhere the volumes are 0.
TISSUE = 0.2
#: Volumes are written on a scanner's scale: a mean of 1000 and 1 % of noise.
BASELINE, NOISE_UNITS = 1000.0, 10.0
#: Autocorrelation of the noise from one TR of 1.5 s to the next, its smoothness (FWHM) and the drift's variance
#: as a share of the noise's.
NOISE_AR, NOISE_FWHM_MM, DRIFT_SHARE = 0.4, 6.0, 0.5
#: Share of the sound-driven variance that is a subject's own.
INDIVIDUAL_SHARE = 0.25
_MIN_ACTIVE_VOXELS = 20
_BOTH_HEMISPHERES_VOXELS = 44


@dataclass(frozen=True)
class Features:
    """Acoustic features: ``values`` [features, frames] at ``FEATURE_RATE``, 0 in silence, and their names."""

    values: np.ndarray
    names: list[str]


def simulate_study(
    out: Path | str,
    waveform: np.ndarray,
    sample_rate: int,
    *,
    n_subjects: int,
    n_trs: int,
    shape: Sequence[int],
    seed: int,
    strength: float,
    tr: Fraction = Fraction(3, 2),
    runs: Sequence[tuple[int, int]] | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> Path:
    """Write a simulated study of a sound.

    Parameters
    ----------
    out : path
        Folder to create: ``sherlock_movie_s<N>.nii.gz`` (float32, MNI 3 mm, already shifted by 3 TRs),
        ``study.yml``, ``stimulus.flac`` and ``truth.npz``. It appears whole or not at all.
    waveform : array, shape [T]
        The stimulus, mono; TR 0 begins with its first sample.
    sample_rate : int
    n_subjects, n_trs : int
    shape : 3 ints
        Voxels along x, y, z, up to the release's 61×73×61. A smaller box is cut from that grid around
        auditory cortex: both sides where at least 44 voxels span x, else the left.
    seed : int
        Two studies with the same arguments are identical.
    strength : float
        Share of an auditory voxel's variance (drift apart) that all subjects have in common, 0 ≤ s < 0.75.
        The correlation that a model of the shared response can reach with one subject is √s.
    tr : Fraction
        Seconds.
    runs : sequence of (first_tr, n_trs), optional
        Scans; the response starts afresh in each. One run unless given.
    overwrite : bool
        Replace an earlier *simulated* study in ``out``; anything else there is never removed.
    progress : bool
        Say on standard error which subject is being written.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    UserError
        More TRs than there is sound, a silent sound, an impossible size or strength, or ``out`` is in use.
    """
    out = Path(out)
    scans = _runs(runs, n_trs)
    _validate(waveform, sample_rate, n_subjects, n_trs, shape, strength, tr)
    _make_way(out, overwrite, remove=False)
    affine = box_affine(shape)
    tissue = grey_matter(affine, shape) > TISSUE
    active = auditory_mask(affine, shape)
    if active.sum() < _MIN_ACTIVE_VOXELS:
        raise UserError(
            f"a box of {'×'.join(map(str, shape))} voxels holds too little auditory cortex; use a larger one"
        )
    features = acoustic_features(waveform[: trs_to_samples(n_trs, sample_rate, tr)], sample_rate)
    design = responses(features, scans, tr)
    shared_weights = _weights(
        voxel_positions(affine, shape)[active], features.names, np.random.default_rng([seed, 0])
    )
    shared = _unit(design @ shared_weights)

    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as temporary:
        folder = Path(temporary) / out.name
        folder.mkdir()
        for subject in range(1, n_subjects + 1):
            if progress:
                print(
                    f"simulating subject {subject} of {n_subjects}: {n_trs} TRs", file=sys.stderr, flush=True
                )
            rng = np.random.default_rng([seed, subject])
            signal = _subject_signal(shared, design, rng, strength)
            path = folder / (PATTERN.format(subject=subject) + ".gz")
            _write_subject(path, signal, active, tissue | active, affine, scans, tr, rng)
        sf.write(folder / "stimulus.flac", np.clip(waveform, -1, 1), sample_rate, subtype="PCM_16")
        np.savez_compressed(
            folder / "truth.npz", active=active, features=design.astype(np.float32), names=np.array(features.names),
            weights=shared_weights.astype(np.float32), shared=shared.astype(np.float32),
            attainable=np.full(int(active.sum()), np.sqrt(strength), np.float32),
        )  # fmt: skip
        facts = StudyFile(
            name="simulated",
            simulated=True,
            tr=tr,
            shift_trs=SHIFT_TRS,
            subjects=list(range(1, n_subjects + 1)),
            runs=scans,
            stimulus="stimulus.flac",
            seed=seed,
            strength=float(strength),
        )
        write_facts(facts, folder / STUDY_FILE)
        _make_way(out, overwrite, remove=True)
        os.replace(folder, out)
    return out


def box_affine(shape: Sequence[int]) -> np.ndarray:
    """Affine of a box of ``shape`` voxels cut from the release's grid around auditory cortex, [4, 4].

    The box keeps the grid's voxel centres. It covers both hemispheres where it spans at least 44 voxels
    along x, and the left one otherwise.
    """
    both = shape[0] >= _BOTH_HEMISPHERES_VOXELS
    centre = np.array([0.0 if both else -54.0, -20.0, 8.0, 1.0])
    middle = np.linalg.solve(RELEASE_AFFINE, centre)[:3]
    first = np.round(middle - np.asarray(shape) / 2).astype(int)
    first = np.clip(first, 0, np.asarray(RELEASE_SHAPE) - np.asarray(shape))
    affine = RELEASE_AFFINE.copy()
    affine[:3, 3] = (RELEASE_AFFINE @ np.append(first, 1.0))[:3]
    return affine


def acoustic_features(waveform: np.ndarray, sample_rate: int) -> Features:
    """Energy in 16 bands, level, onsets and slow modulation of a sound.

    Band energies are log power in logarithmically spaced bands from 80 Hz to 8 kHz, in dB above a floor 60 dB
    below the loudest moment, and counted from their mean over bands, the level: real auditory cortex follows
    what the sound is more than how loud it is. The onset is the summed rise over the bands; modulation is the
    strength of 2–4 and 4–8 Hz fluctuations of the level.
    """
    bands = _band_levels(waveform, sample_rate)
    onset = np.clip(np.diff(bands, axis=1, prepend=bands[:, :1]), 0, None).sum(axis=0, keepdims=True)
    level = bands.mean(axis=0)
    modulation = [np.abs(_band_pass(level, low, high)) for low, high in ((2.0, 4.0), (4.0, 8.0))]
    names = [f"band {i + 1}" for i in range(N_BANDS)] + [
        "level",
        "onset",
        "modulation 2-4 Hz",
        "modulation 4-8 Hz",
    ]
    return Features(np.concatenate([bands - level, level[None], onset, np.stack(modulation)]), names)


def haemodynamic_response(rate: float, seconds: float = 32.0) -> np.ndarray:
    """The canonical double-gamma response (Friston et al. 1998; SPM's constants), sampled at ``rate`` Hz, sum 1."""
    t = np.arange(0, seconds, 1 / rate)
    response = t**5 * np.exp(-t) / gamma(6) - t**15 * np.exp(-t) / (6 * gamma(16))
    return np.asarray(response / response.sum())


def responses(features: Features, runs: Sequence[Run], tr: Fraction) -> np.ndarray:
    """Features as BOLD would follow them, one row per volume of the shifted file, [TRs, features], z-scored.

    Row k is taken at the middle of TR k + 3, because the release is already shifted by 3 TRs. Every run
    starts from rest, and rest follows its end.
    """
    kernel = haemodynamic_response(FEATURE_RATE)
    rows = []
    for run in runs:
        start, stop = (round(k * tr * FEATURE_RATE) for k in (run.first_tr, run.last_tr))
        heard = features.values[:, start:stop]
        after = round((SHIFT_TRS + 1) * tr * FEATURE_RATE)
        followed = fftconvolve(np.pad(heard, ((0, 0), (0, after))), kernel[None], axes=1)
        at = [round((k + SHIFT_TRS + Fraction(1, 2)) * tr * FEATURE_RATE) for k in range(run.n_trs)]
        rows.append(followed[:, at].T)
    return _unit(np.concatenate(rows))


def _validate(
    waveform: np.ndarray,
    sample_rate: int,
    n_subjects: int,
    n_trs: int,
    shape: Sequence[int],
    strength: float,
    tr: Fraction,
) -> None:
    if n_subjects < 1 or n_trs < 1:
        raise UserError(f"a study needs at least one subject and one TR; asked for {n_subjects} and {n_trs}")
    available = whole_trs(len(waveform), sample_rate, tr)
    if n_trs > available:
        seconds = len(waveform) / sample_rate
        raise UserError(
            f"{n_trs} TRs were asked for, but the sound lasts {seconds:.1f} s: "
            f"{available} TRs of {float(tr):g} s at most"
        )
    if (
        len(shape) != 3
        or min(shape) < 1
        or any(n > full for n, full in zip(shape, RELEASE_SHAPE, strict=True))
    ):
        raise UserError(
            f"shape {list(shape)}: should be three numbers of voxels, at most {list(RELEASE_SHAPE)}"
        )
    if not 0 <= strength < 1 - INDIVIDUAL_SHARE:
        raise UserError(f"strength {strength:g}: should be at least 0 and below {1 - INDIVIDUAL_SHARE:g}")
    if not np.isfinite(waveform).all():
        raise UserError("the sound holds NaN or infinite samples; nothing can be simulated from it")
    if np.abs(waveform).max(initial=0.0) < 1e-5:
        raise UserError("the sound is silent; a brain cannot be made to follow it")


def _runs(runs: Sequence[tuple[int, int]] | None, n_trs: int) -> list[Run]:
    """Runs as the study file writes them; they must cover the TRs one after the other."""
    pairs = [(0, n_trs)] if runs is None else list(runs)
    expected = 0
    for first, count in pairs:
        if first != expected or count < 1:
            raise UserError(f"runs {pairs}: each should begin where the one before ends")
        expected = first + count
    if expected != n_trs:
        raise UserError(f"runs {pairs}: hold {expected} TRs, {n_trs} were asked for")
    return [Run(name=str(i + 1), first_tr=first, n_trs=count) for i, (first, count) in enumerate(pairs)]


def _make_way(out: Path, overwrite: bool, *, remove: bool) -> None:
    """Refuse to write over anything but an earlier simulated study; remove that if asked to."""
    if not out.exists():
        return
    if not out.is_dir():
        raise UserError(f"{out}: is a file; give the name of a folder to create")
    if any(out.iterdir()):
        ours = overwrite and (out / STUDY_FILE).is_file() and read_facts(out).simulated
        if not ours:
            raise UserError(f"{out}: is not empty; give the name of a new folder")
    if remove:
        shutil.rmtree(out)


def _band_levels(waveform: np.ndarray, sample_rate: int, chunk: int = 4096) -> np.ndarray:
    """Log power per band and frame, dB above the floor, [bands, frames]."""
    n_fft = 1 << round(np.log2(0.05 * sample_rate))
    n_frames = int(len(waveform) * FEATURE_RATE / sample_rate)
    starts = (np.arange(n_frames) * sample_rate / FEATURE_RATE).astype(int)
    padded = np.pad(waveform, (n_fft // 2, n_fft))
    window = np.hanning(n_fft)
    frequency = np.fft.rfftfreq(n_fft, 1 / sample_rate)
    edges = np.geomspace(*BAND_EDGES_HZ, N_BANDS + 1)
    # A band narrower than a bin of the spectrum takes the bin nearest to its centre.
    member = np.stack(
        [
            (frequency >= low) & (frequency < high)
            | (np.arange(len(frequency)) == np.argmin(np.abs(frequency - np.sqrt(low * high))))
            for low, high in itertools.pairwise(edges)
        ]
    )
    power = [
        member @ (np.abs(np.fft.rfft(padded[s[:, None] + np.arange(n_fft)] * window, axis=1)) ** 2).T
        for s in np.array_split(starts, max(1, -(-n_frames // chunk)))
    ]
    level = 10 * np.log10(np.concatenate(power, axis=1) + 1e-12)
    return np.asarray(np.clip(level - (level.max() - 60), 0, None))


def _band_pass(x: np.ndarray, low: float, high: float) -> np.ndarray:
    sos = butter(2, (low, high), "bandpass", fs=FEATURE_RATE, output="sos")
    return np.asarray(sosfiltfilt(sos, x, padlen=min(len(x) - 1, 3 * FEATURE_RATE)))


def _weights(positions: np.ndarray, names: list[str], rng: np.random.Generator) -> np.ndarray:
    """Weights of the features per voxel, [features, voxels].

    Preferred frequency runs high-low-high from back to front, two mirrored gradients that meet at the middle
    (Formisano et al. 2003); level, onsets and modulation weigh more towards the side of the head.
    """
    y = positions[:, 1]
    back_to_front = (y - y.min()) / max(float(np.ptp(y)), 1e-9)
    preferred = np.abs(2 * back_to_front - 1) * (N_BANDS - 1)
    bands = np.exp(-0.5 * ((np.arange(N_BANDS)[:, None] - preferred) / 2.0) ** 2)
    lateral = np.abs(positions[:, 0]) - np.abs(positions[:, 0]).min()
    others = np.outer(np.ones(len(names) - N_BANDS), 0.3 + 0.6 * lateral / max(float(lateral.max()), 1e-9))
    weights = np.concatenate([bands, others])
    return np.asarray(weights * rng.lognormal(0.0, 0.3, weights.shape))


def _subject_signal(
    shared: np.ndarray, design: np.ndarray, rng: np.random.Generator, strength: float
) -> np.ndarray:
    """Sound-driven part of one subject, [TRs, voxels]: the shared response and one of the subject's own.

    The subject's own part follows the sound too, but is orthogonal to the shared one in every voxel, so that
    the variance shared between subjects is ``strength`` exactly.
    """
    own = design @ rng.standard_normal((design.shape[1], shared.shape[1]))
    own -= shared * (own * shared).mean(axis=0)
    individual = strength * INDIVIDUAL_SHARE / (1 - INDIVIDUAL_SHARE)
    return np.asarray(np.sqrt(strength) * shared + np.sqrt(individual) * _unit(own))


def _write_subject(
    path: Path,
    signal: np.ndarray,
    active: np.ndarray,
    tissue: np.ndarray,
    affine: np.ndarray,
    runs: Sequence[Run],
    tr: Fraction,
    rng: np.random.Generator,
) -> None:
    """Stream one subject to disk, volume by volume, so that memory does not grow with the number of TRs."""
    header = _header((*active.shape, len(signal)), affine, tr)
    sigma = NOISE_FWHM_MM / 2.3548 / np.abs(np.diag(affine))[:3]
    gain = _smoothing_gain(sigma)
    carry = NOISE_AR ** float(tr / Fraction(3, 2))
    driven = strength_of(signal)
    noise = np.zeros(active.shape, np.float32)
    with open(path, "wb") as raw, gzip.GzipFile("", "wb", compresslevel=1, fileobj=raw, mtime=0) as stream:
        stream.write(header)
        for run in runs:
            drift = _drift(run.n_trs, active.shape, sigma, rng)
            for k in range(run.n_trs):
                fresh = gaussian_filter(rng.standard_normal(active.shape, dtype=np.float32), sigma) * gain
                noise = fresh if k == 0 else carry * noise + np.sqrt(1 - carry**2) * fresh
                volume = noise + np.tensordot(drift[0][k], drift[1], 1)
                volume[active] = (
                    signal[run.first_tr + k] + np.sqrt(1 - driven) * noise[active] + (volume - noise)[active]
                )
                scaled = np.where(tissue, BASELINE + NOISE_UNITS * volume, 0.0).astype("<f4")
                stream.write(scaled.tobytes(order="F"))


def strength_of(signal: np.ndarray) -> np.ndarray:
    """Variance of the sound-driven part per voxel; noise fills what is missing to 1."""
    return np.asarray(np.clip(signal.var(axis=0), 0.0, 1.0))


def _drift(
    n_trs: int, shape: tuple[int, ...], sigma: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Slow cosines [TRs, 3] and how much of each goes into a voxel [3, x, y, z]."""
    phase = np.pi * (np.arange(n_trs) + 0.5) / n_trs
    course = np.stack([np.cos((i + 1) * phase) for i in range(3)], axis=1) * np.sqrt(2 / 3)
    amount = np.stack(
        [gaussian_filter(rng.standard_normal(shape), sigma) * _smoothing_gain(sigma) for _ in range(3)]
    )
    return course.astype(np.float32), (np.sqrt(DRIFT_SHARE) * amount).astype(np.float32)


def _smoothing_gain(sigma: np.ndarray) -> np.float32:
    """What smoothed white noise must be multiplied by to have variance 1 again."""
    size = [2 * int(4 * s + 0.5) + 3 for s in sigma]
    impulse = np.zeros(size)
    impulse[tuple(n // 2 for n in size)] = 1
    return np.float32(1 / np.sqrt((gaussian_filter(impulse, sigma) ** 2).sum()))


def _header(shape: tuple[int, ...], affine: np.ndarray, tr: Fraction) -> bytes:
    """NIfTI-1 header and its four closing bytes."""
    image = nib.Nifti1Header()
    image.set_data_dtype("<f4")
    image.set_data_shape(shape)
    image.set_zooms((*np.abs(np.diag(affine))[:3], float(tr)))
    image.set_xyzt_units("mm", "sec")
    image.set_sform(affine, code="mni")
    image.set_qform(affine, code="mni")
    image["magic"] = b"n+1"
    image["vox_offset"] = 352
    image["descrip"] = b"simulated brains"
    return bytes(image.binaryblock) + b"\0\0\0\0"


def _unit(x: np.ndarray) -> np.ndarray:
    """Columns with mean 0 and variance 1; a column that does not vary becomes 0."""
    centred = x - x.mean(axis=0)
    spread = centred.std(axis=0)
    return np.asarray(np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 1e-9))
