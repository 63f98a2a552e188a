"""What a window of speech scores after it went through something, at the known lag and at its own loudness."""

from __future__ import annotations

from fmri_audio.base.kinds import Waveform
from fmri_audio.sound.audio import SAMPLE_RATE, match_loudness, resample
from fmri_audio.sound.metrics.base import METRIC_RATE
from fmri_audio.sound.metrics.estoi import estoi
from fmri_audio.sound.metrics.pesq import pesq
from fmri_audio.sound.metrics.stoi import stoi


def window_scores(original: Waveform, passed: Waveform) -> tuple[float, float, float]:
    """ESTOI, STOI and PESQ-WB of a window, at the known lag and at the original's loudness; NaN where undefined.

    Parameters
    ----------
    original, passed : arrays, shape [samples]
        At 24 kHz.
    """
    levelled = match_loudness(passed, original, SAMPLE_RATE)
    ref, deg = (resample(x, SAMPLE_RATE, METRIC_RATE) for x in (original, levelled))
    return estoi(ref, deg), stoi(ref, deg), pesq(ref, deg, "wb")
