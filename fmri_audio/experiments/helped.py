"""Whether training helped an arm: beside its own untrained start, and beside a code of the same width without training.

A claim about a trained arm says nothing about the bottleneck as long as the arm is no better than what it began as, or
than what a decomposition of the same sound gives for nothing. Both are compared on validation sound: not on the sound
that the weights learnt from, and not on the held-out sound that claims are decided on.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from fmri_audio.base.kinds import Waveform
from fmri_audio.bottleneck.arms import ARM_LABELS
from fmri_audio.bottleneck.arms.base import Arm, features_of_block, samples_of_block
from fmri_audio.bottleneck.block_code import BlockCode
from fmri_audio.bottleneck.layers import TRGrid
from fmri_audio.bottleneck.store import build, features_of
from fmri_audio.bottleneck.training import set_apart
from fmri_audio.edition.windows import windows_of_one_kind
from fmri_audio.experiments.through_codec import decode_latents
from fmri_audio.representations.stft import ComplexStft
from fmri_audio.sound import scoring
from fmri_audio.sound.metrics.base import METRICS
from fmri_audio.sound.segments import Window

if TYPE_CHECKING:
    from fmri_audio.experiments.held_out import HeldOut

FOLD = "validation"
"""What the column ``fold`` says of these scores."""

TRAINED, UNTRAINED, LINEAR = "validation", "untrained", "block-pca"
"""What the column ``control`` says: the arm as trained, as it began, and the code without training."""

DECIDING = {"stoi": 1, "estoi": 1, "mel_distance_db": -1}
"""Metrics by which an arm has to be better, each with the sign of better. Claims are decided by STOI and the mel
distance; ESTOI sees where STOI rises with the sound's envelope alone."""


@dataclass(frozen=True)
class Help:
    """An arm on validation sound, as trained, as it began, and beside a code of its width without training.

    Attributes
    ----------
    arm : str
    scores : mapping of control → metric → value
        For the controls :data:`TRAINED`, :data:`UNTRAINED` and :data:`LINEAR`; NaN where undefined.
    """

    arm: str
    scores: Mapping[str, Mapping[str, float]]

    @property
    def helped(self) -> bool:
        """Whether the trained arm is better than both others by every metric that is defined."""
        gains = [
            sign * (self.scores[TRAINED][metric] - self.scores[control][metric])
            for metric, sign in DECIDING.items()
            for control in (UNTRAINED, LINEAR)
        ]
        defined = [gain for gain in gains if not math.isnan(gain)]
        return bool(defined) and all(gain > 0 for gain in defined)

    @property
    def said(self) -> str:
        """The numbers that decide, in words."""
        parts = []
        for metric in DECIDING:
            trained, began, linear = (self.scores[name][metric] for name in (TRAINED, UNTRAINED, LINEAR))
            if not math.isnan(trained):
                form = f".{METRICS[metric].decimals}f"
                parts.append(
                    f"{scoring.LABELS[metric]} {trained:{form}}, untrained {began:{form}}, block PCA {linear:{form}}"
                )
        return f"{ARM_LABELS[self.arm]}: {'; '.join(parts) or 'not scored'}"


def helps(metrics: pd.DataFrame) -> dict[str, Help]:
    """Read from a table of results whether training helped; arms that were not compared are not there."""
    rows = metrics[(metrics["fold"] == FOLD) & metrics["metric"].isin(list(DECIDING))]
    found = {}
    for arm in ARM_LABELS:
        means = rows[rows["arm"] == arm].groupby(["control", "metric"])["value"].mean()
        scores = {
            control: {metric: float(means.get((control, metric), math.nan)) for metric in DECIDING}
            for control in (TRAINED, UNTRAINED, LINEAR)
        }
        if all(any(not math.isnan(value) for value in of.values()) for of in scores.values()):
            found[arm] = Help(arm, scores)
    return found


def compare(held_out: HeldOut, name: str) -> dict[str, pd.DataFrame]:
    """Score an arm on the validation block: as trained, as it began, and a block PCA of its width without response.

    Parameters
    ----------
    held_out : HeldOut
    name : str
        Of the arm.

    Returns
    -------
    dict of DataFrame
        By :data:`TRAINED`, :data:`UNTRAINED` and :data:`LINEAR`: scores as from ``scoring.score_windows``, of
        :data:`DECIDING` only.
    """
    fitted, block = set_apart(held_out.split, held_out.settings.validation_fraction)
    start = build(name, held_out.material, held_out.run.settings.seed)
    start.start(features_of(start, held_out.material), fitted, held_out.run.settings.seed)
    sounds = {
        TRAINED: _through(held_out.arms[name].model, block),
        UNTRAINED: _through(start, block),
        LINEAR: _linear(held_out, start, list(fitted.train_blocks), block),
    }
    original, windows = _original(held_out, block)
    rate = held_out.stimulus.sample_rate
    return {
        control: scoring.score_windows(original, sound, rate, windows, list(DECIDING))
        for control, sound in sounds.items()
    }


def _through(arm: Arm, block: tuple[int, int]) -> Waveform:
    return arm.sound_of_code(arm.read(block).cpu().numpy(), block[0])


def _linear(held_out: HeldOut, arm: Arm, blocks: list[tuple[int, int]], block: tuple[int, int]) -> Waveform:
    """The block through principal components of what the arm carries, fitted where its weights are."""
    features = features_of(arm, held_out.material)
    complex_valued = features.is_complex()
    if arm.representation.startswith("encodec"):
        values, grid = held_out.run.encoding.latents, held_out.grid
    else:
        whole = torch.cat([features.real, features.imag]) if complex_valued else features
        values = whole.cpu().numpy()
        grid = TRGrid(arm.grid.tr, arm.grid.frame_rate, len(values))
    stretches = [features_of_block(values, one, grid) for one in blocks]
    code = BlockCode.fit(
        stretches, grid.frame_rate, held_out.settings.rank, grid.tr, held_out.run.settings.seed
    )
    restored = code.restore(features_of_block(values, block, grid))
    if arm.representation.startswith("encodec"):
        return decode_latents(held_out, restored, block)
    if not complex_valued:
        return arm.sound_of(torch.from_numpy(restored).to(arm.device), block)
    mel = held_out.material.mel
    stft = ComplexStft(mel.n_fft, mel.hop_length, arm.sample_rate)
    into, length = samples_of_block(block, grid, arm.sample_rate, arm.hop_length)
    wave = stft.synthesise(torch.from_numpy(restored)[None], into + length)[0, 0]
    return np.ascontiguousarray(wave.numpy()[into:], np.float32)


def _original(held_out: HeldOut, block: tuple[int, int]) -> tuple[Waveform, list[Window]]:
    """The sound of a block, and the windows of it that are scored, in its own time; all of it where none fits."""
    stimulus = held_out.stimulus
    rate, (begin, end) = stimulus.sample_rate, (float(k * stimulus.tr) for k in block)
    original = stimulus.waveform[round(begin * rate) : round(end * rate)]
    found = windows_of_one_kind(held_out.run, within=(begin, end))
    windows = [dataclasses.replace(one, onset=one.onset - begin, offset=one.offset - begin) for one in found]
    return original, windows or [Window(FOLD, 0.0, end - begin, "mixed")]
