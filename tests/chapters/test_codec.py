"""The appendix on the codec: its weights, its training, its quality and its codes in numbers."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from fmri_audio.chapters import codec
from fmri_audio.codec.checkpoints import Checkpoint
from fmri_audio.pages.codec_card import GENUINE, REFERENCE_SET
from tests.chapters.editions import toy_edition

SILENCE = np.zeros(24_000, np.float32)

DRIFT = pd.DataFrame(
    {
        "sound": ["sine 6 kHz", "sine 6 kHz", "chord", "silence", "silence"],
        "kbps": [1.5, 6.0, 6.0, 1.5, 6.0],
        "level_change_db": [2.0, -17.0, 3.0, -90.0, -80.0],
    }
)


def test_shapes_are_the_same_at_full_width_and_parameters_are_not(tiny_checkpoint: Checkpoint) -> None:
    run = toy_edition(SILENCE, checkpoint=tiny_checkpoint)
    table = codec.anatomy(run).set_index("")
    alike = table["this edition"] == table["full width"]
    assert table.index[alike].to_list() == [
        "codebooks",
        "frames per second",
        "values per frame before quantisation",
    ]
    assert codec.narrower(run) > 1


@pytest.mark.parametrize(("starts", "last_run"), [(["a", "a"], 150), (["a", "b"], 50)])
def test_the_last_run_of_the_training_is_counted_by_itself(starts: list[str], last_run: int) -> None:
    last = [(0, 9.0), (2, -0.04), (8, 6.0)]
    rows = [(starts[0], 100, count, -5.0) for count, _ in last] + [(starts[1], 150, *row) for row in last]
    said = codec.trained(pd.DataFrame(rows, columns=["start", "step", "codebooks", "si_sdr_db"]))
    assert (said["steps"], said["last_run"]) == (150, last_run)
    assert (said["si_sdr_many"], said["si_sdr_plain"]) == (6.0, 9.0)
    assert f"{said['si_sdr_few']:.1f}" == "0.0", "no minus nought"


def test_the_demo_codec_is_compared_on_the_clips_of_both() -> None:
    rows = [
        (REFERENCE_SET, "demo-1", 6.0, 1.7, 0.85, 0.7),
        (REFERENCE_SET, GENUINE, 6.0, 2.6, 0.95, 0.9),
        (REFERENCE_SET, "demo-1", 3.0, 9.0, 9.0, 9.0),
        ("music", "demo-1", 6.0, 9.0, 9.0, 9.0),
    ]
    quality = pd.DataFrame(rows, columns=["set", "codec", "kbps", "pesq_wb", "stoi", "estoi"])
    said = codec.beside_genuine(quality)
    assert list(said) == [
        "demo_pesq_wb",
        "demo_stoi",
        "demo_estoi",
        "genuine_pesq_wb",
        "genuine_stoi",
        "genuine_estoi",
        "short_pesq",
        "short_stoi",
        "short_estoi",
    ]
    assert list(said.values()) == pytest.approx([1.7, 0.85, 0.7, 2.6, 0.95, 0.9, 0.9, 0.1, 0.2])


def test_what_was_measured_on_recordings_names_both_codecs() -> None:
    quality = codec.quality()
    assert {name for name in quality["codec"] if " + " not in name} == {codec.demo_of(quality), GENUINE}
    assert all(
        name.startswith(f"{codec.demo_of(quality)} + vocos-") for name in quality["codec"] if " + " in name
    )
    assert set(codec.beside_genuine(quality)) >= {"short_pesq", "short_stoi"}


def test_tables_of_quality_have_the_formats_of_their_metric() -> None:
    assert set(codec.formats_of("STOI").values()) == {".3f"} and set(
        codec.formats_of("PESQ-WB").values()
    ) == {".2f"}


def test_the_level_that_changes_most_may_have_become_too_low() -> None:
    assert codec.drift_said(DRIFT) == {"worst_sound": "sine 6 kHz", "worst_level": 17.0, "silence": -80.0}
    assert codec.drift_table(DRIFT).columns[0] == "Sound"


def test_codes_are_counted_up_to_the_highest_bandwidth(tiny_checkpoint: Checkpoint) -> None:
    codes = np.zeros((32, 200), np.int64)
    codes[0] = np.arange(200)
    run = toy_edition(SILENCE, checkpoint=tiny_checkpoint, encoding=SimpleNamespace(codes=codes))
    use = codec.code_use(run)
    assert use["used"].to_list() == [200, *[1] * 7], "eight codebooks at 6 kbps"
    rates = codec.rates(use, run)
    said = codec.used(use, rates, run)
    assert (said["least_used"], said["size"]) == (1, 1024) and 0 < said["used_share"] < 100
    records = codec.records(rates, DRIFT, run)
    assert [record.metric for record in records] == ["entropy_kbps"] * 2 + ["level_change_db"] * 5
    assert records[0].n == 200 and records[-1].control == "silence" and records[-1].bandwidth_kbps == 6.0
