"""Do words arrive? What a speech recogniser gets wrong of the held-out block's passages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from fmri_audio.base.kinds import Waveform
from fmri_audio.base.results import Record
from fmri_audio.bottleneck.arms import ARM_LABELS
from fmri_audio.chapters.common import brains_of
from fmri_audio.chapters.evaluation.decodes import ArmSounds, codec_name
from fmri_audio.experiments.block_tables import columns_of_arm, columns_of_block
from fmri_audio.experiments.held_out import HeldOut
from fmri_audio.pages.page import Table
from fmri_audio.sound import recognition
from fmri_audio.sound.recognition import (
    NO_RECOGNISER,
    WORST_ORIGINAL,
    Passage,
    find_recogniser,
    normalised,
)

NOISE_FREE = "frozen: noise-free, no brain"
"""The frozen arm's own bottleneck among the sounds."""

WORST_PERCENT = 100 * WORST_ORIGINAL
"""Words of the original that the recogniser may get wrong and still judge."""


def passages(held_out: HeldOut) -> list[Passage]:
    """Return what is said whole within the block, up to five minutes of it."""
    return recognition.passages(held_out.stimulus.segments, *held_out.seconds)


def word_errors(
    held_out: HeldOut, references: Mapping[str, Waveform], sounds: Mapping[str, ArmSounds]
) -> dict[str, float]:
    """Return the word error rate of every sound.

    They are NaN where no recogniser is there, and where it errs too often on the original.

    Parameters
    ----------
    held_out : HeldOut
    references : mapping
        The original sound and the codec alone.
    sounds : mapping
        Arm → its sounds.
    """
    spoken, rate = passages(held_out), held_out.stimulus.sample_rate
    found = {"original": recognition.word_error_rate(held_out.original, rate, spoken)}
    judged = {
        name: sound for name, sound in _heard(held_out, references, sounds).items() if name != "original"
    }
    if not can_judge(found["original"]):
        return found | dict.fromkeys(judged, float("nan"))
    return found | {name: recognition.word_error_rate(sound, rate, spoken) for name, sound in judged.items()}


def _heard(
    held_out: HeldOut, references: Mapping[str, Waveform], sounds: Mapping[str, ArmSounds]
) -> dict[str, Waveform]:
    """The sounds that are recognised; of the decodes, those of the first subject."""
    first, named = held_out.study.subjects[0], {ARM_LABELS[arm]: one for arm, one in sounds.items()}
    return {
        **references,
        **{f"{label}: noise-free, no brain": one.through.noise_free for label, one in named.items()},
        **{f"{label}: voxel noise, no brain": one.voxel_noise for label, one in named.items()},
        **{f"{label}: decoded from subject {first}": one.measured[first] for label, one in named.items()},
        "frozen: no brain": sounds["frozen"].through.without_brain,
    }


def can_judge(original: float) -> bool:
    """Whether the recogniser hears the original well enough to judge other sounds; not where nothing is said."""
    return original <= WORST_ORIGINAL


def table(held_out: HeldOut, errors: Mapping[str, float]) -> Table:
    """Show the word error rate of every sound."""
    spoken = passages(held_out)
    seconds = sum(one.offset - one.onset for one in spoken)
    recogniser = find_recogniser()
    caption = (
        f"Word error rate over {len(spoken)} passages of speech ({seconds:.0f} s) of the held-out block, as "
        f"{recogniser.name if recogniser else 'nobody'} hears them; {held_out.run.checkpoint.id}, "
        f"{brains_of(held_out)}. A dash: nothing was said whole within the block, or no recogniser can judge."
    )
    frame = pd.DataFrame({"sound": list(errors), "word error rate": list(errors.values())})
    return Table(frame, caption, {"word error rate": ".2f"})


def errors_said(held_out: HeldOut, errors: Mapping[str, float]) -> str:
    """Say how many words are wrong before and after the codec, and behind the frozen bottleneck."""
    if find_recogniser() is None:
        return NO_RECOGNISER
    if not can_judge(errors["original"]):
        return "the recogniser cannot judge this sound"
    return (
        f"{errors['original']:.2f} of the original's words are wrong, {errors[codec_name(held_out)]:.2f} after the "
        f"codec and {errors[NOISE_FREE]:.2f} through the frozen bottleneck without noise"
    )


def word_records(
    held_out: HeldOut, arms: Mapping[str, ArmSounds], errors: Mapping[str, float]
) -> list[Record]:
    """Return the rows of the table of results, in the order of :func:`word_errors`; ``n`` counts the words said."""
    described = {arm: columns_of_arm(held_out, arm) for arm in arms}
    columns: list[dict[str, Any]] = [
        {"arm": "roundtrip", "condition": "none", "control": "original", "codec": None},
        {"arm": "roundtrip", "condition": "none", "bandwidth_kbps": held_out.run.bandwidth},
        *({"condition": "noise-free", **one} for one in described.values()),
        *({"condition": "voxel-noise", **one} for one in described.values()),
        *(
            {"condition": "measured", "subject": str(held_out.study.subjects[0]), **one}
            for one in described.values()
        ),
        {"condition": "measured", "control": "no-brain", **described["frozen"]},
    ]
    common = {
        **columns_of_block(held_out),
        "control": "none",
        "metric": "word_error_rate",
        "unit": "1",
        "n": sum(len(normalised(one.text).split()) for one in passages(held_out)),
    }
    return [
        Record(**{**common, **own}, value=float(value))
        for own, value in zip(columns, errors.values(), strict=True)
    ]
