"""EnCodec's continuous latents behind a nested code in place of its quantiser, the codec frozen or moving with it."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar, Self

import torch
from torch import Tensor

from fmri_audio.bottleneck.coders.base import Coder, registered
from fmri_audio.bottleneck.coders.losses import SoundLoss
from fmri_audio.codec.streaming import decode_in_pieces, encode_in_pieces
from fmri_audio.codec.trainable import Network

if TYPE_CHECKING:
    from encodec.model import EncodecModel

    from fmri_audio.codec.checkpoints import Checkpoint

_WAVEFORM = 0.3
"""Weight of the waveform's own error: a codec keeps phase."""


class LatentCode(Coder):
    """Encoder → nested code → decoder.

    The codec is held in a form that trains fast; whole sounds go through the ``encodec`` package's own, as a stream.

    Parameters
    ----------
    codec : EncodecModel
        Its weights are copied: the original is never touched.
    checkpoint : str
    size : mapping, optional
    """

    representation = "encodec-latents"
    #: Whether the codec's own weights are trained.
    codec_moves: ClassVar[bool] = False

    def __init__(self, codec: EncodecModel, checkpoint: str, size: Mapping[str, int] | None = None) -> None:
        super().__init__(codec.quantizer.dimension, int(codec.encoder.hop_length), checkpoint, size)
        self.codec = Network({"n_filters": codec.encoder.model[0].conv.conv.out_channels})
        self.codec.from_package(codec)
        self.codec.requires_grad_(self.codec_moves)
        self.sound_loss = SoundLoss(self.sample_rate, _WAVEFORM)
        self._package: list[EncodecModel] = []  # in a list: it is no part of the network

    @classmethod
    def build(cls, checkpoint: Checkpoint) -> Self:
        """Make one around a copy of the checkpoint's encoder and decoder."""
        return cls(checkpoint.model, checkpoint.id)

    def train(self, mode: bool = True) -> Self:
        """As every module; weights that may move from here on are taken over by the package's form later."""
        self._package.clear()
        return super().train(mode)

    @property
    def package(self) -> EncodecModel:
        """The codec as the ``encodec`` package has it, with the weights of now."""
        if not self._package:
            self._package.append(self.codec.to_package().to(self.device).eval().requires_grad_(False))
        return self._package[0]

    def twin(self) -> Self:
        """A copy with weights of its own."""
        self._package.clear()
        return super().twin()

    def features(self, waveform: Tensor) -> Tensor:
        """Latents [B, C, L], with gradients where the codec's weights move."""
        if not self.training:
            return encode_in_pieces(self.package.encoder, waveform)
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.codec_moves):
            return self.codec.encode(waveform[:, 0]).mT

    def loss(self, restored: Tensor, features: Tensor, waveform: Tensor) -> Tensor:
        """Distance of the decoder's sound."""
        heard: Tensor = self.sound_loss(self.codec.decode(restored.mT)[:, None], waveform)
        return heard

    def feature_loss(self, restored: Tensor, features: Tensor) -> Tensor:
        """Mean square distance of latents, which are what they are while only this is asked for."""
        return super().feature_loss(restored, features.detach())

    @torch.no_grad()
    def synthesise(self, restored: Tensor) -> Tensor:
        """Waveform [B, 1, L · hop length] by the decoder."""
        return decode_in_pieces(self.package.decoder, restored)


@registered
class FrozenCoder(LatentCode):
    """The code alone is trained; encoder and decoder stay as they came."""

    name = "frozen"
    label = "EnCodec latents, codec frozen"
    place = 30
    untrained = ("codec.", "sound_loss.")


@registered
class FineTunedCoder(LatentCode):
    """Code, encoder and decoder are trained together, end to end."""

    name = "finetuned"
    label = "EnCodec latents, codec fine-tuned"
    place = 40
    codec_moves = True
    untrained = ("sound_loss.",)


@registered
class LinearFineTunedCoder(LatentCode):
    """As the research note has its option B: a linear projection of every frame, encoder and decoder moving."""

    name = "finetuned-linear"
    label = "EnCodec fine-tuned around a linear projection of every frame"
    place = 41
    step: ClassVar[Fraction] = Fraction(1, 75)
    codec_moves = True
    untrained = ("sound_loss.",)

    @classmethod
    def build(cls, checkpoint: Checkpoint) -> Self:
        """Make one whose code is linear, a step for every frame."""
        linear = {"dimensions": 18, "inner": 18, "before": 0, "after": 0}
        return cls(checkpoint.model, checkpoint.id, linear)
