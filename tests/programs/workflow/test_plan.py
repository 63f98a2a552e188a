"""The plan of an edition: which runs there are, in which order, and what each needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from fmri_audio.base.errors import UserError
from programs.workflow.plan import HTML, Chapter, Plan, load_chapters

CHAPTERS = (
    Chapter("01-first", needs=("02-each", "03-all")),
    Chapter("02-each", per_bandwidth=True, needs=("stimulus",)),
    Chapter("03-all", needs=("02-each",)),
    Chapter("04-each", per_bandwidth=True, needs=("02-each",)),
)


@pytest.fixture
def plan() -> Plan:
    return Plan(
        Path("build/demo"), {"edition": "demo", "bandwidths": [1.5, 6.0], "main_bandwidth": 6.0}, CHAPTERS
    )


def test_runs_come_after_what_they_need(plan: Plan) -> None:
    names = [run.name for run in plan.runs]
    assert names == [
        "02-each-1.5kbps",
        "02-each-6kbps",
        "03-all",
        "01-first",
        "04-each-1.5kbps",
        "04-each-6kbps",
    ]


def test_run_at_a_bandwidth_needs_the_same_bandwidth(plan: Plan) -> None:
    assert plan.needs(plan.run("04-each-6kbps")) == ["02-each-6kbps"]
    assert plan.needs(plan.run("02-each-6kbps")) == ["stimulus"]


def test_run_for_the_edition_needs_every_bandwidth(plan: Plan) -> None:
    assert plan.needs(plan.run("03-all")) == ["02-each-1.5kbps", "02-each-6kbps"]


@pytest.mark.parametrize(
    ("wanted", "at_once"),
    [
        (["02-each-6kbps"], {"02-each-6kbps"}),
        (["02-each-6kbps", "03-all"], {"02-each-6kbps", "03-all"}),
        (["stimulus", "03-all"], {"stimulus"}),  # whether 02-each has to be run is not known yet
        (["02-each-6kbps", "metrics"], {"02-each-6kbps"}),
        (["04-each-6kbps", "01-first"], {"04-each-6kbps", "01-first"}),
    ],
)
def test_nothing_is_made_for_standing_between_two_things(
    plan: Plan, wanted: list[str], at_once: set[str]
) -> None:
    assert set(plan.at_once(wanted)) == at_once
    everything = plan.targets(HTML)
    assert plan.at_once(everything) == everything


def test_page_shows_the_main_bandwidth(plan: Plan) -> None:
    assert plan.page_run(CHAPTERS[1]).title == "02-each at 6 kbps"
    assert plan.page_run(CHAPTERS[0]).title == "01-first"


def test_circle_is_refused() -> None:
    circle = (Chapter("a", needs=("b",)), Chapter("b", needs=("a",)))
    settings = {"edition": "demo", "bandwidths": [6.0], "main_bandwidth": 6.0}
    with pytest.raises(UserError, match="a → b → a is a circle"):
        Plan(Path("build/demo"), settings, circle).runs  # noqa: B018


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("- {name: a, need: [b]}", "should have the keys"),
        ("- {name: a, needs: [b]}", "a needs 'b', which is neither a step nor another chapter"),
        ("- {name: a, needs: [a]}", "a needs 'a'"),
    ],
)
def test_wrong_list_of_chapters_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "chapters.yml"
    path.write_text(text)
    with pytest.raises(UserError, match=sentence):
        load_chapters(path)
