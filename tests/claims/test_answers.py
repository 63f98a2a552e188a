"""Answers to the note's questions: they say what the verdicts say, whichever that is."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from fmri_audio.claims import answers as claim_answers
from fmri_audio.claims import claims
from fmri_audio.claims.claims import (
    DEPENDS,
    FAILS,
    HOLDS,
    SIMULATION,
    UNDECIDED,
    UNTESTED,
    Claim,
    Verdict,
)
from fmri_audio.claims.functions.registry import Case
from fmri_audio.experiments.ladder import CONDITIONS

IDS = {
    "codec-intelligible",
    "beats-mel-at-equal-bits",
    "snr-gate",
    "pesq-gate",
    "bottleneck-intelligible",
    "brains-intelligible",
    "question-proceed",
    "question-finetune",
    "question-metrics",
    "question-complex",
    "finetuned-is-better",
    "finetuned-is-closer",
    "finetuned-from-brains",
    "finetuned-is-closer-from-brains",
    "complex-arm",
    "complex-arm-is-closer",
    "complex-arm-from-brains",
    "beats-mel-behind-the-bottleneck",
    "beats-mel-from-brains",
    "perfect-reconstruction",
    "complex-memory",
}


FROM_BRAINS = {name for name in IDS if name.endswith("-from-brains")}
"""Comparisons of arms that were decoded from brains."""


def verdict(name: str, outcome: str, *values: float | str, **given: Any) -> Verdict:
    claim = Claim.model_validate(
        {
            "id": name,
            "group": "Toy",
            "claim": "It is so",
            "source": {"lines": [1], "quote": "so"},
            "test": "none",
            "why": "no",
        }
    )
    cases = tuple(
        Case(f"case {n}", value, "toy", ("demo-1",), given.get("brains", ""))
        for n, value in enumerate(values)
    )
    name = SIMULATION if given.get("brains") == "simulated brains" else outcome
    if not outcome:
        return Verdict(claim, UNTESTED, beside=cases, why=given.get("why", "nobody knows"))
    without = (Case("training mean", given["without"], "toy"),) if "without" in given else ()
    return Verdict(claim, name, outcome, cases, without=without)


def answers(outcome: str, brains: str = "simulated brains", **changed: Verdict) -> dict[str, str]:
    """Answer with one outcome for every claim, but for those that are given."""
    all_alike = {name: verdict(name, outcome, 0.25, 0.5) for name in IDS}
    all_alike["brains-intelligible"] = verdict("brains-intelligible", outcome, 0.125, brains=brains)
    for name in FROM_BRAINS:
        all_alike[name] = verdict(name, outcome, 0.125, brains=brains, without=0.75)
    all_alike["question-metrics"] = verdict("question-metrics", DEPENDS, "yes", "is below silence")
    given = {name.replace("_", "-"): one for name, one in changed.items()}
    return claim_answers.answers({**all_alike, **given}.values(), brains)


def test_the_verdicts_that_answers_need_are_claims() -> None:
    assert {one.id for one in claims.load()} >= IDS


@pytest.mark.parametrize(
    ("outcome", "starts", "contains"),
    [
        (
            HOLDS,
            ("Yes", "Fine-tune", "Yes"),
            (
                "is intelligible",
                "more so than",
                "is met (weights: demo-1) and",
                "is exact",
                "it is more intelligible than mel and",
            ),
        ),
        (
            FAILS,
            ("No", "Freeze", "As a comparison only"),
            (
                "is not intelligible",
                "no more so than",
                "at no bandwidth",
                "is not exact",
                "no more intelligible than",
            ),
        ),
        (
            DEPENDS,
            ("In part", "It depends", "It depends"),
            (
                "at times",
                "sometimes more",
                "at some bandwidths only",
                "exact at times",
                "part more intelligible than",
            ),
        ),
    ],
)
def test_answers_follow_the_outcomes(
    outcome: str, starts: tuple[str, ...], contains: tuple[str, ...]
) -> None:
    found = answers(outcome)
    assert set(found) == set(claim_answers.QUESTIONS)
    for name, start in zip(("proceed", "finetune", "complex"), starts, strict=True):
        assert found[name].startswith(start)
    text = " ".join(found.values())
    for words in contains:
        assert words in text, words
    assert len(FROM_BRAINS) == text.count("where without any brain it is 0.75") == 4
    assert text.count("(weights: demo-1)") == 2  # the gates
    assert "weights: demo-1" in found["proceed"] and "0.25 to 0.5" in found["proceed"]


@pytest.mark.parametrize("brains", ["simulated brains", "measured brains"])
def test_whose_brains_is_said_wherever_they_enter(brains: str) -> None:
    found = answers(FAILS, brains)
    assert (
        "decoded from simulated brains it is not intelligible (share of words lost 0.125" in found["proceed"]
    )
    assert f"decoded from {brains} it has no advantage in STOI" in found["finetune"]
    assert "and has no advantage in mel distance" in found["finetune"]
    assert f"decoded from {brains} it is no nearer to the original" in found["proceed"]
    assert f"decoded from {brains} it is no nearer to the original" in found["complex"]


def test_nothing_is_concluded_from_arms_that_are_still_learning() -> None:
    why = "the frozen arm: not converged"
    untested = {
        name.replace("-", "_"): verdict(name, "", 0.3, why=why)
        for name in ("question-finetune", "finetuned-is-better", "bottleneck-intelligible")
    }
    found = answers(
        HOLDS,
        brains_intelligible=verdict("brains-intelligible", "", 0.2, why=why, brains="simulated brains"),
        **untested,
    )
    assert found["finetune"].startswith(f"No preference can be given here: {why}")
    assert (
        f"sound has no verdict ({why}; share of words lost so far 0.3, weights: demo-1)" in found["proceed"]
    )
    assert f"decoded from simulated brains it has no verdict ({why}" in found["proceed"]


def test_what_its_interval_leaves_open_is_said_to_be_open() -> None:
    found = answers(HOLDS, beats_mel_at_equal_bits=verdict("beats-mel-at-equal-bits", UNDECIDED, -0.1))
    assert "it is within its interval as intelligible as a mel" in found["proceed"]


def test_no_complex_arm_is_no_answer() -> None:
    found = answers(HOLDS, question_complex=verdict("question-complex", "", why="no rows"))["complex"]
    assert found.startswith("Not decided here: no rows") and "is exact" in found


def test_where_the_old_pipeline_was_not_trained_nothing_is_said_of_it() -> None:
    found = answers(
        HOLDS, **{"beats_mel_behind_the_bottleneck": verdict("beats-mel-behind-the-bottleneck", "")}
    )
    assert "Griffin-Lim" not in found["proceed"]


def test_metrics_are_sorted_by_what_they_tell() -> None:
    found = answers(HOLDS)["metrics"]
    assert (
        "without a brain: case 0. Not case 1, by which an intelligible mel spectrogram is below silence"
        in found
    )
    assert (
        "Not case"
        not in answers(HOLDS, question_metrics=verdict("question-metrics", HOLDS, "yes"))["metrics"]
    )
    cases = (Case("mel distance (dB)", "yes", "toy"),)
    mel = dataclasses.replace(verdict("question-metrics", HOLDS), cases=cases)
    assert (
        "mel distance (dB). Between arms the mel distance favours"
        in answers(HOLDS, question_metrics=mel)["metrics"]
    )
    assert "favours" not in found
    none = answers(HOLDS, question_metrics=verdict("question-metrics", FAILS, "no"))["metrics"]
    assert "none of those taken here. Not case 0" in none
    assert answers(HOLDS, question_metrics=verdict("question-metrics", "", why="no speech"))[
        "metrics"
    ].startswith("Not decided here: no speech")


def test_what_the_ladder_says_of_metrics_stands_beside() -> None:
    cases = (Case("ESTOI", "yes", CONDITIONS), Case("STOI", "gives 0.5 to sound without words", CONDITIONS))
    mixed = dataclasses.replace(verdict("question-metrics", DEPENDS), cases=cases)
    found = answers(HOLDS, question_metrics=mixed)["metrics"]
    assert "Beside words, ESTOI tells them. Beside words, STOI gives 0.5 to sound without words." in found
