"""Chapter 8: verdicts counted and listed in the note's order."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import matplotlib.pyplot as plt

from fmri_audio.chapters import claims_page
from fmri_audio.claims.claims import FAILS, HOLDS, VERDICTS, Verdict
from fmri_audio.experiments import ladder_answer
from tests.claims.test_answers import IDS, verdict


def of(group: str, outcome: str) -> Verdict:
    """A verdict on a claim of one part of the note."""
    found = verdict("one", outcome)
    return dataclasses.replace(found, claim=found.claim.model_copy(update={"group": group}))


VERDICTS_FOUND = [of("Summary", HOLDS), of("Approach", FAILS), of("Summary", FAILS), of("Summary", HOLDS)]


def test_claims_are_counted_by_part_in_the_order_of_the_note() -> None:
    table = claims_page.counted(VERDICTS_FOUND)
    assert list(table.index) == ["Summary", "Approach"] and list(table.columns) == list(VERDICTS)
    assert table[HOLDS].tolist() == [2, 0] and table[FAILS].tolist() == [1, 1]
    assert table.to_numpy().sum() == len(VERDICTS_FOUND)
    assert len(claims_page.COLOURS) == len(VERDICTS)


def test_the_first_part_is_drawn_on_top() -> None:
    figure = claims_page.draw_verdicts(VERDICTS_FOUND)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["Approach", "Summary"]
    plt.close(figure)


def test_every_part_has_a_table_with_the_lines_of_its_claims() -> None:
    tables = claims_page.tables(VERDICTS_FOUND)
    assert {group: len(rows) for group, rows in tables.items()} == {"Summary": 3, "Approach": 1}
    first = tables["Approach"].iloc[0]
    assert first["claim"] == "It is so (line 1: “so”)" and first["verdict"] == FAILS
    assert not {"group", "the note"} & set(tables["Approach"].columns)


def test_the_page_cites_answers_tally_and_that_the_bottleneck_is_measured_anew() -> None:
    run = SimpleNamespace(
        checkpoint=SimpleNamespace(id="demo-1", description="small"), stimulus=SimpleNamespace(name="a sound")
    )
    verdicts = [verdict(name, HOLDS, 1.0) for name in sorted(IDS)]
    said = claims_page.facts(run, verdicts, "simulated brains")  # type: ignore[arg-type]
    assert {"answer_proceed", "answer_finetune", "answer_metrics", "answer_complex"} <= set(said)
    assert str(said["tally"]).startswith(f"{len(IDS)} hold, 0 fail")
    assert (said["n_claims"], said["ladder_in_short"]) == (len(IDS), ladder_answer.said())
