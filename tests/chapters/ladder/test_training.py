"""What the chapter says of trainings, whichever way they went."""

from __future__ import annotations

import pytest

from fmri_audio.chapters.ladder import training as chapter
from fmri_audio.experiments.ladder_training import Checked
from tests.experiments.test_ladder_training import run_of


def rows() -> list[Checked]:
    """The mel arm is trained, the frozen one is still falling, the fine-tuned one is worse than components."""
    return [
        *run_of([4.0, 2.5, 2.0, 2.0]),
        *run_of([4.0, 3.0, 2.8, 2.5], arm="frozen"),
        *run_of([4.0, 3.1, 3.1, 3.1], arm="finetuned"),
        *run_of([4.0, 2.2, 1.9, 1.8], single=True)[1::2],
        *run_of([4.0, 3.0, 2.2, 2.2], sound=10.0),
        *run_of([4.0, 2.5, 2.4], arm="finetuned", control="50 steps"),
        *run_of([6.0, 5.0, 5.0], arm="finetuned", control="random codec"),
        *run_of([4.0, 2.5, 2.5], arm="frozen", control="wide", weights=99),
    ]


def test_every_arm_has_its_row_and_its_verdict() -> None:
    frame = chapter.table(rows())
    assert frame[""].tolist() == [
        "trained",
        "still falling (by 10.7% in the last third)",
        "not better than principal components at every width",
    ]
    assert frame["below components"].tolist() == pytest.approx([1 / 3, 1 / 6, -0.1 / 3])
    said = chapter.said(rows())
    assert said["trained"] == "mel + Griffin-Lim" and str(said["not_trained"]).count(";") == 1
    assert "of one core of a core" in chapter.caption(rows())


def test_costs_of_less_sound() -> None:
    assert chapter.more_sound_said(rows()) == "mel + Griffin-Lim: 10 min +10%"
    assert chapter.more_sound_said(run_of([3.0, 2.0, 1.0])) == "not measured"


def test_frozen_and_finetuned_are_compared_at_equal_samples_and_equal_compute() -> None:
    said = chapter.frozen_or_finetuned(rows())
    assert "at equal samples +24.0%" in said and "in 120 min against 180 min -4.0%" in said
    assert "begun from random weights +100.0%" in said
    assert "frozen with 99 trained weights in place of 10 +0.0%" in said
    assert chapter.frozen_or_finetuned(run_of([3.0, 2.0, 1.0])) == "not measured"


def test_the_figure_has_a_curve_for_every_arm() -> None:
    [axes] = chapter.draw(rows()).axes
    curves = [line for line in axes.get_lines() if not str(line.get_label()).startswith("_")]
    assert len(curves) == 3 and curves[0].get_ydata()[0] == pytest.approx(4 / 3)  # type: ignore[index]
