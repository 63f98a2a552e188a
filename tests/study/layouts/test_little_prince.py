"""Le Petit Prince: runs numbered anew in every subject, and scans that begin with the sound or before it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from fmri_audio.base.errors import UserError
from fmri_audio.study.layouts import little_prince
from fmri_audio.study.reader import Study, find_study
from tests.study import open_data, trees

SECONDS = (30.5, 26, 41.3, 30, 30, 30, 30, 30, 90.1)
TRS = [15, 13, 20, 15, 15, 15, 15, 15, 45]


def test_sections_are_the_runs_in_their_order(tmp_path: Path) -> None:
    study = Study.open(open_data.little_prince(tmp_path))
    assert (study.tr, study.shift, study.subjects) == (2, 0, ["EN057", "EN059"])
    assert [run.name for run in study.runs] == [f"section-{k}" for k in range(1, 10)]
    assert [run.n_trs for run in study.runs] == TRS and {run.stimulus_lead for run in study.runs} == {0}
    assert study.runs[8].stimulus == "stimuli/task-lppEN_section-9.wav"
    assert "run-17" in study.scans("EN057")[8].path.name and "run-14" in study.scans("EN059")[8].path.name
    rows = open_data.first_voxel(study.bold("EN059", open_data.one_voxel()))
    assert rows == [k for n_trs in TRS for k in range(n_trs)]


@pytest.mark.parametrize(
    ("language", "first", "name"),
    [("EN", 4, "section-1"), ("FR", 0, "section_1"), ("CN", 0, "section_1")],
)
def test_offsets_of_raw_scans_differ_by_language(
    tmp_path: Path, language: str, first: int, name: str
) -> None:
    folder = open_data.little_prince(tmp_path, language, space=trees.SPACE, before=first)
    found = find_study(folder)
    scans = found.scans[f"{language}057"]
    assert [(scan.first_volume, scan.n_trs) for scan in scans] == [(first, n_trs) for n_trs in TRS]
    assert found.facts.runs[0].stimulus == f"stimuli/task-lpp{language}_{name}.wav"
    assert any("if auditory cortex follows 4 TRs earlier" in note for note in found.notes) == (
        language == "CN"
    )
    assert (
        find_study(open_data.little_prince(tmp_path / "released", language)).scans != found.scans
        and not found.problems
    )


def test_the_lengths_that_are_known_fit_the_volumes_that_were_kept() -> None:
    kept = {
        "CN": (283, 322, 322, 307, 293, 392, 364, 293, 401),
        "EN": (282, 298, 340, 303, 265, 343, 325, 292, 368),
        "FR": (309, 326, 354, 315, 293, 378, 332, 294, 336),
    }
    after = {"CN": 0, "EN": 4, "FR": 2}
    for language, seconds in little_prince.KNOWN.items():
        for length, count in zip(map(Fraction, seconds), kept[language], strict=True):
            assert 0 <= count - after[language] - length // 2 <= 1, (language, length)


def test_readmes_tables_are_read_by_language() -> None:
    text = "\n".join(open_data.sections([60 + k for k in range(9)], one) for one in ("CN", "FR"))
    found = little_prince.sections_in(text.replace("| 60 |", "| 60.0 |", 1))
    assert set(found) == {"CN", "FR"} and found["FR"] == tuple(Fraction(60 + k) for k in range(9))
    assert little_prince.sections_in("no table") == {}


def test_fewer_than_nine_runs_do_not_tell_which_section_is_which(tmp_path: Path) -> None:
    folder = open_data.little_prince(tmp_path, runs=(tuple(range(7, 15)), tuple(range(6, 15))))
    trees.plant(folder, ["sub-EN061/func/sub-EN061_task-lppEN_run-09_echo-1_bold.nii.gz"])
    found = find_study(folder)
    assert found.facts.subjects == ["EN059"] and len(found.problems) == 1
    assert found.problems[0].startswith("sub-EN057: 8 scans of lppEN, and only all 9 tell by their order")


def test_a_language_is_chosen_and_sounds_may_be_missing(tmp_path: Path) -> None:
    folder = open_data.little_prince(tmp_path)
    open_data.little_prince(folder, "FR")
    with pytest.raises(UserError, match="study.task: it names none, and .* has lppEN, lppFR; choose one"):
        find_study(folder)
    (folder / "README").unlink()
    (folder / "stimuli/task-lppFR_section_2.wav").unlink()
    found = find_study(folder, task="lppFR")
    assert [run.n_trs for run in found.facts.runs] == [306, 323, 351, 312, 290, 375, 329, 291, 333]
    assert "README's table of sections is not there; the lengths of version 2.0.7 are taken" in found.notes
    assert found.problems == ["stimuli/task-lppFR_section_2.wav is missing; add the sound of section-2"]


def test_words_of_a_section_are_its_segments(tmp_path: Path) -> None:
    folder = open_data.little_prince(tmp_path)
    words = [(0.0, 1.0, "once"), (1.0, 2.0, "")]
    open_data.textgrid(folder / "annotation/EN/lppEN_section1.TextGrid", words, 30.5)
    runs = find_study(folder).facts.runs
    assert runs[0].segments == "annotation/EN/lppEN_section1.TextGrid" and runs[1].segments is None
