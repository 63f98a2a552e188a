"""Whether training helped: better than the untrained start and than a code without training, or no verdict."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pandas as pd
import pytest

from fmri_audio.bottleneck.store import build, features_of
from fmri_audio.bottleneck.training import set_apart
from fmri_audio.experiments import helped, ladder_answer
from fmri_audio.experiments.held_out import HeldOut
from fmri_audio.experiments.helped import LINEAR, TRAINED, UNTRAINED, Help

ROOT = Path(__file__).resolve().parents[2]


def help_of(
    trained: tuple[float, float], began: tuple[float, float], linear: tuple[float, float], estoi: float = 0.0
) -> Help:
    """Scores by STOI and the mel distance; ESTOI is STOI, less so much for the trained arm."""
    scores = {
        name: {"stoi": stoi, "estoi": stoi - (estoi if name == TRAINED else 0), "mel_distance_db": distance}
        for name, (stoi, distance) in {TRAINED: trained, UNTRAINED: began, LINEAR: linear}.items()
    }
    return Help("frozen", scores)


@pytest.mark.parametrize(
    ("trained", "began", "linear", "expected"),
    [
        ((0.8, 5.0), (0.5, 9.0), (0.7, 6.0), True),
        ((0.47, 9.0), (0.5, 9.5), (0.4, 10.0), False),  # worse than its own start by one score
        ((0.6, 8.0), (0.5, 9.0), (0.64, 7.0), False),  # what a decomposition gives for nothing is better
        ((0.5, 9.0), (0.5, 9.0), (0.4, 10.0), False),  # kept as it began
        (
            (math.nan, 5.0),
            (math.nan, 9.0),
            (math.nan, 6.0),
            True,
        ),  # nobody speaks: the distance alone decides
        ((math.nan, math.nan), (0.5, 9.0), (0.7, 6.0), False),
    ],
)
def test_an_arm_is_helped_if_it_is_better_than_both_by_every_score(trained, began, linear, expected):
    assert help_of(trained, began, linear).helped is expected


def test_stoi_alone_does_not_help():
    assert help_of((0.8, 5), (0.5, 9), (0.7, 6), 0.05).helped
    assert not help_of((0.8, 5), (0.5, 9), (0.7, 6), 0.15).helped


def test_the_numbers_that_decide_are_said():
    assert help_of((0.47, 9), (0.5, 9.5), (0.64, 7)).said == (
        "frozen: STOI 0.470, untrained 0.500, block PCA 0.640; "
        "ESTOI 0.470, untrained 0.500, block PCA 0.640; "
        "mel distance (dB) 9.00, untrained 9.50, block PCA 7.00"
    )


def rows(control: str, stoi: float, distance: float, fold: str = helped.FOLD) -> list[dict[str, object]]:
    common = {"arm": "frozen", "fold": fold, "control": control}
    return [
        {**common, "metric": "stoi", "value": stoi},
        {**common, "metric": "mel_distance_db", "value": distance},
    ]


def test_only_validation_sound_decides_and_what_was_not_compared_is_not_there():
    whole = rows(TRAINED, 0.8, 5) + rows(UNTRAINED, 0.5, 9) + rows(LINEAR, 0.7, 6)
    held_out = rows("none", 0.1, 30, "held-out")
    found = helped.helps(pd.DataFrame(whole + held_out))
    assert list(found) == ["frozen"] and found["frozen"].helped
    assert not helped.helps(pd.DataFrame(whole[:4] + held_out))


def test_start_is_what_training_began_with_and_all_are_scored_on_validation_sound(
    held_out: HeldOut, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = helped.compare(held_out, "frozen")
    assert set(scores) == {TRAINED, UNTRAINED, LINEAR}
    # Trained with the step kept that it began with, an arm is its own start.
    began = build("frozen", held_out.material, held_out.run.settings.seed)
    fitted, _ = set_apart(held_out.split, held_out.settings.validation_fraction)
    began.start(features_of(began, held_out.material), fitted, held_out.run.settings.seed)
    monkeypatch.setitem(held_out.arms, "frozen", dataclasses.replace(held_out.arms["frozen"], model=began))
    again = helped.compare(held_out, "frozen")
    for metric in helped.DECIDING:
        pd.testing.assert_series_equal(again[TRAINED][metric], scores[UNTRAINED][metric])


@pytest.mark.parametrize("name", ["mel", "complex-stft"])
def test_every_kind_of_feature_has_a_code_without_training(held_out: HeldOut, name: str) -> None:
    scores = helped.compare(held_out, name)
    assert all(frame["mel_distance_db"].notna().all() for frame in scores.values())
    assert not scores[LINEAR]["mel_distance_db"].equals(scores[UNTRAINED]["mel_distance_db"])


@pytest.mark.parametrize(
    "chapter",
    ["01-introduction", "13-matching", "07-evaluation", "08-claims", "09-discussion", "10-sweep"],
)
def test_chapters_that_gave_verdicts_on_the_bottleneck_say_what_the_ladder_answers(chapter):
    text = (ROOT / "book" / f"{chapter}.md").read_text(encoding="utf-8")
    assert "{glue:text}`ladder_in_short`" in text


def test_so_does_the_readme():
    assert ladder_answer.said() in " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
