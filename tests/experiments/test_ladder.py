"""Counting on the ladder: means, paired differences, and intervals that hold the truth as often as they say."""

from __future__ import annotations

import numpy as np
import pytest

from fmri_audio.experiments.ladder import GROUPS, Condition, Ladder, Score, Window, ratio, where


def windows(n_voices: int = 6, passages: int = 5, per_passage: int = 3, said: int = 20) -> list[Window]:
    return [
        Window(f"{v}-{p}-{w}", ("recorded", "play")[v % 2], f"voice {v}", f"{v}-{p}", 8.0, said, "0")
        for v in range(n_voices)
        for p in range(passages)
        for w in range(per_passage)
    ]


def condition(name: str, per_tr: float | None = None) -> Condition:
    no_voxels = ("", "", None, None, "")
    return Condition(
        name, "code", "mel", "trained", per_tr, per_tr, None, None, None, *no_voxels, "", 0, "x", "x"
    )


def scored(
    name: str, wrong: float, estoi: float | None = 0.5, given: list[Window] | None = None
) -> list[Score]:
    return [Score(name, one.window, wrong, estoi, 0.8, None) for one in given or windows()]


def test_words_are_a_share_of_those_said_and_other_scores_means() -> None:
    table = Ladder(windows(), [condition("a"), condition("b")], [*scored("a", 5.0), *scored("b", 2.0, None)])
    found = table.mean("a", "wrong")
    assert (found.value, found.low, found.high, found.n, found.said) == (0.25, 0.25, 0.25, 90, 1800)
    assert table.mean("a", "estoi", ["play"]).n == 45
    assert table.difference("b", "a", "wrong").value == pytest.approx(-0.15)
    assert np.isnan(table.mean("b", "estoi").value) and table.mean("b", "estoi").n == 0
    with pytest.raises(KeyError):
        table.mean("c", "wrong")


def test_windows_where_a_score_is_undefined_are_left_out_of_both() -> None:
    given = windows()
    a = scored("a", 5.0, 0.5)
    b = [Score("b", one.window, 5.0, None if k else 0.1, 0.8, None) for k, one in enumerate(given)]
    found = Ladder(given, [], [*a, *b]).difference("a", "b", "estoi")
    assert found.n == 1 and found.value == pytest.approx(0.4) and np.isnan(found.low)


def test_conditions_come_by_width() -> None:
    found = where(
        [condition("b", 200.0), condition("a", 100.0), condition("c")], lambda one: one.condition != "c"
    )
    assert [one.condition for one in found] == ["a", "b"]


@pytest.mark.parametrize("voices", [6, 15])
def test_intervals_hold_the_truth_about_as_often_as_they_say(voices: int) -> None:
    """At the number of voices, passages and windows that are published; voices and passages differ, too."""
    rng = np.random.default_rng(voices)
    held = 0
    labels = [(f"v{v}", f"{v}-{p}") for v in range(voices) for p in range(6) for _ in range(2)]
    names, passages = zip(*labels, strict=True)
    for _ in range(200):
        of_voice, of_passage = (dict.fromkeys(kind) for kind in (names, passages))
        for key in of_voice:
            of_voice[key] = rng.normal(0, 0.05)
        for key in of_passage:
            of_passage[key] = rng.normal(0, 0.1)
        values = np.array([0.3 + of_voice[v] + of_passage[p] + rng.normal(0, 0.1) for v, p in labels])
        _, low, high = ratio(values, np.ones(len(values)), names, passages, seed=0, draws=400)
        held += low <= 0.3 <= high
    # Few voices make an interval a little narrow; windows as units, on the same data, would hold it far less often.
    assert 0.88 <= held / 200 <= 0.99


def test_in_one_window_no_more_words_are_wrong_than_were_said() -> None:
    table = Ladder(windows(), [condition("a"), condition("b")], [*scored("a", 47.0), *scored("b", 20.0)])
    assert table.mean("a", "wrong").value == 1 and table.difference("a", "b", "wrong").value == 0


def test_few_passages_have_no_interval() -> None:
    few = windows(1, 3)
    value, low, high = ratio(np.ones(9), np.ones(9), [x.voice for x in few], [x.passage for x in few], 0)
    assert value == 1 and np.isnan(low) and np.isnan(high)


@pytest.mark.parametrize("group", ["all", "fewer", "recorded", "play"])
@pytest.mark.parametrize("of_voice", [0.0, 0.05, 0.1])
def test_intervals_hold_the_truth_on_the_windows_that_are_published(group: str, of_voice: float) -> None:
    """Voices, passages, windows and words as in the tables, whichever of these a figure stands on."""
    tables = Ladder.read()
    swept = next(one.condition for one in tables.conditions if one.rung == "floor")
    used = np.isfinite(tables.of(swept, "wrong")) if group == "fewer" else tables.inside(None)
    used = tables.inside([group]) if group in GROUPS else used
    own = [one for one, is_so in zip(tables.windows, used.tolist(), strict=True) if is_so]
    names, passages = [one.voice for one in own], [one.passage for one in own]
    said = np.array([float(one.said) for one in own])
    rng, held = np.random.default_rng(7), 0
    for _ in range(150):
        voices, turns = ({key: rng.normal(0, size) for key in dict.fromkeys(kind)} for kind, size in
                         ((names, of_voice), (passages, 0.1)))  # fmt: skip
        values = [
            0.3 + voices[v] + turns[p] + rng.normal(0, 0.1) for v, p in zip(names, passages, strict=True)
        ]
        _, low, high = ratio(values * said, said, names, passages, seed=0, draws=400)
        held += low <= 0.3 <= high
    assert 0.86 <= held / 150 <= 1.0


def test_windows_as_units_would_promise_too_much() -> None:
    rng = np.random.default_rng(0)
    labels = [(f"v{v}", f"{v}-{p}", str(k)) for v in range(6) for p in range(6) for k in range(4)]
    held = np.zeros(2)
    for _ in range(100):
        of_passage = {passage: rng.normal(0, 0.2) for _, passage, _ in labels}
        of_voice = {voice: rng.normal(0, 0.1) for voice, _, _ in labels}
        values = np.array([of_voice[v] + of_passage[p] + rng.normal(0, 0.05) for v, p, _ in labels])
        blocked = ratio(values, np.ones(144), *list(zip(*labels, strict=True))[:2], seed=1, draws=300)
        each = [f"{v}{p}{k}" for v, p, k in labels]
        naive = ratio(values, np.ones(144), ["one"] * 144, each, seed=1, draws=300)
        held += [low <= 0 <= high for _, low, high in (blocked, naive)]
    assert held[0] / 100 > 0.85 > 0.75 > held[1] / 100
