"""Chapter 3: counts, names, sentences and results."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fmri_audio.chapters import encodec
from fmri_audio.codec import checkpoints
from fmri_audio.codec.checkpoints import Checkpoint
from fmri_audio.sound.scoring import METRIC_NAMES
from tests.chapters.editions import toy_edition

UNDEFINED = "cannot be judged here"
SILENCE = np.zeros(4 * 24_000, np.float32)


def scores(value: float, kind: str = "speech") -> pd.DataFrame:
    return pd.DataFrame([{"window": "w", "kind": kind, **dict.fromkeys(METRIC_NAMES, value)}])


@pytest.fixture
def run(tiny_checkpoint: Checkpoint) -> object:
    return toy_edition(SILENCE, checkpoint=tiny_checkpoint, codes=np.zeros((8, 300), np.int64))


def test_a_tr_by_itself_has_more_frames_than_it_lasts(run) -> None:
    one_tr = encodec.first_tr(run)
    assert one_tr.shape == (1, 1, 36_000)
    [(codes, _)] = run.checkpoint.model.encode(one_tr)
    said = encodec.counted(encodec.count(run), lone_frames=codes.shape[-1])
    assert (said["exact_frames"], said["lone_frames"], said["brief_frames"]) == (112.5, 113, 112)
    assert said["bits_per_tr"] == 9000 and said["parameters_here"] < said["parameters_full"]


def test_counts_stand_beside_the_note_s_figures(run) -> None:
    table = encodec.counts_table(encodec.count(run), run).set_index("")
    assert list(table.columns) == ["research note", "counted at 6 kbps"]
    assert table.loc["codes per TR"].to_list() == ["896 (8 × 112)", "900.0 (8 × 112.5); 113 frames touched"]
    assert table.loc["bytes per TR", "counted at 6 kbps"] == "1,125 packed; 1,800 as int16; 3,600 as int32"


def test_the_two_models_differ_in_segments_and_frames() -> None:
    mono, stereo = encodec.models_table(Fraction(3, 2)).to_dict("records")
    assert (mono["causal"], mono["segments"], mono["frames per TR"]) == ("yes", "whole signal", "112.5")
    assert (stereo["causal"], stereo["segments"]) == ("no", "1 s, every 0.99 s")
    assert stereo["frames per TR"] == "227.3" and stereo["kbps → codebooks"].startswith("3 → 2, 6 → 4")


def test_the_stereo_model_is_heard_where_its_weights_are(
    stereo_release: Path, speech: Callable[..., np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = toy_edition(speech(2))
    clip = encodec.stereo_passage(run)
    assert clip.name.startswith("stereo speech-")
    monkeypatch.setenv(checkpoints.FOLDER_VARIABLE, str(stereo_release.parent))
    heard, weights = encodec.through_stereo(clip, run)
    assert heard.shape == clip.of(run.stimulus.waveform, 24_000).shape and weights == stereo_release.stem
    assert len(encodec.stereo_segments(run)) == 3


@pytest.mark.parametrize(("at_hand", "said"), [(True, "the players above"), (False, "nothing of it to hear")])
def test_what_is_to_be_heard_of_the_stereo_model(at_hand: bool, said: str) -> None:
    assert said in encodec.stereo_said(at_hand)


@pytest.mark.parametrize(
    ("coded", "equal", "said"),
    [(0.9, 0.8, "above"), (0.7, 0.8, "below"), (np.nan, 0.8, "not comparable with")],
)
def test_the_codec_is_compared_with_a_mel_of_equal_bits(run, coded: float, equal: float, said: str) -> None:
    sounds = {"a": scores(coded), "b": scores(equal), "c": scores(0.95)}
    found = encodec.scored(sounds, {"noise": scores(0.3)}, run)
    assert found["against_mel"] == said and found["n_windows"] == 2
    assert (found["equal_stoi"], found["plain_stoi"], found["noise_stoi"]) == (equal, 0.95, 0.3)


def test_floors_are_named_after_what_carries_nothing(run) -> None:
    floors = {"silence": scores(0.0), "other-segment": scores(0.1)}
    table = encodec.scores_table({"EnCodec": scores(0.9)}, floors, run)
    assert table["sound"].to_list() == ["EnCodec", "floor: silence", "floor: other speech"]


def test_every_metric_has_its_floors_and_its_ceiling(speech: Callable[..., np.ndarray]) -> None:
    run = toy_edition(speech(4))
    original = encodec.original(run)
    assert len(original) == len(encodec.scored_windows(run)) and original["stoi"].to_numpy() == pytest.approx(
        1
    )
    table = encodec.reference_points({"modulated-noise": scores(0.2)}, original, run).set_index("metric")
    assert list(table.columns) == ["speech-shaped noise with its envelope", "original"]
    assert table.loc["ESTOI"].to_list() == pytest.approx([0.2, 1.0])
    assert len(table) == len(METRIC_NAMES)


def test_passages_have_the_mel_where_it_is_asked_for(speech: Callable[..., np.ndarray]) -> None:
    sound = speech(1)
    run = toy_edition(sound, decoded=sound)
    clip = run.windows("speech")[0]
    coded, equal, plain = encodec.names(run)
    assert (coded, equal, plain) == (
        "EnCodec, 6 kbps",
        "mel + Griffin-Lim, 6 kbps",
        "mel + Griffin-Lim, 273 kbps",
    )
    assert list(encodec.played(clip, run, with_mel=False)) == [coded]
    made = encodec.played(clip, run, with_mel=True)
    assert list(made) == [coded, equal, plain]
    assert list(encodec.seen(clip, made, run)) == ["original", coded, equal]


def test_our_means_stand_above_what_is_reported_at_the_same_bandwidth(run) -> None:
    meta = encodec.reported(6.0)
    assert meta["Whose weights"].str.startswith("Meta's: ").all() and meta["pesq_wb"].notna().any()
    table = encodec.beside(dict.fromkeys(METRIC_NAMES, 1.0), meta, run)
    assert table["Whose weights"].iloc[0] == f"{run.checkpoint.id}: a toy, speech"
    assert len(table) == len(meta) + 1 and set(table.columns) <= {"Whose weights", *METRIC_NAMES}


@pytest.mark.parametrize(
    ("ours", "theirs", "said"),
    [
        ((21.0, 2.9, 0.8), (6.0, 3.1), ("passes", "fails", "reaches", "fail", "pass")),
        ((19.0, 3.2, 0.7), (21.0, 2.0), ("fails", "passes", "does not reach", "pass", "fail")),
        ((np.nan, 1.0, np.nan), (np.nan, 2.0), (UNDEFINED, "fails", UNDEFINED, "are silent on", "fail")),
    ],
)
def test_gates_follow_the_numbers(ours: tuple, theirs: tuple, said: tuple) -> None:
    means = dict(zip(("snr_db", "pesq_wb", "stoi"), ours, strict=True))
    meta = pd.DataFrame({"Whose weights": ["Meta's"], "snr_db": [theirs[0]], "pesq_wb": [theirs[1]]})
    assert tuple(encodec.gates(means, meta).values()) == said


def test_results_name_bits_and_controls(run) -> None:
    sounds = dict(zip(encodec.names(run), (scores(1.0), scores(2.0), scores(3.0)), strict=True))
    records = encodec.records(sounds, {"noise": scores(0.5)}, encodec.count(run), run)
    stoi = [record for record in records if record.metric == "stoi" and record.segment == "speech"]
    assert [(record.representation, record.control, record.value) for record in stoi] == [
        ("encodec-codes", "none", 1.0),
        ("mel-quantised", "none", 2.0),
        ("mel", "none", 3.0),
        (None, "noise", 0.5),
    ]
    assert [record.bandwidth_kbps for record in stoi] == [6.0, 6.0, pytest.approx(273.07, abs=0.01), None]
    assert {record.segment for record in records if record.n == 1 and record.metric == "stoi"} == {
        "speech",
        "w",
    }
    assert all(record.arm == "roundtrip" and record.study == "a toy" for record in records)
