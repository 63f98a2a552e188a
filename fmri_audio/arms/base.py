"""What every arm is: a way to write sound as features, the bottleneck, and the way back to sound."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fmri_audio.bottleneck import Grid, TrProjection
from fmri_audio.timeline import frames_of_tr, run_samples, trs_to_samples

if TYPE_CHECKING:
    from fmri_audio.checkpoints import Checkpoint
    from fmri_audio.settings import MelSettings

Waveform = NDArray[np.float32]
Block = tuple[int, int]


@dataclass(frozen=True)
class Sound:
    """The whole stimulus.

    Attributes
    ----------
    waveform : array, shape [T]
    sample_rate : int
    tr : Fraction
        Seconds.
    runs : sequence of (first TR, number of TRs)
        Every representation starts afresh with a run.
    """

    waveform: Waveform
    sample_rate: int
    tr: Fraction
    runs: Sequence[tuple[int, int]]

    @property
    def n_trs(self) -> int:
        """TRs of all runs."""
        return sum(count for _, count in self.runs)


@dataclass(frozen=True)
class Material:
    """What all arms are made from.

    Attributes
    ----------
    checkpoint : Checkpoint
        The codec that three of the arms start from; never changed.
    sound : Sound
    latents : array, shape [C, L]
        The codec's encoding of the whole stimulus, before quantisation.
    codes : array of int, shape [K, L]
        The same, quantised with as many codebooks as the *codes* arm carries.
    mel : MelSettings
        Of the mel spectrogram; its window and hop serve the complex STFT too.
    n_units : int
        V, the voxels of the mask.
    rank : int
        r, the same for every arm.
    """

    checkpoint: Checkpoint
    sound: Sound
    latents: NDArray[np.float32]
    codes: NDArray[np.int64]
    mel: MelSettings
    n_units: int
    rank: int

    @property
    def device(self) -> torch.device:
        """Where the codec's weights are: arms are made there."""
        return next(self.checkpoint.model.parameters()).device

    def grid(self, frame_rate: Fraction, channels: int) -> Grid:
        """The TR grid of features."""
        return Grid(self.sound.tr, frame_rate, channels)


@dataclass(frozen=True)
class Parameters:
    """Trained and untrained weights of an arm, in real numbers (a complex weight is two).

    Attributes
    ----------
    bottleneck : int
        Of the projection to the units and back.
    own : int
        Of what only this arm has between its features and the projection.
    codec_trained, codec_frozen : int
    """

    bottleneck: int
    own: int
    codec_trained: int
    codec_frozen: int


Window = dict[str, torch.Tensor]
"""Training windows: ``waveform`` [B, 1, T] and the ``features`` [B, C, L] of the same TRs, cut from the whole run."""


class Arm(nn.Module, ABC):
    """Sound → features → (embedded) → bottleneck → features → sound.

    Parameters
    ----------
    projection : TrProjection
        From features, as :meth:`embed` gives them, to units and back.
    sample_rate : int
    hop_length : int
        Samples per frame.
    """

    #: Name in the tables.
    name: ClassVar[str]
    #: Name of the features in the tables.
    representation: ClassVar[str]
    #: Unit of the loss.
    loss_unit: ClassVar[str]
    #: Whether a codec's own weights are trained.
    codec_moves: ClassVar[bool] = False
    #: Parts whose weights never change: not stored with the trained ones.
    untrained: ClassVar[tuple[str, ...]] = ()

    def __init__(self, projection: TrProjection, sample_rate: int, hop_length: int) -> None:
        super().__init__()
        self.projection = projection
        self.sample_rate, self.hop_length = sample_rate, hop_length

    @classmethod
    @abstractmethod
    def build(cls, material: Material) -> Arm:
        """Make the arm with weights that still have to be set by :meth:`start` or read from a file."""

    @abstractmethod
    def analyse(self, waveform: torch.Tensor) -> torch.Tensor:
        """Features [B, C, L] of a waveform [B, 1, T], without gradients."""

    @abstractmethod
    def loss(self, restored: torch.Tensor, window: Window) -> torch.Tensor:
        """How far what came through the bottleneck, [B, D, L], is from the window."""

    @abstractmethod
    def synthesise(self, restored: torch.Tensor, n_samples: int) -> torch.Tensor:
        """Waveform [T] of what came through the bottleneck, [D, L]."""

    def embed(self, features: torch.Tensor) -> torch.Tensor:
        """Features [B, C, L] as the projection takes them, [B, D, L]; as they are, unless an arm says otherwise."""
        return features

    def features_in(self, window: Window) -> torch.Tensor:
        """Features that a training window sends into the bottleneck."""
        return window["features"]

    def codec_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters of encoder and decoder, where the arm has any."""
        yield from ()

    # What follows is the same for every arm -----------------------------------------------------------------------

    @property
    def grid(self) -> Grid:
        """The TR grid of the features."""
        return self.projection.grid

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        device: torch.device = self.projection.spread.device
        return device

    @torch.no_grad()
    def start(self, features: torch.Tensor, blocks: list[Block], seed: int) -> float:
        """Set the weights from training features [C, L]; returns the share of their variance that passes."""
        self.prepare(features, blocks)
        passed = self.projection.start_from(self.embed(features[None])[0].cpu(), blocks, seed)
        self.settle(features, blocks)
        return passed

    def prepare(self, features: torch.Tensor, blocks: list[Block]) -> None:
        """Set what :meth:`embed` needs from training features, before the projection starts."""

    def settle(self, features: torch.Tensor, blocks: list[Block]) -> None:
        """Set what depends on the projection's start."""

    def through(self, features: torch.Tensor, n_trs: int, first_tr: int = 0) -> torch.Tensor:
        """Features [B, C, L] through the bottleneck, [B, D, L]."""
        units = self.projection.to_units(self.embed(features), n_trs, first_tr)
        return self.projection.from_units(units, first_tr)

    def window_loss(self, window: Window, n_trs: int) -> torch.Tensor:
        """Loss of training windows that begin where a TR's edge is a frame's edge."""
        return self.loss(self.through(self.features_in(window), n_trs), window)

    def stimulus_features(self, sound: Sound) -> torch.Tensor:
        """Features [C, L] of the whole stimulus, every run from rest, on the CPU."""
        waveform = torch.from_numpy(sound.waveform)[None, None]
        spans = run_samples(sound.runs, sound.sample_rate, sound.tr, self.hop_length)
        with torch.no_grad():
            return torch.cat(
                [
                    self.analyse(waveform[..., a:b])[0].cpu()[..., : self.grid.n_frames(count, first)]
                    for (a, b), (first, count) in zip(spans, sound.runs, strict=True)
                ],
                dim=-1,
            )

    def units(self, features: torch.Tensor, n_trs: int) -> NDArray[np.float32]:
        """Units [TRs, V] of features [C, L] that begin with TR 0."""
        with torch.inference_mode():
            units = self.projection.to_units(self.embed(features[None].to(self.device)), n_trs)
        return np.asarray(units[0].cpu().numpy())

    def sound_of_units(self, units: NDArray[np.float32], first_tr: int) -> Waveform:
        """The waveform of consecutive TRs' units [TRs, V], exactly as long as the TRs."""
        with torch.inference_mode():
            given = torch.from_numpy(np.ascontiguousarray(units, np.float32))[None].to(self.device)
            return self.sound_of(self.projection.from_units(given, first_tr)[0], (first_tr, first_tr + len(units)))

    def sound_of(self, restored: torch.Tensor, block: Block) -> Waveform:
        """The waveform of what came through the bottleneck [D, L] for a block of TRs, cut to begin and end with it."""
        into, length = samples_of_block(block, self.grid, self.sample_rate, self.hop_length)
        with torch.inference_mode():
            wave = self.synthesise(restored, into + length)
        return np.ascontiguousarray(wave.cpu().numpy()[into:], np.float32)

    def trained_state(self) -> dict[str, torch.Tensor]:
        """Weights that training may have changed, and what was set at the start."""
        return {
            name: value.contiguous()
            for name, value in self.state_dict().items()
            if not name.startswith(self.untrained)
        }

    def load_trained_state(self, state: dict[str, torch.Tensor]) -> None:
        """Take such weights over."""
        wrong = self.load_state_dict(state, strict=False)
        missing = [name for name in wrong.missing_keys if not name.startswith(self.untrained)]
        if missing or wrong.unexpected_keys:
            raise ValueError(f"stored weights do not fit: missing {missing}, unknown {wrong.unexpected_keys}")

    def parameter_counts(self) -> Parameters:
        """How many weights there are, and where."""
        codec = sum(_reals(p) for p in self.codec_parameters())
        bottleneck = sum(_reals(p) for p in self.projection.parameters())
        own = sum(_reals(p) for p in self.parameters()) - codec - bottleneck
        return Parameters(
            bottleneck, own, codec if self.codec_moves else 0, 0 if self.codec_moves else codec
        )


def samples_of_block(block: Block, grid: Grid, sample_rate: int, hop_length: int) -> tuple[int, int]:
    """Samples from the first frame a block of TRs touches to the block's start, and the block's length in samples."""
    begin, end = (trs_to_samples(k, sample_rate, grid.tr) for k in block)
    return begin - frames_of_tr(block[0], grid.tr, grid.frame_rate).first * hop_length, end - begin


def features_of_block(features: NDArray[np.float32], block: Block, grid: Grid) -> NDArray[np.float32]:
    """The frames [C, l] that a block of TRs touches, of features [C, L] that begin with TR 0."""
    first = frames_of_tr(block[0], grid.tr, grid.frame_rate).first
    return np.ascontiguousarray(features[:, first : first + grid.n_frames(block[1] - block[0], block[0])])


def frames_of_blocks(features: torch.Tensor, blocks: list[Block], grid: Grid) -> torch.Tensor:
    """The frames [C, l] of several blocks of TRs side by side."""
    parts = []
    for first, last in blocks:
        begin = frames_of_tr(first, grid.tr, grid.frame_rate).first
        parts.append(features[:, begin : begin + grid.n_frames(last - first, first)])
    return torch.cat(parts, dim=-1)


def _reals(parameter: nn.Parameter) -> int:
    return parameter.numel() * (2 if parameter.is_complex() else 1)
