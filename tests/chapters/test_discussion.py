"""Chapter 9: its sentences follow the tables of the chapters before, in either direction."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from fmri_audio.base import results
from fmri_audio.base.results import Record
from fmri_audio.base.settings import VOXELS
from fmri_audio.chapters import discussion
from fmri_audio.chapters.discussion import ALONE, BEHIND, Before, BitRates
from fmri_audio.experiments import calibration, scaling, scaling_table
from fmri_audio.experiments.calibration import CalibrationRow
from fmri_audio.experiments.scaling import Cell
from tests.chapters.ladder.test_rungs import condition, with_more
from tests.chapters.ladder.test_rungs import table as ladder_table

COMMON = {"unit": "1", "segment": "speech", "fold": "held-out", "n": 3}
CODES = {**COMMON, "metric": "estoi", "representation": "encodec-codes", "control": "none"}


def table(path: Path, rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """A table of results as chapters read it."""
    results.write(path, [Record(**row) for row in rows])
    return results.read(path)


def measured(arm: str, control: str, metric: str, value: float, **columns: Any) -> dict[str, Any]:
    return {
        **COMMON,
        "arm": arm,
        "condition": "measured",
        "control": control,
        "metric": metric,
        "value": value,
        **columns,
    }


def evaluated() -> list[dict[str, Any]]:
    """Two arms of chapter 7: the frozen one decodes better than no brain by 1 dB, mel is worse by 2."""
    rows = [
        measured("ridge", "none", "bits_per_tr", 0.5),
        measured("ridge", "none", "bits_per_tr", 0.7),
        measured("ridge", "none", "bits_per_tr_group", 0.9),
    ]
    for arm, stoi, gain in (("mel", 0.6, -2.0), ("frozen", 0.5, 1.0)):
        for metric, free in (("estoi", stoi), ("mel_distance_db", 8.0)):
            rows.append(
                {
                    **COMMON,
                    "metric": metric,
                    "value": free,
                    "arm": arm,
                    "condition": "noise-free",
                    "control": "none",
                }
            )
        rows += [
            measured(arm, "no-brain", "mel_distance_db", 12.0),
            measured(arm, "no-brain", "estoi", 0.2),
            measured(arm, "none", "estoi", 0.3),
            measured(arm, "none", "mel_distance_db", 12.0 - gain),
            measured(arm, "other-segment", "mel_distance_db", 12.0),
        ]
    return rows


@pytest.fixture
def before(tmp_path: Path) -> Before:
    coded = [
        {**CODES, "arm": "roundtrip", "bandwidth_kbps": kbps, "value": stoi}
        for kbps, stoi in ((1.5, 0.7), (6.0, 0.9))
    ]
    trained: list[dict[str, Any]] = [
        {**CODES, "arm": "frozen", "bandwidth_kbps": 1.5, "value": 0.45, "units": 400},
        {**CODES, "arm": "frozen", "bandwidth_kbps": 6.0, "value": 0.5, "units": 400},
        {**CODES, "arm": "codes", "bandwidth_kbps": 6.0, "value": 0.1, "units": 400},
        {**COMMON, "arm": "roundtrip", "control": "silence", "metric": "mel_distance_db", "value": 40.0},
    ]
    shared = table(tmp_path / "05.csv", [{"unit": "1", "metric": "noise_ceiling", "value": 0.5}])
    run = SimpleNamespace(
        bandwidth=6.0,
        settings=SimpleNamespace(tr="1.5", study=SimpleNamespace(voxels="between")),
        study=SimpleNamespace(simulated=True),
        records=lambda chapter: shared,
    )
    tables = (table(tmp_path / f"{k}.csv", rows) for k, rows in enumerate((coded, trained, evaluated())))
    return Before(run, *tables)  # type: ignore[arg-type]


def test_bits_stand_on_one_axis(before: Before) -> None:
    bits = discussion.bits_of(before)
    assert bits.metric == "estoi" and bits.higher_is_better
    assert bits.of(ALONE).to_dict() == {1.5: 0.7, 6.0: 0.9} and bits.of(BEHIND).to_dict() == {
        1.5: 0.45,
        6.0: 0.5,
    }
    assert bits.curves["bits"].unique().tolist() == [2250.0, 9000.0]
    assert (bits.read, bits.heard, bits.floor) == (pytest.approx(0.6), 0.3, 0.2)
    said = discussion.bits_said(before, bits)
    assert (said["lowest"], said["highest"], said["spent"]) == (1.5, 6.0, 9000.0)
    assert said["bought"] == pytest.approx(0.2) and said["lost"] == pytest.approx(0.4)
    assert (said["better"], said["ratio"]) == ("higher", ", at most some 15,000 times as many")


def test_where_nobody_speaks_the_mel_distance_decides(before: Before) -> None:
    silent = [one[one["metric"] != "estoi"] for one in (before.coded, before.trained)]
    distances = [
        one[one["metric"] == "estoi"].assign(metric="mel_distance_db")
        for one in (before.coded, before.trained)
    ]
    quiet = Before(
        before.run, *(pd.concat(pair) for pair in zip(silent, distances, strict=True)), before.evaluated
    )
    bits = discussion.bits_of(quiet)
    assert bits.metric == "mel_distance_db" and not bits.higher_is_better
    assert discussion.bits_said(quiet, bits)["better"] == "lower"


@pytest.mark.parametrize(
    ("bits", "said"),
    [(0.613, "at least 0.61 bits"), (0.0, "nothing measurable"), (-0.1, "nothing measurable")],
)
def test_what_brains_tell(bits: float, said: str) -> None:
    assert discussion.read_said(bits) == said


def test_what_brains_tell_may_be_unknown() -> None:
    assert discussion.read_said(math.nan) == "an unknown number of bits (the edition is too short)"


def test_the_bottleneck_s_verdict_follows_what_is_lost_and_whether_training_helped() -> None:
    errors, decides = "Behind this training a higher", "Bandwidth still decides"
    assert discussion.bottleneck_verdict(0.4, 0.2, helped=True).startswith(errors)
    assert discussion.bottleneck_verdict(0.1, 0.2, helped=True).startswith(decides)
    assert "training did not help" not in discussion.bottleneck_verdict(0.1, 0.2, helped=True)
    assert discussion.bottleneck_verdict(0.4, 0.2, helped=False).endswith("because training did not help")


def test_what_is_read_from_brains_is_drawn_only_if_anything_is(before: Before) -> None:
    bits = discussion.bits_of(before)
    for read, lines in ((0.6, 2), (0.0, 1)):
        figure = discussion.draw_bits(
            before, BitRates(bits.metric, bits.curves, read, bits.heard, bits.floor)
        )
        assert sum(line.get_color() == "0.4" for line in figure.axes[0].get_lines()) == lines
        plt.close(figure)


def test_arms_are_measured_by_their_own_floors(before: Before) -> None:
    said = discussion.front_ends_said(discussion.front_ends(before), ladder_table())
    assert said["own_floors"] == "mel + Griffin-Lim −2.00 dB; frozen +1.00 dB"
    assert said["other_floors"] == "mel + Griffin-Lim +0.00 dB; frozen +0.00 dB"
    assert said["ranked"].startswith(
        "at 128: mel + Griffin-Lim 0.35, EnCodec latents, codec frozen 0.50; at 512: "
    )


def test_front_ends_are_compared_by_words_and_their_interval() -> None:
    more = discussion.front_said(ladder_table())
    assert more.startswith(
        "At 512 numbers EnCodec latents, codec frozen loses more words than mel with Griffin-Lim"
    )
    name = "code/codes/trained/512"
    alike = with_more({name: (condition(name, "code", "codes", "trained", 512.0, sigma=0.0), 2.2)})
    assert "as many words, within the interval: a difference of +0.00" in discussion.front_said(alike)
    assert discussion.front_said(ladder_table(), 7) == "The ladder has no EnCodec beside mel"


def test_capacity_below_what_was_read_is_no_bound(before: Before) -> None:
    counted = discussion.capacity(before).set_index("volumes")
    assert counted["voxels"].tolist() == [1, 400, discussion.GREY_MATTER_VOXELS]
    assert counted.loc["one voxel", discussion.EVERY] == pytest.approx(-0.5 * math.log2(0.75))
    assert counted.loc["auditory mask", discussion.EVERY] == pytest.approx(-200 * math.log2(0.75))
    before.evaluated.loc[before.evaluated["metric"] == "bits_per_tr_group", "value"] = 1000.0
    bounded = discussion.capacity(before).set_index("volumes").loc["auditory mask"]
    assert bounded[[discussion.EVERY, discussion.DISTINCT]].isna().all()


def test_what_many_voxels_would_let_through_is_compared_with_what_the_codec_spends(before: Before) -> None:
    counted = discussion.capacity(before)
    said = discussion.response_said(before, counted)
    assert said["naive_said"] == "which looks like enough" and said["scans"] == pytest.approx(2 / 3)
    assert 0.1 < float(said["per_second"]) < 1 and said["apart"] == pytest.approx(
        1 / float(said["per_second"])
    )
    before.run.bandwidth = 24.0
    assert discussion.response_said(before, counted)["naive_said"] == "which would not be enough either"
    assert "(the square of the noise ceiling of chapter 5, simulated brains)" in discussion.capacity_caption(
        before
    )


def cells() -> list[Cell]:
    """A grid in which a score is a sum of what minutes and subjects give."""
    return [
        Cell(
            minutes,
            subjects,
            decoder,
            quantity,
            value,
            value - 0.05,
            value + 0.05,
            10,
            minutes,
            0,
            "made",
            voxels,
        )
        for voxels, more in zip(VOXELS, (0.0, 0.01, 0.02), strict=True)
        for minutes in scaling.STUDIES
        for subjects in scaling.SUBJECTS
        for decoder in ("single", "group")
        for quantity in scaling_table.QUANTITIES
        for value in [0.4 + more + minutes / 100 + (subjects / 100 if decoder == "group" else 0)]
    ]


def test_what_subjects_and_minutes_change() -> None:
    said = discussion.scaling_said(cells(), 23.4)
    assert (said["few"], said["middle"], said["many"], said["short"], said["long"]) == (1, 9, 17, 6, 23)
    assert (said["by_subjects"], said["by_last_subjects"]) == ("+0.16 to +0.16", "+0.08 to +0.08")
    assert (said["by_minutes"], said["by_minutes_single"]) == ("+0.17 to +0.17", "+0.17 to +0.17")
    assert (said["real_single"], said["real_power"]) == (
        "0.63 to 0.65 (0.58 to 0.70)",
        "0.63 to 0.65 (0.58 to 0.70)",
    )
    assert str(said["pairs_said"]).startswith(
        "with smooth voxels it is reached in no cell; the best is 17 subjects and 23 min"
    )
    assert "(6 in a study, on average)" in discussion.scaling_caption(cells(), 23.4)


def test_a_group_of_one_is_a_single_subject() -> None:
    shown = discussion.scaling_shown(cells())
    studies = shown["study"].tolist()
    assert "6 min, 1 subject, single subjects" in studies and "6 min, 1 subject, group" not in studies
    assert list(shown.columns) == ["study", "studies", *scaling_table.QUANTITIES.values()]
    assert shown.iloc[0, 2] == "0.46 to 0.48 (0.41 to 0.53)"


def test_scans_are_drawn_for_both_decoders() -> None:
    figure = discussion.draw_scaling(cells())
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert len(labels) == 2 * len(scaling.STUDIES) and labels[0] == "6 min, group"
    plt.close(figure)


def test_training_that_was_not_over_is_named() -> None:
    said = discussion.unfinished_said(["frozen"], 300)
    assert said.startswith("not converged after 300 steps: frozen;")
    assert discussion.unfinished_said([], 300).startswith("all arms had converged")


def test_whose_brains_they_are_is_said_either_way() -> None:
    assert "no finding about brains" in discussion.brains_said(simulated=True)
    assert discussion.brains_said(simulated=False).startswith("The brains of this edition are measured.")


def calibrated(holds: bool = True, rates: tuple[float, float] = (0.04, 0.06)) -> list[CalibrationRow]:
    def row(variant: str, quantity: str, value: float, expected: str = "", n: int = 3) -> CalibrationRow:
        return CalibrationRow(
            variant, quantity, value, 0.01, 0.99, 500, expected, holds, 0, "abc", "between", n
        )

    turned = "among 99% of the same sound turned round (0.44 to 0.56)"
    return [
        row("null", "pairwise_identification", 0.5),
        row("null-one-excerpt", "pairwise_identification", 0.52, turned),
        row("null", "rejection_rate", rates[0]),
        row("null-shared", "rejection_rate", rates[1]),
        row("null-shared", "rejection_rate", rates[1], n=calibration.MANY_SUBJECTS),
    ]


def test_how_sure_the_statistics_are() -> None:
    said = discussion.calibration_said(calibrated())
    assert (said["null"], said["null_said"]) == ("0.500 (0.010 to 0.990)", "as it should be")
    assert (said["excerpt"], said["excerpt_said"], said["excerpt_n"]) == ("0.520", "0.44 to 0.56", 500)
    assert said["rate_said"] == "They lie on both sides of it, and all intervals hold it"
    wrong = discussion.calibration_said(calibrated(holds=False, rates=(0.08, 0.09)))
    assert str(wrong["null_said"]).startswith("which is not one half")
    assert wrong["rate_said"] == "All lie above it, and not all intervals hold it"
    low = discussion.calibration_said(calibrated(rates=(0.01, 0.02)))
    assert low["rate_said"] == "None lies above it, and all intervals hold it"


def test_the_plan_cites_the_edition_s_primary_comparison() -> None:
    training = SimpleNamespace(segment_seconds=6, gap_trs=10, lag_trs=[2, 3])
    said = discussion.plan_said(SimpleNamespace(settings=SimpleNamespace(training=training)))  # type: ignore[arg-type]
    assert (said["segment_seconds"], said["gap"], said["lags"]) == (6.0, 10, "2, 3")
    assert float(said["masking"]) > 0
