"""Chapter 13: sentences follow convergence, seeds and scores, in either direction."""

from __future__ import annotations

from types import SimpleNamespace

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from fmri_audio.bottleneck.training import SPLITS, Convergence
from fmri_audio.chapters import training
from fmri_audio.sound.scoring import METRIC_NAMES


def arm(held_out: float = 0.5, converged: bool = True, name: str = "frozen") -> SimpleNamespace:
    """An arm trained for ten steps, of which the fifth is kept, with its held-out loss there."""
    rows = [
        {"step": step, "part": part, "loss": loss, "bold_error": 2.0 - step / 10}
        for step, losses in {0: (1.0, 1.0, 1.0), 5: (0.4, 0.6, held_out), 10: (0.2, 0.7, 0.9)}.items()
        for part, loss in zip(SPLITS, losses, strict=True)
    ]
    return SimpleNamespace(
        curves=pd.DataFrame(rows),
        selected=5,
        convergence=Convergence(converged, 0.004, True),
        variance_passed=0.25,
        model=SimpleNamespace(loss_unit="distance", representation="encodec-latents", name=name),
        arm=name,
    )


def test_losses_at_the_beginning_where_it_is_kept_and_at_the_end() -> None:
    said = training.convergence_said({"frozen": arm(0.5)}, {})
    assert said["frozen_verdict"] == "converged" and said["frozen_falling"] == pytest.approx(0.4)
    assert [said[f"frozen_held-out_{when}"] for when in ("first", "kept", "last")] == [1.0, 0.5, 0.9]
    assert [said[f"frozen_training_{when}"] for when in ("first", "kept", "last")] == [1.0, 0.4, 0.2]


@pytest.mark.parametrize(
    ("second", "verdict"), [(True, "converged"), (False, "not converged from 1 of 2 seeds")]
)
def test_one_seed_that_has_not_converged_is_told(second: bool, verdict: str) -> None:
    repeated = {"frozen": [arm(), arm(converged=second)]}
    said = training.convergence_said({"frozen": arm(), "mel": arm(converged=False)}, repeated)
    assert said["mel_verdict"] == "not converged: the loss was still falling", "it was trained once"
    assert said["frozen_verdict"] == verdict and said["frozen_unfinished"] == (0 if second else 1)


def test_distances_and_the_other_arms() -> None:
    arms = {"frozen": arm(), "mel": arm(converged=False)}
    assert (
        training.distances_said(arms)["distance_training"]
        == "frozen 2.00 to 1.50; mel + Griffin-Lim 2.00 to 1.50"
    )
    assert training.others_verdicts(arms) == (
        "mel + Griffin-Lim not converged: the loss was still falling, kept from step 5"
    )
    assert training.others_verdicts({"frozen": arm()}) == "none was trained"


@pytest.mark.parametrize(
    ("frozen", "tuned", "said"),
    [
        ((0.5, 0.5), (0.4, 0.4), "every seed"),
        ((0.5, 0.5), (0.6, 0.6), "no seed"),
        ((0.5, 0.5), (0.4, 0.6), "1 of 2 seeds"),
    ],
)
def test_seeds_decide_together(frozen: tuple[float, ...], tuned: tuple[float, ...], said: str) -> None:
    found = training.seeds_said(
        {"frozen": [arm(one) for one in frozen], "finetuned": [arm(one) for one in tuned]}
    )
    assert found["seeds_verdict"] == f"the fine-tuned arm ends lower than the frozen one from {said}"
    assert found["seeds_said"].startswith(
        f"frozen 0.500 to 0.500; fine-tuned {min(tuned):.3f} to {max(tuned):.3f}"
    )


def test_no_verdict_before_training_is_over() -> None:
    found = training.seeds_said({"frozen": [arm()], "finetuned": [arm(converged=False)]})
    assert found["seeds_verdict"] == "no verdict, because not every training of fine-tuned has converged"


def test_curves_are_drawn_with_the_epoch_that_is_kept() -> None:
    figure = training.draw_curves(SimpleNamespace(arms={"frozen": arm(), "mel": arm()}))  # type: ignore[arg-type]
    circles = [line for line in figure.axes[0].get_lines() if line.get_marker() == "o"]
    assert [line.get_xydata().tolist() for line in circles] == [[[5.0, 0.6]]] * 2
    plt.close(figure)


def bits(own: tuple[float, float]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "part": ["training", "training", "held-out", "held-out"],
            "codebook": [1, 2, 1, 2],
            "bits": [3.0, 3.0, *own],
            "unigram_bits": [8.0, 8.0, 8.0, 9.0],
        }
    )


def test_bits_saved_and_bits_lost() -> None:
    saved, lost = training.code_gain(bits((7.5, 8.0))), training.code_gain(bits((9.0, 9.0)))
    assert "together save 0.75 bits per code against the unigram baseline of 8.50" in saved
    assert saved.endswith("the bottleneck alone saves 0.50")
    assert "together cost 0.50 bits per code" in lost and lost.endswith("the bottleneck alone costs 1.00")
    assert training.code_gain(None) == "no codes arm was trained in this edition"
    assert training.bits_table(bits((7.5, 8.0))).columns.tolist() == [
        "codebook",
        "bottleneck and coarser codes, held-out",
        "bottleneck and coarser codes, training",
        "unigram, held-out",
        "unigram, training",
    ]


def test_the_nearest_arm_is_named() -> None:
    scores = {"frozen": (0.5, 9.0), "finetuned": (0.6, 8.0), "mel": (0.4, 7.0)}
    means = {
        name: {"stoi": stoi, "estoi": stoi - 0.1, "mel_distance_db": distance}
        for name, (stoi, distance) in scores.items()
    }
    assert training.nearest_said(means) == {
        "better_arm": "closer",
        "others_said": "mel + Griffin-Lim 0.400, 0.300 and 7.00 dB",
        "best_arm": "mel + Griffin-Lim",
    }
    del means["mel"]
    means["finetuned"]["mel_distance_db"] = 9.0
    assert training.nearest_said(means) == {
        "better_arm": "no closer",
        "others_said": "none was trained",
        "best_arm": "frozen",
    }


def test_floors_stand_last_in_the_table() -> None:
    scores = pd.DataFrame([{"window": "a", "kind": "music", **dict.fromkeys(METRIC_NAMES, 1.0)}])
    heard = SimpleNamespace(windows=[SimpleNamespace(kind="music")])
    table = training.scores_table(heard, {"frozen": scores}, {"other-segment": scores, "silence": scores})  # type: ignore[arg-type]
    assert table["sound"].tolist() == ["frozen", "floor: other music", "floor: silence"]
