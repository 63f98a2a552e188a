"""Scores of windows, their floors and the records made of them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from fmri_audio.sound import scoring
from fmri_audio.sound.metrics.base import METRIC_RATE
from fmri_audio.sound.segments import Window

RATE = 24_000
WINDOWS = [Window("speech-0.0s", 0.0, 8.0, "speech"), Window("music-8.0s", 8.0, 16.0, "music")]


@pytest.fixture(scope="module")
def sound(speech: Callable, music: Callable) -> np.ndarray:
    return np.concatenate([speech(8), music(8)])


def test_a_perfect_copy_scores_perfectly_and_speech_metrics_are_for_speech_only(sound: np.ndarray) -> None:
    scores = scoring.score_windows(sound, sound, RATE, WINDOWS).set_index("kind")
    assert scores.loc["speech", "stoi"] == pytest.approx(1) and scores.loc["speech", "pesq_wb"] > 4.5
    assert np.isinf(scores.loc["music", "snr_db"]) and scores.loc["music", "mel_distance_db"] == 0
    assert scores.loc["music", list(scoring.SPEECH_METRICS)].isna().all()


def test_floors_are_far_below_a_copy_and_silence_is_undefined(sound: np.ndarray) -> None:
    floors = scoring.floors(sound, RATE, WINDOWS, seed=0, wanted=scoring.CHEAP)
    assert list(floors) == list(scoring.FLOORS)
    assert np.isnan(floors["silence"].loc[0, "stoi"]) and floors["silence"].loc[0, "snr_db"] == pytest.approx(
        0
    )
    assert 0 < floors["noise"].loc[0, "stoi"] < 0.6
    assert floors["noise"].loc[0, "snr_db"] == pytest.approx(-3, abs=0.5), "as loud as the sound itself"
    again = scoring.floors(sound, RATE, WINDOWS, seed=0, wanted=scoring.CHEAP)
    pd.testing.assert_frame_equal(floors["noise"], again["noise"])


@pytest.fixture(scope="module")
def scale(spoken: np.ndarray) -> pd.DataFrame:
    """Between what every metric lies, on ten seconds of the play."""
    sound, seconds = spoken.astype(np.float32), (0.0, 5.0, 10.0)
    windows = [Window(f"speech-{a}s", a, b, "speech") for a, b in pairwise(seconds)]
    original = scoring.score_windows(sound, sound, METRIC_RATE, windows)
    of_floors = scoring.floors(sound, METRIC_RATE, windows, seed=0)
    return scoring.reference_points(of_floors, original).set_index("metric")


def test_every_metric_has_its_floors_and_its_original(scale: pd.DataFrame) -> None:
    assert list(scale.columns) == [
        "silence",
        "white noise",
        "speech-shaped noise",
        "speech-shaped noise with its envelope",
        "other speech",
        "original",
    ]
    assert list(scale.index) == list(scoring.LABELS.values())
    assert scale.loc[["STOI", "ESTOI"], "original"].to_numpy() == pytest.approx(1)
    assert np.isinf(scale.loc["SNR (dB)", "original"]) and np.isnan(scale.loc["ESTOI", "silence"])
    heard = scale.loc["DNSMOS overall, no reference"]
    assert heard["other speech"] == pytest.approx(heard["original"]), "it does not know what should be heard"


def test_an_envelope_fools_stoi_and_not_estoi(scale: pd.DataFrame) -> None:
    noises = ["white noise", "speech-shaped noise", "speech-shaped noise with its envelope"]
    white, shaped, modulated = scale.loc["STOI", noises]
    assert modulated > 0.4 and modulated > shaped + 0.1 and modulated > white + 0.1
    assert (scale.loc["ESTOI", noises].abs() < 0.1).all()


def test_floors_know_the_kind_of_their_windows(sound: np.ndarray) -> None:
    scores = scoring.score_windows(sound, sound, RATE, WINDOWS, scoring.CHEAP)
    table = scoring.reference_points({"shaped-noise": scores}, scores, "music").set_index("metric")
    assert list(table.columns) == ["music-shaped noise", "original"]
    assert table.loc["STOI"].isna().all() and (table.loc["mel distance (dB)"] == 0).all()


def test_windows_need_not_be_equally_long(sound: np.ndarray) -> None:
    windows = [WINDOWS[0], Window("speech-1.0s", 1.0, 7.5, "speech")]
    other = scoring.floors(sound, RATE, windows, seed=0, wanted=["stoi"])["other-segment"]
    assert other["stoi"].notna().all() and (other["stoi"] < 0.9).all()


def test_a_single_window_has_no_other_to_be_mistaken_for(sound: np.ndarray) -> None:
    assert "other-segment" not in scoring.floors(sound, RATE, WINDOWS[:1], seed=0, wanted=["stoi"])


def test_summary_leaves_out_what_is_undefined() -> None:
    summary = scoring.summarise([1.0, 2.0, 3.0, float("nan")])
    assert summary.mean == 2 and summary.n == 3 and 1 <= summary.low < 2 < summary.high <= 3
    nothing = scoring.summarise([float("nan")])
    assert nothing.n == 0 and np.isnan(nothing.mean)


def test_records_say_what_was_scored(sound: np.ndarray) -> None:
    scores = scoring.score_windows(sound, 0.5 * sound, RATE, WINDOWS)
    records = scoring.to_records(scores, per_window=True, codec="demo-1", arm="roundtrip")
    means = {(record.segment, record.metric): record for record in records}
    assert means["speech", "snr_db"].value == pytest.approx(6.02, abs=0.01)
    assert means["speech", "snr_db"].unit == "dB" and means["speech", "snr_db"].codec == "demo-1"
    assert means["speech-0.0s", "snr_db"].n == 1
    assert ("music", "pesq_wb") not in means


def test_only_wanted_metrics_are_computed(sound: np.ndarray) -> None:
    scores = scoring.score_pair(sound[: 8 * RATE], sound[: 8 * RATE], RATE, wanted=["stoi"])
    assert scores["stoi"] == pytest.approx(1) and np.isnan(scores["pesq_wb"])
    windows = scoring.score_windows(sound, sound, RATE, WINDOWS, scoring.CHEAP).set_index("kind")
    assert windows.loc["speech", list(scoring.CHEAP)].notna().all()
    assert windows[["pesq_wb", "pesq_nb"]].isna().all(axis=None)
