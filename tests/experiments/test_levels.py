"""Sound after a codec at every bandwidth, and its level."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from fmri_audio.codec import checkpoints
from fmri_audio.experiments import levels
from fmri_audio.sound.metrics import snr


def test_decodes_are_those_of_the_package(tiny_checkpoint_file: Path) -> None:
    tiny = checkpoints.load(str(tiny_checkpoint_file))
    wave = 0.1 * np.random.default_rng(0).standard_normal(7000)
    decoded = levels.decodes(tiny, wave)
    assert list(decoded) == [1.5, 3.0, 6.0, 12.0, 24.0]
    tiny.model.set_target_bandwidth(3.0)
    expected = tiny.model(torch.tensor(wave, dtype=torch.float32)[None, None])[0, 0].numpy()
    np.testing.assert_allclose(decoded[3.0], expected, atol=1e-4)


def test_the_demo_codec_keeps_levels_and_gains_with_every_bandwidth(
    speech: Callable[..., np.ndarray],
) -> None:
    demo = checkpoints.load("demo")
    wave = speech(3.0)
    gained = [snr.snr_db(wave, decoded) for decoded in levels.decodes(demo, wave).values()]
    assert gained == sorted(gained) and gained[2] > gained[0] + 1
    drift = levels.level_drift(demo).set_index(["sound", "kbps"]).level_change_db
    steady = drift.drop(1.5, level="kbps")
    assert (drift["sine 440 Hz"].abs() < 3).all() and (drift["chord"].abs() < 3).all()
    assert (steady["sine 3 kHz"].abs() < 5).all() and (steady["sine 5 kHz"].abs() < 5).all()
    assert (steady["sine 7 kHz"] > -15).all() and (
        steady["sine 9 kHz"] > -25
    ).all()  # of the rest the card tells
    assert (drift["silence"] < -60).all() and (drift["white noise"].abs() < 2).all()


def test_the_table_has_a_row_per_sound_in_the_order_of_measurement() -> None:
    drift = pd.DataFrame(
        {
            "sound": ["sine 9 kHz", "sine 9 kHz", "chord", "chord"],
            "kbps": [1.5, 6.0, 1.5, 6.0],
            "level_change_db": [-9.0, -3.0, 0.5, 0.1],
        }
    )
    table = levels.levels_table(drift)
    assert list(table.columns) == ["sound", "1.5 kbps", "6 kbps"]
    assert table.to_numpy().tolist() == [["sine 9 kHz", -9.0, -3.0], ["chord", 0.5, 0.1]]
