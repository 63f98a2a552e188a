"""Stimulus and brains on disk, in the layout of the Sherlock release: reader, checker, simulator, dataset."""

from fmri_audio.study.checker import CheckReport, check_study
from fmri_audio.study.dataset import StudyDataset
from fmri_audio.study.masked import iter_subjects, masked_bold
from fmri_audio.study.reader import Run, Study
from fmri_audio.study.simulator import simulate_study
from fmri_audio.study.splits import Split, contiguous_split, cross_validation_folds, k_fold, leave_one_run_out
from fmri_audio.study.tracks import SoundTracks

__all__ = [
    "CheckReport", "Run", "SoundTracks", "Split", "Study", "StudyDataset", "check_study", "contiguous_split",
    "cross_validation_folds", "iter_subjects", "k_fold", "leave_one_run_out", "masked_bold", "simulate_study",
]  # fmt: skip
