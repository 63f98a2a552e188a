"""What chapters 2 to 4 say of a neural vocoder, with one and without."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fmri_audio.base.settings import MelSettings
from fmri_audio.chapters import roundtrip
from fmri_audio.representations import mel_vocoder
from tests.chapters.editions import toy_edition
from tests.conftest import make_speech


def test_the_spectrogram_is_measured_and_heard_through_the_vocoder() -> None:
    run = toy_edition(make_speech(3).astype(np.float32))
    windows = run.windows("speech")
    scored = roundtrip.score_vocoders(run, windows)
    assert list(scored) == ["mel + neural vocoder, 273 kbps", "mel + neural vocoder, 6 kbps"]
    said = roundtrip.vocoders_said(scored, run, "speech")
    assert said.startswith("With a neural vocoder (weights tiny-vocoder-") and "at 6 kbps" in said
    sounds, made_by = roundtrip.play_vocoders(windows[0], run)
    assert list(sounds) == list(made_by) == list(scored)
    assert all(sound.shape == (60_000,) for sound in sounds.values())
    records = roundtrip.vocoder_records(scored, run)
    kinds = {(record.representation, record.arm, round(record.bandwidth_kbps or 0)) for record in records}
    assert kinds == {("mel-vocoder", "roundtrip", 273), ("mel-vocoder-quantised", "roundtrip", 6)}


def test_without_a_vocoder_there_is_a_sentence_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mel_vocoder, "vocoder_file", lambda: tmp_path / "mel-vocoder.safetensors")
    run = toy_edition(np.zeros(72_000, np.float32))
    assert roundtrip.score_vocoders(run, run.windows("speech")) == {}
    assert roundtrip.vocoder_records({}, run) == []
    assert roundtrip.play_vocoders(run.windows("speech")[0], run) == ({}, {})
    assert "checkpoints/mel-vocoder.safetensors does not exist" in roundtrip.vocoders_said({}, run, "speech")


def test_a_spectrogram_that_the_vocoder_has_not_learned_is_left_out() -> None:
    run = toy_edition(np.zeros(72_000, np.float32))
    run.settings.mel = MelSettings(n_mels=80)
    assert roundtrip.vocoders(run) == {}
    assert "another setting" in roundtrip.without_vocoder(run)
