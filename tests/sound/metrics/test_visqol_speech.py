"""ViSQOL is the package's, with its lattice model or not at all."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from visqol import VisqolApi

from fmri_audio.base.errors import UserError
from fmri_audio.sound import audio
from fmri_audio.sound.lag import best_lag
from fmri_audio.sound.metrics import evaluate, visqol_speech
from fmri_audio.sound.metrics.base import METRIC_RATE

CLIP = "f10_script1_cleanraw_trimmed_002.mp3"


def hiss(length: int, level: float = 0.005) -> np.ndarray:
    return level * np.random.default_rng(9).standard_normal(length)


@pytest.fixture
def fresh() -> None:
    """The model is loaded anew, here and in the next test."""
    visqol_speech._scorer.cache_clear()
    yield
    visqol_speech._scorer.cache_clear()


def test_it_is_the_packages_with_the_lattice(spoken: np.ndarray) -> None:
    sound = spoken[: 4 * METRIC_RATE]
    noisy = sound + hiss(len(sound))
    theirs = VisqolApi()
    theirs.create(mode="speech", use_lattice_model=True)
    expected = theirs.measure_from_arrays(sound - sound.mean(), noisy - noisy.mean(), METRIC_RATE).moslqo
    assert visqol_speech.visqol_speech(sound, noisy) == expected
    assert visqol_speech.visqol_speech(sound, 0.1 * noisy + 0.05) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(("kbps", "score"), [("1.5", 2.056), ("6", 3.979)])
def test_genuine_encodec(shared_data: Path, kbps: str, score: float) -> None:
    folder = shared_data / "encodec-reference"
    paths = (folder / kind / CLIP for kind in ("original", f"{kbps}kbps"))
    reference, degraded = (audio.read_mono(path, METRIC_RATE).waveform for path in paths)
    pair = evaluate.shifted(reference, degraded, best_lag(reference, degraded))
    assert visqol_speech.visqol_speech(*pair) == pytest.approx(score, abs=0.05)


def test_it_is_not_scored_without_the_lattice(
    fresh: None, monkeypatch: pytest.MonkeyPatch, spoken: np.ndarray
) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(UserError, match=r"pip install 'visqol-python\[lattice\]'"):
        visqol_speech.visqol_speech(spoken, spoken)


def test_it_says_nothing(fresh: None, spoken: np.ndarray, capfd: pytest.CaptureFixture[str]) -> None:
    sound = spoken[:METRIC_RATE]
    visqol_speech.visqol_speech(sound, hiss(len(sound)))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("samples", "defined"), [(10_239, False), (10_240, True)])
def test_too_short_has_none(spoken: np.ndarray, samples: int, defined: bool) -> None:
    sound = spoken[:samples]
    assert math.isfinite(visqol_speech.visqol_speech(sound, sound + hiss(samples))) is defined


def test_long_sound_is_scored_in_pieces(monkeypatch: pytest.MonkeyPatch, spoken: np.ndarray) -> None:
    seen: list[int] = []

    def measure(reference: np.ndarray, degraded: np.ndarray, rate: int) -> SimpleNamespace:
        seen.append(len(reference))
        return SimpleNamespace(moslqo=2.5)

    monkeypatch.setattr(visqol_speech, "_scorer", lambda: SimpleNamespace(measure_from_arrays=measure))
    sound = np.tile(spoken, 10)
    assert visqol_speech.visqol_speech(sound, sound + hiss(len(sound))) == 2.5
    assert sum(seen) == len(sound) and max(seen) <= 30 * METRIC_RATE
