"""What the chapter says of voxels and brains follows from paired differences."""

from __future__ import annotations

from fractions import Fraction

import pytest

from fmri_audio.base.settings import VOXELS
from fmri_audio.chapters.ladder import voxels as chapter
from fmri_audio.chapters.ladder.voxels import Told
from fmri_audio.experiments.ladder import Condition, Ladder
from tests.chapters.ladder.test_rungs import condition, table, with_more


def measured() -> Ladder:
    """A device carries words; one brain carries ESTOI alone, three nothing."""
    more: dict[str, tuple[Condition, float]] = {}

    def add(wrong: float, rung: str, **what: object) -> None:
        name = "/".join(map(str, (rung, *what.values())))
        more[name] = (condition(name, rung, "mel", "trained", 128.0, voxels="between", **what), wrong)

    for k, wrong in ((0.0, 3.0), (0.25, 8.0), (1.0, 14.0)):
        add(wrong, "device", map="brain-like", noise=k, bits_per_tr=40.0)
    add(18.0, "device", map="brain-like", noise=1.0, control="other")
    add(18.0, "brains", subjects=1)
    add(18.0, "brains", subjects=1, control="other")
    return with_more(more)


def test_only_paired_differences_count_as_carried() -> None:
    frame = chapter.carried(measured())
    assert frame["less"].tolist() == ["another moment"] * 2
    assert frame["carried"].tolist() == ["yes", "no"]
    assert chapter.carried(table()).empty


def test_the_figure_has_a_panel_for_every_width() -> None:
    [axes] = chapter.draw(measured()).axes
    lines = {str(line.get_label()): line for line in axes.get_lines()}
    assert set(lines) == {"mel + Griffin-Lim, ideal", "mel + Griffin-Lim, brain-like"}
    assert list(lines["mel + Griffin-Lim, brain-like"].get_xdata()) == [0.0, 0.25, 1.0]


def told(own: float) -> list[Told]:
    return [Told(name, scans, own * scans**0.5, 300.0, 900.0) for name in VOXELS for scans in chapter.SCANS]


@pytest.mark.parametrize(
    ("own", "bits", "said"),
    [
        (100.0, 90.0, "one scan does"),
        (100.0, 350.0, "16 scans averaged do"),
        (10.0, 350.0, "not reachable this way, with 64 scans averaged"),
    ],
)
def test_how_many_scans_would_do(own: float, bits: float, said: str) -> None:
    assert chapter.scans_needed(told(own), bits) == said


def test_models_that_differ_give_a_range() -> None:
    some = [*told(100.0)[:4], *told(10.0)[4:]]
    assert chapter.scans_needed(some, 350.0) == "16 to more than 64 scans averaged do"
    assert chapter.told_table(some)["the brain's own tuning"].tolist()[0] == "10 to 100"


def test_what_is_said_of_brains_and_scans() -> None:
    said = chapter.said(measured(), told(30.0))
    assert said["brains_said"].startswith("One simulated brain tells 30 bits per TR")
    assert "in 0 of 1 comparisons" in said["brains_said"]
    assert said["scans_said"].startswith("no arm keeps speech whole in noise")


def test_bits_grow_with_scans_and_stay_below_the_bound() -> None:
    rows = chapter.told(Fraction(3, 2), n_trs=40, n_numbers=64)
    assert len(rows) == len(VOXELS) * len(chapter.SCANS)
    for name in VOXELS:
        own = [row.own for row in rows if row.voxels == name]
        assert own == sorted(own) and own[0] < own[-1] < 64 * own[0]
        assert all(0 < row.own < row.bound and 0 < row.ideal < row.bound for row in rows)
