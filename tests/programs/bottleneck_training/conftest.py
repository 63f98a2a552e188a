"""A corpus that a coder learns from in seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from programs.bottleneck_training.trainer import Trainer


@pytest.fixture(scope="session")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of half a minute: tones that glide, at the pace of syllables."""
    folder = tmp_path_factory.mktemp("corpus")
    t = np.arange(24_000 * 30) / 24_000
    voice = sum(np.sin(2 * np.pi * k * (110 * t + 8 * np.sin(2 * t))) / k for k in range(1, 12))
    sound = voice * np.clip(np.sin(9 * t) + np.sin(5.3 * t), 0.05, 2)
    noisy = sound + 0.02 * np.random.default_rng(0).standard_normal(len(t))
    np.save(folder / "speech.npy", (6000 * noisy).astype(np.int16))
    (folder / "corpus.json").write_text('{"wanted": {}, "contents": {"speech": "glides"}}')
    return folder


@pytest.fixture
def few_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start a code from seconds of sound."""
    monkeypatch.setattr(Trainer, "STARTED_FROM", 40)
    monkeypatch.setattr(Trainer, "UNIT_FROM", 6)
    monkeypatch.setattr(Trainer, "CHECKED", 3)
