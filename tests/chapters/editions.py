"""A toy edition for the functions of chapters: settings, sound and windows, without anything on disk."""

from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np

from fmri_audio.base.settings import MelSettings, ProblemSettings, WindowSettings
from fmri_audio.sound.segments import Window

RATE = 24_000


def toy_edition(sound: np.ndarray, kind: str = "speech", **fields: Any) -> SimpleNamespace:
    """Return an edition of a sound [T] that is all of one kind, with two windows, the second half a second later."""
    lists = ProblemSettings(n_fft=[1024], hop_length=[360], n_mels=[32], n_iter=[1])
    settings = SimpleNamespace(
        edition="toy",
        tr=Fraction(3, 2),
        seed=0,
        mel=MelSettings(n_iter=2),
        problem=lists,
        windows=WindowSettings(),
    )
    seconds = len(sound) / RATE
    stimulus = SimpleNamespace(
        name="a toy", waveform=sound, sample_rate=RATE, seconds=seconds, n_trs=int(seconds // 1.5)
    )
    windows = [Window(f"{kind}-{onset:.1f}s", onset, seconds - 0.5 + onset, kind) for onset in (0.0, 0.5)]

    def of_kind(
        wanted: str, within: tuple[float, float] | None = None, count: int | None = None
    ) -> list[Window]:
        return windows[:count] if wanted == kind else []

    return SimpleNamespace(
        settings=settings, stimulus=stimulus, windows=of_kind, bandwidth=6.0, bandwidths=[1.5, 6.0], **fields
    )
