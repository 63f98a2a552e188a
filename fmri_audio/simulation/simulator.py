"""A simulated study with known truth, written in the layout of the Sherlock release.

Auditory cortex of every simulated subject follows acoustic features of the sound, none of them taken from the
codec, through a haemodynamic response; some other voxels follow something that subjects share but cannot be
heard, and the rest of grey matter carries noise alone. What a scanner adds is added: noise that is correlated in
time and space, drift, artefacts of motion. The truth is saved beside the brains.
"""

from __future__ import annotations

import gzip
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import nibabel as nib
import numpy as np
import soundfile as sf

from fmri_audio.base.errors import UserError
from fmri_audio.base.settings import FAMILIES, Variant, Voxels
from fmri_audio.base.timeline import trs_to_samples, whole_trs
from fmri_audio.simulation.brains import SimulatedSubject, Simulation, plan_simulation, strength_of, volumes
from fmri_audio.simulation.grid import Grid, box_affine
from fmri_audio.simulation.haemodynamics import SHIFT_TRS
from fmri_audio.sound.acoustics import FEATURE_RATE, acoustic_features, check_families
from fmri_audio.study.facts import STUDY_FILE, Run, StudyFile
from fmri_audio.study.layouts.sherlock import PATTERN, RELEASE_SHAPE
from fmri_audio.study.reader import read_facts, write_facts

__all__ = ["TRUTH_FILE", "box_affine", "simulate_study", "write_truth"]

TRUTH_FILE = "truth.npz"
_SILENT = 1e-5


def simulate_study(
    out: Path | str,
    waveform: np.ndarray,
    sample_rate: int,
    *,
    n_subjects: int,
    n_trs: int,
    shape: Sequence[int],
    seed: int,
    strength: float | None = None,
    variant: Variant = "matched",
    voxels: Voxels = "between",
    features: Sequence[str] = FAMILIES,
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
        ``study.yml``, ``stimulus.flac`` and ``truth.npz`` (see :func:`write_truth`). It appears whole or not at
        all.
    waveform : array, shape [T]
        The stimulus, mono; TR 0 begins with its first sample.
    sample_rate : int
    n_subjects, n_trs : int
    shape : 3 ints
        Voxels along x, y, z, up to the release's 61×73×61. A smaller box is cut from that grid around
        auditory cortex: both sides where at least 44 voxels span x, else the left.
    seed : int
        Two studies with the same arguments are identical.
    strength : float, optional
        Mean share of an auditory voxel's variance (drift and artefacts apart) that all subjects have in common,
        0 ≤ s < 0.75; the variant's own unless given. The correlation that a model of the shared response can
        reach with one subject is about √s.
    variant : str
        ``matched`` to the regions of real listeners; ``null``: noise only; ``null-shared``: auditory cortex shares a
        signal that has nothing to do with this sound; ``strong``.
    voxels : str
        ``smooth``, ``between`` or ``fine``: how a region's response is spread over its voxels, which real regions do
        not say.
    features : sequence of str
        Families of acoustic features that auditory cortex follows, of
        :data:`fmri_audio.sound.acoustics.FAMILIES`.
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
        More TRs than there is sound, a silent sound, an impossible size, strength, variant or family, or ``out``
        is in use or cannot be written.
    """
    out = Path(out)
    scans = _runs(runs, n_trs)
    _validate(waveform, sample_rate, n_subjects, n_trs, shape, tr)
    strength = strength_of(variant, strength, voxels)
    check_families(features)
    _make_way(out, overwrite, remove=False)
    heard = waveform[: trs_to_samples(n_trs, sample_rate, tr)]
    simulation = plan_simulation(
        acoustic_features(heard, sample_rate),
        Grid.of_shape(shape),
        scans,
        tr,
        seed=seed,
        families=features,
        variant=variant,
        voxels=voxels,
        strength=strength,
    )
    facts = StudyFile(
        name="simulated" if variant == "matched" else f"simulated, {variant}",
        simulated=True,
        tr=tr,
        shift_trs=SHIFT_TRS,
        subjects=list(range(1, n_subjects + 1)),
        runs=scans,
        stimulus="stimulus.flac",
        seed=seed,
        strength=float(strength),
    )
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as temporary:
            folder = Path(temporary) / out.name
            folder.mkdir()
            sf.write(folder / "stimulus.flac", np.clip(waveform, -1, 1), sample_rate, subtype="PCM_16")
            subjects = [simulation.subject(number) for number in range(1, n_subjects + 1)]
            write_truth(folder / TRUTH_FILE, simulation, subjects)
            write_facts(facts, folder / STUDY_FILE)
            for subject in subjects:
                if progress:
                    done = f"simulating subject {subject.number} of {n_subjects}: {n_trs} TRs"
                    print(done, file=sys.stderr, flush=True)
                path = folder / (PATTERN.format(subject=subject.number) + ".gz")
                _write_subject(path, simulation, subject)
            _make_way(out, overwrite, remove=True)
            os.replace(folder, out)
    except OSError as error:
        raise UserError(
            f"{out}: cannot be written ({error.strerror}); choose a folder with room that you may write to"
        ) from None
    return out


def write_truth(path: Path, simulation: Simulation, subjects: Sequence[SimulatedSubject]) -> None:
    """Save what is known about a simulated study, as a NumPy archive.

    ===================  ==================================================================================
    ``active``           voxels that follow the sound, [x, y, z] of bool; ``other``: voxels that follow
                         something else
    ``features``         features through the canonical response, above the drift, z-scored, [TRs, features];
                         of ``null-shared`` its surrogates. ``names`` and ``families`` name the columns; those of
                         the family ``unheard`` are what listeners share beside the sound.
    ``level``            level of the real sound, likewise, [TRs], in every variant
    ``weights``          [features, active]; ``features @ weights`` is
    ``shared``           the noise-free response that subjects share, of variance 1, [TRs, active]
    ``share``            its share of a voxel's variance in a subject of average gain, [active]
    ``other_shared``     the same for the other voxels, [TRs, other]
    ``attainable``       correlation that ``shared`` can reach with one subject, mean over subjects, [active];
                         ``attainable_by_subject``: [subjects, active]; ``attainable_full``: of all that
                         follows the sound in that subject, [subjects, active]
    ``response``         haemodynamic response of each subject, [subjects, samples] at ``response_rate`` Hz;
                         ``latency`` (s) and ``dispersion``: how they differ from the canonical one
    ``gain``             size of each subject's signal
    ``artefact_subject`` and ``artefact_row``: whose head jerked in which volume; ``artefact_displacement``:
                         along x, y, z
    ``variant``          and ``seed``: a subject's signal is drawn again from them by
                         :meth:`fmri_audio.simulation.brains.Simulation.signal`
    ===================  ==================================================================================
    """
    sound, grid = simulation.sound, simulation.grid
    reached = [simulation.attainable(subject) for subject in subjects]
    shared, full = (np.array([one[i] for one in reached], np.float32) for i in (0, 1))
    jerks = [subject.artefacts for subject in subjects]
    np.savez_compressed(
        path,
        active=grid.active,
        other=grid.other,
        features=sound.design.astype(np.float32),
        names=np.array(sound.process.names),
        families=np.array(sound.process.families),
        level=simulation.level.astype(np.float32),
        weights=sound.weights.astype(np.float32),
        shared=sound.shared.astype(np.float32),
        share=sound.share.astype(np.float32),
        other_shared=simulation.pictures.shared.astype(np.float32),
        attainable=shared.mean(axis=0),
        attainable_by_subject=shared,
        attainable_full=full,
        response=np.stack([subject.haemodynamics.kernel() for subject in subjects]),
        response_rate=FEATURE_RATE,
        latency=np.array([subject.haemodynamics.latency for subject in subjects]),
        dispersion=np.array([subject.haemodynamics.dispersion for subject in subjects]),
        gain=np.array([subject.gain for subject in subjects]),
        artefact_subject=np.repeat(
            [subject.number for subject in subjects], [len(one.rows) for one in jerks]
        ),
        artefact_row=np.concatenate([one.rows for one in jerks]),
        artefact_displacement=np.concatenate([one.displacement for one in jerks]),
        variant=simulation.variant,
        seed=simulation.seed,
    )


def _validate(
    waveform: np.ndarray,
    sample_rate: int,
    n_subjects: int,
    n_trs: int,
    shape: Sequence[int],
    tr: Fraction,
) -> None:
    if n_subjects < 1:
        raise UserError(f"a study needs at least one subject, not {n_subjects}")
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
    if not np.isfinite(waveform).all():
        raise UserError("the sound holds NaN or infinite samples; nothing can be simulated from it")
    if np.abs(waveform).max(initial=0.0) < _SILENT:
        raise UserError("the sound is silent; a brain cannot be made to follow it")


def _runs(runs: Sequence[tuple[int, int]] | None, n_trs: int) -> list[Run]:
    """Runs as the study file writes them; they must cover the TRs one after the other."""
    pairs = [(0, n_trs)] if runs is None else list(runs)
    expected = 0
    for first, count in pairs:
        if count < 1:
            raise UserError(f"runs: each should have at least one TR, not {count}")
        if first != expected:
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


def _write_subject(path: Path, simulation: Simulation, subject: SimulatedSubject) -> None:
    """Stream one subject to disk, so that memory does not grow with its volumes."""
    tissue = simulation.grid.tissue
    volume = np.zeros(tissue.shape, "<f4", order="F")
    with open(path, "wb") as raw, gzip.GzipFile("", "wb", compresslevel=1, fileobj=raw, mtime=0) as stream:
        stream.write(_header((*tissue.shape, simulation.n_trs), simulation.grid.affine, simulation.tr))
        for chunk in volumes(simulation, subject, tissue):
            for values in chunk:
                volume[tissue] = values
                stream.write(volume.tobytes(order="F"))


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
