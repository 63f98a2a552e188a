"""EnCodec's codes through the bottleneck: embedded, never as raw integers, and predicted coarse to fine."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Self, cast

import torch
import torch.nn.functional as F
from torch import nn

from fmri_audio.base.kinds import Block
from fmri_audio.bottleneck.arms.base import Arm, Material, TrainingWindow, frames_of_blocks, registered
from fmri_audio.bottleneck.arms.latents import copy_of
from fmri_audio.bottleneck.layers import BoldSpace, TrProjection, linear_of
from fmri_audio.codec.streaming import decode_in_pieces, encode_in_pieces

if TYPE_CHECKING:
    from collections.abc import Iterator

    from encodec.model import EncodecModel

#: Every so many training frames, one is used to choose the sharpness that the heads start with.
_SETTLE_EVERY = 4
#: Sharpnesses tried: from that of independent errors per dimension down by halves. Errors of a projection are far
#: from independent, and sharpness falls with every dimension that only repeats another.
_SHARPNESSES = 16


@registered
class CodesArm(Arm):
    r"""Codes → embeddings, summed over codebooks → bottleneck → a distribution per codebook.

    Residual quantisation is coarse to fine, and so is the prediction: codebook *k* sees what the projection restored
    and the embeddings of the coarser codes of the same frame, the true ones in training (teacher forcing), its own
    most probable ones at decoding. The loss is the cross-entropy in bits per code.

    The layers start as the codec's own: embeddings as codebook entries, centred and in units of the first codebook's
    standard deviation (so that one learning rate suits any codec), so that their sum is the quantised latent;
    conditioning as their subtraction, which leaves the residual :math:`h_k`; and the logits of entry *e* as
    :math:`\log p_k(e) - b_k |h_k - e|^2 / 2`, with the entry's training frequency :math:`p_k` and the sharpness
    :math:`b_k`, out of a geometric series, that suits the training codes best. Training moves them from there.

    Parameters
    ----------
    codec : EncodecModel
        Copied; never trained.
    n_codebooks : int
    projection : TrProjection
    space : BoldSpace
    """

    name = "codes"
    label = "codes"
    place = 20
    representation = "encodec-codes"
    loss_unit = "bits per code"
    untrained = ("encoder.", "decoder.")
    unigram: torch.Tensor
    entries: torch.Tensor

    def __init__(
        self, codec: EncodecModel, n_codebooks: int, projection: TrProjection, space: BoldSpace
    ) -> None:
        super().__init__(projection, space, codec.sample_rate, int(codec.encoder.hop_length))
        self.encoder = copy_of(codec.encoder).eval().requires_grad_(False)
        self.decoder = copy_of(codec.decoder).eval().requires_grad_(False)
        entries = (
            torch.stack([layer.codebook for layer in codec.quantizer.vq.layers[:n_codebooks]]).detach().cpu()
        )
        bins, size = entries.shape[1:]
        self.register_buffer("entries", entries.clone(), persistent=False)
        self.embeddings = nn.ModuleList(nn.Embedding(bins, size) for _ in range(n_codebooks))
        self.conditions = nn.ModuleList(nn.Embedding(bins, size) for _ in range(n_codebooks - 1))
        self.heads = nn.ModuleList(nn.Linear(size, bins) for _ in range(n_codebooks))
        self.register_buffer("unigram", torch.zeros(n_codebooks, bins))

    @classmethod
    def build(cls, material: Material) -> Self:
        """Make the arm with as many codebooks as the material's codes have."""
        codec = material.checkpoint.model
        rate = Fraction(codec.sample_rate, int(codec.encoder.hop_length))
        grid = material.grid(rate, int(codec.quantizer.dimension))
        projection = TrProjection(grid, material.rank)
        return cls(codec, len(material.codes), projection, material.space()).to(material.device)

    @property
    def n_codebooks(self) -> int:
        """Codebooks carried."""
        return len(self.heads)

    def codec_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters of encoder and decoder."""
        yield from self.encoder.parameters()
        yield from self.decoder.parameters()

    @torch.no_grad()
    def analyse(self, waveform: torch.Tensor) -> torch.Tensor:
        """Codes [B, K, L]: the nearest entry of every codebook in turn."""
        residual = encode_in_pieces(self.encoder, waveform).transpose(1, 2).to(self.device)
        codes = []
        for entries in self.entries:
            nearest = (residual @ entries.T - entries.square().sum(1) / 2).argmax(-1)
            residual = residual - entries[nearest]
            codes.append(nearest)
        return torch.stack(codes, dim=1)

    def embed(self, features: torch.Tensor) -> torch.Tensor:
        """Sum over codebooks of the embeddings of codes [B, K, L], [B, D, L]."""
        embedded = sum(table(codes) for table, codes in zip(self.embeddings, features.unbind(1), strict=True))
        return torch.as_tensor(embedded).transpose(1, 2)

    def logits(self, restored: torch.Tensor, codes: torch.Tensor) -> Iterator[torch.Tensor]:
        """Logits [B, L, entries] of each codebook, given the coarser codes of ``codes`` [B, K, L]."""
        state = restored.transpose(1, 2)
        for k, head in enumerate(self.heads):
            if k:
                state = state + self.conditions[k - 1](codes[:, k - 1])
            yield head(state)

    def bits(self, restored: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        """Cross-entropy of every codebook in bits per code, [K]."""
        nats = [
            F.cross_entropy(logits.float().flatten(0, 1), codes[:, k].flatten())
            for k, logits in enumerate(self.logits(restored, codes))
        ]
        return torch.stack(nats) / math.log(2)

    def unigram_bits(self, codes: torch.Tensor) -> torch.Tensor:
        """What a predictor that knows the training frequencies alone needs for codes [B, K, L], bits per code, [K]."""
        return torch.stack(
            [-self.unigram[k][codes[:, k].flatten()].mean() / math.log(2) for k in range(self.n_codebooks)]
        )

    def loss(self, restored: torch.Tensor, window: TrainingWindow) -> torch.Tensor:
        """Mean over codebooks of the cross-entropy, in bits per code."""
        return self.bits(restored, window["features"]).mean()

    def codes_of(self, restored: torch.Tensor) -> torch.Tensor:
        """The most probable codes [B, K, L], coarse to fine, of what came through the bottleneck [B, D, L]."""
        codes = torch.zeros(
            len(restored), self.n_codebooks, restored.shape[-1], dtype=torch.int64, device=restored.device
        )
        # Every codebook's logits are asked for once the coarser codes have been filled in.
        for k, logits in enumerate(self.logits(restored, codes)):
            codes[:, k] = logits.argmax(-1)
        return codes

    def synthesise(self, restored: torch.Tensor, n_samples: int) -> torch.Tensor:
        """Waveform [T] of the most probable codes, through the codec's decoder."""
        codes = self.codes_of(restored[None])
        latents = sum(entries[one] for entries, one in zip(self.entries, codes[0], strict=True))
        return decode_in_pieces(self.decoder, torch.as_tensor(latents).T[None])[0, 0, :n_samples]

    def prepare(self, features: torch.Tensor, blocks: list[Block]) -> None:
        """Start embeddings and conditioning as the codec's entries, and count the training codes."""
        for k, entries in enumerate(self._scaled_entries()):
            _weight(self.embeddings[k]).copy_(entries)
            if k < self.n_codebooks - 1:
                _weight(self.conditions[k]).copy_(-entries)
        codes = frames_of_blocks(features, blocks, self.grid)
        bins = self.unigram.shape[1]
        # One count more, shared by all entries: an entry that training never used has a finite price, and the
        # frequencies of the others stay what they are.
        counts = torch.stack([torch.bincount(row, minlength=bins) for row in codes.cpu()]) + 1 / bins
        self.unigram.copy_((counts / counts.sum(dim=1, keepdim=True)).log())

    def settle(self, features: torch.Tensor, blocks: list[Block]) -> None:
        """Start the heads: training frequencies times a likelihood of the restored residual, as sharp as pays."""
        state = torch.cat([self.through(block).T for block in blocks])[::_SETTLE_EVERY]
        codes = frames_of_blocks(features, blocks, self.grid).to(self.device)[:, ::_SETTLE_EVERY]
        for k, entries in enumerate(self._scaled_entries()):
            nearness = state @ entries.T - entries.square().sum(1) / 2
            sharpest = 1 / (state - entries[codes[k]]).square().mean().clamp_min(1e-8)
            series = [sharpest * 2.0**-halvings for halvings in range(_SHARPNESSES)]
            sharpness = min(
                series, key=lambda b: float(F.cross_entropy(self.unigram[k] + b * nearness, codes[k]))
            )
            head = linear_of(self.heads[k])
            head.weight.copy_(sharpness * entries)
            head.bias.copy_(self.unigram[k] - sharpness * entries.square().sum(1) / 2)
            state = state - entries[codes[k]]

    def _scaled_entries(self) -> torch.Tensor:
        """Codebook entries [K, entries, D], each codebook centred, in units of the first one's standard deviation."""
        centred = self.entries - self.entries.mean(dim=1, keepdim=True)
        return centred / centred[0].square().mean().sqrt().clamp_min(1e-8)


def _weight(table: nn.Module) -> torch.Tensor:
    return cast(nn.Embedding, table).weight
