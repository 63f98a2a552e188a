"""Level and words per TR: exact sums on any TR, from tables and from sound."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile

from fmri_audio.base.errors import UserError
from fmri_audio.study import annotated
from fmri_audio.study.facts import Run, StudyFile


@pytest.mark.parametrize("tr", [Fraction(3, 2), Fraction(2), Fraction(71, 100), Fraction(1, 3)])
def test_power_of_frames_is_kept_whatever_the_tr(tr: Fraction) -> None:
    rng = np.random.default_rng(0)
    onset, power = np.arange(500) * 0.04, rng.uniform(0, 1, 500)
    n_trs = int(20 / tr)
    found = annotated.power_of_trs(onset, np.full(500, 0.04), power, n_trs, tr)
    fine = np.repeat(power, 400)  # 0.1 ms
    for k in (0, 1, n_trs - 1):
        within = fine[round(k * tr * 10_000) : round((k + 1) * tr * 10_000)]
        assert found[k] == pytest.approx(within.mean(), rel=2e-3)
    assert found.sum() * float(tr) == pytest.approx(fine[: round(n_trs * tr * 10_000)].sum() * 1e-4, rel=1e-9)


def test_where_there_is_no_frame_there_is_silence() -> None:
    found = annotated.power_of_trs(
        np.array([1.0, 4.0]), np.array([1.0, 1.0]), np.array([8.0, 2.0]), 4, Fraction(2)
    )
    assert found == pytest.approx([4.0, 0.0, 1.0, 0.0])
    assert annotated.level_db(np.array([1.0, 0.0, 0.01])) == pytest.approx(
        [0.0, annotated.QUIETEST_DB, -20.0]
    )


@pytest.mark.parametrize("tr", [Fraction(3, 2), Fraction(2), Fraction(71, 100)])
def test_words_are_spread_over_their_time_and_none_is_lost(tr: Fraction) -> None:
    rng = np.random.default_rng(1)
    onset = np.sort(rng.uniform(0, 40, 30))
    found = annotated.words_of_trs(onset, onset + rng.uniform(0, 3, 30), np.full(30, 2.0), int(60 / tr), tr)
    assert found.sum() == pytest.approx(60.0) and found.min() >= 0
    one = annotated.words_of_trs(np.array([1.0]), np.array([5.0]), np.array([8.0]), 4, Fraction(2))
    assert one == pytest.approx([2, 4, 2, 0])


def test_tables_of_words_are_read_in_their_forms(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        '"start","end","person","text"\n1.0,3.0,"F","Hello, my ""name"""\n4,5,"F",""\n'
    )
    (tmp_path / "b.tsv").write_text("onset\tduration\tn_words\n1.0\t2.0\t3\n4\t1\t0\n")
    for name in ("a.csv", "b.tsv"):
        onset, offset, words = annotated.read_words(tmp_path / name)
        assert (onset.tolist(), offset.tolist(), words.tolist()) == ([1, 4], [3, 5], [3, 0])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("onset\tduration\n0\t1\n", "has no column rms"),
        ("onset\tduration\trms\n0\t1\tloud\n", "line 2: not a number"),
        ("onset\tduration\trms\n0\t1\t.1\n0.5\t1\t.1\n", "frames overlap"),
        ("onset\tduration\trms\n", "has no rows"),
    ],
)
def test_a_table_of_levels_that_is_none_is_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "level.tsv").write_text(text)
    with pytest.raises(UserError, match=said):
        annotated.read_level(tmp_path / "level.tsv")


def test_words_without_words_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "words.tsv").write_text("onset\tduration\n0\t1\n")
    with pytest.raises(UserError, match="neither a column n_words nor text"):
        annotated.read_words(tmp_path / "words.tsv")


def test_level_of_a_sound_and_of_its_table_agree(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    sound = np.repeat(rng.uniform(0.001, 0.3, 16), 12_000) * rng.standard_normal(192_000) * 0.3
    soundfile.write(tmp_path / "sound.flac", sound, 24_000, subtype="PCM_24")
    frames = np.sqrt((sound.reshape(-1, 960) ** 2).mean(axis=1))
    rows = "".join(f"{k * 0.04:.2f}\t0.04\t{value:.9f}\n" for k, value in enumerate(frames))
    (tmp_path / "level.tsv").write_text("onset\tduration\trms\n" + rows)
    runs = {
        "sound": Run(name="1", first_tr=0, n_trs=4, stimulus="sound.flac"),
        "table": Run(name="1", first_tr=0, n_trs=4, level="level.tsv"),
    }
    found = {
        name: annotated.heard(
            tmp_path, StudyFile(name="x", tr=Fraction(2), shift_trs=0, subjects=[1], runs=[run]), "level"
        )
        for name, run in runs.items()
    }
    assert found["sound"] == pytest.approx(found["table"], abs=0.01) and len(found["sound"]) == 4


def test_a_run_of_which_nothing_is_known_is_named(tmp_path: Path) -> None:
    facts = StudyFile(name="x", shift_trs=0, subjects=[1], runs=[Run(name="pieman", first_tr=0, n_trs=4)])
    with pytest.raises(UserError, match="run pieman has neither a sound nor a table of its level"):
        annotated.heard(tmp_path, facts, "level")
    with pytest.raises(UserError, match="run pieman has no table of words"):
        annotated.heard(tmp_path, facts, "words")
