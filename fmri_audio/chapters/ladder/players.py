"""Chapter 6, to hear and to check: a passage through the rungs, and the tables held to what this machine finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from fmri_audio.base.kinds import Waveform
from fmri_audio.bottleneck.coder_files import coder_file, load
from fmri_audio.bottleneck.coders.base import CODER_LABELS
from fmri_audio.bottleneck.passing import Width, facts, simulated_brain, through, through_voxels
from fmri_audio.codec import checkpoints
from fmri_audio.edition import Edition
from fmri_audio.experiments import ladder_rung
from fmri_audio.experiments.ladder import TR, Ladder
from fmri_audio.experiments.ladder_answer import arms
from fmri_audio.experiments.ladder_rung import Again
from fmri_audio.sound.segments import Window

PLAYED = (128, 512)
"""Numbers per TR that are heard."""

CODEC = "demo"
"""Checkpoint of the arms that have a codec."""

SENT, NOISES = 128, (0.0, 0.25, 1.0)
"""Numbers per TR that are heard through voxels, and times a brain's noise."""

CHECKED_WIDTH, CHECKED_WINDOWS = 256, 24
"""What is measured again on the reader's machine."""


@dataclass
class Heard:
    """A passage through several conditions, and the weights of each."""

    sounds: dict[str, Waveform] = field(default_factory=dict)
    weights: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, sound: Waveform, weights: str) -> None:
        """Enter a condition."""
        self.sounds[name], self.weights[name] = sound, weights


ARMS_CAPTION = (
    "The arms: sound → features → code → features → sound. Look-ahead: seconds of sound after a moment that have to be "
    "there before it can be made again. An arm without a file here can be trained with `make bottleneck`."
)


def arms_table(ladder: Ladder) -> pd.DataFrame:
    """What every arm is, that has weights here."""
    checkpoint, rows = checkpoints.load(CODEC), []
    for name in arms(ladder):
        if not coder_file(name).is_file():
            rows.append({"arm": CODER_LABELS[name], "file": "not kept: measured, and too large"})
            continue
        known = facts(load(name, checkpoint), TR)
        wanted = ("step", "widths", "look-ahead", "phase", "trained", "licence")
        rows.append(
            {"arm": CODER_LABELS[name], "file": known["weights"], **{key: known[key] for key in wanted}}
        )
    return pd.DataFrame(rows).fillna("–")


def through_arms(run: Edition, clip: Window, ladder: Ladder) -> Heard:
    """A passage through the trained arms of the tables, at the widths that are heard."""
    wave, heard, checkpoint = _cut(run, clip), Heard(), checkpoints.load(CODEC)
    for name in arms(ladder):
        if not coder_file(name).is_file():
            continue
        loaded = load(name, checkpoint)
        for asked in PLAYED:
            width = Width.of(loaded.coder, asked, TR)
            label = f"{CODER_LABELS[name]}, {width.per_tr:g} numbers per TR"
            heard.add(label, through(loaded.coder, wave, width), loaded.id)
    return heard


def through_devices(run: Edition, clip: Window, arm: str) -> Heard:
    """A passage through voxels: read exactly, and in some times a brain's noise, by both maps."""
    wave, heard, loaded = _cut(run, clip), Heard(), load(arm, checkpoints.load(CODEC))
    width, brain = Width.of(loaded.coder, SENT, TR), simulated_brain("between", TR, run.settings.seed)
    for ideal in (True, False):
        for k in NOISES:
            if not k and not ideal:
                continue  # more numbers than patterns
            passed = through_voxels(loaded.coder, wave, width, TR, brain, k, run.settings.seed, ideal=ideal)
            what = "a device" if ideal else "the brain's own tuning"
            label = f"{what}, " + (f"noise × {k:g}" if k else "no noise, read exactly")
            heard.add(label, passed.sound, loaded.id)
    return heard


def again(ladder: Ladder) -> list[Again]:
    """Measure one rung of every arm on this machine."""
    return ladder_rung.again(ladder, checkpoints.load(CODEC), CHECKED_WIDTH, CHECKED_WINDOWS)


def again_table(found: Sequence[Again]) -> pd.DataFrame:
    """The table's figures beside this machine's."""
    return pd.DataFrame(
        [
            {
                "arm": CODER_LABELS[one.arm],
                "numbers per TR": one.per_tr,
                "windows": one.n_windows,
                "ESTOI in the table": one.table,
                "ESTOI here": one.now,
                "": "agrees" if one.agrees else "differs",
            }
            for one in found
        ]
    )


def again_said(found: Sequence[Again]) -> dict[str, float | str]:
    """Whether the tables are confirmed."""
    off = [CODER_LABELS[one.arm] for one in found if not one.agrees]
    return {
        "again_windows": min(one.n_windows for one in found),
        "again": "every arm is as the tables have it" if not off else f"these differ: {', '.join(off)}",
    }


def _cut(run: Edition, clip: Window) -> Waveform:
    return np.asarray(clip.of(run.stimulus.waveform, run.stimulus.sample_rate), np.float32)
