"""The codec's runs side by side."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from fmri_audio.base import results
from fmri_audio.base.results import Record
from fmri_audio.chapters import bandwidths
from fmri_audio.chapters.published import published
from fmri_audio.pages.page import NO_WEIGHTS, Clip


def table(tmp_path) -> pd.DataFrame:
    """Chapter 3 at two bandwidths."""
    records = []
    for kbps, stoi in ((1.5, 0.7), (6.0, 0.9)):
        common = {"metric": "stoi", "unit": "1", "segment": "speech", "arm": "roundtrip", "n": 3}
        records += [
            Record(
                value=stoi,
                ci_low=stoi - 0.1,
                ci_high=stoi + 0.1,
                representation="encodec-codes",
                control="none",
                bandwidth_kbps=kbps,
                **common,
            ),
            Record(value=0.6, representation="mel-quantised", control="none", bandwidth_kbps=kbps, **common),
            Record(value=0.97, representation="mel", control="none", bandwidth_kbps=273.0, **common),
            Record(value=0.3, control="noise", **common),
            Record(
                value=stoi,
                representation="encodec-codes",
                control="none",
                bandwidth_kbps=kbps,
                **{**common, "segment": "speech-0.0s"},
            ),
        ]
    results.write(tmp_path / "03.csv", records)
    return results.read(tmp_path / "03.csv")


def test_means_at_equal_bits_and_floors_once(tmp_path) -> None:
    rows = bandwidths.measured(table(tmp_path), "speech")
    assert rows["sound"].value_counts().to_dict() == {
        "EnCodec": 2,
        "mel + Griffin-Lim": 2,
        "floor: white noise": 1,
    }
    wide = bandwidths.table(rows)
    assert wide["sound"].tolist() == ["EnCodec"] * 2 + ["mel + Griffin-Lim"] * 2 + ["floor: white noise"]
    assert wide["kbps"].tolist()[:4] == [1.5, 6, 1.5, 6] and np.isnan(wide["kbps"].tolist()[4])
    assert wide["stoi"].tolist() == [0.7, 0.9, 0.6, 0.6, 0.3]


def words(tmp_path) -> pd.DataFrame:
    """The words that chapter 3 counts at two bandwidths, the floors at one."""
    records = []
    for kbps, wrong in ((1.5, 0.5), (6.0, 0.1)):
        common = {"metric": "words_wrong", "unit": "1", "arm": "roundtrip", "n": 620, "bandwidth_kbps": kbps}
        for material, value in (("play", wrong), ("play-unpredictable", 0.99)):
            records.append(
                Record(
                    value=value,
                    ci_low=value - 0.1,
                    ci_high=value + 0.1,
                    representation="encodec-codes",
                    control="none",
                    material=material,
                    **common,
                )
            )
    floor = {"metric": "words_wrong", "unit": "1", "material": "play", "n": 620}
    records += [
        Record(value=1.1, control="other-segment", **floor),
        Record(value=0.8, control="mean", **floor),
    ]
    results.write(tmp_path / "words.csv", records)
    table = results.read(tmp_path / "words.csv")
    return bandwidths.words_in(SimpleNamespace(records=lambda chapter: table, material="play"))  # type: ignore[arg-type]


def test_words_stand_beside_the_other_scores(tmp_path) -> None:
    counted = words(tmp_path)
    assert counted["value"].tolist() == [0.5, 0.1, 1.1, 0.8]
    both = pd.concat([counted, bandwidths.measured(table(tmp_path), "speech")], ignore_index=True)
    wide = bandwidths.table(both).set_index(["sound", "kbps"])
    assert list(wide.columns[:2]) == ["words wrong", "snr_db"]
    assert wide["words wrong"]["EnCodec"].tolist() == [0.5, 0.1]
    assert wide["stoi"]["EnCodec"].tolist() == [0.7, 0.9]
    assert wide["words wrong"]["floor: the codec's mean latent"].tolist() == [0.8]


def test_curves_have_a_panel_per_gate_and_one_for_estoi_and_words(tmp_path) -> None:
    rows = bandwidths.measured(table(tmp_path), "speech")
    figure = bandwidths.curves(rows, words(tmp_path), published())
    labels = [axis.get_ylabel() for axis in figure.axes]
    assert labels == ["SNR (dB)", "PESQ-WB", "STOI", "ESTOI", "words wrong"]
    gated = ["the note's gate" in [line.get_label() for line in axis.get_lines()] for axis in figure.axes]
    assert gated == [True, True, True, False, False]
    assert figure.axes[2].get_lines()[0].get_ydata().tolist() == [0.7, 0.9]
    ours, floor = figure.axes[4].get_lines()
    assert ours.get_ydata().tolist() == [0.5, 0.1] and floor.get_ydata()[0] == 0.8
    plt.close(figure)


def test_gates_say_where_they_are_passed() -> None:
    ours = pd.DataFrame({"snr_db": [1.0, 2.0], "pesq_wb": [1.0, 3.2], "stoi": [0.7, 0.81]}, index=[1.5, 12.0])
    figures = [(6.0, 2.6), (6.0, 2.7), (12.0, 2.8), (12.0, 3.6), (24.0, 3.1), (24.0, 4.0)]
    meta = pd.DataFrame(figures, columns=["bandwidth_kbps", "value"]).assign(metric="pesq_wb")
    passed = bandwidths.passed(ours, meta)
    assert passed.loc["pesq_wb"].to_dict() == {
        "ours": "12 kbps",
        "meta": "24 kbps (some sources also at 12 kbps)",
    }
    assert bandwidths.gates_said(passed) == {
        "snr_ours": "no bandwidth",
        "snr_meta": "no bandwidth",
        "pesq_ours": "12 kbps",
        "pesq_meta": "24 kbps (some sources also at 12 kbps)",
    }
    row = bandwidths.gates_table(passed, "demo-1").set_index("gate").loc["PESQ-WB above 3"]
    assert row["demo-1 passes at"] == "12 kbps" and row["Meta's weights pass at"].startswith("24 kbps (")


@pytest.mark.parametrize(
    ("equal", "wins"), [(0.6, "1.5 and 6 kbps"), (0.8, "6 kbps"), (0.95, "no bandwidth")]
)
def test_more_bits_are_compared_with_a_mel_of_as_many(tmp_path, equal: float, wins: str) -> None:
    rows = bandwidths.measured(table(tmp_path), "speech")
    rows.loc[rows["sound"] == "mel + Griffin-Lim", "value"] = equal
    said = bandwidths.more_bits(rows)
    assert said["wins"] == wins
    assert (said["stoi_lowest"], said["stoi_highest"]) == (0.7, 0.9)


def test_listeners_and_the_spread_of_measurements_on_speech() -> None:
    rows = [
        ("speech", 6.0, "pesq_wb", 2.6),
        ("speech", 6.0, "pesq_wb", 2.9),
        ("music", 6.0, "pesq_wb", 9.0),
        ("speech", 12.0, "mushra", 74.6),
        ("speech", 3.0, "mushra", 67.2),
    ]
    meta = pd.DataFrame(rows, columns=["material", "bandwidth_kbps", "metric", "value"])
    said = bandwidths.listeners(meta)
    assert said == {"mushra": "67, 75", "mushra_kbps": "3, 12", "pesq_spread": pytest.approx(0.3)}


@pytest.mark.parametrize(
    ("passes", "words"),
    [
        ([False, False, False], "no bandwidth"),
        ([False, True, False], "6 kbps"),
        ([True, True, True], "1.5, 6 and 24 kbps"),
    ],
)
def test_where(passes: list[bool], words: str) -> None:
    assert bandwidths.where(pd.Series(passes, index=[1.5, 6.0, 24.0])) == words


@pytest.mark.parametrize(
    ("stoi", "word"),
    [
        ([0.5, 0.9], "buy intelligibility"),
        ([0.5, 0.51], "next to nothing"),
        ([0.9, 0.5], "worse"),
        ([0.5], "cannot be judged"),
        ([0.5, np.nan], "cannot be judged"),
    ],
)
def test_what_more_bits_buy(stoi: list[float], word: str) -> None:
    assert word in bandwidths.gain(pd.Series(stoi))


def test_best_values_are_recorded_with_their_bandwidth() -> None:
    ours = pd.DataFrame(
        {"snr_db": [1.0, 2.0], "pesq_wb": [np.nan, np.nan], "stoi": [0.9, 0.8]}, index=[1.5, 6.0]
    )
    best = {
        record.metric: (record.value, record.bandwidth_kbps)
        for record in bandwidths.gate_records(ours, "demo-1")
    }
    assert best["highest_snr_db"] == (2.0, 6.0) and best["highest_stoi"] == (0.9, 1.5)
    assert np.isnan(best["highest_pesq_wb"][0]) and best["highest_pesq_wb"][1] is None


def test_published_figures_stand_beside_ours() -> None:
    ours = pd.DataFrame({"pesq_wb": [1.1], "stoi": [0.7], "si_sdr_db": [0.0], "snr_db": [1.0]}, index=[1.5])
    rows = bandwidths.beside(ours, "ours", published())
    first = rows.iloc[0]
    assert first["measure"] == "PESQ-WB" and first["1.5"] == 1.1 and np.isnan(first["24"])
    giblet = rows[rows["whose weights, on what"].str.contains("giblet") & (rows["measure"] == "STOI")].iloc[0]
    assert [giblet[f"{kbps:g}"] for kbps in bandwidths.KBPS] == [0.65, 0.74, 0.83, 0.90, 0.94]


def test_clips_are_told_apart_by_who_made_them() -> None:
    base = Clip("n", "w", "original", NO_WEIGHTS, "", "03", 6.0, 5.0, 0.0, "0")
    coded = dataclasses.replace(base, condition="EnCodec, 6 kbps", weights="demo-1")
    equal = dataclasses.replace(base, condition="mel + Griffin-Lim, 6 kbps")
    plain = dataclasses.replace(base, condition="mel + Griffin-Lim, 273 kbps")
    assert bandwidths.heard([base, coded, equal, plain]) == (
        {"original": base},
        {"EnCodec, 6 kbps": coded},
        {"mel, 6 kbps": equal},
    )
