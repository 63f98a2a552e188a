"""Whether a codec keeps the level of sounds that give codecs trouble: steady tones, noise, a chord, silence."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from fmri_audio.codec.checkpoints import Checkpoint, bandwidths
from fmri_audio.codec.second_decoder import SecondDecoder
from fmri_audio.representations.encodec import EncodecCodes
from fmri_audio.sound import audio

SINES = {
    "440 Hz": 440,
    "1 kHz": 1000,
    "3 kHz": 3000,
    "5 kHz": 5000,
    "6 kHz": 6000,
    "7 kHz": 7000,
    "9 kHz": 9000,
}
"""Tones, in Hz."""


def decodes(
    checkpoint: Checkpoint, wave: np.ndarray, decoder: SecondDecoder | None = None
) -> dict[float, np.ndarray]:
    """The sound [T] after the codec at each bandwidth, from one encoding (codebooks are prefixes).

    Parameters
    ----------
    checkpoint : Checkpoint
    wave : array of shape [T]
    decoder : SecondDecoder, optional
        In place of the codec's own, at the bandwidths that it decodes.
    """
    sound = torch.from_numpy(wave.astype(np.float32))[None, None]
    best = EncodecCodes(checkpoint, bandwidths(checkpoint.model)[-1])
    codes = best.analyse(sound)
    out = {}
    for kbps in bandwidths(checkpoint.model) if decoder is None else decoder.bandwidths:
        representation = EncodecCodes(checkpoint, kbps, decoder)
        used = codes[:, : representation.channels]
        out[kbps] = representation.synthesise(used, len(wave))[0, 0].numpy()
    return out


def level_drift(checkpoint: Checkpoint, seconds: float = 4.0, seed: int = 0) -> pd.DataFrame:
    """Level of the decoded sound minus that of the input, in dB, for sounds that give codecs trouble.

    Silence has no level to drift from: there the row says the output's level in dB below full scale.
    """
    rate = audio.SAMPLE_RATE
    t = np.arange(int(seconds * rate)) / rate
    rng = np.random.default_rng(seed)
    sounds = {
        **{f"sine {name}": 0.2 * np.sin(2 * np.pi * hertz * t) for name, hertz in SINES.items()},
        "white noise": 0.1 * rng.standard_normal(len(t)),
        "chord": 0.1 * np.sum([np.sin(2 * np.pi * f * t) for f in (220.0, 277.2, 329.6)], axis=0),
        "silence": np.zeros(len(t)),
    }
    rows = []
    for name, wave in sounds.items():
        for kbps, decoded in decodes(checkpoint, wave).items():
            last = slice(len(t) // 2, None)  # once the LSTM's memory has settled
            before = _level(wave[last]) if wave.any() else 0.0
            rows.append({"sound": name, "kbps": kbps, "level_change_db": _level(decoded[last]) - before})
    return pd.DataFrame(rows)


def levels_table(levels: pd.DataFrame) -> pd.DataFrame:
    """Return :func:`level_drift` for readers: a row per sound, in the order of measurement, a column per bandwidth."""
    wide = levels.pivot_table(
        index="sound", columns="kbps", values="level_change_db", sort=False
    ).reset_index()
    return wide.rename(columns={kbps: f"{kbps:g} kbps" for kbps in wide.columns if kbps != "sound"})


def _level(x: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(np.square(x)) + 1e-12))
