"""StudyForrest's aggregate: what is found, what is missing, what is shared, and the original files."""

from __future__ import annotations

import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from fmri_audio.base.errors import UserError
from fmri_audio.brain.parcels import open_parcels
from fmri_audio.study.annotated import heard, read_level
from fmri_audio.study.checker import check_study
from fmri_audio.study.layouts.studyforrest import LEVEL, OVERLAP_TRS, WORDS
from fmri_audio.study.reader import Study
from tests.study.forrest import LABELS, N_TRS, SUBJECTS, forrest


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return forrest(tmp_path_factory.mktemp("forrest"))


def test_everybody_has_the_parcels_that_all_have_in_one_order(tree: Path) -> None:
    study = Study.open(tree)
    assert study.subjects == list(SUBJECTS) and study.tr == Fraction(2) and study.shift == 0
    assert study.shape == (len(LABELS) - 1, 1, 1) and not study.placed
    mask = np.ones(study.shape, bool)
    table = np.loadtxt(
        tree / "sub-01/shen_fconn/sub-01_task-avmovie_run-2_bold.csv", delimiter=",", skiprows=1
    )
    run = study.runs[1]
    found = study.bold("01", mask)[run.first_tr : run.last_tr]
    assert found == pytest.approx(np.delete(table, 2, axis=1), rel=1e-6)


def test_what_two_runs_share_of_the_film_is_skipped(tree: Path) -> None:
    study = Study.open(tree)
    assert [run.skip_trs for run in study.runs] == [0, OVERLAP_TRS, OVERLAP_TRS]
    assert study.n_trs == sum(N_TRS)
    assert sum(last - first for first, last in study.kept()) == sum(N_TRS) - 2 * OVERLAP_TRS


def test_level_and_words_stand_on_the_clock_of_each_run(tree: Path) -> None:
    study = Study.open(tree)
    level, words = (heard(study.folder, study.facts, target) for target in ("level", "words"))  # type: ignore[arg-type]
    onset, _, power = read_level(tree / LEVEL.format(index=1))
    first = study.kept()[0][1]
    tr = (onset >= 2 * OVERLAP_TRS) & (onset < 2 * OVERLAP_TRS + 2)
    assert level[first] == pytest.approx(10 * np.log10(power[tr].mean()), abs=1e-6)
    assert (words[: N_TRS[0]][1::4] >= 1).all() and not words[: N_TRS[0]][2::4].any()


def test_what_is_missing_is_said_and_what_to_do(tree: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(tree, broken)
    (broken / "sub-02/shen_fconn/sub-02_task-avmovie_run-3_bold.csv").unlink()
    (broken / LEVEL.format(index=0)).unlink()
    (broken / WORDS).unlink()
    report = check_study(broken)
    said = " | ".join(report.problems)
    assert "sub-02: no table of run 3" in said and "make data STUDY=studyforrest" in said
    assert "fg_av_ger_seg0_rms.tsv is missing" in said and "english_dialog.csv is missing" in said


def test_a_whole_tree_has_no_problem(tree: Path) -> None:
    report = check_study(tree)
    assert report.problems == [] and "9 parcels are in everybody's tables (the fullest has 10)" in " ".join(
        report.notes
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda lines: [*lines[:3], lines[3] + ",0.1", *lines[4:]],
            "line 4: 11 cells, where the header has 10",
        ),
        (lambda lines: [*lines[:5], lines[5].replace(".", "x", 1), *lines[6:]], "line 6: could not convert"),
    ],
)
def test_a_damaged_table_is_named_by_its_line(tree: Path, tmp_path: Path, change, said: str) -> None:
    lines = (tree / "sub-01/shen_fconn/sub-01_task-avmovie_run-1_bold.csv").read_text().splitlines()
    (tmp_path / "table.csv").write_text("\n".join(change(lines)) + "\n")
    with pytest.raises(UserError, match=said):
        list(open_parcels(tmp_path / "table.csv").volumes())


@pytest.mark.parametrize("text", ["", "1,1\n0,0\n", "1,,3\n0,0,0\n", "1,2\n"])
def test_a_table_that_is_none_is_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "table.csv").write_text(text)
    with pytest.raises(UserError, match="fetch it again"):
        open_parcels(tmp_path / "table.csv")


def test_the_original_files_are_read(shared_data: Path, tmp_path: Path) -> None:
    origin = shared_data / "studyforrest-layout"
    for subject in ("01", "02"):
        shutil.copytree(origin / f"sub-{subject}", tmp_path / f"sub-{subject}")
    (tmp_path / "annotation/audio").mkdir(parents=True)
    shutil.copy(origin / "fg_av_ger_seg0_rms.tsv", tmp_path / "annotation/audio")
    study = Study.open(tmp_path)
    assert study.subjects == ["01", "02"] and study.n_trs == 451 and 267 <= study.shape[0] <= 278
    bold = study.bold("02", np.ones(study.shape, bool))
    assert abs(bold.mean()) < 1e-4 and bold.std() == pytest.approx(1, abs=0.01)
    level = heard(study.folder, study.facts, "level")
    assert len(level) == 451 and level.min() >= -60 and level.max() < 0
