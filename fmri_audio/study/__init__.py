"""Stimulus and brains on disk, in the layout of the Sherlock release: reader, checker, simulator, dataset."""

from fmri_audio.study.checker import CheckReport, check_study
from fmri_audio.study.dataset import StudyDataset
from fmri_audio.study.reader import Run, Study
from fmri_audio.study.simulator import simulate_study
from fmri_audio.study.splits import Split, contiguous_split, cross_validation_folds

__all__ = [
    "CheckReport", "Run", "Split", "Study", "StudyDataset", "check_study", "contiguous_split",
    "cross_validation_folds", "simulate_study",
]  # fmt: skip
