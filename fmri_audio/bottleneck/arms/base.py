"""What every arm is: a way to write sound as features, the bottleneck, and the way back to sound."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fmri_audio.base.kinds import Block, Waveform
from fmri_audio.base.registry import Registry
from fmri_audio.base.timeline import frames_of_tr, run_samples, trs_to_samples
from fmri_audio.bottleneck.layers import BoldSpace, TRGrid, TrProjection
from fmri_audio.brain.response import response_matrix
from fmri_audio.study.splits import Split

if TYPE_CHECKING:
    from fmri_audio.base.settings import MelSettings, Section
    from fmri_audio.codec.checkpoints import Checkpoint

ARMS: Registry[type[Arm]] = Registry("fmri_audio.bottleneck.arms")
"""All arms by their name in the tables, in the order of the tables."""

ARM_LABELS: Mapping[str, str] = ARMS.said("label")
"""The arms as a reader knows them."""


@dataclass(frozen=True)
class StimulusSound:
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
    sound : StimulusSound
    latents : array, shape [C, L]
        The codec's encoding of the whole stimulus, before quantisation.
    codes : array of int, shape [K, L]
        The same, quantised with as many codebooks as the *codes* arm carries.
    mel : MelSettings
        Of the mel spectrogram; its window and hop serve the complex STFT too.
    rank : int
        r, the same for every arm.
    bold : array, shape [volumes, V]
        Measured, the mean of all subjects, standardised on training volumes; NaN outside the split's blocks.
    lags : sequence of int
        That the decoder reads, in TRs of stimulus time.
    shift : int
        TRs by which the study is already shifted.
    parts : mapping
        Settings of single arms (:attr:`Arm.options`), by the arm's name.
    """

    checkpoint: Checkpoint
    sound: StimulusSound
    latents: NDArray[np.float32]
    codes: NDArray[np.int64]
    mel: MelSettings
    rank: int
    bold: NDArray[np.float32]
    lags: Sequence[int]
    shift: int
    parts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def device(self) -> torch.device:
        """Where the codec's weights are: arms are made there."""
        return next(self.checkpoint.model.parameters()).device

    @property
    def n_units(self) -> int:
        """V, the voxels of the mask."""
        return int(self.bold.shape[1])

    def grid(self, frame_rate: Fraction, channels: int) -> TRGrid:
        """The TR grid of features."""
        return TRGrid(self.sound.tr, frame_rate, channels)

    def space(self) -> BoldSpace:
        """The bottleneck between codes."""
        response = response_matrix(self.sound.runs, self.sound.tr, self.shift)
        return BoldSpace(self.n_units, self.rank, response, self.lags, self.shift)


@dataclass(frozen=True)
class Parameters:
    """Trained and untrained weights of an arm, in real numbers (a complex weight is two).

    Attributes
    ----------
    bottleneck : int
        Of the projection to the code, from there to the units, and back.
    own : int
        Of what only this arm has between its features and the projection.
    codec_trained, codec_frozen : int
    """

    bottleneck: int
    own: int
    codec_trained: int
    codec_frozen: int


TrainingWindow = dict[str, torch.Tensor]
"""Training windows: ``waveform`` [B, 1, T] and the ``features`` [B, C, L] of the same TRs, cut from the whole run;
their ``first`` TR [B]; and measured ``bold`` [B, volumes, V] from the first volume that answers them to the last."""


class Arm(nn.Module, ABC):
    """Sound → features → (embedded) → code → BOLD → code → features → sound.

    Volumes mix the TRs of half a minute, and a training window is much shorter. The codes of the TRs around it are
    those of the whole stimulus as the weights gave them at the last :meth:`refresh` (after every epoch), without
    gradients; only the window's own carry them. Standardisation is renewed at the same time, on training volumes.

    Parameters
    ----------
    projection : TrProjection
        From features, as :meth:`embed` gives them, to the code and back.
    space : BoldSpace
        From codes to volumes and back.
    sample_rate : int
    hop_length : int
        Samples per frame.
    """

    #: Name in settings and tables, and as a reader knows it.
    name: ClassVar[str]
    label: ClassVar[str]
    #: Where it comes in tables.
    place: ClassVar[int]
    #: Name of the features in the tables.
    representation: ClassVar[str]
    #: Unit of the loss.
    loss_unit: ClassVar[str]
    #: The rank has to be a multiple of it: 2 where a code has real and imaginary parts.
    rank_multiple: ClassVar[int] = 1
    #: Its own settings, under ``parts`` and its name in an edition's file; None if it has none.
    options: ClassVar[type[Section] | None] = None
    #: Whether a codec's own weights are trained.
    codec_moves: ClassVar[bool] = False
    #: Parts whose weights never change: not stored with the trained ones.
    untrained: ClassVar[tuple[str, ...]] = ()

    around: torch.Tensor

    def __init__(self, projection: TrProjection, space: BoldSpace, sample_rate: int, hop_length: int) -> None:
        super().__init__()
        self.projection, self.space = projection, space
        self.register_buffer("around", torch.zeros(space.response.shape[1], space.rank), persistent=False)
        self.sample_rate, self.hop_length = sample_rate, hop_length

    @classmethod
    @abstractmethod
    def build(cls, material: Material) -> Arm:
        """Make the arm with weights that still have to be set by :meth:`start` or read from a file."""

    @abstractmethod
    def analyse(self, waveform: torch.Tensor) -> torch.Tensor:
        """Features [B, C, L] of a waveform [B, 1, T], without gradients."""

    @abstractmethod
    def loss(self, restored: torch.Tensor, window: TrainingWindow) -> torch.Tensor:
        """How far what came through the bottleneck, [B, D, L], is from the window."""

    @abstractmethod
    def synthesise(self, restored: torch.Tensor, n_samples: int) -> torch.Tensor:
        """Waveform [T] of what came through the bottleneck, [D, L]."""

    def embed(self, features: torch.Tensor) -> torch.Tensor:
        """Features [B, C, L] as the projection takes them, [B, D, L]; as they are, unless an arm says otherwise."""
        return features

    def features_in(self, window: TrainingWindow) -> torch.Tensor:
        """Features that a training window sends into the bottleneck."""
        return window["features"]

    def codec_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters of encoder and decoder, where the arm has any."""
        yield from ()

    # What follows is the same for every arm -----------------------------------------------------------------------

    @property
    def grid(self) -> TRGrid:
        """The TR grid of the features."""
        return self.projection.grid

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        device: torch.device = self.projection.spread.device
        return device

    @torch.no_grad()
    def start(self, features: torch.Tensor, split: Split, seed: int) -> float:
        """Set the weights from training features [C, L]; returns the share of their variance that the code has."""
        blocks = list(split.train_blocks)
        self.prepare(features, blocks)
        passed = self.projection.start_from(self.embed(features[None].to(self.device))[0].cpu(), blocks)
        code = self.code(features)
        trs, volumes = (
            torch.from_numpy(rows).to(self.device) for rows in (split.train, split.bold_train_rows)
        )
        self.space.start_from(code, trs, volumes, seed)
        self.refresh(features, split)
        self.settle(features, blocks)
        return passed

    def prepare(self, features: torch.Tensor, blocks: list[Block]) -> None:
        """Set what :meth:`embed` needs from training features, before the projection starts."""

    def settle(self, features: torch.Tensor, blocks: list[Block]) -> None:
        """Set what depends on the bottleneck's start."""

    @torch.no_grad()
    def code(self, features: torch.Tensor) -> torch.Tensor:
        """Code [TRs, r] of features [C, L] of the whole stimulus."""
        return self.projection.to_code(self.embed(features[None].to(self.device)), len(self.around))[0]

    @torch.no_grad()
    def refresh(self, features: torch.Tensor, split: Split) -> None:
        """Take the codes of the whole stimulus, and standardise on what training volumes they make."""
        self.around.copy_(self.code(features))
        volumes = torch.from_numpy(split.bold_train_rows).to(self.device)
        self.space.standardise_on(self.around, volumes)

    @torch.no_grad()
    def volumes(self) -> torch.Tensor:
        """The model's own BOLD for the whole stimulus (noise-free), [volumes, V]."""
        return self.space.volumes(self.around[None])[0]

    @torch.no_grad()
    def read(self, block: Block, volumes: torch.Tensor | None = None) -> torch.Tensor:
        """Code [n, r] of a block of TRs, read from volumes [volumes, V]: the model's own BOLD unless given."""
        volumes = self.volumes() if volumes is None else volumes.to(self.device)
        return self.space.read(volumes[self.space.rows(torch.arange(*block, device=self.device))])

    @torch.no_grad()
    def through(self, block: Block) -> torch.Tensor:
        """Features [D, L] of a block of TRs after the noise-free bottleneck."""
        return self.projection.from_code(self.read(block)[None], block[0])[0]

    def window_losses(self, window: TrainingWindow, n_trs: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Loss of windows that begin where a TR's edge is a frame's edge, and mean square error to measured BOLD."""
        own = self.projection.to_code(self.embed(self.features_in(window)), n_trs).float()
        trs = window["first"][:, None] + torch.arange(n_trs, device=self.device)
        batch = torch.arange(len(trs), device=self.device)[:, None].expand_as(trs)
        code = self.around.expand(len(trs), -1, -1).index_put((batch, trs), own)
        rows = self.space.rows(trs)
        first = rows.flatten(1).amin(dim=1)
        answering = first[:, None] + torch.arange(window["bold"].shape[1], device=self.device)
        volumes = self.space.volumes(code, answering)
        windows = volumes[batch[..., None].expand_as(rows), rows - first[:, None, None]]
        restored = self.projection.from_code(self.space.read(windows))
        return self.loss(restored, window), (volumes.float() - window["bold"]).square().mean()

    def stimulus_features(self, sound: StimulusSound) -> torch.Tensor:
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

    def sound_of_code(self, code: NDArray[np.float32], first_tr: int) -> Waveform:
        """The waveform of consecutive TRs' code [TRs, r], exactly as long as the TRs."""
        with torch.inference_mode():
            given = torch.from_numpy(np.ascontiguousarray(code, np.float32))[None].to(self.device)
            return self.sound_of(
                self.projection.from_code(given, first_tr)[0], (first_tr, first_tr + len(code))
            )

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
        bottleneck = sum(_reals(p) for part in (self.projection, self.space) for p in part.parameters())
        own = sum(_reals(p) for p in self.parameters()) - codec - bottleneck
        return Parameters(bottleneck, own, codec if self.codec_moves else 0, 0 if self.codec_moves else codec)


def samples_of_block(block: Block, grid: TRGrid, sample_rate: int, hop_length: int) -> tuple[int, int]:
    """Samples from the first frame a block of TRs touches to the block's start, and the block's length in samples."""
    begin, end = (trs_to_samples(k, sample_rate, grid.tr) for k in block)
    return begin - frames_of_tr(block[0], grid.tr, grid.frame_rate).first * hop_length, end - begin


def features_of_block(features: NDArray[np.float32], block: Block, grid: TRGrid) -> NDArray[np.float32]:
    """The frames [C, l] that a block of TRs touches, of features [C, L] that begin with TR 0."""
    first = frames_of_tr(block[0], grid.tr, grid.frame_rate).first
    return np.ascontiguousarray(features[:, first : first + grid.n_frames(block[1] - block[0], block[0])])


def frames_of_blocks(features: torch.Tensor, blocks: list[Block], grid: TRGrid) -> torch.Tensor:
    """The frames [C, l] of several blocks of TRs side by side."""
    parts = []
    for first, last in blocks:
        begin = frames_of_tr(first, grid.tr, grid.frame_rate).first
        parts.append(features[:, begin : begin + grid.n_frames(last - first, first)])
    return torch.cat(parts, dim=-1)


def _reals(parameter: nn.Parameter) -> int:
    return parameter.numel() * (2 if parameter.is_complex() else 1)


A = TypeVar("A", bound=type[Arm])


def registered(arm: A) -> A:
    """Enter an arm among :data:`ARMS`: a decorator for the class, in a file of this folder."""
    ARMS.register(arm, arm.__module__)
    return arm
