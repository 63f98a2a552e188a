"""What a codec costs, counted from its arrays and its weights rather than quoted."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from encodec.model import EncodecModel
from numpy.typing import NDArray
from torch import nn

from fmri_audio.base import timeline
from fmri_audio.base.results import Record, fill


@dataclass(frozen=True)
class CodeCount:
    """What one TR takes as codes.

    Attributes
    ----------
    codebooks : codes per frame
    frames_touched : whole frames that a TR overlaps, in full or in part
    frames : frames that a TR lasts, exactly
    values : codes per TR, on average
    bits : bits per TR at the bits that a code needs
    """

    codebooks: int
    frames_touched: int
    frames: Fraction
    values: float
    bits: float

    @property
    def packed_bytes(self) -> float:
        """Bytes per TR with the codes packed bit by bit."""
        return self.bits / 8

    def stored_bytes(self, dtype: str) -> float:
        """Bytes per TR with every code in a NumPy type of its own."""
        return self.values * np.dtype(dtype).itemsize


def count_codes(codes: NDArray[np.integer], model: EncodecModel, tr: Fraction) -> CodeCount:
    """Count what one TR takes in codes [K, L] of a whole recording.

    Parameters
    ----------
    codes : array of shape [K, L]
    model : whose frame rate and bits per code hold
    tr : seconds
    """
    frame_rate = Fraction(model.sample_rate, int(model.encoder.hop_length))
    frames = tr * frame_rate
    values = float(codes.shape[0] * frames)
    touched = timeline.frames_per_tr(tr, frame_rate)
    return CodeCount(codes.shape[0], touched, frames, values, values * model.bits_per_codebook)


def count_codebooks(model: EncodecModel, bandwidth: float) -> int:
    """Count the codebooks that a bandwidth (kbps) takes."""
    return int(model.quantizer.get_num_quantizers_for_bandwidth(model.frame_rate, bandwidth))


@dataclass(frozen=True)
class WeightCount:
    """Numbers that a codec consists of; codebooks are buffers, not parameters, and count by themselves."""

    encoder: int
    decoder: int
    codebooks: int

    @property
    def parameters(self) -> int:
        """Trainable numbers in encoder and decoder."""
        return self.encoder + self.decoder

    @property
    def megabytes(self) -> float:
        """Size of all of it as 32-bit floats, in units of 10^6 bytes."""
        return 4 * (self.parameters + self.codebooks) / 1e6


def count_weights(model: EncodecModel) -> WeightCount:
    """Count a codec's parameters and codebook entries."""
    codebooks = sum(layer.codebook.numel() for layer in model.quantizer.vq.layers)
    return WeightCount(_parameters(model.encoder), _parameters(model.decoder), codebooks)


def to_records(codes: CodeCount, weights: WeightCount, **columns: Any) -> list[Record]:
    """Return the counts as results."""
    counted = [
        ("values_per_tr", codes.values, "codes"),
        ("bits_per_tr", codes.bits, "bits"),
        ("bytes_per_tr", codes.packed_bytes, "bytes"),
        ("encoder_parameters", float(weights.encoder), "parameters"),
        ("decoder_parameters", float(weights.decoder), "parameters"),
    ]
    records = [Record(metric=name, value=value, unit=unit) for name, value, unit in counted]
    return [fill(record, representation="encodec-codes", control="none", **columns) for record in records]


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
