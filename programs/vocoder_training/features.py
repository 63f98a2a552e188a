"""What each of the two networks gets, and what it is to make of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from fmri_audio.codec.checkpoints import Checkpoint
from fmri_audio.codec.trainable import Network
from fmri_audio.codec.vocoder import TOPOLOGY
from fmri_audio.representations.mel import MelGriffinLim, QuantisedMel
from programs.codec_training.quantiser import TrainedQuantiser


@dataclass(frozen=True)
class Lesson:
    """Features [B, C, L], the place of each item's bandwidth [B] (where there are any), the sound [B, T] they mean."""

    features: Tensor
    bandwidth: Tensor | None
    sound: Tensor


class Source(Protocol):
    """Makes lessons of waveforms.

    Attributes
    ----------
    config : topology of the network that learns from them
    depths : names of the bandwidths, for the checks; one without a name where there is one only
    """

    config: dict[str, Any]
    depths: tuple[str, ...]

    def samples(self, frames: int) -> int:
        """Length of a segment that gives a lesson of so many frames."""
        ...

    def lesson(self, wave: Tensor, generator: torch.Generator) -> Lesson:
        """Return what waveforms [B, T] teach; bandwidths are drawn from the generator."""
        ...

    def checked(self, wave: Tensor, depth: int) -> Lesson:
        """Return the same with one of :attr:`depths` for all."""
        ...

    def reference(self, wave: Tensor, depth: int) -> Tensor:
        """Return what the network is to do better than: another way back to the sound of :meth:`checked`."""
        ...


class Codes:
    """Codebook entries of a codec, which stays as it is: encoder and quantiser of a checkpoint.

    A segment begins with ``LEAD`` frames that are encoded and left out: the encoder's past is there, as in a stream.

    Parameters
    ----------
    checkpoint : of EnCodec's topology at 24 kHz
    """

    LEAD = 4
    CHANCES = (0.26, 0.24, 0.26, 0.14, 0.10)  # of the bandwidths, the lowest first

    def __init__(self, checkpoint: Checkpoint, device: str) -> None:
        model = checkpoint.model
        books = [layer.codebook for layer in model.quantizer.vq.layers]
        width = model.encoder.model[0].conv.conv.out_channels
        self.network = Network({"n_filters": width}).requires_grad_(False)
        self.network.from_package(model)
        self.network.to(device)
        self.quantiser = TrainedQuantiser(len(books), *books[0].shape).to(device).eval()
        self.quantiser.take(torch.stack(books).to(device))
        self.hop, bandwidths = int(model.encoder.hop_length), list(model.target_bandwidths)
        self.config = {
            **TOPOLOGY,
            "channels": books[0].shape[1],
            "bandwidths": bandwidths,
            "n_fft": 4 * self.hop,
            "hop": self.hop,
        }
        self.depths: tuple[str, ...] = tuple(f"{kbps:g}" for kbps in bandwidths)
        self.stages = torch.tensor(
            [model.quantizer.get_num_quantizers_for_bandwidth(model.frame_rate, kbps) for kbps in bandwidths]
        )
        self.chances = torch.tensor((self.CHANCES + (0.1,) * len(bandwidths))[: len(bandwidths)])

    def samples(self, frames: int) -> int:
        """Length of a segment that gives a lesson of so many frames."""
        return (frames + self.LEAD) * self.hop

    def lesson(self, wave: Tensor, generator: torch.Generator) -> Lesson:
        """Return the entries of waveforms [B, T], a bandwidth drawn for each."""
        return self._lesson(
            wave, torch.multinomial(self.chances, len(wave), replacement=True, generator=generator)
        )

    def checked(self, wave: Tensor, depth: int) -> Lesson:
        """Return the entries of waveforms [B, T] at one bandwidth."""
        return self._lesson(wave, torch.full((len(wave),), depth))

    @torch.no_grad()
    def reference(self, wave: Tensor, depth: int) -> Tensor:
        """Return what the codec's own decoder makes of the same codes."""
        own: Tensor = self.network.decode(self._sent(wave, torch.full((len(wave),), depth)))
        sound: Tensor = own[:, self.LEAD * self.hop :]
        return sound

    @torch.no_grad()
    def _sent(self, wave: Tensor, depths: Tensor) -> Tensor:
        latents = self.network.encode(wave)
        sent: Tensor = self.quantiser(latents, self.stages[depths], torch.Generator()).values
        return sent

    @torch.no_grad()
    def _lesson(self, wave: Tensor, depths: Tensor) -> Lesson:
        kept = self._sent(wave, depths)[:, self.LEAD :].mT
        return Lesson(kept, depths.to(wave.device), wave[:, self.LEAD * self.hop :])


class Mel:
    """The log-mel spectrogram of the book's mel arm (:class:`fmri_audio.representations.mel.MelGriffinLim`).

    Behind a bottleneck, and at few bits, a spectrogram is coarse: the last items of every batch are made so, one way
    per step, and mean the same sound.
    """

    WINDOWS = 4  # that overlap in the inverse transform; the analysis has 2.8, too few to blend smoothly
    COARSE = 0.33  # share of the items
    BUDGETS = (1.5, 3.0, 6.0, 12.0, 24.0)  # kbps
    POOLED = ((2, 2), (4, 1), (1, 4), (4, 4))  # bands and frames that become one

    def __init__(self) -> None:
        self.mel = MelGriffinLim()
        self.hop = self.mel.hop_length
        self.config = {
            **TOPOLOGY,
            "channels": self.mel.n_mels,
            "n_fft": self.WINDOWS * self.hop,
            "hop": self.hop,
            "padding": "center",  # as the frames of the spectrogram are
        }
        self.quantised = [QuantisedMel(kbps) for kbps in self.BUDGETS]
        self.depths: tuple[str, ...] = ("", "6kbps")

    def samples(self, frames: int) -> int:
        """Length of a segment that gives a lesson of so many frames."""
        return (frames - 1) * self.hop

    def lesson(self, wave: Tensor, generator: torch.Generator) -> Lesson:
        """Return the spectrogram of waveforms [B, T], of the last of them a coarse one."""
        features = self.mel.analyse(wave[:, None])
        coarse = slice(len(wave) - round(self.COARSE * len(wave)), None)
        way = int(torch.randint(len(self.quantised) + len(self.POOLED), (1,), generator=generator))
        if way < len(self.quantised):
            features[coarse] = self._at_bits(wave[coarse], self.quantised[way])
        else:
            features[coarse] = pooled(features[coarse], self.POOLED[way - len(self.quantised)])
        return Lesson(features, None, wave)

    def checked(self, wave: Tensor, depth: int) -> Lesson:
        """Return the spectrogram of waveforms [B, T]; at depth 1 as 6 kbps leave it."""
        if depth:
            return Lesson(self._at_bits(wave, self.quantised[self.BUDGETS.index(6.0)]), None, wave)
        return Lesson(self.mel.analyse(wave[:, None]), None, wave)

    def reference(self, wave: Tensor, depth: int) -> Tensor:
        """Return what Griffin-Lim makes of the same spectrogram."""
        way = self.quantised[self.BUDGETS.index(6.0)] if depth else self.mel
        return way.roundtrip(wave[:, None].cpu())[:, 0].to(wave.device)

    def _at_bits(self, wave: Tensor, quantised: QuantisedMel) -> Tensor:
        """Log-mel powers [B, C, L] of waveforms [B, T] that went through levels at a bit budget."""
        levels = quantised.analyse(wave[:, None].cpu())
        magnitude = quantised.magnitude_of_levels(levels, wave.shape[1]).to(wave.device)
        return self.mel.log_mel(magnitude)


def pooled(features: Tensor, size: tuple[int, int]) -> Tensor:
    """Average neighbours of features [B, C, L] and interpolate between the averages."""
    means = F.avg_pool2d(features[:, None], size, ceil_mode=True)
    return F.interpolate(means, features.shape[1:], mode="bilinear")[:, 0]
