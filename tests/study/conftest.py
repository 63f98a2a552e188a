"""A tiny simulated study for the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fmri_audio.simulation.simulator import simulate_study

N_TRS, SHAPE, SAMPLE_RATE = 48, (16, 14, 14), 24_000


def noise_bursts(n_trs: int, seed: int = 1) -> np.ndarray:
    """Sound whose level and colour change slowly and at random, [T]."""
    rng = np.random.default_rng(seed)
    n = round(n_trs * 1.5 * SAMPLE_RATE)
    white = rng.standard_normal(n)
    knots = np.linspace(0, n, 2 * n_trs)
    dark = np.cumsum(white) - np.cumsum(np.concatenate([np.zeros(400), white[:-400]]))
    levels = [np.interp(np.arange(n), knots, rng.uniform(0, 1, 2 * n_trs)) for _ in range(2)]
    return np.asarray(0.05 * (levels[0] * white + levels[1] * dark / dark.std()), np.float32)


@pytest.fixture(scope="session")
def sound() -> np.ndarray:
    return noise_bursts(N_TRS)


@pytest.fixture(scope="session")
def study_folder(tmp_path_factory: pytest.TempPathFactory, sound: np.ndarray) -> Path:
    out = tmp_path_factory.mktemp("studies") / "tiny"
    return simulate_study(
        out, sound, SAMPLE_RATE, n_subjects=2, n_trs=N_TRS, shape=SHAPE, seed=7, strength=0.3, progress=False
    )
