"""A recogniser that hears what it is told, and the real one where its weights are there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from fmri_audio.sound.recognition import Recogniser, find_recogniser, words


@dataclass(frozen=True)
class Fake(Recogniser):
    """Hears prepared texts, and keeps the sounds it was given."""

    texts: Sequence[str] = ()
    sounds: list[np.ndarray] = field(default_factory=list)

    def transcribe(self, sounds: Sequence[np.ndarray]) -> list[str]:
        self.sounds.extend(sounds)
        return list(self.texts)


Hearing = Callable[..., Fake]


@pytest.fixture
def hearing(monkeypatch: pytest.MonkeyPatch) -> Hearing:
    """Have the recogniser hear these texts."""

    def hear(*texts: str) -> Fake:
        fake = Fake("fake", "MIT", "a test", "0" * 64, Path(), texts)
        monkeypatch.setattr(words, "find_recogniser", lambda: fake)
        return fake

    return hear


@pytest.fixture
def real() -> Recogniser:
    """The recogniser, if its weights are there; tests that need it are skipped without."""
    found = find_recogniser()
    if found is None:
        pytest.skip(
            "needs the weights of the recogniser: make installs them where a package registry has them"
        )
    return found
