"""Do words arrive? What speech recognisers get wrong of the held-out block's passages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fmri_audio.base.kinds import Waveform
from fmri_audio.base.results import Record
from fmri_audio.bottleneck.arms import ARM_LABELS
from fmri_audio.bottleneck.arms.base import features_of_block
from fmri_audio.chapters import spoken
from fmri_audio.chapters.common import brains_of
from fmri_audio.chapters.evaluation.decodes import ArmSounds, codec_name
from fmri_audio.chapters.spoken import Spoken
from fmri_audio.experiments.block_tables import columns_of_arm, columns_of_block
from fmri_audio.experiments.held_out import HeldOut
from fmri_audio.experiments.through_codec import decode_latents
from fmri_audio.pages.page import Table
from fmri_audio.sound import recognition
from fmri_audio.sound.recognition import WORST_ORIGINAL, Passage

NOISE_FREE = "frozen: noise-free, no brain"
"""The frozen arm's own bottleneck among the sounds."""

WORST_PERCENT = 100 * WORST_ORIGINAL
"""Words of the original that the recogniser may get wrong and still judge."""


def passages(held_out: HeldOut) -> list[Passage]:
    """Return what is said whole within the block, up to five minutes of it."""
    return recognition.passages(held_out.stimulus.segments, *held_out.seconds)


def listen(
    held_out: HeldOut, references: Mapping[str, Waveform], sounds: Mapping[str, ArmSounds]
) -> tuple[Spoken, list[Record]]:
    """Have the words read of every sound that is heard, and of floors.

    Parameters
    ----------
    held_out : HeldOut
    references : mapping
        The original sound and the codec alone.
    sounds : mapping
        Arm → its sounds.

    Returns
    -------
    spoken : Spoken
    records : list of Record
    """
    listed = {**_references(held_out, references), **_arms(held_out, sounds), **_floors(held_out)}
    heard = {name: sound for name, (sound, _) in listed.items()}
    found = spoken.listen_at(held_out.run, heard, held_out.stimulus.sample_rate, passages(held_out))
    common = {**columns_of_block(held_out), "control": "none"}
    described = {name: {**common, **own} for name, (_, own) in listed.items()}
    return found, spoken.records(found, described, held_out.run)


Named = dict[str, tuple[Waveform, dict[str, Any]]]
"""Name → a sound of the block and its columns in the table of results."""


def _references(held_out: HeldOut, references: Mapping[str, Waveform]) -> Named:
    alone = {"arm": "roundtrip", "condition": "none"}
    own: dict[str, dict[str, Any]] = {
        spoken.ORIGINAL: {**alone, "control": "original", "codec": None},
        codec_name(held_out): {**alone, "bandwidth_kbps": held_out.run.bandwidth},
    }
    return {name: (references[name], columns) for name, columns in own.items()}


def _arms(held_out: HeldOut, sounds: Mapping[str, ArmSounds]) -> Named:
    """Of the decodes those of the first subject; of what no brain had a part in, every arm's."""
    first = held_out.study.subjects[0]
    found: Named = {}
    for arm, one in sounds.items():
        label, own = ARM_LABELS[arm], columns_of_arm(held_out, arm)
        measured = {"condition": "measured", **own}
        found |= {
            f"{label}: noise-free, no brain": (one.through.noise_free, {"condition": "noise-free", **own}),
            f"{label}: voxel noise, no brain": (one.voxel_noise, {"condition": "voxel-noise", **own}),
            f"{label}: decoded from subject {first}": (
                one.measured[first],
                {**measured, "subject": str(first)},
            ),
            f"{label}: no brain": (one.through.without_brain, {**measured, "control": "no-brain"}),
        }
    return found


def _floors(held_out: HeldOut) -> Named:
    latents = held_out.run.encoding.latents
    same = np.broadcast_to(latents.mean(axis=1, keepdims=True), latents.shape)
    mean = decode_latents(held_out, features_of_block(same, held_out.block, held_out.grid))
    rate, seed = held_out.stimulus.sample_rate, held_out.run.settings.seed
    return {
        spoken.FLOORS[name]: (sound, {"arm": "roundtrip", "condition": "none", "control": name})
        for name, sound in spoken.floors(held_out.original, rate, mean, seed).items()
    }


def table(held_out: HeldOut, heard: Spoken) -> Table:
    """Show the words wrong of every sound of the block."""
    return spoken.table(
        heard, f"The held-out block; weights {held_out.run.checkpoint.id}, {brains_of(held_out)}."
    )


def said(held_out: HeldOut, heard: Spoken) -> str:
    """Say how many words are wrong after the codec and behind the frozen bottleneck, and how few words these are."""
    if heard.why_undefined:
        return heard.why_undefined
    words = heard.score(spoken.ORIGINAL).beyond
    few = "" if words.decides else f" The block holds {words.said} words, too few to decide a target by."
    return (
        f"Of the original's words {heard.original_wrong:.2f} are read wrong; beyond that, "
        f"{spoken.told(heard, codec_name(held_out))} after the codec and {spoken.told(heard, NOISE_FREE)} through the "
        f"frozen bottleneck without noise.{few}"
    )
