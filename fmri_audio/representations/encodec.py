"""EnCodec's codes and latents (Défossez et al. 2022), through the ``encodec`` package's own model."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING

import torch

from fmri_audio.base.timeline import frames_of_samples
from fmri_audio.codec.replay import full_precision
from fmri_audio.codec.streaming import decode_in_pieces, decoded_pieces, encode_in_pieces, encoded_pieces
from fmri_audio.representations.base import Representation, check_waveform, registered

if TYPE_CHECKING:
    from fmri_audio.codec.checkpoints import Checkpoint
    from fmri_audio.codec.second_decoder import SecondDecoder

_FRAMES_AT_ONCE = {"cpu": 512, "cuda": 8192}
"""Frames quantised at a time: each takes a row of distances to all codebook entries. A GPU wants few launches."""


class _Encodec(Representation):
    """What codes and latents share: the model, its rate and the way between the two.

    Sound of any length takes bounded memory beside what goes in and comes out: it streams through the model
    (:mod:`fmri_audio.codec.streaming`). The input is brought to the model's device piece by piece,
    and the output back to the input's.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        if checkpoint.model.segment is not None:
            raise ValueError(f"{checkpoint.id} works in segments, not as one stream")
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
        return encode_in_pieces(self.model.encoder, waveform)

    def decode_latents(self, latents: torch.Tensor, n_samples: int) -> torch.Tensor:
        """Return the decoder's waveform [B, 1, n_samples] of latents [B, D, L].

        Where latents ask for gradients the decoder takes them whole, as the package does.
        """
        self._check_length(latents.shape[-1], n_samples)
        if latents.requires_grad and torch.is_grad_enabled():
            sound: torch.Tensor = self.model.decoder(latents.to(self.device)).to(latents.device)
        else:
            sound = decode_in_pieces(self.model.decoder, latents)
        return sound[..., :n_samples]

    def _check_length(self, n_frames: int, n_samples: int) -> None:
        """Raise a ValueError unless there are frames enough."""
        available = n_frames * self.hop_length
        if n_samples > available:
            raise ValueError(f"{n_frames} frames make {available} samples, {n_samples} were asked for")

    @torch.no_grad()
    def latents_to_codes(self, latents: torch.Tensor, n_codebooks: int) -> torch.Tensor:
        """Return the codes [B, K, L], int64, of latents [B, D, L].

        The quantiser is residual and greedy, so the first k of K codebooks are the codes at k codebooks. Of the
        distance |x − e|² only e·x − |e|²/2 depends on the entry e; the package computes it whole, which takes
        longer and rounds more.
        """
        books = [layer.codebook for layer in self.model.quantizer.vq.layers[:n_codebooks]]
        offsets = [book.square().sum(1) / -2 for book in books]
        at_once = _FRAMES_AT_ONCE.get(self.device.type, _FRAMES_AT_ONCE["cpu"])
        codes = latents.new_empty(len(latents), n_codebooks, latents.shape[-1], dtype=torch.int64)
        for frames, out in zip(latents.transpose(1, 2), codes, strict=True):
            for piece, found in zip(frames.split(at_once), out.split(at_once, 1), strict=True):
                residual, nearest = piece.to(self.device), []
                with full_precision(self.device):
                    for book, offset in zip(books, offsets, strict=True):
                        nearest.append(torch.addmm(offset, residual, book.t()).max(1).indices)
                        residual = residual - book[nearest[-1]]
                found.copy_(torch.stack(nearest))
        return codes

    @torch.no_grad()
    def codes_to_latents(self, codes: torch.Tensor) -> torch.Tensor:
        """Return the quantised latents [B, D, L] of codes [B, K, L]."""
        return self._dequantised(codes).to(codes.device)

    def _dequantised(self, codes: torch.Tensor) -> torch.Tensor:
        """Return the quantised latents, where the model is."""
        latents: torch.Tensor = self.model.quantizer.decode(codes.long().transpose(0, 1).to(self.device))
        return latents


@registered
class EncodecLatents(_Encodec):
    """The continuous output of EnCodec's encoder: [B, 128, L] at 75 frames per second."""

    name = "encodec-latents"
    label = "EnCodec latents"
    place = 11

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__(checkpoint)
        self.channels = int(self.model.quantizer.dimension)

    @classmethod
    def usual(cls, checkpoint: Checkpoint) -> EncodecLatents:
        """Make one with the checkpoint."""
        return cls(checkpoint)

    def analyse(self, waveform: torch.Tensor) -> torch.Tensor:
        """Return latents [B, D, L] of a waveform [B, 1, T]."""
        return self.encode_latents(waveform)

    def synthesise(self, features: torch.Tensor, n_samples: int) -> torch.Tensor:
        """Return the waveform [B, 1, n_samples] of latents [B, D, L]."""
        return self.decode_latents(features, n_samples)


@registered
class EncodecCodes(_Encodec):
    """EnCodec's codes at one bandwidth: integers [B, K, L] at 75 frames per second.

    Parameters
    ----------
    checkpoint : whose weights
    bandwidth : kbps, one of the model's
    decoder : what makes sound of the codes; the codec's own decoder unless given
    """

    name = "encodec-codes"
    label = "EnCodec codes"
    place = 10

    def __init__(
        self, checkpoint: Checkpoint, bandwidth: float, decoder: SecondDecoder | None = None
    ) -> None:
        super().__init__(checkpoint)
        if bandwidth not in self.model.target_bandwidths:
            have = ", ".join(f"{value:g}" for value in self.model.target_bandwidths)
            raise ValueError(f"{checkpoint.id} has no bandwidth of {bandwidth:g} kbps, only {have}")
        if decoder is not None:
            decoder.check(bandwidth)
        self.bandwidth, self.decoder = bandwidth, decoder
        self.channels = int(
            self.model.quantizer.get_num_quantizers_for_bandwidth(self.model.frame_rate, bandwidth)
        )

    @classmethod
    def usual(cls, checkpoint: Checkpoint) -> EncodecCodes:
        """Make one with the codebooks of the lowest bandwidth."""
        return cls(checkpoint, min(checkpoint.model.target_bandwidths))

    @property
    def bits_per_value(self) -> float:
        """Bits that one code takes: 10 for 1024 entries."""
        return float(self.model.bits_per_codebook)

    @torch.no_grad()
    def analyse(self, waveform: torch.Tensor) -> torch.Tensor:
        """Return codes [B, K, L] of a waveform [B, 1, T]: quantised piece by piece, as latents come."""
        check_waveform(waveform)
        n_frames = frames_of_samples(waveform.shape[-1], self.hop_length)
        codes = waveform.new_empty(len(waveform), self.channels, n_frames, dtype=torch.int64)
        for sound, out in zip(waveform, codes, strict=True):
            for start, frames in encoded_pieces(self.model.encoder, sound[0]):
                out[:, start : start + len(frames)] = self.latents_to_codes(frames.t()[None], self.channels)[
                    0
                ]
        return codes

    @torch.no_grad()
    def synthesise(self, features: torch.Tensor, n_samples: int) -> torch.Tensor:
        """Return the waveform [B, 1, n_samples] of codes [B, K, L]; fewer codebooks than K are fine."""
        n_frames = features.shape[-1]
        self._check_length(n_frames, n_samples)
        sound = torch.empty(len(features), 1, n_frames * self.hop_length, device=features.device)
        for codes, out in zip(features, sound, strict=True):
            for start, samples in self.sound_pieces(codes):
                out[0, start : start + len(samples)] = samples
        return sound[..., :n_samples]

    def sound_pieces(self, codes: torch.Tensor) -> Iterator[tuple[int, torch.Tensor]]:
        """Yield first sample and samples [T'] of the sound of codes [K, L], whole frames, in bounded memory."""
        if self.decoder is not None:
            return self.decoder.pieces(codes, self.bandwidth)
        return decoded_pieces(self.model.decoder, codes.shape[1], partial(self._dequantised_part, codes))

    def _dequantised_part(self, codes: torch.Tensor, start: int, stop: int) -> torch.Tensor:
        """Latents [l, D] of some frames of codes [K, L], where the model is."""
        return self._dequantised(codes[None, :, start:stop])[0].t()
