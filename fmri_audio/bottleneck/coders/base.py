"""What every coder is: sound → features → nested code → features → sound, learned on hours of sound and no brain."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fmri_audio.base.kinds import Waveform
from fmri_audio.base.registry import Registry
from fmri_audio.bottleneck.clock import STEP
from fmri_audio.bottleneck.nested import NestedCode, Size, prefix, received
from fmri_audio.sound.audio import SAMPLE_RATE

if TYPE_CHECKING:
    from fmri_audio.codec.checkpoints import Checkpoint

CODERS: Registry[type[Coder]] = Registry("fmri_audio.bottleneck.coders")
"""All coders by their name in the tables, in the order of the tables."""

CODER_LABELS: Mapping[str, str] = CODERS.said("label")
"""The coders as a reader knows them."""


class Coder(nn.Module, ABC):
    """A representation behind a nested code on the sound's clock.

    Attributes
    ----------
    code : NestedCode
    checkpoint : str
        Id of the codec that it was made with; empty where it needs none.

    Parameters
    ----------
    channels : int
        E, of what the code is made of (:meth:`embed`).
    hop_length : int
        Samples from one frame of it to the next.
    checkpoint : str
    size : mapping, optional
        What differs from the usual size of a network (:class:`fmri_audio.bottleneck.nested.Size`).
    """

    #: Name in settings and tables, and as a reader knows it.
    name: ClassVar[str]
    label: ClassVar[str]
    #: Where it comes in tables.
    place: ClassVar[int]
    #: Name of the features in the tables.
    representation: ClassVar[str]
    #: Whether phase is made up on the way back, so that a waveform's error says nothing.
    makes_phase: ClassVar[bool] = False
    #: Seconds from one step of the code to the next.
    step: ClassVar[Fraction] = STEP
    #: Samples after a frame on which its features depend.
    features_ahead: int = 0
    #: Parts whose weights come from elsewhere and never change: not stored with the trained ones.
    untrained: ClassVar[tuple[str, ...]] = ()

    sample_rate: int = SAMPLE_RATE

    def __init__(
        self, channels: int, hop_length: int, checkpoint: str = "", size: Mapping[str, int] | None = None
    ) -> None:
        super().__init__()
        frames = self.step * self.sample_rate / hop_length
        if frames.denominator != 1:
            raise ValueError(
                f"a step of {float(self.step):g} s is {float(frames):g} frames: it should be whole"
            )
        self.hop_length, self.checkpoint = hop_length, checkpoint
        self.code = NestedCode(Size(channels, int(frames), **(size or {})))

    @classmethod
    @abstractmethod
    def build(cls, checkpoint: Checkpoint) -> Coder:
        """Make one with weights that are still to be set; those that need a codec take it from the checkpoint."""

    @abstractmethod
    def features(self, waveform: Tensor) -> Tensor:
        """Features [B, C, L] of a waveform [B, 1, T] of whole steps, L = T / hop length."""

    @abstractmethod
    def synthesise(self, restored: Tensor) -> Tensor:
        """Waveform [B, 1, L · hop length] of what came through the code, [B, E, L]."""

    @abstractmethod
    def loss(self, restored: Tensor, features: Tensor, waveform: Tensor) -> Tensor:
        """How far what came through the code is from sounds, one number each, [B].

        Parameters
        ----------
        restored : Tensor [B, E, L]
        features : Tensor [B, C, L]
        waveform : Tensor [B, 1, T]
        """

    def embed(self, features: Tensor) -> Tensor:
        """What the code is made of, [B, E, L], of features [B, C, L]: the features, unless a coder says otherwise."""
        return features

    def feature_loss(self, restored: Tensor, features: Tensor) -> Tensor:
        """A cheaper loss [B], without sound, by which training begins: mean square distance of what is embedded."""
        return (restored - self.embed(features)).square().mean((1, 2))

    def prepare(self, waveform: Tensor) -> None:
        """Set what features and their embedding depend on from training sound [B, 1, T], before the code starts."""

    def settle(self, restored: Tensor, features: Tensor) -> None:
        """Set what depends on the code's start, from training sound through a quarter of the code."""

    # What follows is the same for every coder ---------------------------------------------------------------------

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.code.outward.weight.device

    @property
    def step_samples(self) -> int:
        """Samples of a step."""
        return int(self.step * self.sample_rate)

    @property
    def look_ahead(self) -> Fraction:
        """Seconds of sound after a moment that have to be there before it can be made again."""
        own = Fraction(self.features_ahead, self.sample_rate)
        return (self.code.look_ahead + 1) * self.step + own

    @torch.no_grad()
    def start(self, waveform: Tensor) -> None:
        """Set all weights from training sound [B, 1, T]: principal components, without training."""
        self.prepare(waveform)
        features = self.features(waveform)
        embedded = self.embed(features)
        self.code.start(embedded)
        code = self.code.encode(embedded)
        part = prefix(max(1, self.code.dimensions // 4), self.code.dimensions, self.device)
        self.settle(self.code.decode(code * part, part), features)

    def through(self, features: Tensor, reliability: Tensor, generator: torch.Generator | None) -> Tensor:
        """What comes through the code as a channel, [B, E, L], of features [B, C, L].

        Parameters
        ----------
        features : Tensor [B, C, L]
        reliability : Tensor, spreads to [B, S, D]
        generator : torch.Generator, optional
            Of the channel's noise.
        """
        code = received(self.code.encode(self.embed(features)), reliability, generator)
        return self.code.decode(code, reliability)[..., : features.shape[-1]]

    @torch.no_grad()
    def encode(self, waveform: Waveform) -> NDArray[np.float32]:
        """Code [S, D] of a whole sound [T], in bounded memory; the last step is filled up with silence."""
        n_steps = -(-len(waveform) // self.step_samples)
        padded = np.pad(waveform.astype(np.float32), (0, n_steps * self.step_samples - len(waveform)))
        features = self.features(torch.from_numpy(padded)[None, None].to(self.device))
        code: NDArray[np.float32] = self.code.encode(self.embed(features))[0].cpu().numpy()
        return code

    @torch.no_grad()
    def decode(self, code: NDArray[np.float32], reliability: NDArray[np.float32], n_samples: int) -> Waveform:
        """Sound [n_samples] of a code as it arrived.

        Parameters
        ----------
        code : array, shape [S, D]
            Posterior means.
        reliability : array, spreads to [S, D]
            1 − posterior variance.
        n_samples : int
        """
        given = torch.from_numpy(np.ascontiguousarray(code, np.float32))[None].to(self.device)
        trust = torch.from_numpy(np.ascontiguousarray(reliability, np.float32)).to(self.device)
        sound: Waveform = self.synthesise(self.code.decode(given, trust))[0, 0, :n_samples].cpu().numpy()
        return sound

    def twin(self) -> Self:
        """A copy with weights of its own; what never changes is shared."""
        return copy.deepcopy(self, {id(part): part for part in self.shared()})

    def shared(self) -> tuple[object, ...]:
        """What a copy has in common with the original."""
        return ()

    def trained_state(self) -> dict[str, Tensor]:
        """Weights that training may have changed."""
        return {
            name: value.contiguous()
            for name, value in self.state_dict().items()
            if not name.startswith(self.untrained) and not name.endswith("num_batches_tracked")
        }


A = TypeVar("A", bound=type[Coder])


def registered(coder: A) -> A:
    """Enter a coder among :data:`CODERS`: a decorator for the class, in a file of this folder."""
    CODERS.register(coder, coder.__module__)
    return coder
