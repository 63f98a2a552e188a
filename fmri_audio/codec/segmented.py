"""EnCodec's 48 kHz stereo model: segments of a second, overlapping by a hundredth, each with a scale of its own.

Not causal and normalised by segment, it is no :class:`~fmri_audio.representations.base.Representation`: its codes
are a sequence per segment, and sound comes back by overlap-add. Everything here is the ``encodec`` package's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from fmri_audio.base.timeline import frames_of_samples

if TYPE_CHECKING:
    from fmri_audio.codec.checkpoints import Checkpoint


@dataclass(frozen=True)
class SegmentedCodes:
    """A sound as codes, segment by segment.

    Attributes
    ----------
    codes : array of shape [K, L], int64
        The frames of all segments, one segment after the other; where segments overlap, both have frames.
    segment_frames : array of shape [S], int64
        Frames of each segment; they add up to L.
    scales : array of shape [S], float32
        Level (RMS of both channels' mean) that each segment was divided by.
    """

    codes: NDArray[np.int64]
    segment_frames: NDArray[np.int64]
    scales: NDArray[np.float32]


class SegmentedCodec:
    """The way between sound and codes at one bandwidth.

    Parameters
    ----------
    checkpoint : whose model works in segments and normalises them
    bandwidth : kbps, one of the model's

    Raises
    ------
    ValueError
        The model does not work in segments.
    """

    def __init__(self, checkpoint: Checkpoint, bandwidth: float) -> None:
        length, stride = checkpoint.model.segment_length, checkpoint.model.segment_stride
        if length is None or stride is None or not checkpoint.model.normalize:
            raise ValueError(f"{checkpoint.id} does not work in segments with a scale each")
        self.segment_length, self.segment_stride = length, stride
        self.checkpoint = checkpoint
        self.model = checkpoint.model
        self.bandwidth = bandwidth
        self.sample_rate = int(self.model.sample_rate)
        self.n_codebooks = int(
            self.model.quantizer.get_num_quantizers_for_bandwidth(self.model.frame_rate, bandwidth)
        )

    def segment_frames(self, n_samples: int) -> Sequence[int]:
        """Return the number of frames of each segment of a sound."""
        hop = int(self.model.encoder.hop_length)
        starts = range(0, n_samples, self.segment_stride)
        return [frames_of_samples(min(self.segment_length, n_samples - start), hop) for start in starts]

    @torch.no_grad()
    def encode(self, waveform: torch.Tensor) -> SegmentedCodes:
        """Return the codes of a waveform [2, T]."""
        self.model.set_target_bandwidth(self.bandwidth)
        segments = self.model.encode(waveform[None])
        scales = [scale[0] for _, scale in segments if scale is not None]
        return SegmentedCodes(
            torch.cat([codes[0] for codes, _ in segments], dim=1).numpy(),
            np.array([codes.shape[-1] for codes, _ in segments], np.int64),
            torch.cat(scales).numpy(),
        )

    @torch.no_grad()
    def decode(self, stored: SegmentedCodes, n_samples: int) -> torch.Tensor:
        """Return the waveform [2, n_samples] of codes.

        A last segment so short that the one before outreaches it is left out: the package's overlap-add fails
        on it, and it adds nothing but a cross-fade.
        """
        codes = torch.from_numpy(stored.codes)[None].split(stored.segment_frames.tolist(), dim=-1)
        scales = torch.from_numpy(stored.scales)[:, None, None]
        segments = list(zip(codes, scales, strict=True))
        hop = int(self.model.encoder.hop_length)
        if len(segments) > 1:
            overlap = codes[-2].shape[-1] * hop - self.segment_stride
            segments = segments[: -1 if codes[-1].shape[-1] * hop < overlap else None]
        sound: torch.Tensor = self.model.decode(segments)
        return sound[0, :, :n_samples]
