"""What several tests of sound need."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from fmri_audio.base.settings import project_root
from fmri_audio.sound import audio
from fmri_audio.sound.metrics.base import METRIC_RATE

SPOKEN = (36.0, 46.0)
"""Seconds of the play in which somebody speaks."""


@pytest.fixture(scope="session")
def spoken() -> np.ndarray:
    """Ten seconds of the play's speech at the metrics' rate."""
    path = project_root() / "stimulus" / "part1.ogg"
    rate = soundfile.info(path).samplerate
    start, stop = (round(moment * rate) for moment in SPOKEN)
    sound, _ = soundfile.read(path, start=start, stop=stop)
    return np.asarray(audio.resample(sound, rate, METRIC_RATE), np.float64)
