"""How long one subject's ridge regression takes at the size of a whole brain, beside scikit-learn's.

The brain has 80,000 voxels and hears the 920 TRs of the Sherlock release's first run; a decoder reads four lags of
every voxel (320,000 predictors), is fitted on the training TRs of the usual split with the penalty of every target
chosen by contiguous folds, and predicts 128 latent channels of the held-out TRs. BOLD is noise with weak traces of the
targets at the lags read. The work begins with the voxels' courses, so that setting the lags side by side is part of
it, and is done by

``ours``
    :func:`~fmri_audio.decoding.regression.decode_units`: himalaya's ``KernelRidgeCV``, one kernel for all folds and
    penalties;
``scikit-learn``
    ``GridSearchCV`` over ``KernelRidge(kernel="linear")`` with the same folds and penalties, scored target by target,
    and ``KernelRidge`` with every target's own penalty at the end; ``RidgeCV`` chooses per target only by leaving out
    single TRs, which neighbours give away;
``scikit-learn-kernel``
    the same on a kernel that is computed beforehand, once.

Each runs in a process of its own; repetitions are interleaved, and ratios are taken within a repetition.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import psutil
import torch
from numpy.typing import NDArray

from fmri_audio.base.errors import UserError
from fmri_audio.base.kinds import Matrix
from fmri_audio.base.settings import TrainingSettings
from fmri_audio.decoding.regression import ALPHAS, decode_units
from fmri_audio.pages.benchmarks import GPU
from fmri_audio.study.lag_windows import lagged
from fmri_audio.study.layouts.sherlock import RELEASE
from fmri_audio.study.splits import Split, contiguous_split, cross_validation_folds
from programs.benchmarks.process import in_its_own_process, report, taken
from programs.benchmarks.table import Row, described_hardware, summary

N_VOXELS, N_TARGETS = 80_000, 128
TR = Fraction(RELEASE.tr)
N_TRS = RELEASE.runs[0].n_trs - RELEASE.runs[0].skip_trs
#: Lags, folds, gap and held-out share of an edition that does not say otherwise.
SETTINGS = TrainingSettings()
CONTENDERS = ("ours", "scikit-learn", "scikit-learn-kernel")
#: Memory that the hungriest contender needs at most, in copies of the predictors in double precision.
_COPIES = 3
_FEWEST_TRS = 80
_BOLD, _TARGETS = "bold.npy", "targets.npy"


def split_of(n_trs: int) -> Split:
    """One run of so many TRs, its end held out."""
    return contiguous_split(
        [(0, n_trs)],
        test_fraction=SETTINGS.test_fraction,
        gap=SETTINGS.gap_trs,
        lags=SETTINGS.lag_trs,
        shift=RELEASE.shift_trs,
        tr=TR,
    )


def write_data(folder: Path, n_trs: int, n_voxels: int, n_targets: int = N_TARGETS, seed: int = 0) -> None:
    """Write BOLD [TRs, voxels] and targets [TRs, targets] of one subject, standardised, float32.

    Every voxel follows one target at one of the lags read, with a weight that falls from target to target, so that
    different targets need different penalties.
    """
    rng = np.random.default_rng(seed)
    targets = rng.standard_normal((n_trs, n_targets), dtype=np.float32)
    targets = np.apply_along_axis(np.convolve, 0, targets, np.full(3, 3**-0.5), "same").astype(np.float32)
    weights = np.geomspace(0.5, 0.005, n_targets)
    bold = rng.standard_normal((n_trs, n_voxels), dtype=np.float32)
    for k in range(n_targets):
        followers = np.arange(k, n_voxels, n_targets)
        lag = SETTINGS.lag_trs[k % len(SETTINGS.lag_trs)] - RELEASE.shift_trs
        bold[:, followers] += weights[k] * np.roll(targets[:, k], lag)[:, None]
    np.save(folder / _BOLD, (bold - bold.mean(axis=0)) / bold.std(axis=0))
    np.save(folder / _TARGETS, targets)


def by_us(bold: Matrix, targets: Matrix, split: Split) -> tuple[Matrix, NDArray[np.float64]]:
    """Predictions of the held-out TRs [TRs, targets] and penalties [targets], by this package."""
    predicted, ridge = decode_units(
        bold, targets, split, lags=SETTINGS.lag_trs, shift=RELEASE.shift_trs, n_folds=SETTINGS.cv_folds
    )
    return predicted, ridge.alphas


def by_scikit_learn(
    bold: Matrix, targets: Matrix, split: Split, kernel_once: bool
) -> tuple[Matrix, NDArray[np.float64]]:
    """The same by scikit-learn; ``kernel_once`` computes the kernel beforehand."""
    from sklearn.kernel_ridge import KernelRidge
    from sklearn.model_selection import GridSearchCV

    predictors, held_out = (
        np.asarray(lagged(bold, trs, SETTINGS.lag_trs, RELEASE.shift_trs), np.float64)
        for trs in (split.train, split.test)
    )
    if kernel_once:
        predictors, held_out = predictors @ predictors.T, held_out @ predictors.T
    kernel = "precomputed" if kernel_once else "linear"
    wanted = np.asarray(targets[split.train], np.float64)
    mean = wanted.mean(axis=0)

    def scores(model: KernelRidge, x: NDArray[np.float64], y: NDArray[np.float64]) -> dict[str, float]:
        errors = np.square(model.predict(x) - y).mean(axis=0)
        return {str(k): -float(error) for k, error in enumerate(errors)}

    search = GridSearchCV(
        KernelRidge(kernel=kernel),
        {"alpha": ALPHAS},
        scoring=scores,
        refit=False,
        cv=cross_validation_folds(split.train, SETTINGS.cv_folds, split.gap),
    ).fit(predictors, wanted - mean)
    found = np.stack([search.cv_results_[f"mean_test_{k}"] for k in range(wanted.shape[1])])
    alphas = ALPHAS[found.argmax(axis=1)]
    model = KernelRidge(kernel=kernel, alpha=alphas).fit(predictors, wanted - mean)
    return np.asarray(model.predict(held_out) + mean, np.float32), alphas


def measure(
    repetitions: int, say: Callable[[str], None], n_voxels: int = N_VOXELS, n_trs: int = N_TRS
) -> list[Row]:
    """Time all contenders on the same data, and compare what they chose and predicted.

    Parameters
    ----------
    repetitions : int
        Interleaved.
    say : callable
        Is told how it goes.
    n_voxels, n_trs : int

    Returns
    -------
    list of Row

    Raises
    ------
    UserError
        Too few voxels or TRs, or too little memory.
    """
    if n_voxels < N_TARGETS or n_trs < _FEWEST_TRS:
        raise UserError(
            f"--voxels {n_voxels} --trs {n_trs}: give at least {N_TARGETS} voxels and {_FEWEST_TRS} TRs"
        )
    split = split_of(n_trs)
    needed = _COPIES * 8 * n_trs * n_voxels * len(SETTINGS.lag_trs)
    free = psutil.virtual_memory().available
    if needed > free:
        raise UserError(
            f"ridge: {n_voxels:,} voxels take {needed / 1e9:.0f} GB of memory and {free / 1e9:.0f} GB are free; "
            "give fewer --voxels"
        )
    direction = f"ridge {n_voxels}{GPU if torch.cuda.is_available() else ''}"
    found: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        write_data(Path(folder), n_trs, n_voxels)
        for _ in range(repetitions):
            for name in CONTENDERS:
                found[name].append(in_its_own_process("bench-ridge", name, folder))
                say(f"{direction} {name}: {found[name][-1]['seconds']:.1f} s")
        rows = [row for name in CONTENDERS for row in _rows(direction, name, found)]
        rows += _agreement(direction, Path(folder))
    rows += [
        Row(direction, "ours", metric, float(value), "1")
        for metric, value in (
            ("predictors", n_voxels * len(SETTINGS.lag_trs)),
            ("training_trs", len(split.train)),
            ("targets", N_TARGETS),
            ("penalties_tried", len(ALPHAS)),
            ("folds", SETTINGS.cv_folds),
        )
    ]
    machine, threads, minutes = described_hardware(), torch.get_num_threads(), float(n_trs * TR / 60)
    return [replace(row, minutes=minutes, threads=threads, hardware=machine) for row in rows]


def _rows(direction: str, name: str, found: dict[str, list[dict[str, float]]]) -> list[Row]:
    """What one contender took, and how many times as long as ours."""
    runs = found[name]
    pairs = list(zip(runs, found["ours"], strict=True))
    return [
        summary(direction, name, "seconds", [run["seconds"] for run in runs], "s"),
        summary(direction, name, "processor_seconds", [run["processor_seconds"] for run in runs], "s"),
        summary(
            direction, name, "times_ours", [run["seconds"] / ours["seconds"] for run, ours in pairs], "1"
        ),
        summary(
            direction,
            name,
            "processor_times_ours",
            [run["processor_seconds"] / ours["processor_seconds"] for run, ours in pairs],
            "1",
        ),
        *(
            Row(direction, name, metric, max(run[metric] for run in runs), "MB", n=len(runs))
            for metric in ("peak_megabytes", "process_megabytes")
        ),
    ]


def _agreement(direction: str, folder: Path) -> list[Row]:
    """How far the others are from ours: share of other penalties, largest difference of predictions in their SD."""
    with np.load(folder / "ours.npz") as kept:
        predicted, alphas = kept["predicted"], kept["alphas"]
    rows = [Row(direction, "ours", "penalties_chosen", float(len(np.unique(alphas))), "1")]
    for name in CONTENDERS[1:]:
        with np.load(folder / f"{name}.npz") as kept:
            other = float((~np.isclose(kept["alphas"], alphas)).mean())
            worst = float(np.abs(kept["predicted"] - predicted).max() / predicted.std())
        rows += [
            Row(direction, name, "penalties_differing", other, "share"),
            Row(direction, name, "largest_difference", worst, "SD"),
        ]
    return rows


def main(words: Sequence[str]) -> int:
    """Run one contender on a folder's data and print what it took, as JSON; return the exit status."""
    parser = argparse.ArgumentParser("python -m programs bench-ridge")
    parser.add_argument("contender", choices=CONTENDERS)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args(words)
    # What contenders import as they go is not their work.
    import himalaya.kernel_ridge  # noqa: F401
    import sklearn.kernel_ridge
    import sklearn.model_selection  # noqa: F401

    bold, targets = (np.load(arguments.folder / name) for name in (_BOLD, _TARGETS))
    split = split_of(len(bold))
    with taken() as found:
        if arguments.contender == "ours":
            predicted, alphas = by_us(bold, targets, split)
        else:
            predicted, alphas = by_scikit_learn(bold, targets, split, arguments.contender.endswith("kernel"))
    np.savez(arguments.folder / f"{arguments.contender}.npz", predicted=predicted, alphas=alphas)
    report(found)
    return 0
