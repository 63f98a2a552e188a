"""Scores of the block's windows, and what records and tables say of the arms."""

from __future__ import annotations

import numpy as np
import pytest

from fmri_audio.bottleneck.arms import ARM_LABELS
from fmri_audio.experiments import block_tables
from fmri_audio.experiments.held_out import HeldOut
from fmri_audio.experiments.through_arm import ThroughArm
from fmri_audio.sound import scoring
from tests.experiments.conftest import RATE


def test_the_right_segment_scores_above_the_wrong_one(held_out: HeldOut) -> None:
    own, other = (
        score(held_out, held_out.original) for score in (block_tables.score, block_tables.score_other_segment)
    )
    assert len(own) == len(other) == len(held_out.windows) >= 2
    assert (own["stoi"] > 0.99).all()
    assert (other["stoi"] < 0.95).all() and (other["si_sdr_db"] < 0).all()


def test_a_single_window_has_no_wrong_segment(held_out: HeldOut, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(vars(held_out), "windows", held_out.windows[:1])
    [row] = block_tables.score_other_segment(held_out, held_out.original).to_dict("records")
    assert np.isnan([row[metric] for metric in scoring.METRIC_NAMES]).all()


def test_windows_hold_the_share_of_the_block_that_they_last(held_out: HeldOut) -> None:
    lengths = [window.offset - window.onset for window in held_out.windows]
    share = block_tables.scored_share(held_out)
    assert 0 < share <= 1
    assert share == pytest.approx(sum(lengths) * RATE / len(held_out.original))


def test_records_say_how_wide_the_bottleneck_is_where_there_is_one(held_out: HeldOut) -> None:
    scores = block_tables.score(held_out, held_out.original)
    through = block_tables.records(held_out, scores, arm="frozen", condition="noise-free", control="none")
    around = block_tables.records(held_out, scores, arm="roundtrip", condition="none", control="none")
    assert {(r.units, r.rank, r.fold) for r in through} == {(held_out.n_units, 8, "held-out")}
    assert {(r.units, r.rank, r.fold) for r in around} == {(None, None, "held-out")}


def test_records_name_the_arm_s_features_and_the_codes_bandwidth(held_out: HeldOut) -> None:
    assert block_tables.columns_of_arm(held_out, "mel") == {
        "arm": "mel",
        "representation": "mel",
        "codec": None,
    }
    assert block_tables.columns_of_arm(held_out, "codes") == {
        "arm": "codes",
        "representation": "encodec-codes",
        "bandwidth_kbps": 6.0,
    }


def test_records_of_a_training_name_its_seed(held_out: HeldOut) -> None:
    second = held_out.repeated["frozen"][1]
    described = block_tables.columns_of_arm(held_out, second)
    assert described == block_tables.columns_of_arm(held_out, "frozen")
    scores = block_tables.score(held_out, ThroughArm(held_out, second).noise_free, ("stoi",))
    records = block_tables.records(
        held_out,
        scores,
        condition="noise-free",
        control="repeated",
        seed=second.seed,
        wanted=("stoi",),
        **described,
    )
    assert {(one.metric, one.seed, one.arm) for one in records} == {("stoi", second.seed, "frozen")}


def test_weights_are_counted_by_where_they_are(held_out: HeldOut) -> None:
    table = block_tables.parameters(held_out).set_index("arm")
    assert list(table.index) == list(ARM_LABELS.values())
    assert table.loc["frozen", "codec, trained"] == 0 < table.loc["fine-tuned", "codec, trained"]
    assert table.loc["frozen", "codec, frozen"] == table.loc["fine-tuned", "codec, trained"]
    assert table.loc["frozen", "bottleneck"] == table.loc["fine-tuned", "bottleneck"]


def test_codes_stand_beside_their_unigram(held_out: HeldOut) -> None:
    bits = block_tables.bits_per_code(held_out)
    assert sorted(set(bits["part"])) == ["held-out", "training"]
    assert bits["codebook"].max() == len(held_out.material.codes) == 8  # at 6 kbps
    assert (bits[["bits", "unigram_bits"]] >= 0).all(axis=None)
