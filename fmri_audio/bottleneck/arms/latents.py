"""EnCodec's continuous latents through the bottleneck, with the codec frozen or fine-tuned.

EnCodec's quantiser is replaced by the projection. The two arms differ in one thing only: whether the codec's own
weights move.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Self, TypeVar

import torch
from torch import nn

from fmri_audio.bottleneck.arms.base import Arm, Material, TrainingWindow, registered
from fmri_audio.bottleneck.arms.losses import SoundLoss
from fmri_audio.bottleneck.layers import BoldSpace, TrProjection
from fmri_audio.codec.streaming import decode_in_pieces, encode_in_pieces

if TYPE_CHECKING:
    from encodec.model import EncodecModel

AnyModule = TypeVar("AnyModule", bound=nn.Module)


class _Latents(Arm):
    """Encoder → bottleneck → decoder; the loss compares sounds.

    Parameters
    ----------
    codec : EncodecModel
        Copied: the original is never touched.
    projection : TrProjection
    space : BoldSpace
    """

    representation = "encodec-latents"
    loss_unit = "mel and waveform distance"

    def __init__(self, codec: EncodecModel, projection: TrProjection, space: BoldSpace) -> None:
        super().__init__(projection, space, codec.sample_rate, int(codec.encoder.hop_length))
        self.encoder = copy_of(codec.encoder).eval().requires_grad_(self.codec_moves)
        self.decoder = copy_of(codec.decoder).eval().requires_grad_(self.codec_moves)
        self.sound_loss = SoundLoss(codec.sample_rate)

    @classmethod
    def build(cls, material: Material) -> Self:
        """Make the arm; its starting weights are the codec's and :meth:`start`'s."""
        codec = material.checkpoint.model
        rate = Fraction(codec.sample_rate, int(codec.encoder.hop_length))
        grid = material.grid(rate, len(material.latents))
        return cls(codec, TrProjection(grid, material.rank), material.space()).to(material.device)

    def codec_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters of encoder and decoder."""
        yield from self.encoder.parameters()
        yield from self.decoder.parameters()

    def analyse(self, waveform: torch.Tensor) -> torch.Tensor:
        """Latents [B, C, L] by the arm's own encoder."""
        return encode_in_pieces(self.encoder, waveform)

    def features_in(self, window: TrainingWindow) -> torch.Tensor:
        """Latents of the window's own sound; gradients only where the codec's weights move.

        In both arms, so that nothing but the moving weights tells them apart.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.codec_moves):
            latents: torch.Tensor = self.encoder(window["waveform"])
        return latents[..., : window["features"].shape[-1]]

    def loss(self, restored: torch.Tensor, window: TrainingWindow) -> torch.Tensor:
        """Distance between the decoded and the original sound."""
        passed, waveform = self.decoder(restored), window["waveform"]
        length = min(passed.shape[-1], waveform.shape[-1])
        loss: torch.Tensor = self.sound_loss(passed[..., :length], waveform[..., :length])
        return loss

    def synthesise(self, restored: torch.Tensor, n_samples: int) -> torch.Tensor:
        """Waveform [T] of latents [C, L] by the arm's own decoder."""
        return decode_in_pieces(self.decoder, restored[None])[0, 0, :n_samples]


@registered
class FrozenLatents(_Latents):
    """Only the projection is trained; encoder, decoder and codebooks stay as they came."""

    name = "frozen"
    label = "frozen"
    place = 30
    codec_moves = False
    untrained = ("sound_loss.", "encoder.", "decoder.")


@registered
class FineTuned(_Latents):
    """The projection and the codec's encoder and decoder are trained together, end to end."""

    name = "finetuned"
    label = "fine-tuned"
    place = 40
    codec_moves = True
    untrained = ("sound_loss.",)


def copy_of(module: AnyModule) -> AnyModule:
    """Return a copy that shares nothing with the original.

    ``copy.deepcopy`` refuses modules with weight norm, whose ``weight`` is computed and not a leaf.
    """
    stream = io.BytesIO()
    torch.save(module, stream)
    stream.seek(0)
    copied: AnyModule = torch.load(stream, weights_only=False)
    return copied
