"""DNSMOS is the published script's, of the degraded sound alone."""

from __future__ import annotations

import importlib.metadata
import math
from pathlib import Path

import numpy as np
import pytest

from fmri_audio.base.errors import UserError
from fmri_audio.sound import audio
from fmri_audio.sound.metrics import dnsmos_ovrl
from fmri_audio.sound.metrics.base import METRIC_RATE, METRICS

PACKAGES = {
    "speech/ljspeech/LJ001-0001.wav": 3.300151,
    "speech/ljspeech/LJ001-0002.wav": 2.828104,
}
"""What ``speechmos.dnsmos.run`` of version 0.0.1.1 gives for recordings, the second shorter than a window."""


class Session:
    """A model that keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[np.ndarray] = []

    def run(self, _: None, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        self.heard.append(inputs["input_1"])
        return [np.array([[3.0, 3.0, 2.0]])]


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Session:
    made = Session()
    monkeypatch.setattr(dnsmos_ovrl, "_session", lambda: made)
    return made


@pytest.mark.parametrize("name", PACKAGES)
def test_it_is_the_packages(shared_data: Path, name: str) -> None:
    sound = audio.read_mono(shared_data / name, METRIC_RATE).waveform
    assert dnsmos_ovrl.dnsmos_ovrl(sound) == pytest.approx(PACKAGES[name], abs=1e-4)


@pytest.mark.parametrize(("seconds", "windows"), [(9.01, 1), (10.9, 1), (11.0, 2), (60.0, 34)])
def test_windows_of_nine_seconds_are_those_of_the_script(
    session: Session, seconds: float, windows: int
) -> None:
    sound = np.arange(round(seconds * METRIC_RATE)) / 1e6
    expected = np.polyval((-0.06766283, 1.11546468, 0.04602535), 2.0)
    assert dnsmos_ovrl.dnsmos_ovrl(sound) == pytest.approx(expected)
    assert [one.shape for one in session.heard] == [(1, 144_160)] * windows
    starts = [float(one[0, 0]) * 1e6 / METRIC_RATE for one in session.heard]
    kept = [n for n in range(51) if int((n + 9.01) * METRIC_RATE) - n * METRIC_RATE == 144_160]
    assert starts == pytest.approx(kept[:windows], abs=1e-4)


def test_a_short_sound_is_repeated(session: Session) -> None:
    sound = np.arange(5 * METRIC_RATE) / 1e6
    dnsmos_ovrl.dnsmos_ovrl(sound)
    np.testing.assert_allclose(session.heard[0][0], np.tile(sound, 2)[:144_160], rtol=1e-6)


def test_the_reference_has_no_part_in_it(session: Session, spoken: np.ndarray) -> None:
    score = METRICS["dnsmos_ovrl"].function
    assert score(spoken, spoken[::-1], METRIC_RATE) == score(np.zeros(5), spoken[::-1], METRIC_RATE)


@pytest.mark.parametrize("sound", [np.zeros(0), np.zeros(METRIC_RATE), np.full(METRIC_RATE, 0.3)])
def test_silence_has_none(sound: np.ndarray) -> None:
    assert math.isnan(dnsmos_ovrl.dnsmos_ovrl(sound))


def test_a_missing_model_is_one_sentence(monkeypatch: pytest.MonkeyPatch, spoken: np.ndarray) -> None:
    def missing(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    dnsmos_ovrl._session.cache_clear()
    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    with pytest.raises(UserError, match="speechmos"):
        dnsmos_ovrl.dnsmos_ovrl(spoken)
