"""Tones of the corpus: where they lie."""

from __future__ import annotations

import numpy as np

from programs.codec_training.synthesis import tones


def test_some_steady_tones_are_whole_kilohertz_and_most_are_not() -> None:
    t = np.arange(24_000) / 24_000
    strongest, steady = [], 0
    for seed in range(300):
        spectrum = np.abs(np.fft.rfft(tones(np.random.default_rng(seed), t) * np.hanning(len(t))))
        peak = int(spectrum.argmax())
        if spectrum[peak - 2 : peak + 3].sum() > 0.9 * spectrum[max(0, peak - 50) : peak + 51].sum():
            steady += 1
            if min(peak % 1000, -peak % 1000) <= 1:
                strongest.append(peak)
    assert steady > 50 and 0.15 < len(strongest) / steady < 0.55
    assert len({round(peak / 1000) for peak in strongest}) >= 8 and max(strongest) <= 11_001
