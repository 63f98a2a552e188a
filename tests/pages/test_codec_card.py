"""The codec by itself: entropy of its codes, its training log, its quality in tables."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from fmri_audio.pages import codec_card

ROOT = Path(__file__).resolve().parents[2]


def test_entropy_of_codes_whose_entropy_is_known() -> None:
    rng = np.random.default_rng(0)
    even = rng.integers(0, 1024, 40_000)
    few = rng.choice([3, 7], p=[0.25, 0.75], size=40_000)
    always = np.full(40_000, 5)
    bits = codec_card.entropy(np.stack([even, few, always]), 1024)
    assert bits == pytest.approx([10, 0.8113, 0], abs=0.01)


def test_correction_takes_most_of_the_bias_from_short_codes() -> None:
    """A plug-in estimate from 5 n samples over n entries is 0.14 bits too low."""
    rng = np.random.default_rng(1)
    bits = codec_card.entropy(rng.integers(0, 256, (200, 1280)), 1024)
    assert bits.mean() == pytest.approx(8, abs=0.02)


def test_entropy_never_exceeds_what_a_code_is_stored_in_and_refuses_strangers() -> None:
    codes = np.arange(1024)[None]
    assert codec_card.entropy(codes, 1024)[0] == 10
    with pytest.raises(ValueError, match="do not fit a codebook of 512"):
        codec_card.entropy(codes, 512)


def test_rates_add_the_codebooks_up() -> None:
    use = codec_card.code_use(np.stack([np.arange(4096) % 1024, np.zeros(4096, int)]), 1024)
    assert use["used"].to_list() == [1024, 1]
    rates = codec_card.entropy_rates(use, {0.75: 1, 1.5: 2}, 75)
    assert rates["entropy (kbps)"].to_list() == pytest.approx([0.75, 0.75])
    assert rates["of it used"].to_list() == pytest.approx([1, 0.5])


def test_the_log_of_the_demo_checkpoint_can_be_read_and_drawn() -> None:
    log = codec_card.read_log(ROOT / "checkpoints" / "training-log.csv")
    assert {0, 2, 8} <= set(log["codebooks"])
    assert np.isfinite(log["si_sdr_db"]).all()
    assert log.groupby("codebooks")["step"].is_monotonic_increasing.all()
    figure = codec_card.draw_training(log)
    dotted = [line for line in figure.axes[0].lines if line.get_linestyle() == ":"]
    assert len(dotted) == log["start"].nunique() - 1
    plt.close(figure)


@pytest.fixture
def quality() -> pd.DataFrame:
    rows = [
        ("speech/ljspeech", "demo-1", 1.5, 1.2),
        ("speech/ljspeech", "demo-1", 6.0, 1.5),
        ("encodec-reference/original", "genuine EnCodec", 6.0, 2.6),
        ("music", "demo-1", 6.0, np.nan),
    ]
    return pd.DataFrame(rows, columns=["set", "codec", "kbps", "pesq_wb"])


@pytest.fixture
def play() -> pd.DataFrame:
    rows = [("EnCodec", 1.5, 1.3), ("EnCodec", 6.0, 1.7), ("mel + Griffin-Lim", 6.0, 1.4)]
    return pd.DataFrame(rows, columns=["sound", "bandwidth_kbps", "value"]).assign(metric="pesq_wb")


def test_the_table_has_a_row_per_sound_and_maker_and_leaves_out_what_is_undefined(
    quality: pd.DataFrame, play: pd.DataFrame
) -> None:
    table = codec_card.quality_table(quality, play, "pesq_wb", [1.5, 6.0], "demo-1")
    assert table["Made by"].to_list() == [
        "EnCodec (demo-1)",
        "mel + Griffin-Lim (no learned weights)",
        "EnCodec (demo-1)",
        "EnCodec (Meta's weights)",
    ]
    assert table.loc[0, ["1.5", "6"]].to_list() == [1.3, 1.7]
    assert np.isnan(table.loc[1, "1.5"]) and table.loc[3, "6"] == 2.6


def test_figures_can_be_drawn(quality: pd.DataFrame, play: pd.DataFrame) -> None:
    figure = codec_card.draw_quality(quality, play, ["pesq_wb"], "demo-1")
    assert len(figure.axes[0].lines) == 4, "codec, mel, one set of recordings, genuine"
    others = [quality.assign(set=name) for name in ("recorded speech", "the play, Pico (never trained on)")]
    others += [quality.assign(codec="demo-1 + vocos-2")]
    again = codec_card.draw_quality(pd.concat([quality, *others]), play, ["pesq_wb"], "demo-1")
    labels = [line.get_label() for line in figure.axes[0].lines]
    assert [line.get_label() for line in again.axes[0].lines] == labels
    use = codec_card.code_use(np.zeros((3, 100), int), 1024)
    assert len(codec_card.draw_code_use(use, 1024).axes) == 2
    plt.close("all")
