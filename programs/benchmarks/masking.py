"""How fast a scan of the release's size becomes a standardised masked matrix, beside a plain ``NiftiMasker``.

A scan of the release's size (61 × 73 × 61 voxels, 1976 TRs, float32: 2.1 GB; noise in grey matter) is written into a
temporary folder, plain and compressed, and brought to the auditory mask, detrended, high-passed and standardised run by
run, by

``ours``
    :func:`fmri_audio.study.masked.masked_bold`, its cache still empty, and :mod:`fmri_audio.brain`;
``nilearn``
    ``nilearn.maskers.NiftiMasker`` with the same mask, filter and runs.

Every contender runs in a process of its own, so that its peak of memory is its own; seconds do not count the start of
Python. The scan has just been written, so it is read from the system's cache where memory allows: what is timed is the
work, not the disk.
"""

from __future__ import annotations

import argparse
import gzip
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import nibabel as nib
import numpy as np

from fmri_audio.base.errors import UserError
from fmri_audio.brain import agreement, cleaning, masks
from fmri_audio.study.facts import STUDY_FILE, Run, StudyFile
from fmri_audio.study.layouts.sherlock import PATTERN, RELEASE, RELEASE_AFFINE, RELEASE_SHAPE
from fmri_audio.study.masked import masked_bold
from fmri_audio.study.reader import Study, write_facts
from programs.benchmarks.process import in_its_own_process, report, taken
from programs.benchmarks.table import Row, described_hardware, summary

N_TRS = RELEASE.runs[-1].last_tr
#: Kinds of file, each a direction of the table.
SUFFIXES = (".nii", ".nii.gz")
DIRECTIONS = tuple(f"mask {suffix}" for suffix in SUFFIXES)
CONTENDERS = ("ours", "nilearn")
TR = Fraction(RELEASE.tr)
_MASK, _RESULT = "mask.nii.gz", "{contender}.npy"
_FEWEST_TRS = 40


def measure(
    n_trs: int, repetitions: int, say: Callable[[str], None], shape: Sequence[int] = RELEASE_SHAPE
) -> list[Row]:
    """Time all contenders on both kinds of file.

    Parameters
    ----------
    n_trs : int
        TRs of the scan; its two runs divide as the release's do.
    repetitions : int
        Interleaved.
    say : callable
        Is told how it goes.
    shape : 3 ints
        Voxels along x, y, z of the release's grid, from its corner on.

    Returns
    -------
    list of Row

    Raises
    ------
    UserError
        Too few TRs, or no room for the scan.
    """
    if n_trs < _FEWEST_TRS:
        raise UserError(f"--trs {n_trs}: give at least {_FEWEST_TRS}, so that either run can be filtered")
    n_bytes = 4 * int(np.prod(shape)) * n_trs
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        free = shutil.disk_usage(folder).free
        if free < 1.5 * n_bytes:
            raise UserError(
                f"{tempfile.gettempdir()}: {free / 1e9:.1f} GB are free and {1.5 * n_bytes / 1e9:.1f} GB are needed "
                "for the scan; set TMPDIR to a folder with more room"
            )
        for suffix in SUFFIXES:
            study = Path(folder) / suffix.strip(".")
            say(f"writing a scan of {n_bytes / 1e9:.2g} GB as {suffix}")
            write_study(study, suffix, n_trs, shape)
            rows += _measure_file(study, f"mask {suffix}", n_bytes / 1e6, repetitions, say)
            shutil.rmtree(study)
    machine = described_hardware()
    threads = int(os.environ.get("OMP_NUM_THREADS", 0)) or os.cpu_count() or 1
    return [replace(row, minutes=float(n_trs * TR / 60), threads=threads, hardware=machine) for row in rows]


def write_study(folder: Path, suffix: str, n_trs: int, shape: Sequence[int], seed: int = 0) -> None:
    """Write a study of one subject, noise in grey matter and 0 elsewhere, and the auditory mask beside it."""
    folder.mkdir()
    first = max(1, round(n_trs * RELEASE.runs[0].n_trs / N_TRS))
    runs = [Run(name="1", first_tr=0, n_trs=first), Run(name="2", first_tr=first, n_trs=n_trs - first)]
    facts = StudyFile(name="noise", simulated=True, shift_trs=RELEASE.shift_trs, subjects=[1], runs=runs)
    write_facts(facts, folder / STUDY_FILE)
    nib.save(
        masks.mask_image(masks.load_mask("auditory", RELEASE_AFFINE, shape), RELEASE_AFFINE), folder / _MASK
    )
    tissue = np.flatnonzero((masks.grey_matter(RELEASE_AFFINE, shape) > 0).ravel(order="F"))
    volume = np.zeros(int(np.prod(shape)), np.float32)
    rng = np.random.default_rng(seed)
    path = folder / (PATTERN.format(subject=1).removesuffix(".nii") + suffix)
    with gzip.open(path, "wb", compresslevel=1) if suffix.endswith(".gz") else open(path, "wb") as stream:
        stream.write(_header((*shape, n_trs)))
        for _ in range(n_trs):
            volume[tissue] = 1000 + 10 * rng.standard_normal(len(tissue), dtype=np.float32)
            stream.write(volume.tobytes())


def mask_by_us(folder: Path) -> np.ndarray:
    """A study's subject as a standardised masked matrix, by this package."""
    study = Study.open(folder)
    mask = study.mask(str(folder / _MASK))
    runs = [(run.first_tr, run.last_tr) for run in study.runs]
    bold = masked_bold(study, 1, mask, folder / "cache")
    return cleaning.standardise_by_run(
        cleaning.clean_blocks(bold, runs, study.tr), np.arange(len(bold)), runs
    )


def mask_by_nilearn(folder: Path) -> np.ndarray:
    """The same by nilearn."""
    from nilearn.maskers import NiftiMasker

    study = Study.open(folder)
    labels = np.repeat(np.arange(len(study.runs)), [run.n_trs for run in study.runs])
    masker = NiftiMasker(
        mask_img=str(folder / _MASK),
        runs=labels,
        detrend=True,
        standardize="zscore_sample",
        t_r=float(study.tr),
        high_pass=1 / cleaning.HIGH_PASS_SECONDS,
        clean_args={"filter": "cosine"},
        dtype="float32",
        reports=False,
    )
    return np.asarray(masker.fit_transform(str(study.path(1))))


def _measure_file(
    study: Path, direction: str, megabytes: float, repetitions: int, say: Callable[[str], None]
) -> list[Row]:
    """Run all contenders on one file."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
    for _ in range(repetitions):
        for name in CONTENDERS:
            shutil.rmtree(study / "cache", ignore_errors=True)
            found[name].append(in_its_own_process("bench-masking", name, str(study)))
            say(f"{direction} {name}: {found[name][-1]['seconds']:.2f} s")
    least = _least_correlation(*(np.load(study / _RESULT.format(contender=name)) for name in CONTENDERS))
    rows = []
    for name, runs in found.items():
        seconds = [run["seconds"] for run in runs]
        ratios = [taken / run["seconds"] for taken, run in zip(seconds, found["ours"], strict=True)]
        rows += [
            summary(direction, name, "seconds", seconds, "s"),
            summary(direction, name, "processor_seconds", [run["processor_seconds"] for run in runs], "s"),
            summary(
                direction, name, "megabytes_per_second", [megabytes / taken for taken in seconds], "MB/s"
            ),
            summary(direction, name, "times_ours", ratios, "1"),
            *(
                Row(direction, name, metric, max(run[metric] for run in runs), "MB", n=len(runs))
                for metric in ("peak_megabytes", "process_megabytes")
            ),
        ]
    return [*rows, Row(direction, "nilearn", "least_correlation", least, "1")]


def _least_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Correlation of the voxel that two matrices agree least on; nilearn's scale differs by the degrees of freedom."""
    return float(agreement.correlate(one, other).min())


def _header(shape: tuple[int, ...]) -> bytes:
    """NIfTI-1 header of the release's grid."""
    image = nib.Nifti1Header()
    image.set_data_dtype("<f4")
    image.set_data_shape(shape)
    image.set_zooms((*np.abs(np.diag(RELEASE_AFFINE))[:3], float(TR)))
    image.set_xyzt_units("mm", "sec")
    image.set_sform(RELEASE_AFFINE, code="mni")
    image["magic"], image["vox_offset"] = b"n+1", 352
    return bytes(image.binaryblock) + b"\0\0\0\0"


def main(words: Sequence[str]) -> int:
    """Run one contender on a study and print what it took, as JSON; return the exit status."""
    parser = argparse.ArgumentParser("python -m programs bench-masking")
    parser.add_argument("contender", choices=CONTENDERS)
    parser.add_argument("study", type=Path)
    arguments = parser.parse_args(words)
    # What either contender imports as it goes is not its work.
    import nilearn.maskers
    import nilearn.signal  # noqa: F401

    with taken() as found:
        result = (mask_by_us if arguments.contender == "ours" else mask_by_nilearn)(arguments.study)
    np.save(arguments.study / _RESULT.format(contender=arguments.contender), result)
    report(found)
    return 0
