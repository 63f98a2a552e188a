"""Ways to write sound as numbers, behind one interface: waveform ``[B, 1, T]`` ↔ features ``[B, C, L]``."""

from fmri_audio.representations.base import Representation
from fmri_audio.representations.encodec import EncodecCodes, EncodecLatents
from fmri_audio.representations.mel import MelGriffinLim, QuantisedMel
from fmri_audio.representations.segmented import SegmentedCodec, SegmentedCodes
from fmri_audio.representations.stft import ComplexStft

__all__ = [
    "ComplexStft",
    "EncodecCodes",
    "EncodecLatents",
    "MelGriffinLim",
    "QuantisedMel",
    "Representation",
    "SegmentedCodec",
    "SegmentedCodes",
]
