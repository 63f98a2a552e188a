"""Sound to codes and back piece by piece, with progress on standard error: an hour takes what a minute takes."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray

from fmri_audio.base.errors import UserError
from fmri_audio.base.files import replacing
from fmri_audio.base.timeline import frames_of_samples
from fmri_audio.codec.streaming import PIECE_FRAMES, StreamingEncoder
from fmri_audio.representations.encodec import EncodecCodes
from fmri_audio.sound.audio import Spooled

EncodedPiece = tuple[int, torch.Tensor]


@torch.no_grad()
def encode(codec: EncodecCodes, sound: Spooled) -> NDArray[np.int16]:
    """Return the codes [K, L] of a sound at the codec's rate; beside them it takes the memory of a piece."""
    stream = StreamingEncoder.ready(codec.model.encoder)
    n_frames = frames_of_samples(sound.n_samples, stream.hop)
    codes = np.empty((codec.channels, n_frames), np.int16)
    pieces = (
        (
            start,
            stream.push(
                torch.from_numpy(sound.read(start * stream.hop, stop * stream.hop)), stop == n_frames
            ),
        )
        for start, stop in stream.spans(n_frames, PIECE_FRAMES)
    )
    for start, latents in _told(pieces, "encoding", n_frames, float(codec.feature_rate)):
        found = codec.latents_to_codes(latents.t()[None], codec.channels)[0]
        codes[:, start : start + len(latents)] = found.cpu().numpy()
    return codes


@torch.no_grad()
def decode(codec: EncodecCodes, codes: NDArray[np.integer], n_samples: int, path: Path) -> None:
    """Write the sound of codes [K, L] as 16-bit WAV or FLAC, by the name's ending, whole or not at all.

    Samples beyond ±1 are clipped. The sound is never in memory as a whole.

    Raises
    ------
    UserError
        The file cannot be written, or the decoder gives what is no number.
    """
    rate, container = int(codec.sample_rate), path.suffix[1:].upper()
    pieces = codec.sound_pieces(torch.from_numpy(codes.astype(np.int32)))
    try:
        with (
            replacing(path) as temporary,
            soundfile.SoundFile(temporary, "w", rate, 1, subtype="PCM_16", format=container) as stream,
        ):
            for start, samples in _told(pieces, "decoding", codes.shape[1] * codec.hop_length, rate):
                refuse_no_numbers(samples, codec.checkpoint.id)
                stream.write(samples[: n_samples - start].cpu().numpy().clip(-1, 1))
    except soundfile.LibsndfileError as error:  # a full disk, which the library does not call an OSError
        raise UserError(f"{path} cannot be written ({error})") from None


def refuse_no_numbers(samples: torch.Tensor, checkpoint: str) -> None:
    """Raise a UserError if a decoder gave NaN or infinite samples, as one whose weights are out of range does."""
    if not torch.isfinite(samples).all():
        raise UserError(
            f"{checkpoint} decodes to NaN or infinite samples: its weights are out of range, take another"
        )


def _told(pieces: Iterable[EncodedPiece], doing: str, total: int, rate: float) -> Iterator[EncodedPiece]:
    """Hand pieces on and say how far they have come, unless there is only one."""
    long = total / rate > PIECE_FRAMES / 75
    try:
        for start, piece in pieces:
            yield start, piece
            if long:
                done = min(start + len(piece), total)
                said = f"{doing}: {done / rate:,.0f} of {total / rate:,.0f} s, {done / total:.0%}"
                print(f"\r{said}", end="", file=sys.stderr, flush=True)
    finally:
        if long:
            print(file=sys.stderr)  # what comes next, be it an error, begins on a line of its own
