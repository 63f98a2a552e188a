"""The note's code, run as it is written, and the film that it runs over."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from encodec.model import EncodecModel

from fmri_audio.base.settings import load_settings
from fmri_audio.claims.functions.note import (
    NOTE_KBPS,
    NOTE_TRS,
    TR,
    full_width,
    lone_codes,
    tr_frames,
    tr_samples,
    white_noise,
)
from fmri_audio.claims.functions.registry import Value, registered, registered_as_heard_by
from fmri_audio.codec import checkpoints
from fmri_audio.representations.encodec import EncodecCodes

if TYPE_CHECKING:
    from fmri_audio.codec.checkpoints import Checkpoint


@registered
def encode_returns() -> dict[str, Value]:
    """Name the type that the quick start's ``model.encode(audio)`` returns, and what is in it."""
    with torch.inference_mode():
        returned = full_width().encode(white_noise(tr_samples()))
    inside = f" of {type(returned[0]).__name__}s" if isinstance(returned, list) else ""
    return {"model.encode(audio)": type(returned).__name__ + inside}


@registered
def sets_bandwidth() -> dict[str, Value]:
    """Set the quick start's bandwidth and read it back, in kbps."""
    model = full_width()
    model.set_target_bandwidth(NOTE_KBPS)
    return {"set_target_bandwidth": float(model.bandwidth or np.nan)}


@registered
def decode_takes_encode() -> dict[str, Value]:
    """Hand what ``encode`` returned to ``decode``, as the quick start does."""
    return {
        "model.decode(model.encode(audio))": _tried(lambda model, audio: model.decode(model.encode(audio)))
    }


@registered
def decode_takes_array() -> dict[str, Value]:
    """Hand an array of predicted codes [batch, 8, 112] to ``decode``, as the note's last line of code does."""
    frames = int(tr_frames())
    codes = torch.zeros(2, lone_codes().shape[0], frames, dtype=torch.int64)
    return {f"decode({list(codes.shape)})": _tried(lambda model, _: cast(Any, model).decode(codes))}


def _tried(call: Callable[[EncodecModel, torch.Tensor], torch.Tensor]) -> str:
    """Say whether a call makes sound, or the name of the error it raises."""
    try:
        with torch.inference_mode():
            made = call(full_width(), white_noise(tr_samples()))
    except Exception as error:  # Whatever the note's line raises is the finding.
        return type(error).__name__
    return "sound" if made.is_floating_point() and made.shape[-1] > 1 else f"{list(made.shape)}"


@registered
def loop_seconds() -> dict[str, Value]:
    """Return how long the note's loop over TRs decodes to, minus how long the TRs last, in seconds."""
    model = full_width()
    lone = Fraction(lone_codes().shape[1] * int(model.encoder.hop_length), model.sample_rate)
    return {f"{NOTE_TRS} TRs": float(NOTE_TRS * (lone - TR))}


@registered
def slice_drift() -> dict[str, Value]:
    """Return how far slices of 112 frames of a whole encoding have drifted at the end, in seconds."""
    model = full_width()
    frame = Fraction(int(model.encoder.hop_length), model.sample_rate)
    return {f"{NOTE_TRS} TRs": float(NOTE_TRS * abs(int(tr_frames()) - tr_frames()) * frame)}


@cache
def _demo() -> Checkpoint:
    return checkpoints.load("demo")


@registered_as_heard_by(lambda: _demo().id)
def lone_code_agreement() -> dict[str, Value]:
    """Return the share of codes that TRs encoded one by one have in common with the whole encoding.

    Two TRs are a whole number of frames, so every even TR of the whole begins with a frame; the frames that a TR
    holds in full are compared, over eight TRs of noise whose level moves as that of syllables does.
    """
    checkpoint = _demo()
    codec = EncodecCodes(checkpoint, NOTE_KBPS)
    samples, frames, count = tr_samples(), int(tr_frames()), 8
    seconds = torch.arange(samples * count) / codec.sample_rate
    sound = white_noise(samples * count) * (0.5 + 0.5 * torch.sin(2 * torch.pi * 4 * seconds))
    with torch.inference_mode():
        whole = codec.analyse(sound)[0]
        lone = [codec.analyse(sound[..., k * samples : (k + 1) * samples])[0] for k in range(2, count, 2)]
    same = [
        part[:, :frames] == whole[:, int(k * tr_frames()) :][:, :frames]
        for k, part in zip(range(2, count, 2), lone, strict=True)
    ]
    agreed = torch.stack(same).double().mean(dim=(0, 2))
    return {"first codebook": float(agreed[0]), f"all {len(agreed)} codebooks": float(agreed.mean())}


@registered
def film_trs() -> dict[str, Value]:
    """Count the TRs of the Sherlock release: both runs, the first, and the first without the opening cartoon."""
    from fmri_audio.study.layouts.sherlock import RELEASE

    chosen = load_settings("sherlock").study.trs
    return {
        "first run without its cartoon": np.nan if chosen is None else float(chosen[1] - chosen[0] + 1),
        "first run": float(RELEASE.runs[0].n_trs),
        "both runs": float(sum(run.n_trs for run in RELEASE.runs)),
    }
