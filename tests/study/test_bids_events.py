"""Events of BIDS: which rows are the story, and what every kind of onset and duration means."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from fmri_audio.base.errors import UserError
from fmri_audio.study.facts import Found
from fmri_audio.study.layouts.bids import find_bids

from . import trees

Rows = Sequence[Sequence[object]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One scan of a task, and three sounds: 60 s, 2 s and 60 s."""
    trees.plant(tmp_path, [trees.preprocessed("sub-01_task-tale")])
    trees.state_tr(tmp_path, "tale")
    for name, seconds in (("tale_audio.wav", 60), ("beep.wav", 2), ("other.wav", 60)):
        trees.sound(tmp_path, name, seconds)
    return tmp_path


def heard(folder: Path, rows: Rows, story: str | None = None) -> Found:
    trees.tell(folder / "task-tale_events.tsv", rows)
    return find_bids(folder, story=story)


def spans(found: Found) -> list[tuple[str, int, int, float | None]]:
    """Name, first volume, TRs and lead of every run."""
    return [
        (
            run.name,
            scan.first_volume,
            scan.n_trs,
            None if run.stimulus_lead is None else float(run.stimulus_lead),
        )
        for run, scan in zip(found.facts.runs, found.scans["01"], strict=True)
    ]


TALE = (7.5, 60, "narrative", "tale_audio.wav")
FIXATION = (0, 7.5, "fixation", "n/a")


@pytest.mark.parametrize(
    ("rows", "span"),
    [
        ([FIXATION, TALE, (67.5, 6, "fixation", "n/a")], ("tale", 5, 40, 0.0)),
        ([("n/a", "n/a", "response", "n/a"), TALE, (30, 0, "button_press", "n/a")], ("tale", 5, 40, 0.0)),
        ([(0, 2, "cue", "beep.wav"), TALE], ("tale", 5, 40, 0.0)),
        ([(0, 2, "beep", "beep.wav"), TALE], ("tale", 5, 40, 0.0)),  # the sound is named after the task
        ([(0, 2, "picture", "face.png"), TALE], ("tale", 5, 40, 0.0)),
        ([(0, 2, "beep", "beep.wav"), (7.5, 60, "Story", "other.wav")], ("other", 5, 40, 0.0)),
        ([(8, "n/a", "narrative", "tale_audio.wav")], ("tale", 5, 40, -0.5)),
        ([(7.5, 0, "narrative", "tale_audio.wav")], ("tale", 5, 40, 0.0)),
        ([(0, 60, "narrative", "tale_audio.wav")], ("tale", 0, 40, 0.0)),
        ([(-4.5, 60, "narrative", "tale_audio.wav")], ("tale", 0, 37, 4.5)),
        ([(-4.6, 60, "narrative", "tale_audio.wav")], ("tale", 0, 37, 4.6)),
        ([(7.5, 20, "line", "tale_audio.wav"), (30, 37.5, "line", "tale_audio.wav")], ("tale", 5, 40, 0.0)),
    ],
)
def test_the_rows_with_a_sound_are_the_story(
    folder: Path, rows: Rows, span: tuple[str, int, int, float]
) -> None:
    found = heard(folder, rows)
    assert spans(found) == [span] and found.problems == []


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            [(0, 7, "music", "tale_audio.wav"), TALE],
            "kinds .* set study.story to one of music, narrative, tale",
        ),
        (
            [(0, 7, "a", "beep.wav"), (9, 60, "b", "other.wav")],
            "different sounds .* one of a, b, beep, other",
        ),
        (
            [(0, 7, "music", "n/a"), (9, 60, "speech", "n/a")],
            "different kinds .* one of music, speech, or mark",
        ),
        (
            [(0, 7, "n/a", "n/a"), (9, 60, "n/a", "n/a")],
            "2 events with different times and none .*story; mark",
        ),
        ([("n/a", 60, "story", "tale_audio.wav")], "the onset of the stimulus is n/a"),
        ([(0, -1, "story", "tale_audio.wav")], "has a negative duration"),
        ([(0, "n/a", "story", "n/a")], "the duration of tale is n/a, and without its sound nothing tells"),
        ([(0, 0, "story", "gone.wav")], "the duration of gone is 0, and without its sound"),
        ([(-61, 60, "story", "tale_audio.wav")], "is heard from -61 s for 60 s, under one TR"),
        ([(0, 0.2, "story", "beep.wav")], "under one TR of the scan"),
        ([(0, "1e7", "story", "tale_audio.wav")], "should be a table with onset and duration in seconds"),
        ([(0, "inf", "story", "tale_audio.wav")], "should be a table"),
        ([(0, 60, "story", "/data/tale.wav")], "leads out of stimuli/"),
        (
            [(0, 60, "a", "tale_audio.wav"), (90, 60, "a", "tale_audio.wav")],
            "heard more than once; mark the row",
        ),
    ],
)
def test_what_does_not_tell_is_one_sentence(folder: Path, rows: Rows, said: str) -> None:
    with pytest.raises(UserError, match=rf"task-tale_events\.tsv: .*{said}") as caught:
        heard(folder, rows)
    assert "\n" not in str(caught.value)


def test_a_kind_or_a_sound_can_be_chosen(folder: Path) -> None:
    rows = [(0, 7, "music", "tale_audio.wav"), TALE, (75, 60, "narrative", "other.wav")]
    with pytest.raises(UserError, match="one of music, narrative, tale, other"):
        heard(folder, rows)
    assert spans(heard(folder, rows, "narrative")) == [("tale", 5, 40, 7.5), ("other", 50, 40, 0.0)]
    assert spans(heard(folder, rows, "other")) == [("other", 50, 40, 0.0)]


def test_a_sound_that_events_name_is_not_replaced_by_another(folder: Path) -> None:
    found = heard(folder, [(7.5, 60, "narrative", "audio/gone.wav")])
    assert found.problems == ["stimuli/audio/gone.wav is missing; add the sound of gone"]
    assert found.facts.runs[0].stimulus is None


@pytest.mark.parametrize(
    ("encoding", "end"),
    [("utf-8", "\n"), ("utf-8-sig", "\r\n"), ("utf-16", "\n"), ("utf-8", "\t\n"), ("utf-8", "\r")],
)
def test_tables_from_other_programs(folder: Path, encoding: str, end: str) -> None:
    path = trees.tell(folder / "task-tale_events.tsv", [FIXATION, TALE])
    path.write_bytes(path.read_text().replace("\n", end).encode(encoding))
    assert spans(find_bids(folder)) == [("tale", 5, 40, 0.0)]


def test_subjects_who_began_at_other_moments_of_a_tr_are_noted(folder: Path) -> None:
    trees.plant(folder, [trees.preprocessed("sub-02_task-tale")])
    trees.tell(folder / "sub-02/func/sub-02_task-tale_events.tsv", [(8.1, 60, "story", "tale_audio.wav")])
    [note] = heard(folder, [TALE]).notes
    assert note.startswith("tale began at moments of a TR that differ by up to 0.60 s between subjects")
