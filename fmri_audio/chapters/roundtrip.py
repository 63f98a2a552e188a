"""What chapters 2 and 3 share: a mel spectrogram there and back, plain and at the bits of the codec.

Back by Griffin-Lim, and by a neural vocoder where a trained one is at hand that knows the edition's spectrogram.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from fmri_audio.base.kinds import Waveform
from fmri_audio.base.results import Record
from fmri_audio.edition import Edition
from fmri_audio.experiments.problem import MelSetting, at_bits, score_through, through
from fmri_audio.representations import mel_vocoder
from fmri_audio.representations.mel import MelGriffinLim, QuantisedMel
from fmri_audio.representations.mel_vocoder import MelVocoder, QuantisedMelVocoder, open_vocoder
from fmri_audio.sound import scoring
from fmri_audio.sound.segments import Window


def setting_of(run: Edition) -> MelSetting:
    """Return the edition's own setting of the mel spectrogram."""
    return MelSetting.of(run.settings.mel)


def plain_mel(run: Edition) -> MelGriffinLim:
    """Return the uncompressed mel spectrogram at the edition's own setting."""
    return setting_of(run).build(run.stimulus.sample_rate, run.settings.seed)


def equal_mel(run: Edition) -> QuantisedMel:
    """Return a mel spectrogram that takes no more bits than the codec."""
    return at_bits(run.bandwidth, setting_of(run), run.stimulus.sample_rate, run.settings.seed)


def split_said(run: Edition) -> str:
    """Say how the mel spectrogram of equal bits spends them."""
    split = equal_mel(run).split
    return f"{split.n_mels} bands, {split.pool} frames pooled, {split.bits} bits per value"


def columns(run: Edition) -> dict[str, Any]:
    """Return what all results of a roundtrip without brains have in common."""
    return {
        "arm": "roundtrip",
        "condition": "none",
        "seed": run.settings.seed,
        "study": run.stimulus.name,
    }


def without_vocoder(run: Edition) -> str:
    """Say in a sentence why there is no neural vocoder; empty where there is one.

    It is trained for one setting of the spectrogram, and an edition may have another.
    """
    if not (file := mel_vocoder.vocoder_file()).is_file():
        return f"No vocoder is at hand: checkpoints/{file.name} does not exist (make vocoder trains it)."
    known, asked = MelGriffinLim(), plain_mel(run)
    names = ("sample_rate", "n_fft", "hop_length", "n_mels")
    if any(getattr(known, name) != getattr(asked, name) for name in names):
        return (
            "The vocoder knows another setting of the mel spectrogram than this edition's, so it is left out."
        )
    return ""


def vocoders(run: Edition) -> dict[str, MelGriffinLim]:
    """Return mel spectrograms with a vocoder, uncompressed and at the codec's bits; none where none is trained."""
    if without_vocoder(run):
        return {}
    plain = MelVocoder(open_vocoder())
    return {
        f"mel + neural vocoder, {plain.bits_per_second / 1000:.0f} kbps": plain,
        f"mel + neural vocoder, {run.bandwidth:g} kbps": QuantisedMelVocoder(run.bandwidth, plain),
    }


def score_vocoders(run: Edition, windows: Sequence[Window]) -> dict[str, pd.DataFrame]:
    """Score what :func:`vocoders` returns, window by window."""
    wave, rate = run.stimulus.waveform, run.stimulus.sample_rate
    return {name: score_through(way, wave, rate, windows) for name, way in vocoders(run).items()}


def play_vocoders(clip: Window, run: Edition) -> tuple[dict[str, Waveform], dict[str, str]]:
    """Return a passage through what :func:`vocoders` returns, and the id of the weights that made each."""
    heard, ways = clip.of(run.stimulus.waveform, run.stimulus.sample_rate), vocoders(run)
    made = {name: through(way, heard) for name, way in ways.items()}
    return made, dict.fromkeys(made, open_vocoder().id if made else "")


def vocoders_said(scored: Mapping[str, pd.DataFrame], run: Edition, kind: str) -> str:
    """Say what vocoders score beside their own absence, in a sentence."""
    if not scored:
        return without_vocoder(run)
    found = [scoring.means(frame, kind) for frame in scored.values()]
    pesq, stoi = ([f"{means[name]:.2f}" for means in found] for name in ("pesq_wb", "stoi"))
    return (
        f"With a neural vocoder (weights {open_vocoder().id}) in Griffin-Lim's place the uncompressed spectrogram "
        f"scores a PESQ of {pesq[0]} and a STOI of {stoi[0]}, and at {run.bandwidth:g} kbps {pesq[1]} and {stoi[1]}."
    )


def kbps_of(way: MelGriffinLim, run: Edition) -> float:
    """Return the bit rate a way is shown at: the codec's that it stands beside, or its own."""
    return run.bandwidth if isinstance(way, QuantisedMel) else way.bits_per_second / 1000


def vocoder_records(scored: Mapping[str, pd.DataFrame], run: Edition) -> list[Record]:
    """Return the scores of vocoders as results: ``representation`` is mel-vocoder, or mel-vocoder-quantised."""
    found: list[Record] = []
    for frame, way in zip(scored.values(), vocoders(run).values(), strict=True):
        own = {**columns(run), "control": "none", "bandwidth_kbps": kbps_of(way, run)}
        found += scoring.to_records(frame, representation=way.name, **own)
    return found
