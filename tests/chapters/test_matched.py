"""What the chapter on real brains says of simulated ones and of aligning, whichever way it turns out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fmri_audio.base.settings import VOXELS
from fmri_audio.chapters import matched
from fmri_audio.experiments.aligned import AlignedRow
from fmri_audio.experiments.matched_brains import MatchedRow

ALL = " ".join(VOXELS)


def row(quantity: str, agrees: str, kind: str = "check") -> MatchedRow:
    return MatchedRow(quantity, "runs 2, 4, 6", kind, 0.4, 0.3, 0.5, 0.41, 0.42, 0.6, agrees, "abc")


def test_what_fails_is_listed_with_both_figures() -> None:
    rows = [
        row("pairs", ALL, "fitted"),
        row("agreement", ALL),
        row("level r", "none"),
        row("x", "smooth between"),
    ]
    said = matched.said(rows)
    assert (said["checks"], said["checks_hold"], said["fitted"]) == (3, 1, 1)
    assert said["fitted_off"] == "nothing"
    off = matched.said([row("pairs", "fine", "fitted")])
    assert str(off["fitted_off"]).endswith("agree: fine") and off["failing"] == "nothing"
    assert said["failing"] == "level r (runs 2, 4, 6): 0.40 real, 0.41 to 0.60 simulated"
    assert str(said["failing_some"]).startswith("x (runs 2, 4, 6)") and "agree: smooth between" in str(
        said["failing_some"]
    )
    assert matched.said(rows[:2])["failing"] == "nothing"
    shown = matched.table(rows)
    assert shown[""].tolist() == ["fitted", "check", "check", "check"] and shown["fine"].tolist() == [0.6] * 4
    assert set(matched.FORMATS) <= set(shown.columns)


def ways() -> list[AlignedRow]:
    def one(method: str, n: int, r: float, less: str = "", difference: float | None = None) -> AlignedRow:
        low, high = (None, None) if difference is None else (difference - 0.02, difference + 0.02)
        return AlignedRow(
            method, n, r, r - 0.1, r + 0.1, 0.01, -0.05, 0.07, less, difference, low, high, 3, 7, "abc"
        )

    return [
        one("within", 1, 0.4),
        one("bold", 11, 0.68),
        one("components", 11, 0.68, "bold", 0.0),
        one("predictions", 11, 0.69, "bold", 0.01),
        one("shared", 11, 0.7, "components", 0.03),
        one("bold-new", 10, 0.44),
        one("shared-new", 10, 0.41, "bold-new", -0.03),
    ]


def test_what_alignment_buys_is_a_gain_a_loss_or_no_verdict() -> None:
    said = matched.aligned_said(ways())
    assert said["bought"] == "+0.030 (+0.010 to +0.050), better in these runs"
    assert said["new_bought"] == "-0.030 (-0.050 to -0.010), worse in these runs"
    rows = [
        replace(x, difference=0.0, difference_low=-0.02, difference_high=0.02) if x.less else x
        for x in ways()
    ]
    assert str(matched.aligned_said(rows)["bought"]).endswith("no verdict")
    with pytest.raises(ValueError, match="compared with nothing"):
        matched._bought(ways()[0])


def test_ways_are_shown_in_order_with_what_they_are_better_by() -> None:
    shown = matched.aligned_table(ways())
    assert shown["how"].tolist()[0] == "a listener's own decoder" and len(shown) == 7
    assert shown["differs by"].tolist().count("–") == 3
    assert "mean over 7 runs" in matched.aligned_caption(ways())
