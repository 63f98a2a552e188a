"""Brains as matrices: a fixed mask, cleaning without leaks, inter-subject correlation, noise ceilings.

A matrix of BOLD is ``[TRs, voxels]`` throughout, float32, one row per volume; its columns are the mask's voxels in C
order, as ``volume[mask]`` gives them. Neither motion nor any other confound is regressed out: the release has none to
regress, and what every study of the book goes through is the same.
"""

from fmri_audio.brain.agreement import (
    correlate,
    expected_leave_one_out,
    leave_one_out_isc,
    noise_ceiling,
    pairwise_isc,
    rows_all_have,
    subject_correlations,
)
from fmri_audio.brain.cleaning import HIGH_PASS_SECONDS, Block, clean_blocks, standardise, standardise_by_run
from fmri_audio.brain.masks import (
    AUDITORY_CENTRES,
    AUDITORY_RADIUS,
    GREY_MATTER,
    NAMED_MASKS,
    auditory_mask,
    grey_matter,
    grey_matter_mask,
    load_mask,
    mask_image,
    unmask,
    voxel_positions,
)
from fmri_audio.brain.response import RESPONSE_SECONDS, canonical_response, response_trs

__all__ = [
    "AUDITORY_CENTRES", "AUDITORY_RADIUS", "Block", "GREY_MATTER", "HIGH_PASS_SECONDS", "NAMED_MASKS",
    "RESPONSE_SECONDS", "auditory_mask", "canonical_response", "clean_blocks", "correlate",
    "expected_leave_one_out", "grey_matter", "grey_matter_mask", "leave_one_out_isc", "load_mask", "mask_image",
    "noise_ceiling", "pairwise_isc", "response_trs", "rows_all_have", "standardise", "standardise_by_run",
    "subject_correlations", "unmask", "voxel_positions",
]  # fmt: skip
