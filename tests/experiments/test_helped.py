"""Whether training helped: better than the untrained start and than a code without training, or no verdict."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest

from fmri_audio.experiments import helped
from fmri_audio.experiments.helped import LINEAR, TRAINED, UNTRAINED, Help

ROOT = Path(__file__).resolve().parents[2]


def help_of(trained: tuple[float, float], began: tuple[float, float], linear: tuple[float, float]) -> Help:
    scores = {TRAINED: trained, UNTRAINED: began, LINEAR: linear}
    return Help("frozen", {name: dict(zip(helped.DECIDING, pair, strict=True)) for name, pair in scores.items()})


@pytest.mark.parametrize(
    ("trained", "began", "linear", "expected"),
    [
        ((0.8, 5.0), (0.5, 9.0), (0.7, 6.0), True),
        ((0.47, 9.0), (0.5, 9.5), (0.4, 10.0), False),  # worse than its own start by one score
        ((0.6, 8.0), (0.5, 9.0), (0.64, 7.0), False),  # what a decomposition gives for nothing is better
        ((0.5, 9.0), (0.5, 9.0), (0.4, 10.0), False),  # kept as it began
        ((math.nan, 5.0), (math.nan, 9.0), (math.nan, 6.0), True),  # nobody speaks: the distance alone decides
        ((math.nan, math.nan), (0.5, 9.0), (0.7, 6.0), False),
    ],
)
def test_an_arm_is_helped_if_it_is_better_than_both_by_every_score(trained, began, linear, expected):
    assert help_of(trained, began, linear).helped is expected


def test_the_numbers_that_decide_are_said():
    assert help_of((0.47, 9), (0.5, 9.5), (0.64, 7)).said == (
        "frozen: STOI 0.470, untrained 0.500, block PCA 0.640; "
        "mel distance (dB) 9.00, untrained 9.50, block PCA 7.00"
    )


def rows(control: str, stoi: float, distance: float, fold: str = helped.FOLD) -> list[dict[str, object]]:
    common = {"arm": "frozen", "fold": fold, "control": control}
    return [{**common, "metric": "stoi", "value": stoi}, {**common, "metric": "mel_distance_db", "value": distance}]


def test_only_validation_sound_decides_and_what_was_not_compared_is_not_there():
    whole = rows(TRAINED, 0.8, 5) + rows(UNTRAINED, 0.5, 9) + rows(LINEAR, 0.7, 6)
    held_out = rows("none", 0.1, 30, "held-out")
    found = helped.helps(pd.DataFrame(whole + held_out))
    assert list(found) == ["frozen"] and found["frozen"].helped
    assert not helped.helps(pd.DataFrame(whole[:4] + held_out))


@pytest.mark.parametrize(
    "chapter",
    ["01-introduction", "06-training", "07-evaluation", "08-claims", "09-discussion", "10-sweep"],
)
def test_chapters_that_gave_verdicts_on_the_bottleneck_say_that_it_is_measured_anew(chapter):
    text = (ROOT / "book" / f"{chapter}.md").read_text(encoding="utf-8")
    assert "{glue:text}`remeasured`" in text and "REMEASURED" in text


def test_so_does_the_readme():
    assert helped.REMEASURED in " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
