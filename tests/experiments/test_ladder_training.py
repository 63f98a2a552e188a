"""Whether a run counts as training follows from its losses alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from fmri_audio.base.errors import UserError
from fmri_audio.base.rows import write_rows
from fmri_audio.experiments import ladder_training
from fmri_audio.experiments.ladder_training import Checked, Verdict


def run_of(
    losses: Sequence[float], arm: str = "mel", pca: float = 3.0, wide: float = 1.0, **more: object
) -> list[Checked]:
    """A run that was checked every hundred steps, an hour each, at two widths."""
    known = {"control": "", "single": False, "sound": None, "seed": 1, "weights": 10, "hardware": "a core"}
    return [
        Checked(
            arm=arm,
            step=100 * k,
            minutes=60.0 * k,
            per_step=width,
            loss=loss * times,
            pca=pca,
            **{**known, **more},
        )  # type: ignore[arg-type]
        for k, loss in enumerate(losses)
        for width, times in ((10, 1.0), (164, wide))
    ]


def test_a_run_that_gains_beats_components_and_is_flat_is_trained() -> None:
    verdict = Verdict.of(run_of([4.0, 3.0, 2.01, 2.0]))
    assert verdict.said == "trained" and verdict.flat
    assert verdict.gained == pytest.approx(0.5) and verdict.beats_pca == pytest.approx(1 / 3)
    assert verdict.falling == pytest.approx(1 - 2.0 / 2.01)


@pytest.mark.parametrize(
    ("losses", "wide", "said"),
    [
        ([4.0, 3.0, 2.5, 2.0], 1.0, "still falling (by 20.0% in the last third)"),
        ([2.0, 2.0, 2.0, 2.0], 1.0, "not better than its start at every width"),
        ([4.0, 3.0, 2.0, 2.0], 2.0, "not better than principal components at every width"),
    ],
)
def test_what_is_lacking_is_named(losses: list[float], wide: float, said: str) -> None:
    assert Verdict.of(run_of(losses, wide=wide)).said == said


def test_a_run_without_a_curve_has_no_verdict() -> None:
    with pytest.raises(ValueError, match="no curve"):
        Verdict.of(run_of([4.0, 3.0]))


def test_runs_are_told_apart_and_the_main_one_is_found() -> None:
    main, other, single = run_of([3, 2]), run_of([3, 2], seed=2), run_of([3, 2], single=True)
    little, wide = run_of([3, 2], sound=10.0), run_of([3, 2], control="wide")
    rows = [*other, *main, *single, *little, *wide]
    assert len(ladder_training.runs(rows)) == 6  # each width of a single one is a run
    assert ladder_training.main_run(rows, "mel") == main
    assert ladder_training.main_run(rows, "codes") == []


def test_equal_compute_and_ratios() -> None:
    slow, fast = run_of([4.0, 3.0, 2.0]), run_of([4.0, 2.0, 1.0])
    assert ladder_training.at(slow, 119.0) == {10: 3.0, 164: 3.0}
    both = ladder_training.ratio(ladder_training.at(fast, 60.0), ladder_training.at(slow, 120.0))
    assert both == pytest.approx(1.0)
    with pytest.raises(ValueError, match="nothing was checked"):
        ladder_training.at(run_of([1.0, 1.0])[2:], 30.0)
    with pytest.raises(ValueError, match="no width in common"):
        ladder_training.ratio({1: 1.0}, {2: 1.0})


def test_the_table_comes_back(tmp_path: Path) -> None:
    rows = [*run_of([4.0, 3.0]), *run_of([4.0, 3.0], sound=10.0, control="wide")]
    write_rows(rows, tmp_path / "t.csv", digits=5)
    assert ladder_training.read(tmp_path / "t.csv") == rows
    with pytest.raises(UserError, match="make bottleneck"):
        ladder_training.read(tmp_path / "none.csv")


def test_a_run_that_overfits_does_not_count_as_trained() -> None:
    rising = Verdict.of(run_of([4.0, 2.0, 1.8, 2.2]))
    assert rising.rising and "overfits (loss up by" in rising.said
    assert not Verdict.of(run_of([4.0, 2.5, 2.0, 2.0])).rising
