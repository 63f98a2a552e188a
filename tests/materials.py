"""A short sound and what arms are made of it: shared by the tests of arms and of their training."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import torch

from fmri_audio.base.settings import MelSettings
from fmri_audio.bottleneck.arms.base import Material, StimulusSound
from fmri_audio.codec.checkpoints import Checkpoint
from fmri_audio.representations.encodec import EncodecLatents
from fmri_audio.study.splits import Split
from tests.study.conftest import SAMPLE_RATE, noise_bursts

N_TRS, N_UNITS, RANK = 48, 10, 4
LAGS, SHIFT = (3, 4), 3
MEL = MelSettings(n_fft=1024, hop_length=360, n_mels=128, n_iter=2)

MakeMaterial = Callable[..., Material]


def material_about(
    checkpoint: Checkpoint,
    wave: np.ndarray | None = None,
    tr: Fraction = Fraction(3, 2),
    runs: tuple[tuple[int, int], ...] = ((0, N_TRS),),
    n_units: int = N_UNITS,
    rank: int = RANK,
    mel: MelSettings = MEL,
    n_codebooks: int = 2,
    bold: np.ndarray | None = None,
    lags: tuple[int, ...] = LAGS,
    shift: int = SHIFT,
) -> Material:
    """Material about a sound: 48 TRs of noise through 10 units of rank 4, with two codebooks, unless said otherwise."""
    wave = noise_bursts(N_TRS) if wave is None else wave
    codec = EncodecLatents(checkpoint)
    with torch.no_grad():
        latents = codec.analyse(torch.from_numpy(wave)[None, None])
        codes = codec.latents_to_codes(latents, n_codebooks)
    sound = StimulusSound(wave, SAMPLE_RATE, tr, runs)
    if bold is None:
        bold = np.random.default_rng(0).standard_normal((sound.n_trs, n_units)).astype(np.float32)
    return Material(
        checkpoint, sound, latents[0].numpy().copy(), codes[0].numpy().copy(), mel, rank, bold, lags, shift
    )


def split_into(
    train: tuple[int, int], test: tuple[int, int], lags: tuple[int, ...] = LAGS, shift: int = SHIFT
) -> Split:
    """One training and one held-out block, and the volumes that answer them."""
    answers = [(first + min(lags) - shift, last + max(lags) - shift) for first, last in (train, test)]
    return Split((train,), test, (answers[0],), answers[1], test[0] - train[1], ((0, test[1]),))


def fitting_codebooks(checkpoint: Checkpoint) -> Checkpoint:
    """Give a checkpoint of random weights codebooks that tell its own latents apart: residuals of some frames."""
    codec = EncodecLatents(checkpoint)
    rng = np.random.default_rng(0)
    with torch.no_grad():
        latents = codec.analyse(torch.from_numpy(noise_bursts(N_TRS))[None, None])
        for k, layer in enumerate(checkpoint.model.quantizer.vq.layers[:2]):
            found = (
                codec.codes_to_latents(codec.latents_to_codes(latents, k)) if k else torch.zeros_like(latents)
            )
            residual = (latents - found)[0].T
            picks = rng.choice(len(residual), layer.codebook.shape[0], replace=False)
            layer._codebook.embed.copy_(residual[torch.from_numpy(picks)])
    return checkpoint


def expected_leave_one_out(share: float, n_subjects: int) -> float:
    r"""Leave-one-out correlation to expect where a share :math:`s` of the variance is common to N subjects.

    The mean of the others has variance :math:`s + (1-s)/(N-1)`, so that
    :math:`r = s / \sqrt{s + (1-s)/(N-1)}`.
    """
    return float(share / np.sqrt(share + (1 - share) / (n_subjects - 1))) if share > 0 else 0.0
