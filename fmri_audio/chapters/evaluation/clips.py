"""Heard: one clip of the block under every condition, the same sound given once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from fmri_audio.base.kinds import Waveform
from fmri_audio.bottleneck.arms import ARM_LABELS
from fmri_audio.chapters.common import brains_of, whose
from fmri_audio.chapters.evaluation.decodes import ArmSounds, codec_name
from fmri_audio.experiments.held_out import SEEDED, HeldOut
from fmri_audio.experiments.played_clip import PlayedClip


def open_clip(held_out: HeldOut) -> PlayedClip:
    """Return the clip that is played."""
    return PlayedClip(held_out)


def play(
    clip: PlayedClip, references: Mapping[str, Waveform], sounds: Mapping[str, ArmSounds]
) -> dict[str, Waveform]:
    """Return the clip under every condition, the original first; of the decodes, those of the first subject.

    Parameters
    ----------
    clip : PlayedClip
    references : mapping
        The original sound and the codec alone, of the whole block.
    sounds : mapping
        Arm → its sounds.
    """
    first, brains = clip.held_out.study.subjects[0], brains_of(clip.held_out)
    return clip.hear(
        {
            **references,
            "frozen, noise-free, no brain": sounds["frozen"].through.noise_free,
            "frozen, voxel noise, no brain": sounds["frozen"].voxel_noise,
            "fine-tuned, voxel noise, no brain": sounds["finetuned"].voxel_noise,
            **{
                decoded_name(arm, brains): sounds[arm].measured[first]
                for arm in dict.fromkeys((*SEEDED, *sounds))
            },
            **{no_brain_name(arm): one.through.without_brain for arm, one in sounds.items()},
        }
    )


def decoded_name(arm: str, brains: str) -> str:
    """Name an arm's decode."""
    return f"{ARM_LABELS[arm]}, decoded from one subject, {brains}"


def no_brain_name(arm: str) -> str:
    """Name what an arm makes of the training mean."""
    return f"{ARM_LABELS[arm]}, no brain: the training mean"


def like_no_brain(heard: Mapping[str, Waveform], arms: Sequence[str], brains: str) -> list[str]:
    """Return the arms whose decode of this brain is the sound of the training mean."""
    pairs = {arm: (heard[decoded_name(arm, brains)], heard[no_brain_name(arm)]) for arm in arms}
    return [arm for arm, pair in pairs.items() if np.allclose(*pair, atol=1e-4)]


def once(heard: Mapping[str, Waveform], same: Sequence[str]) -> dict[str, Waveform]:
    """Leave out the training mean of arms whose decode is the same sound."""
    repeated = {no_brain_name(arm) for arm in same}
    return {name: sound for name, sound in heard.items() if name not in repeated}


def same_said(same: Sequence[str]) -> str:
    """Say which arms decode this brain to the training mean, so that one sound stands for both."""
    if not same:
        return "No arm decodes this brain to the training mean exactly."
    arms = " and the ".join(ARM_LABELS[arm] for arm in same)
    decode = "arm decodes" if len(same) == 1 else "arms decode"
    return (
        f"The {arms} {decode} this brain to the training mean, so that it and “no brain” are one sound, which is given "
        "once."
    )


def weights(held_out: HeldOut, heard: Mapping[str, Waveform]) -> dict[str, str]:
    """Return whose weights made each sound; nothing for the original, which comes first."""
    codec = held_out.run.checkpoint.id
    return {
        name: whose(None if name == codec_name(held_out) else _arm_of(name), codec)
        for name in list(heard)[1:]
    }


def _arm_of(name: str) -> str:
    return next(arm for arm, label in ARM_LABELS.items() if name.startswith(label))


def title(clip: PlayedClip) -> str:
    """Say whose brains were decoded, and where in the block."""
    subject = clip.held_out.study.subjects[0]
    return f"Decoded from {brains_of(clip.held_out)}, subject {subject} ({clip.window.name})"
