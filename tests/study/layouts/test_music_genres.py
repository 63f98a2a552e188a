"""Music of ten genres: many clips in a run, put together from tracks that the user brings."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from fmri_audio.base.errors import UserError
from fmri_audio.study import sync
from fmri_audio.study.layouts import music_genres
from fmri_audio.study.reader import find_study
from tests.study import made, open_data, trees

RATE = made.RATE


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return open_data.music_genres(tmp_path_factory.mktemp("music") / "data")


def test_a_run_is_its_clips_and_leaves_the_repeated_one_out(folder: Path) -> None:
    found = find_study(folder)
    assert found.problems == [] and found.facts.subjects == ["001", "002"]
    assert [(run.name, run.n_trs, run.skip_trs, len(run.clips)) for run in found.facts.runs] == [
        ("Training-1", 50, 10, 5),
        ("Training-2", 50, 10, 5),
    ]
    clip = found.facts.runs[0].clips[2]
    assert clip.sound == "stimuli/genres/classical/classical.00000.au"
    assert (clip.onset, clip.start, clip.length, clip.fade) == (30, Fraction("4.3"), 15, 2)
    heard = [{clip.sound for clip in run.clips[1:]} for run in found.facts.runs]
    assert not heard[0] & heard[1], "without the repeated clip no track is in two runs"


def test_the_clips_are_where_and_as_loud_as_they_were_played(folder: Path) -> None:
    facts = find_study(folder).facts
    one, two = sync.run_sounds(folder, facts, None, None)
    assert (one.block, two.block) == ((10, 50), (60, 100)) and len(one.waveform) == 60 * RATE
    assert "put together 5 clips of 5 sounds, each at one RMS level, faded in and out over 2 s" in one.steps
    track = made.bursts(30, sum(b"classical.00000"))
    played = one.waveform[
        15 * RATE : 30 * RATE
    ]  # the third clip, 30 s into the run, of which 15 s are left out
    begin = round(4.3 * RATE)
    middle = slice(2 * RATE, 13 * RATE)
    ratio = played[middle] / track[begin : begin + 15 * RATE][middle]
    np.testing.assert_allclose(ratio, ratio[0], rtol=2e-3)
    assert np.sqrt(np.mean(played**2)) == pytest.approx(0.05, rel=1e-3)
    assert abs(played[:240]).max() < 0.01 * abs(played).max() and abs(played[-240:]).max() < 0.01


def test_tracks_that_are_missing_are_counted_and_where_to_put_them_is_said(tmp_path: Path) -> None:
    folder = open_data.music_genres(tmp_path, tracks=False)
    found = find_study(folder)
    assert len(found.silent) == 2 and found.problems == found.silent
    assert found.silent[0] == (
        "5 sounds of Training-1 are missing below stimuli, classical.00000 among them; get GTZAN and put its files "
        "there, classical.00000.wav or .au in any folder"
    )
    assert found.facts.runs[0].stimulus is None and found.facts.runs[0].clips == []


def test_raw_scans_alone_are_the_users_to_preprocess(tmp_path: Path) -> None:
    trees.plant(tmp_path / "ds003720", ["sub-001/func/sub-001_task-Training_run-01_bold.nii"])
    with pytest.raises(UserError, match="its scans are raw and preprocessing is yours: run fMRIPrep"):
        find_study(tmp_path / "ds003720")


def test_test_runs_say_that_they_repeat(folder: Path, tmp_path: Path) -> None:
    stem = "sub-001_task-Test_run-01"
    trees.plant(tmp_path / "ds003720", [trees.preprocessed(stem)])
    rows = [(15 * k, 15, "'pop'", 32 + k % 2, 10.7, 25.7) for k in range(5)]
    head = "onset\tduration\tgenre\ttrack\tstart\tend"
    place = tmp_path / "ds003720" / trees.func(stem)
    trees.tell(place / f"{stem}_events.tsv", rows, head)
    made.write_json(place / f"{stem}_bold.json", {"RepetitionTime": 1.5})
    found = find_study(tmp_path / "ds003720", task="Test")
    assert found.facts.runs[0].name == "Test-1" and "heard four times" in found.notes[-1]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ((0, 15, "'pop'", "x", 1, 16), "should be a table with onset, duration, genre"),
        ((0, 15, "'pop'", 3, -1, 16), "should be a table with"),
        ((0, 0, "'pop'", 3, 1, 16), "names no clips that can be heard"),
        ((0, 15, "'../pop'", 3, 1, 16), "names no clips that can be heard"),
    ],
)
def test_events_that_name_no_clips_are_one_sentence(
    tmp_path: Path, row: tuple[object, ...], said: str
) -> None:
    path = trees.tell(tmp_path / "x_events.tsv", [row], "onset\tduration\tgenre\ttrack\tstart\tend")
    with pytest.raises(UserError, match=f"x_events.tsv: {said}"):
        music_genres.clips_in(path)
    trees.tell(path, [(0, 15)], "onset\tduration")
    with pytest.raises(UserError, match="x_events.tsv: should be a table"):
        music_genres.clips_in(path)


def test_a_track_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    folder = open_data.music_genres(tmp_path, sound=lambda name: made.bursts(18, 1))
    with pytest.raises(
        UserError, match=r"lasts 18.00 s, and was heard until 19.\d+ s of it; fetch it again, whole"
    ):
        sync.run_sounds(folder, find_study(folder).facts, None, None)
