"""What the tables answer, whichever way they turn out."""

from __future__ import annotations

from dataclasses import replace

from fmri_audio.experiments import ladder_answer as answer
from fmri_audio.experiments.ladder import Condition
from tests.chapters.ladder.test_rungs import condition, table, with_more
from tests.chapters.ladder.test_voxels import told


def test_the_narrowest_width_that_keeps_speech_whole() -> None:
    best = answer.needed(table(), "mel")
    assert best is not None and best.per_tr == 512
    assert answer.needed_said(table(), "mel").startswith("mel + Griffin-Lim: 512 numbers per TR (0.01 of")
    later = answer.needed(table(), "frozen")
    assert later is not None and later.per_tr == 844
    assert "not reachable at 844 numbers per TR (0.02" in answer.needed_said(table(), "frozen", most=0.001)


def test_the_short_answer_names_numbers_bits_and_brains() -> None:
    more: dict[str, tuple[Condition, float]] = {}
    for name, sigma, wrong, bits in (("0.3", 0.3, 2.2, 880.0), ("1", 1.0, 9.0, 256.0)):
        key = f"code/mel/trained/512/noise {name}"
        more[key] = (condition(key, "code", "mel", "trained", 512.0, sigma=sigma, bits_per_tr=bits), wrong)
    ladder = replace(with_more(more), told=told(30.0))
    assert answer.least_bits(ladder, "mel") == 880.0 and answer.least_bits(ladder, "frozen") is None
    assert answer.in_short(ladder) == (
        "Without noise, speech passes a bottleneck of 512 numbers per TR with 0.01 of its words lost (0.01 to 0.01; "
        "mel + Griffin-Lim); the cheapest noisy code that passes it takes 880 bits per TR (mel + Griffin-Lim). Of "
        "sound, one simulated brain tells 30 bits per TR."
    )


def test_where_nothing_passes_that_is_the_answer() -> None:
    scores = [one for one in table().scores if "512" not in one.condition and "844" not in one.condition]
    known = {one.condition for one in scores}
    narrow = answer.Ladder(
        table().windows, [one for one in table().conditions if one.condition in known], scores
    )
    assert answer.in_short(narrow).startswith("Without noise, no width that was measured passes speech")
