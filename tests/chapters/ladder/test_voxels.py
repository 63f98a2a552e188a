"""What the chapter says of voxels and brains follows from paired differences, and from bits that were counted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fmri_audio.base.settings import VOXELS
from fmri_audio.chapters.ladder import voxels as chapter
from fmri_audio.experiments.ladder import Condition, Ladder, Told
from tests.chapters.ladder.test_rungs import condition, table, with_more

SCANS = (1, 4, 16, 64)


def measured() -> Ladder:
    """A device carries words; one brain carries nothing, three carry words less well than nothing would."""
    more: dict[str, tuple[Condition, float]] = {}

    def add(wrong: float, rung: str, **what: object) -> None:
        name = "/".join(map(str, (rung, *what.values())))
        more[name] = (condition(name, rung, "mel", "trained", 128.0, **what), wrong)

    for k, wrong in ((0.0, 3.0), (0.25, 8.0), (1.0, 14.0)):
        add(wrong, "device", voxels="between", map="brain-like", noise=k, bits_per_tr=40.0)
    add(18.0, "device", voxels="between", map="brain-like", noise=1.0, control="other")
    add(16.0, "device", control="prior")
    add(17.0, "brains", voxels="between", subjects=1)
    add(18.0, "brains", voxels="between", subjects=1, control="other")
    return with_more(more)


def test_words_are_carried_that_neither_another_moment_nor_nothing_gives() -> None:
    frame = chapter.carried(measured())
    assert frame["carried"].tolist() == [
        "words",
        "no",
    ]  # one brain beats another moment, and nothing is better
    assert frame["words wrong, less another moment"].tolist() == [
        "-0.20 (-0.20 to -0.20)",
        "-0.05 (-0.05 to -0.05)",
    ]
    assert frame["words wrong, less no brain"].tolist() == ["-0.10 (-0.10 to -0.10)", "+0.05 (0.05 to 0.05)"]
    assert chapter.carried(table()).empty


def test_the_figure_has_a_panel_for_every_width() -> None:
    [axes] = chapter.draw(measured()).axes
    lines = {str(line.get_label()): line for line in axes.get_lines()}
    assert set(lines) == {"mel + Griffin-Lim, ideal", "mel + Griffin-Lim, brain-like"}
    assert list(lines["mel + Griffin-Lim, brain-like"].get_xdata()) == [0.0, 0.25, 1.0]


def row(voxels: str, scans: int, own: float, n_voxels: int = 844, tr: float = 1.5) -> Told:
    small = n_voxels < 512
    return Told(
        voxels, "left" if small else "both", tr, n_voxels, 30, 512, scans, own * scans**0.5, None if small else 300.0,
        900.0, 130.0, 0.02, None if small else 0.4, 0.97, None if small else 0.6, None if small else 1e-12, "x",
    )  # fmt: skip


def told(own: float) -> list[Told]:
    return [row(name, scans, own) for name in VOXELS for scans in SCANS]


@pytest.mark.parametrize(
    ("own", "bits", "said"),
    [
        (100.0, 90.0, "one scan does"),
        (100.0, 350.0, "16 scans averaged do"),
        (10.0, 350.0, "not reachable this way, with 64 scans averaged"),
    ],
)
def test_how_many_scans_would_do(own: float, bits: float, said: str) -> None:
    assert chapter.scans_needed(replace(table(), told=told(own)), bits) == said


def test_models_that_differ_give_a_range() -> None:
    some = [*told(100.0)[:4], *told(10.0)[4:], row("fine", 1, 7.0, 422), row("fine", 1, 7.0, tr=0.71)]
    ladder = replace(table(), told=some)
    assert (
        chapter.scans_needed(ladder, 350.0)
        == "16 scans averaged do by one model of a voxel, by another not even 64"
    )
    bits = chapter.told_table(ladder)
    assert bits["the brain's own tuning"].tolist()[0] == "10 to 100"
    assert bits[["voxels", "an ideal map"]].to_numpy().tolist()[-1] == [422, "does not pass"]
    times = chapter.times_table(ladder)
    assert (
        times["TR (s)"].tolist() == [1.5, 0.71]
        and times["usable directions, own tuning"].tolist()[0] == "2.0 %"
    )


def test_what_is_said_of_brains_scans_and_voxels() -> None:
    said = chapter.said(replace(measured(), told=[*told(30.0), row("fine", 1, 7.0, 422)]))
    assert said["brains_said"].startswith("One simulated brain tells 30 bits per TR")
    assert "in 0 of 1 comparisons" in said["brains_said"]
    assert said["scans_said"].startswith("no arm keeps speech whole in noise")
    assert said["voxels_said"] == "422 voxels tell 7 bits per TR, 844 tell 30"


def test_phonemes_are_held_to_the_same_bits() -> None:
    name = "language/timed"
    spoken = condition(name, "language", "phonemes", "timed, with a prior", bits_per_tr=70.0)
    ladder = replace(with_more({name: (spoken, 4.0)}), told=told(30.0))
    assert chapter.said(ladder)["scans_said"].endswith(
        "its phonemes, said again by another voice, take 70 and lose 0.10 of the words (0.10 to 0.10): "
        "16 scans averaged do"
    )


def test_what_does_not_pass_is_said() -> None:
    more = {}
    for asked in (16.0, 844.0, 2048.0):
        name = f"device/{asked:g}"
        more[name] = (condition(name, "device", "mel", "trained", asked, map="ideal", voxels="between"), 3.0)
    frame = chapter.not_passing(replace(with_more(more), told=told(30.0))).set_index("numbers per TR")
    assert frame.loc[16, "own tuning, no noise"] == "passes"
    assert frame.loc[844, "own tuning, no noise"] == "does not pass: 30 patterns"
    assert frame.loc[844, "at most in one TR"] > 844 and "844 voxels" in str(frame.loc[844, "ideal map"])
    assert frame.loc[512, "ideal map"] == "passes"
