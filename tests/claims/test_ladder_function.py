"""Claims on the bottleneck follow from the ladder's tables, by arm and width, with their intervals."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest

from fmri_audio.claims.claims import DEPENDS, FAILS, HOLDS, SIMULATION, UNDECIDED, Claim, _judge, _listed
from fmri_audio.claims.functions import ladder as function
from fmri_audio.claims.functions.registry import REGISTRY, Case
from fmri_audio.experiments.ladder import Condition, Ladder
from tests.chapters.ladder.test_rungs import condition, with_more

TABLES: Any = SimpleNamespace(metrics=None, training={}, helps={})


@pytest.fixture(autouse=True)
def tables(monkeypatch: pytest.MonkeyPatch) -> Ladder:
    """The chapter's toy table, with brains, a codec at the bits of a quantised mel, and a start."""
    more: dict[str, tuple[Condition, float]] = {}

    def add(wrong: float, rung: str, arm: str, made: str, asked: float | None = None, **what: object) -> None:
        name = "/".join(map(str, (rung, arm, made, asked, *what.values())))
        more[name] = (condition(name, rung, arm, made, asked, **what), wrong)

    add(19.0, "brains", "mel", "trained", 128.0, subjects=1, voxels="between")
    add(19.0, "brains", "mel", "trained", 128.0, subjects=1, voxels="between", control="other")
    add(6.0, "representation", "mel", "6 kbps", bits_per_tr=9000.0)
    found = with_more(more)
    monkeypatch.setattr(function, "_read", lambda: found)
    monkeypatch.setattr(function, "_lacking", lambda arm: "")
    return found


def cases(**arguments: str) -> list[Case]:
    return REGISTRY["ladder"](TABLES, **arguments)


def judged(expect: str, **arguments: str) -> str:
    entry = {
        "id": "toy",
        "group": "toy",
        "claim": "toy",
        "source": {"lines": [1], "quote": "toy"},
        "test": [{"function": "ladder", "arguments": arguments}],
        "expect": expect,
    }
    return _judge(Claim.model_validate(entry), TABLES, {}).verdict


def test_every_width_of_every_arm_is_a_case_with_its_interval() -> None:
    found = cases(arms="mel frozen", widths="128 512")
    assert [one.label for one in found] == [
        "mel + Griffin-Lim, 128 numbers per TR",
        "mel + Griffin-Lim, 512 numbers per TR",
        "EnCodec latents, codec frozen, 128 numbers per TR",
        "EnCodec latents, codec frozen, 512 numbers per TR",
    ]
    assert [one.value for one in found] == pytest.approx([0.35, 0.01, 0.5, 0.16], abs=0.011)
    assert all(
        one.low is not None and one.high is not None and one.low - 1e-9 <= one.value <= one.high + 1e-9
        for one in found
    )
    assert all(one.said and one.said > 600 and not one.brains for one in found)


def test_verdicts_by_width() -> None:
    assert judged("<= 0.05", arms="mel", widths="512 844") == HOLDS
    assert judged("<= 0.05", arms="mel", widths="128") == FAILS
    assert judged("<= 0.05", arms="mel") == DEPENDS


def test_what_is_subtracted_is_paired_and_one_thing_alone() -> None:
    assert [one.value for one in cases(arms="mel", widths="128", less="arm frozen")] == pytest.approx([-0.15])
    assert [one.value for one in cases(arms="mel", widths="128", less="made pca")] == pytest.approx([-0.15])
    [codec] = cases(arms="encodec", rung="codec", made="", less="rung representation mel")
    assert codec.value == pytest.approx(-0.1) and codec.label == "encodec, 6 kbps"
    assert cases(arms="mel", less="arm codes") == []
    with pytest.raises(ValueError, match="should begin with one of"):
        cases(arms="mel", less="colour blue")


def test_what_an_arm_misses_that_does_not_count_as_trained_is_undecided(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(function, "_lacking", lambda arm: "still falling" if arm == "mel" else "")
    [case] = cases(arms="mel", widths="128")
    assert case.low == -math.inf and case.high == pytest.approx(0.35, abs=0.02)
    assert case.lacking == "mel + Griffin-Lim: still falling"
    assert (
        judged("<= 0.05", arms="mel", widths="128") == judged("> 0.05", arms="mel", widths="128") == UNDECIDED
    )
    assert judged("<= 0.05", arms="mel", widths="512 844") == HOLDS  # it is there already
    assert judged("< 0", arms="mel", widths="128", less="arm frozen") == HOLDS
    assert judged("< 0", arms="mel", widths="128", less="made pca") == HOLDS
    # More training of mel would not help this claim.
    assert judged("< 0", arms="frozen", widths="128", less="arm mel") == FAILS
    assert judged("> 0", arms="frozen", widths="128", less="arm mel") == HOLDS
    [better] = cases(arms="mel", widths="128", measure="estoi")
    assert better.high == math.inf and better.low is not None and better.low > 0
    assert (
        cases(arms="frozen", widths="128")[0].lacking
        == cases(arms="mel", made="pca", widths="128")[0].lacking
        == ""
    )


def test_an_open_interval_is_said_with_what_the_arm_lacks() -> None:
    low, high = (
        Case("toy", 0.3, "toy", low=-math.inf, high=0.4, lacking="still falling"),
        Case("b", 0.3, "b", low=0.2, high=math.inf),
    )
    assert _listed([low, high], "") == "toy: 0.3 (at most 0.4; still falling); b: 0.3 (at least 0.2)"


def test_brains_are_simulated_and_no_difference_is_no_verdict() -> None:
    [one] = cases(arms="mel", rung="brains", less="control other")
    assert one.brains == "simulated brains" and one.value == 0
    assert judged("< 0", arms="mel", rung="brains") == SIMULATION
    assert (
        judged("< 0", arms="frozen", less="made pca", widths="128") == FAILS
    )  # they are equal, window by window


def test_a_decoder_that_was_told_nothing_stands_beside_every_brain(monkeypatch: pytest.MonkeyPatch) -> None:
    more = {}
    for rung, control, wrong in (("brains", "", 18.0), ("device", "prior", 19.0)):
        name = f"{rung}/{control}"
        what = {"subjects": 1, "voxels": "fine"} if rung == "brains" else {}
        more[name] = (condition(name, rung, "mel", "trained", 128.0, control=control, **what), wrong)
    monkeypatch.setattr(function, "_read", lambda: with_more(more))
    [one] = cases(arms="mel", rung="brains", less="control prior")
    assert one.value == pytest.approx(-0.05)


def test_a_score_below_sounds_without_words_is_no_case() -> None:
    assert cases(arms="mel", measure="stoi", above="floors") == []  # all have the STOI of noise
    assert len(cases(arms="mel", measure="estoi", above="floors")) == 4


def test_metrics_that_cannot_tell_words_from_none_are_named() -> None:
    found = {one.label: one.value for one in REGISTRY["tells_words_from_none"](TABLES)}
    assert found["ESTOI"] == "yes"
    assert str(found["STOI"]).startswith("gives 0.50 to sound without words and 0.50 to")


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(-0.2, -0.1, HOLDS), (0.1, 0.2, FAILS), (-0.1, 0.1, UNDECIDED), (float("nan"), float("nan"), UNDECIDED)],
)
def test_an_interval_that_holds_both_is_no_verdict(
    low: float, high: float, verdict: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Case("toy", (low + high) / 2 if low == low else 0.0, "toy", low=low, high=high)
    monkeypatch.setitem(REGISTRY, "ladder", lambda tables, **arguments: [one])
    assert judged("< 0", arms="mel") == verdict
