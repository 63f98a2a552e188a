"""The interface that every representation of sound keeps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar, TypeVar

import torch

from fmri_audio.base.registry import Registry

if TYPE_CHECKING:
    from fmri_audio.codec.checkpoints import Checkpoint

FLOAT_BITS = 32
"""Bits that a real-valued feature takes."""


class Representation(ABC):
    """One way to write a mono sound as numbers, and back.

    Waveforms are float tensors of shape [B, 1, T], features tensors of shape [B, C, L], with C =
    ``channels`` values at each of L frames and ``feature_rate`` frames per second.

    Attributes
    ----------
    name : in the tables, such as "encodec-codes" or "mel"
    label : as a reader knows it
    place : where it comes in tables
    sample_rate : of the sound, Hz
    feature_rate : frames per second, exact
    channels : values per frame
    """

    name: ClassVar[str]
    label: ClassVar[str]
    place: ClassVar[int]
    sample_rate: int
    feature_rate: Fraction
    channels: int

    @classmethod
    @abstractmethod
    def usual(cls, checkpoint: Checkpoint) -> Representation:
        """Make one with its usual settings; those that need a codec take it from the checkpoint."""

    @abstractmethod
    def analyse(self, waveform: torch.Tensor) -> torch.Tensor:
        """Return the features [B, C, L] of a waveform [B, 1, T]."""

    @abstractmethod
    def synthesise(self, features: torch.Tensor, n_samples: int) -> torch.Tensor:
        """Return the waveform [B, 1, n_samples] of features [B, C, L]."""

    @property
    def bits_per_value(self) -> float:
        """Bits that one feature takes."""
        return FLOAT_BITS

    @property
    def values_per_second(self) -> float:
        """Features per second of sound."""
        return float(self.feature_rate * self.channels)

    @property
    def bits_per_second(self) -> float:
        """Bits per second of sound."""
        return self.values_per_second * self.bits_per_value

    def roundtrip(self, waveform: torch.Tensor) -> torch.Tensor:
        """Return the waveform [B, 1, T] after analysis and synthesis."""
        return self.synthesise(self.analyse(waveform), waveform.shape[-1])


def check_waveform(waveform: torch.Tensor) -> None:
    """Raise a ValueError unless the tensor is of shape [B, 1, T] with T > 0."""
    if waveform.dim() != 3 or waveform.shape[1] != 1 or waveform.shape[2] == 0:
        raise ValueError(f"expected a waveform of shape [B, 1, T], got {list(waveform.shape)}")


REPRESENTATIONS: Registry[type[Representation]] = Registry("fmri_audio.representations")
"""All representations by their name in the tables."""

R = TypeVar("R", bound=type[Representation])


def registered(representation: R) -> R:
    """Enter a representation among :data:`REPRESENTATIONS`: a decorator for the class, in a file of this folder."""
    REPRESENTATIONS.register(representation, representation.__module__)
    return representation
