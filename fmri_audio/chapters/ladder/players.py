"""Chapter 6, to hear and to check: a passage through the rungs, and the tables held to what this machine finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import torch

from fmri_audio.base.kinds import Waveform
from fmri_audio.bottleneck.coder_files import coder_file, load
from fmri_audio.bottleneck.coders.base import CODER_LABELS, Coder
from fmri_audio.bottleneck.coders.mel_vocoder import MelVocoderCoder
from fmri_audio.bottleneck.passing import Sent, Width, facts, simulated_brain, through, through_voxels
from fmri_audio.codec import checkpoints
from fmri_audio.codec.checkpoints import Checkpoint
from fmri_audio.edition import Edition
from fmri_audio.experiments import ladder_rung
from fmri_audio.experiments.ladder import TR, Ladder
from fmri_audio.experiments.ladder_answer import arms
from fmri_audio.experiments.ladder_rung import Again
from fmri_audio.representations.encodec import EncodecCodes
from fmri_audio.representations.mel import MelGriffinLim
from fmri_audio.representations.mel_vocoder import MelVocoder, open_vocoder
from fmri_audio.sound.segments import Window

PLAYED = (128, 512)
"""Numbers per TR that are heard."""

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
    "The arms: sound → features → code → features → sound. Look-ahead: how much sound after a moment has to be there "
    "before it can be made again, the vocoder's own reach with it. An arm without a file here can be trained with "
    "`make bottleneck`."
)


def arms_table(ladder: Ladder) -> pd.DataFrame:
    """What every arm is, that has weights here."""
    checkpoint, rows = codec_of(ladder), []
    for name in arms(ladder):
        if not coder_file(name).is_file():
            rows.append({"arm": CODER_LABELS[name], "file": "not kept: measured, and too large"})
            continue
        loaded = load(name, checkpoint)
        known = facts(loaded, TR)
        ahead = loaded.coder.look_ahead + vocoder_reach(loaded.coder)
        known["look-ahead"] = f"{float(ahead) * 1000:.0f} ms" if name != "mel" else "all of the sound"
        wanted = ("step", "widths", "look-ahead", "phase", "trained", "licence")
        rows.append(
            {"arm": CODER_LABELS[name], "file": known["weights"], **{key: known[key] for key in wanted}}
        )
    return pd.DataFrame(rows).fillna("–")


def through_arms(run: Edition, clip: Window, ladder: Ladder) -> Heard:
    """A passage through the trained arms of the tables, at the widths that are heard."""
    wave, heard, checkpoint = _cut(run, clip), Heard(), codec_of(ladder)
    vocoder = open_vocoder()
    for label, sound, weights in (
        ("mel, Griffin-Lim, no code", _again(MelGriffinLim(), wave), ""),
        ("mel, the vocoder, no code", _again(MelVocoder(vocoder), wave), vocoder.id),
        ("EnCodec at 6 kbps", _again(EncodecCodes(checkpoint, 6.0), wave), checkpoint.id),
    ):
        heard.add(label, sound, weights)
    for name in arms(ladder):
        if not coder_file(name).is_file():
            continue
        loaded = load(name, checkpoint)
        for asked in PLAYED:
            width = Width.of(loaded.coder, asked, TR)
            label = f"{CODER_LABELS[name]}, {width.per_tr:g} numbers per TR"
            heard.add(label, through(loaded.coder, wave, width), loaded.id)
    return heard


def through_devices(run: Edition, clip: Window, ladder: Ladder, arm: str) -> Heard:
    """A passage through voxels: read exactly, in some times a brain's noise, by both maps, and nothing read at all."""
    wave, heard, loaded = _cut(run, clip), Heard(), load(arm, codec_of(ladder))
    width, brain = Width.of(loaded.coder, SENT, TR), simulated_brain("between", TR, run.settings.seed)
    for ideal in (True, False):
        for k in NOISES:
            if not k and not ideal:
                continue  # more numbers than patterns
            passed = through_voxels(loaded.coder, wave, width, TR, brain, k, run.settings.seed, ideal=ideal)
            what = "a device" if ideal else "the brain's own tuning"
            label = f"{what}, " + (f"noise × {k:g}" if k else "no noise, read exactly")
            heard.add(label, passed.sound, loaded.id)
    sent = Sent.of(loaded.coder, wave, width.dimensions, TR)
    nothing = np.zeros_like(sent.rows)
    heard.add("no brain: the decoder was told nothing", sent.heard(loaded.coder, nothing, nothing), loaded.id)
    return heard


def codec_of(ladder: Ladder) -> Checkpoint:
    """Open the codec that the tables were measured with: the demo checkpoint, or the released one."""
    weights = next(one.weights for one in ladder.conditions if one.rung == "codec")
    return checkpoints.load("demo" if weights.startswith("demo") else "released")


def vocoder_reach(coder: Coder) -> Fraction:
    """Seconds of sound by which a vocoder looks ahead at most, by its convolutions; 0 where the arm has none."""
    if not isinstance(coder, MelVocoderCoder):
        return Fraction(0)
    seen = sum(
        (layer.kernel_size[0] - 1) // 2
        for layer in coder.vocoder.modules()
        if isinstance(layer, torch.nn.Conv1d)
    )
    return Fraction(seen * coder.vocoder.config["hop"] + coder.vocoder.config["n_fft"], coder.sample_rate)


def again(ladder: Ladder) -> list[Again]:
    """Measure one rung of every arm on this machine."""
    return ladder_rung.again(ladder, codec_of(ladder), CHECKED_WIDTH, CHECKED_WINDOWS)


AGAIN = "One rung of every arm, measured while this page was made, beside the tables that came with it."
"""Caption of :func:`again_table`."""


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


def _again(representation: Any, wave: Waveform) -> Waveform:
    with torch.no_grad():
        return np.asarray(representation.roundtrip(torch.from_numpy(wave)[None, None])[0, 0])
