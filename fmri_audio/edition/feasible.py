"""What chapters would refuse for certain, known from settings and the length of the sound alone.

Every check is the chapter's own, or gives its sentence, so that nobody computes for minutes before reading it.
"""

from __future__ import annotations

from fmri_audio.base.errors import UserError
from fmri_audio.bottleneck.training import set_apart, window_starts
from fmri_audio.brain.agreement import need_subjects
from fmri_audio.brain.masks import load_mask
from fmri_audio.decoding.identification import trials
from fmri_audio.edition.edition import Edition
from fmri_audio.edition.windows import scored_windows, segment_trs, windows_of_block
from fmri_audio.simulation.grid import box_affine
from fmri_audio.simulation.haemodynamics import SHIFT_TRS
from fmri_audio.sound import audio
from fmri_audio.study.splits import N_FOLDS, Split, contiguous_split, k_fold
from fmri_audio.study.stimulus import is_measured, study_facts


def refuse_infeasible(run: Edition) -> None:
    """Raise a UserError if a chapter of the edition would, once it is reached.

    Parameters
    ----------
    run : Edition
        With its stimulus. Where that has no table of segments, nothing is said about windows.

    Raises
    ------
    UserError
        Too few TRs for the splits, folds, windows or segments, too few subjects, a rank that does not fit through the
        mask of simulated brains, or no sound that can be scored.
    """
    sound, wanted = run.stimulus, run.settings.training
    shift = study_facts(run.settings).shift_trs if is_measured(run.settings) else SHIFT_TRS
    runs = [(first, first + count) for first, count in sound.runs]
    split = contiguous_split(
        runs,
        test_fraction=wanted.test_fraction,
        gap=wanted.gap_trs,
        lags=wanted.lag_trs,
        shift=shift,
        tr=sound.tr,
    )
    folds = k_fold(
        runs, max(N_FOLDS, len(runs)), gap=wanted.gap_trs, lags=wanted.lag_trs, shift=shift, tr=sound.tr
    )
    _refuse_brains(run)
    _refuse_training(run, split)
    for one in (split, *folds):
        _refuse_decoding(run, one)
    if len(sound.segments):
        scored_windows(run)
        windows_of_block(run, split.test_block)


def _refuse_brains(run: Edition) -> None:
    """Too few subjects, or a bottleneck that is wider than simulated brains have voxels."""
    wanted = run.settings.study
    if is_measured(run.settings):
        need_subjects(len(study_facts(run.settings).subjects))
        return
    need_subjects(wanted.n_subjects)
    n_units = int(load_mask(wanted.mask, box_affine(wanted.shape), wanted.shape).sum())
    if (rank := run.settings.training.rank) > n_units:
        raise UserError(
            f"training.rank: a rank of {rank} does not fit through {n_units} units; choose another rank, or a larger "
            "mask"
        )


def _refuse_training(run: Edition, split: Split) -> None:
    """As the training refuses: a window has to begin where a TR does and a codec frame, too."""
    wanted = run.settings.training
    fitted, validation = set_apart(split, wanted.validation_fraction)
    step = (run.stimulus.tr * audio.FRAME_RATE).denominator
    for blocks in (fitted.train_blocks, (validation,), (split.test_block,)):
        if not any(window_starts(block, wanted.window_trs, step) for block in blocks):
            raise UserError(
                f"training.window_trs: {wanted.window_trs} TRs do not fit into the blocks of the split"
            )


def _refuse_decoding(run: Edition, split: Split) -> None:
    """As :mod:`fmri_audio.decoding.regression` and :mod:`fmri_audio.decoding.identification` refuse."""
    n_folds, n_train = run.settings.training.cv_folds, len(split.train)
    if n_train < 4 * n_folds:
        raise UserError(
            f"training.cv_folds: {n_folds} folds need at least {4 * n_folds} training TRs, there are {n_train}"
        )
    trials([split.test_block], split.runs, n_trs=segment_trs(run), gap=split.gap)
