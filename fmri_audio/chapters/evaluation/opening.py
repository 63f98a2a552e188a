"""What the chapter opens, and the words and numbers that introduce it."""

from __future__ import annotations

from collections.abc import Sequence

from fmri_audio.bottleneck.training import set_apart
from fmri_audio.chapters.common import brains_of
from fmri_audio.edition.edition import Edition
from fmri_audio.experiments import ladder_answer
from fmri_audio.experiments.held_out import HeldOut


def open_block(run: Edition) -> HeldOut:
    """Open the edition's held-out block.

    Raises
    ------
    UserError
        The study does not fit the sound.
    """
    return HeldOut(run)


def values(held_out: HeldOut) -> dict[str, float | str]:
    """What the chapter's text says of the edition: its sound, study, bottleneck and split."""
    run, settings = held_out.run, held_out.settings
    fitted, _ = set_apart(held_out.split, settings.validation_fraction)
    return {
        "codec": run.checkpoint.id,
        "brains": brains_of(held_out),
        "kind": kind_of(held_out),
        "stimulus": run.stimulus.name,
        "main_kbps": run.bandwidth,
        "rank": settings.rank,
        "n_subjects": len(held_out.study.subjects),
        "units": held_out.n_units,
        "n_windows": len(held_out.windows),
        "study": held_out.study.name,
        "ladder_in_short": ladder_answer.said(),
        "lags": ", ".join(str(lag) for lag in settings.lag_trs),
        "train_trs": len(fitted.train),
    }


def kind_of(held_out: HeldOut) -> str:
    """Return the kind of sound that is scored on the block."""
    return held_out.windows[0].kind


def in_arms(found: Sequence[str], total: int) -> str:
    """Say in how many of the arms something holds, and which they are.

    Parameters
    ----------
    found : sequence of str
        What is said of each arm in which it holds; may be empty.
    total : int
        Arms there are.
    """
    return f"in {len(found)} of {total} arms ({', '.join(found)})" if found else f"in none of {total} arms"
