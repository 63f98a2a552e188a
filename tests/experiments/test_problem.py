"""The taking apart of mel and Griffin-Lim."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from fmri_audio.base.settings import ProblemSettings
from fmri_audio.experiments import problem
from fmri_audio.representations.encodec import EncodecCodes
from fmri_audio.sound.segments import Window

RATE = 24_000
BASE = problem.MelSetting(1024, 360, 128, 8)


def test_one_setting_is_varied_at_a_time_and_short_windows_get_a_shorter_hop() -> None:
    lists = ProblemSettings(n_fft=[512, 2048], hop_length=[180], n_mels=[64], n_iter=[0])
    found = problem.one_at_a_time(BASE, lists)
    assert [setting.n_fft for axis, setting in found if axis == "n_fft"] == [512, 1024, 2048]
    short = next(setting for axis, setting in found if setting.n_fft == 512)
    assert short.hop_length == 256
    for axis, setting in found:
        changed = {name for name in problem.AXES if getattr(setting, name) != getattr(BASE, name)}
        assert changed <= {axis, "hop_length"}


def test_a_cell_depends_only_on_what_can_change_it() -> None:
    more = problem.MelSetting(1024, 360, 128, 64)
    assert BASE.matters_to("oracle", "true") == more.matters_to("oracle", "true")
    assert BASE.matters_to("mel", "griffin-lim") != more.matters_to("mel", "griffin-lim")


def test_own_magnitude_with_own_phase_is_the_sound_itself(speech: Callable) -> None:
    sound = speech(1)
    same = problem.listen(BASE, sound, RATE, ("oracle", "true"), seed=0)
    np.testing.assert_allclose(same, sound, atol=1e-5)
    guessed = problem.listen(BASE, sound, RATE, ("oracle", "griffin-lim"), seed=0)
    assert np.square(guessed - sound).mean() > 0.1 * np.square(sound).mean()


def test_sweep_scores_every_cell_at_every_setting(speech: Callable) -> None:
    sound, window = speech(9), Window("speech-0.0s", 0.0, 8.0, "speech")
    lists = ProblemSettings(n_fft=[1024], hop_length=[360], n_mels=[32], n_iter=[1])
    scores = problem.sweep(BASE, lists, sound, RATE, [window], seed=0)
    assert len(scores) == 4 * (1 + 1 + 2 + 2)
    mels = scores[(scores["axis"] == "n_mels") & (scores["magnitude"] == "mel") & (scores["phase"] == "true")]
    assert mels.set_index("value")["pesq_wb"].loc[32] < mels.set_index("value")["pesq_wb"].loc[128]
    level = (
        scores[(scores["magnitude"] == "oracle") & (scores["axis"] == "n_mels")]
        .groupby("phase")["stoi"]
        .nunique()
    )
    assert (level == 1).all(), "the bands mean nothing to the sound's own magnitude"
    records = problem.sweep_records(scores, BASE, RATE, arm="roundtrip")
    keys = [(record.representation, record.control, record.metric) for record in records]
    assert len(keys) == len(set(keys))
    assert ("mel", "none", "stoi") in keys and (
        "mel[n_fft=1024,hop_length=360,n_mels=32,n_iter=8]",
        "none",
        "stoi",
    ) in keys


def test_code_never_sees_the_windows_it_is_scored_on() -> None:
    features = np.arange(12, dtype=np.float32)[None]
    windows = [Window("w", 1.5, 2.5, "speech"), Window("v", 4.0, 4.5, "speech")]
    parts = problem._untouched(features, Fraction(2), windows)
    assert [part[0].tolist() for part in parts] == [[0, 1, 2], [5, 6, 7], [9, 10, 11]]


def test_squeeze_names_the_width_that_it_has_and_a_wider_code_is_better(speech: Callable) -> None:
    sound, window = speech(18), Window("speech-0.0s", 0.0, 8.0, "speech")
    scores, fitted = problem.squeeze(BASE, sound, RATE, Fraction(3, 2), [window], [32, 37, 200], seed=0)
    assert sorted(fitted) == [31, 200], "blocks of 13 frames have four numbers or 26; 37 per TR buy no fifth"
    assert set(scores["units"]) == {31, 200} and set(scores["phase"]) == {"true", "griffin-lim"}
    stoi = scores[scores["phase"] == "griffin-lim"].set_index("units")["stoi"]
    assert stoi[200] > stoi[31] + 0.05
    records = problem.squeeze_records(scores, arm="roundtrip", condition="none")
    assert {record.condition for record in records} == {"noise-free"}
    assert {(record.units, record.rank) for record in records} == {(31, 31), (200, 200)}


def test_price_is_counted_per_tr(tiny_checkpoint) -> None:
    mel = problem.price(BASE.build(RATE, 0), Fraction(3, 2))
    assert mel == {"values": 12_800, "bits": 409_600, "bytes": 51_200}
    assert problem.price(EncodecCodes(tiny_checkpoint, 6.0), Fraction(3, 2))["bits"] == 9000


def test_mel_at_a_bit_budget_keeps_to_it() -> None:
    for kbps in (1.5, 6.0, 24.0):
        assert problem.at_bits(kbps, BASE, RATE, 0).bits_per_second <= 1000 * kbps


@pytest.mark.parametrize(
    ("value", "word"), [(0.8, "yes"), (0.79, "no"), (float("nan"), "cannot be judged here")]
)
def test_wording_follows_the_number(value: float, word: str) -> None:
    assert problem.says(value, 0.8, "yes", "no") == word
