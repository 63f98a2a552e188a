"""The sweep in words, tables and figures: they follow the numbers, and say who has not converged."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from fmri_audio.base.settings import SweepSettings, TrainingSettings
from fmri_audio.chapters.sweep import (
    LINE_STYLES,
    convergence_line,
    distances,
    draw,
    facts,
    formats,
    matching,
    others,
    others_said,
    own_seeds,
    plan,
    summary,
    unmoved,
    varied,
    verdict,
    verdicts,
)
from fmri_audio.experiments.training_sweep import Outcome, Sweep
from fmri_audio.sound import scoring


def sweep_of(asked: SweepSettings) -> Sweep:
    """A sweep whose edition is nothing but its settings."""
    codec = SimpleNamespace(id="tiny", model=SimpleNamespace(target_bandwidths=[1.5, 6.0]))
    settings = SimpleNamespace(sweep=asked, seed=20, main_bandwidth=6.0, edition="mine")
    run = SimpleNamespace(
        settings=settings,
        checkpoint=codec,
        stimulus=SimpleNamespace(name="a sound"),
        study=SimpleNamespace(simulated=True, subjects=[1, 2]),
    )
    own = SimpleNamespace(
        run=run,
        study=run.study,
        settings=TrainingSettings(rank=8, steps=4, epochs=2, seeds=2),
        n_units=422,
        windows=[SimpleNamespace(kind="speech")],
    )
    return Sweep(own, say=[].append)  # type: ignore[arg-type]


def rows(values: dict[float, Sequence[float]], converged: dict[float, bool] | None = None) -> pd.DataFrame:
    """Rows of one arm and condition: level → mel distance of every seed."""
    return pd.DataFrame(
        [
            (level, seed, (converged or {}).get(level, True), "mel_distance_db", value)
            for level, several in values.items()
            for seed, value in enumerate(several)
        ],
        columns=["level", "seed", "converged", "metric", "value"],
    )


def test_a_verdict_follows_the_numbers() -> None:
    assert verdict(rows({0.0: [8.0], 1.0: [7.0, 7.5]}), "balance") == (
        "least at balance 1 (7.25 dB), most at balance 0 (8.00 dB), more apart than seeds are (0.50 dB)"
    )
    assert verdict(rows({64: [7.0, 8.0], 512: [7.4]}), "rank") == (
        "least at rank 512 (7.40 dB), most at rank 64 (7.50 dB), no more apart than seeds are (1.00 dB)"
    )
    close = verdict(
        rows({64: [7.0, 7.5], 512: [7.753, 7.753]}), "rank"
    )  # .503 apart, seeds .5: alike as printed
    assert close.endswith("no more apart than seeds are (0.50 dB)")
    assert verdict(rows({600: [8.0], 1500: [7.0]}), "units") == (
        "least at 1,500 voxels (7.00 dB), most at 600 voxels (8.00 dB), from one seed, "
        "so that nothing says what chance does"
    )


def test_what_has_not_converged_gets_no_verdict() -> None:
    values = {0.0: [8.0, 8.0], 0.1: [7.0, 7.0], 1.0: [6.0, 6.0]}
    assert verdict(rows(values, {0.0: False, 0.1: False}), "balance") == (
        "no verdict, because training had not converged at balance 0 and balance 0.1"
    )
    said = verdict(rows(values, {1.0: False}), "balance")
    assert said.startswith("least at balance 0.1 (7.00 dB") and "6.00" not in said
    assert said.endswith("; not compared, because training had not converged: balance 1")


def test_one_seed_that_has_not_converged_takes_its_level_out() -> None:
    frame = rows({0.0: [8.0, 8.0], 1.0: [7.0, 7.0]})
    frame.loc[0, "converged"] = False
    assert verdict(frame, "balance") == "no verdict, because training had not converged at balance 0"


def with_outcomes(converged: bool = True, improved: bool = True) -> Sweep:
    """A sweep over the balance whose outcomes are made up: the balance itself is the mel distance."""
    made = sweep_of(SweepSettings(arms=["frozen"], balances=[0.0, 1.0]))
    frame = pd.DataFrame({"window": ["a"], "kind": "speech", "mel_distance_db": [0.0]})
    frame = frame.assign(stoi=0.5, estoi=0.4)
    vars(made)["outcomes"] = [
        Outcome(
            point,
            converged or point.level != 1.0,
            improved or point.level != 1.0,
            9.0,
            {"training": 1.0, "held-out": 2.0},
            {name: frame.assign(mel_distance_db=10 + (point.level or 0.1)) for name in LINE_STYLES},
            {},
        )
        for point in made.points
    ]
    return made


def test_the_page_says_what_is_varied_and_how_far_training_came() -> None:
    done, undone = with_outcomes(), with_outcomes(converged=False)
    assert varied(done) == ["balance"]
    assert convergence_line(done) == "4 trainings of 4 steps, 4 of them converged"
    assert own_seeds(done) == "frozen 2"
    assert plan(done).iloc[:, 1:].to_numpy().tolist() == [
        ["0.1", "0, 0.1, 1", "frozen"],
        ["8", "8", "not varied in this edition"],
        ["422", "422", "not varied in this edition"],
        ["6", "6", "not varied in this edition"],
    ]
    said = facts(done)
    assert (said["n_trained"], said["n_converged"], said["convergence_said"]) == (4, 4, "all had converged")
    assert said["others_said"] == "nothing else is varied"
    assert said["brains"] == "simulated brains" and said["rank_own"] == 8.0
    assert str(facts(undone)["convergence_said"]).startswith("3 had converged; the others get no verdict")


def test_an_edition_that_varies_nothing_says_so() -> None:
    none = sweep_of(SweepSettings(balances=[0.1]))
    assert varied(none) == others(none) == []
    assert others_said(none, "brains") == "nothing else is varied"
    said = facts(none)
    assert said["own_seeds"] == "none, because nothing is varied"
    assert said["rank_verdicts"] == "nothing to compare, because this edition has rank 8 only"
    assert said["distances"] == "only its own balance was trained"
    assert said["matching"] == "What another balance would bring is not known here"


def test_words_table_and_figure_say_who_has_not_converged() -> None:
    done, undone = with_outcomes(), with_outcomes(converged=False)
    said = verdicts(done, "balance", "simulated brains")
    assert said.startswith("frozen: least at balance 0 ")
    assert "not compared, because training had not converged: balance 1" in verdicts(
        undone, "balance", "brains"
    )
    assert distances(done, "balance") == (
        "frozen, training 1.00 at 0, 1.00 at 0.1, 1.00 at 1; frozen, held-out 2.00 at 0, 2.00 at 0.1, 2.00 at 1"
    )
    assert matching(done) == (
        "From a balance of 0 to one of 1 this distance changes: frozen +0.00 in training and +0.00 held out. "
        "Held out, no arm that is compared comes nearer"
    )
    assert unmoved(done) == "every one of them bettered its start"
    table = summary(undone, "balance").set_index("balance, arm")
    assert table["converged"].to_dict() == {
        "0, frozen": "1 of 1",
        "0.1, frozen": "2 of 2",
        "1, frozen": "0 of 1",
    }
    assert table.loc["1, frozen", "mel distance (dB), measured"] == pytest.approx(11.0)
    assert set(formats()) <= set(table.columns)
    hollow = []
    for one in (done, undone):
        figure = draw(one, "balance")
        assert [axis.get_ylabel() for axis in figure.axes] == [
            scoring.LABELS["mel_distance_db"],
            scoring.LABELS["stoi"],
            scoring.LABELS["estoi"],
            "distance to BOLD, training",
            "distance to BOLD, held-out",
        ]
        dots = figure.axes[0].collections
        hollow.append(
            sum((dot.get_facecolors() == 1).all(axis=1).sum() for dot in dots if len(dot.get_offsets()))
        )
        plt.close(figure)
    assert hollow == [0, len(LINE_STYLES)]


def test_a_model_that_stayed_as_it_began_is_no_effect_of_the_balance() -> None:
    stuck = with_outcomes(improved=False)
    assert unmoved(stuck) == "no step bettered the start of frozen at balance 1, so that it stays as begun"
    assert "frozen is not compared, because no step bettered its start" in matching(stuck)
