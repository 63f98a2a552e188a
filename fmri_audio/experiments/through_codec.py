"""The held-out block through the codec alone: no bottleneck, no brain."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from fmri_audio.base.kinds import Waveform
from fmri_audio.bottleneck.arms.base import features_of_block, samples_of_block
from fmri_audio.codec.streaming import decode_in_pieces
from fmri_audio.representations.encodec import EncodecCodes

if TYPE_CHECKING:
    from fmri_audio.experiments.held_out import HeldOut


def codec_only(held_out: HeldOut, kbps: float | None = None) -> Waveform:
    """The block through the codec alone, at a bandwidth, or with its latents as they are."""
    latents = features_of_block(held_out.run.encoding.latents, held_out.block, held_out.grid)
    return decode_latents(held_out, latents if kbps is None else quantise(held_out, latents, kbps))


def quantise(held_out: HeldOut, latents: NDArray[np.float32], kbps: float) -> NDArray[np.float32]:
    """Latents [C, l] as the codec's quantiser leaves them at a bandwidth."""
    representation = EncodecCodes(held_out.run.checkpoint, kbps)
    with torch.inference_mode():
        codes = representation.latents_to_codes(torch.from_numpy(latents)[None], representation.channels)
        return representation.codes_to_latents(codes)[0].numpy()


def decode_latents(
    held_out: HeldOut, latents: NDArray[np.float32], block: tuple[int, int] | None = None
) -> Waveform:
    """The waveform of a block of TRs by the untouched codec's decoder, from its latents [C, l].

    Parameters
    ----------
    held_out : HeldOut
    latents : array, shape [C, l]
        Of all frames that the block touches.
    block : (first TR, one after the last), optional
        The held-out block unless given.
    """
    decoder = held_out.run.checkpoint.model.decoder
    into, length = samples_of_block(
        block or held_out.block, held_out.grid, held_out.stimulus.sample_rate, int(decoder.hop_length)
    )
    with torch.inference_mode():
        wave = decode_in_pieces(decoder, torch.from_numpy(latents)[None])[0, 0, into : into + length]
    return np.ascontiguousarray(wave.cpu().numpy())
