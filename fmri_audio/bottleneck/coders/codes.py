"""EnCodec's codes behind a nested code, by cross-entropy: the research note's option A as written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fmri_audio.bottleneck.coders.base import Coder, registered
from fmri_audio.codec.streaming import decode_in_pieces
from fmri_audio.representations.encodec import EncodecCodes

if TYPE_CHECKING:
    from fmri_audio.codec.checkpoints import Checkpoint

CODEBOOKS = 8
"""Of the codes that are written: those of 6 kbps."""

_SHARPNESSES = 24


@registered
class CodesCoder(Coder):
    """Codes → sum of their entries → nested code → probabilities of codes, coarse to fine.

    The probability of an entry is that of a Gaussian around what came through the code, less the coarser entries, times
    what training sound makes of it; how sharp the Gaussian is, and the entries' prices, are learned.

    Parameters
    ----------
    codec : EncodecCodes
        With as many codebooks as are to be written.
    """

    name = "codes"
    label = "EnCodec codes, by cross-entropy"
    place = 20
    representation = "encodec-codes"
    untrained = ("entries",)

    entries: Tensor

    def __init__(self, codec: EncodecCodes) -> None:
        books = [layer.codebook for layer in codec.model.quantizer.vq.layers[: codec.channels]]
        super().__init__(books[0].shape[1], codec.hop_length, codec.checkpoint.id)
        self.codec = codec
        self.register_buffer("entries", torch.stack(books).clone())
        self.log_sharpness = nn.Parameter(torch.zeros(codec.channels))
        self.price = nn.Parameter(torch.zeros(codec.channels, books[0].shape[0]))

    @classmethod
    def build(cls, checkpoint: Checkpoint) -> Self:
        """Make one for the codes of 6 kbps, or for all that the checkpoint has."""
        rates = sorted(checkpoint.model.target_bandwidths)
        fits = [rate for rate in rates if _codebooks(checkpoint, rate) <= CODEBOOKS]
        return cls(EncodecCodes(checkpoint, (fits or rates)[-1]))

    def shared(self) -> tuple[object, ...]:
        """The codec."""
        return (self.codec,)

    def features(self, waveform: Tensor) -> Tensor:
        """Codes [B, K, L]."""
        return self.codec.analyse(waveform)

    def embed(self, features: Tensor) -> Tensor:
        """Sum [B, E, L] of the entries that codes [B, K, L] name."""
        named = [entries[codes] for entries, codes in zip(self.entries, features.unbind(1), strict=True)]
        return torch.stack(named).sum(0).mT

    def loss(self, restored: Tensor, features: Tensor, waveform: Tensor) -> Tensor:
        """Bits per code, the mean over codebooks and frames."""
        return torch.stack(
            [
                F.cross_entropy(logits.mT, codes, reduction="none").mean(1)
                for logits, codes in zip(self._logits(restored, features), features.unbind(1), strict=True)
            ]
        ).mean(0) / torch.log(torch.tensor(2.0))

    def feature_loss(self, restored: Tensor, features: Tensor) -> Tensor:
        """The same: it costs no sound."""
        return self.loss(restored, features, features)

    @torch.no_grad()
    def settle(self, restored: Tensor, features: Tensor) -> None:
        """Start from training frequencies, and as sharp as pays."""
        bins = self.entries.shape[1]
        counts = torch.stack([torch.bincount(row.flatten(), minlength=bins) for row in features.unbind(1)])
        # One count more, shared by all: an entry that training never used has a finite price.
        self.price.copy_(((counts + 1 / bins) / (counts.sum(1, keepdim=True) + 1)).log())
        state = restored.mT
        for k, (entries, codes) in enumerate(zip(self.entries, features.unbind(1), strict=True)):
            nearness = state @ entries.T - entries.square().sum(1) / 2
            widest = 1 / (state - entries[codes]).square().mean().clamp_min(1e-8)
            tried = [float(widest) * 2.0 ** (4 - halvings) for halvings in range(_SHARPNESSES)]
            best = min(tried, key=lambda s: float(F.cross_entropy((self.price[k] + s * nearness).mT, codes)))
            self.log_sharpness[k] = torch.tensor(best).log()
            state = state - entries[codes]

    @torch.no_grad()
    def codes_of(self, restored: Tensor) -> Tensor:
        """The most probable codes [B, K, L], coarse to fine, of what came through the code [B, E, L]."""
        codes = torch.zeros(
            len(restored), len(self.entries), restored.shape[-1], dtype=torch.int64, device=restored.device
        )
        # Logits of a codebook are asked for once the coarser codes have been filled in.
        for k, logits in enumerate(self._logits(restored, codes)):
            codes[:, k] = logits.argmax(-1)
        return codes

    @torch.no_grad()
    def synthesise(self, restored: Tensor) -> Tensor:
        """Waveform [B, 1, L · hop length] of the most probable codes, by the codec's decoder."""
        return decode_in_pieces(self.codec.model.decoder, self.embed(self.codes_of(restored)))

    def _logits(self, restored: Tensor, codes: Tensor) -> Iterator[Tensor]:
        """Logits [B, L, entries] of every codebook in turn, given the coarser codes [B, K, L]."""
        state = restored.mT
        for k, entries in enumerate(self.entries):
            nearness = state @ entries.T - entries.square().sum(1) / 2
            yield self.price[k] + self.log_sharpness[k].exp() * nearness
            state = state - entries[codes[:, k]]


def _codebooks(checkpoint: Checkpoint, rate: float) -> int:
    model = checkpoint.model
    return int(model.quantizer.get_num_quantizers_for_bandwidth(model.frame_rate, rate))
