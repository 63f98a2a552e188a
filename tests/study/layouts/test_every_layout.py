"""What every registered layout promises."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fmri_audio.study.checker import check_study
from fmri_audio.study.layouts.base import LAYOUTS, Asked, Layout
from fmri_audio.study.reader import Study, find_study
from tests.study import made, open_data, trees
from tests.study.forrest import forrest


def sherlock(folder: Path) -> Path:
    return made.write_study(folder, [made.noise(made.N_TRS, seed) for seed in (1, 2)])


def bids(folder: Path) -> Path:
    for subject in (1, 2):
        stem = f"sub-{subject:02d}_task-tale"
        made.write_scan(made.scan_path(folder, stem), made.noise(made.N_TRS, subject))
        made.write_events(folder, stem, [(7.5, 60, "story", "tale.wav")])
    trees.state_tr(folder, "tale")
    trees.sound(folder, "tale.wav", 60)
    return folder


def lebel(folder: Path) -> Path:
    pytest.importorskip("h5py", reason="needs the extra matrices")
    return open_data.lebel(folder)


def studyforrest(folder: Path) -> Path:
    return forrest(folder, subjects=("01", "02"))


WRITERS = {
    "sherlock": sherlock,
    "bids": bids,
    "sherlock-raw": open_data.sherlock_raw,
    "little-prince": open_data.little_prince,
    "smn4lang": open_data.smn4lang,
    "music-genres": open_data.music_genres,
    "lebel": lebel,
    "studyforrest": studyforrest,
}
"""For every layout, how a small data set of two subjects is written."""


@pytest.fixture(params=LAYOUTS)
def layout(request: pytest.FixtureRequest) -> Layout:
    return LAYOUTS[request.param]


@pytest.fixture
def data_set(layout: Layout, tmp_path: Path) -> Path:
    return WRITERS[layout.name](tmp_path / "data")


def test_it_says_what_it_is(layout: Layout) -> None:
    assert layout.name in WRITERS, "write a small data set for the new layout here"
    assert layout.label and [one.place for one in LAYOUTS.values()].count(layout.place) == 1


def test_its_own_data_set_is_found_opened_and_checked(layout: Layout, data_set: Path) -> None:
    found = find_study(data_set)
    assert len(found.facts.subjects) == 2 and set(found.scans) == set(found.facts.subjects)
    assert not found.problems and found.begins
    study = Study.open(data_set)
    volumes = list(study.volumes(study.subjects[0]))
    assert len(volumes) == study.n_trs and all(np.isfinite(one).all() for one in volumes)
    assert check_study(data_set).table.count("\n") >= 2


def test_it_takes_no_folder_of_others(layout: Layout, tmp_path: Path) -> None:
    assert not layout.recognises(tmp_path, None)
    for name, write in WRITERS.items():
        if name != layout.name and LAYOUTS[name].place < layout.place:
            assert find_study(write(tmp_path / name)) == LAYOUTS[name].find(tmp_path / name, None, Asked())
