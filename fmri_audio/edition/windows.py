"""Which stretches of an edition's sound are scored, and which are played: the same in every chapter."""

from __future__ import annotations

import numpy as np

from fmri_audio.base.errors import UserError
from fmri_audio.edition.edition import Edition
from fmri_audio.sound.segments import Window


def windows_of_one_kind(
    run: Edition, within: tuple[float, float] | None = None, count: int | None = None
) -> list[Window]:
    """Return windows of speech, of music or ambience where nobody speaks, or none; see ``Edition.windows``."""
    kinds = ("speech", "music", "ambience")
    return next((found for kind in kinds if (found := run.windows(kind, within=within, count=count))), [])


def scored_windows(run: Edition, count: int | None = None) -> list[Window]:
    """Return the windows that a chapter scores: of speech, or of music or ambience where nobody speaks.

    Raises
    ------
    UserError
        No stretch of the recording is long enough.
    """
    if windows := windows_of_one_kind(run, count=count):
        return windows
    raise UserError(
        f"{run.stimulus.name}: no stretch of speech, music or ambience is long enough to score "
        f"({run.settings.windows.seconds:g} s); give a longer recording or a table of its segments"
    )


def scored_kind(run: Edition) -> str:
    """Return the kind of segment that chapters score: speech where somebody speaks (see :func:`scored_windows`)."""
    return scored_windows(run)[0].kind


def listening_clips(run: Edition) -> list[Window]:
    """Return the clips that all chapters play: the middles of two windows of speech and of one of music."""
    windows = [*run.windows("speech", count=2), *run.windows("music", count=1)] or scored_windows(run, 2)
    half = run.settings.windows.clip_seconds / 2
    middles = [(window, (window.onset + window.offset) / 2) for window in windows]
    return [Window(window.name, middle - half, middle + half, window.kind) for window, middle in middles]


def segment_trs(run: Edition) -> int:
    """TRs of a segment to identify."""
    return int(np.ceil(run.settings.training.segment_seconds / float(run.stimulus.tr)))


def windows_of_block(run: Edition, block: tuple[int, int]) -> list[Window]:
    """Windows of a block of TRs that are scored, in seconds of the stimulus: speech where there is some.

    Raises
    ------
    UserError
        No stretch of the block is long enough.
    """
    begin, end = (float(k * run.stimulus.tr) for k in block)
    if found := windows_of_one_kind(run, within=(begin, end)):
        return found
    raise UserError(
        f"{run.stimulus.name}: the held-out block ({begin:g} to {end:g} s) has no stretch of speech, music or ambience "
        "long enough to score; change training.test_fraction or use more TRs"
    )
