"""EnCodec's codes and latents (Défossez et al. 2022), through the ``encodec`` package's own model."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import torch
from encodec.modules.lstm import SLSTM
from encodec.modules.seanet import SEANetDecoder, SEANetEncoder
from torch import nn

from fmri_audio.representations.base import Representation, check_waveform
from fmri_audio.timeline import frames_of_samples

if TYPE_CHECKING:
    from fmri_audio.checkpoints import Checkpoint

_FRAMES_AT_ONCE = 4096
"""Frames quantised at a time: each takes a row of distances to all codebook entries."""

PIECE_FRAMES = 750
"""Frames (10 s at 75 Hz) that pass the convolutions at a time, where memory is what counts."""

CONTEXT_FRAMES = 8
"""Frames before a piece that the convolutions see with it: they reach back less than three. Before the very first
they see the sound reflected, so the first pieces see as many frames ahead."""


def encode_in_pieces(
    encoder: SEANetEncoder, waveform: torch.Tensor, piece: int = PIECE_FRAMES
) -> torch.Tensor:
    """Apply a causal SEANet encoder in bounded memory: exactly, but for rounding.

    The convolutions reach back over a few frames only, so they go piece by piece, each with the frames before
    it. The LSTM remembers everything, so it and what follows take the whole sequence, which at the frame rate is
    small.

    Parameters
    ----------
    encoder : SEANetEncoder, causal
    waveform : tensor of shape [B, 1, T], brought to the encoder's device piece by piece
    piece : frames at a time

    Returns
    -------
    tensor of shape [B, D, L], on the encoder's device
    """
    hop, layers = int(encoder.hop_length), encoder.model
    device = next(encoder.parameters()).device
    memory = _first_lstm(layers)
    n_frames = frames_of_samples(waveform.shape[-1], hop)
    hidden = []
    for start in range(0, n_frames, piece):
        begin, end = max(0, start - CONTEXT_FRAMES), max(start + piece, CONTEXT_FRAMES)
        out = layers[:memory](waveform[..., begin * hop : end * hop].to(device))
        hidden.append(out[..., start - begin :][..., :piece])
    latents: torch.Tensor = layers[memory:](torch.cat(hidden, dim=-1))
    return latents


def decode_in_pieces(decoder: SEANetDecoder, latents: torch.Tensor, piece: int = PIECE_FRAMES) -> torch.Tensor:
    """Apply a causal SEANet decoder in bounded memory: exactly, but for rounding.

    The counterpart of :func:`encode_in_pieces`.

    Parameters
    ----------
    decoder : SEANetDecoder, causal
    latents : tensor of shape [B, D, L]
    piece : frames at a time

    Returns
    -------
    tensor of shape [B, 1, L · hop], on the latents' device
    """
    hop, layers = int(decoder.hop_length), decoder.model
    device = next(decoder.parameters()).device
    memory = _first_lstm(layers)
    hidden = layers[: memory + 1](latents.to(device))
    sound = []
    for start in range(0, latents.shape[-1], piece):
        begin, end = max(0, start - CONTEXT_FRAMES), max(start + piece, CONTEXT_FRAMES)
        out = layers[memory + 1 :](hidden[..., begin:end])
        sound.append(out[..., (start - begin) * hop :][..., : piece * hop].to(latents.device))
    return torch.cat(sound, dim=-1)


def _first_lstm(layers: nn.Sequential) -> int:
    """Return the position of the layer that divides the sample-rate side from the frame-rate side."""
    return next(position for position, layer in enumerate(layers) if isinstance(layer, SLSTM))


class _Encodec(Representation):
    """What codes and latents share: the model, its rate and the way between the two.

    Sound of any length takes bounded memory (:func:`encode_in_pieces`). The input is brought to the model's
    device and the output back to the input's.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self.model = checkpoint.model
        self.sample_rate = self.model.sample_rate
        self.hop_length = int(self.model.encoder.hop_length)
        self.feature_rate = Fraction(self.sample_rate, self.hop_length)

    @property
    def n_codebooks(self) -> int:
        """All codebooks that the model has."""
        return int(self.model.quantizer.n_q)

    @property
    def device(self) -> torch.device:
        """Where the model's weights are."""
        return next(self.model.parameters()).device

    def encode_latents(self, waveform: torch.Tensor) -> torch.Tensor:
        """Return the encoder's output [B, D, L], before quantisation, of a waveform [B, 1, T]."""
        check_waveform(waveform)
        return encode_in_pieces(self.model.encoder, waveform).to(waveform.device)

    def decode_latents(self, latents: torch.Tensor, n_samples: int) -> torch.Tensor:
        """Return the decoder's waveform [B, 1, n_samples] of latents [B, D, L]."""
        available = latents.shape[-1] * self.hop_length
        if n_samples > available:
            raise ValueError(
                f"{latents.shape[-1]} frames make {available} samples, {n_samples} were asked for"
            )
        return decode_in_pieces(self.model.decoder, latents)[..., :n_samples]

    @torch.no_grad()
    def latents_to_codes(self, latents: torch.Tensor, n_codebooks: int) -> torch.Tensor:
        """Return the codes [B, K, L], int64, of latents [B, D, L].

        The quantiser is residual and greedy, so the first k of K codebooks are the codes at k codebooks.
        """
        pieces = [
            self.model.quantizer.vq.encode(piece.to(self.device), n_q=n_codebooks)
            for piece in latents.split(_FRAMES_AT_ONCE, dim=-1)
        ]
        return torch.cat(pieces, dim=-1).transpose(0, 1).to(latents.device)

    def codes_to_latents(self, codes: torch.Tensor) -> torch.Tensor:
        """Return the quantised latents [B, D, L] of codes [B, K, L]."""
        latents: torch.Tensor = self.model.quantizer.decode(codes.long().transpose(0, 1).to(self.device))
        return latents.to(codes.device)


class EncodecLatents(_Encodec):
    """The continuous output of EnCodec's encoder: [B, 128, L] at 75 frames per second."""

    id = "encodec-latents"

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__(checkpoint)
        self.channels = int(self.model.quantizer.dimension)

    def analyse(self, waveform: torch.Tensor) -> torch.Tensor:
        """Return latents [B, D, L] of a waveform [B, 1, T]."""
        return self.encode_latents(waveform)

    def synthesise(self, features: torch.Tensor, n_samples: int) -> torch.Tensor:
        """Return the waveform [B, 1, n_samples] of latents [B, D, L]."""
        return self.decode_latents(features, n_samples)


class EncodecCodes(_Encodec):
    """EnCodec's codes at one bandwidth: integers [B, K, L] at 75 frames per second.

    Parameters
    ----------
    checkpoint : whose weights
    bandwidth : kbps, one of the model's
    """

    id = "encodec-codes"

    def __init__(self, checkpoint: Checkpoint, bandwidth: float) -> None:
        super().__init__(checkpoint)
        if bandwidth not in self.model.target_bandwidths:
            have = ", ".join(f"{value:g}" for value in self.model.target_bandwidths)
            raise ValueError(f"{checkpoint.id} has no bandwidth of {bandwidth:g} kbps, only {have}")
        self.bandwidth = bandwidth
        self.channels = int(
            self.model.quantizer.get_num_quantizers_for_bandwidth(self.model.frame_rate, bandwidth)
        )

    @property
    def bits_per_value(self) -> float:
        """Bits that one code takes: 10 for 1024 entries."""
        return float(self.model.bits_per_codebook)

    @torch.no_grad()
    def analyse(self, waveform: torch.Tensor) -> torch.Tensor:
        """Return codes [B, K, L] of a waveform [B, 1, T]."""
        return self.latents_to_codes(self.encode_latents(waveform), self.channels)

    @torch.no_grad()
    def synthesise(self, features: torch.Tensor, n_samples: int) -> torch.Tensor:
        """Return the waveform [B, 1, n_samples] of codes [B, K, L]; fewer codebooks than K are fine."""
        return self.decode_latents(self.codes_to_latents(features), n_samples)
