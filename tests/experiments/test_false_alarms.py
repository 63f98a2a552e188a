"""False alarms: pairings are wrong ones, what is planted is found, and the rule takes what it should."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fmri_audio.base.errors import UserError
from fmri_audio.base.settings import project_root
from fmri_audio.decoding.series import Pipeline
from fmri_audio.experiments import false_alarms
from fmri_audio.experiments.false_alarms import AlarmRow, Settings, Stage
from fmri_audio.experiments.real_brains import recorded
from fmri_audio.study.reader import Study
from programs.__main__ import main as program
from tests.study.forrest import forrest

RUNS = ["1", "2", "3"]
PIPELINE = Pipeline(columns=9)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    text = (project_root() / false_alarms.SETTINGS).read_text()
    for old, new in (
        ("draws: 199", "draws: 19"),
        ("planted_pairings: 12", "planted_pairings: 4"),
        ("most_pairings: 145", "most_pairings: 6"),
        ("turns: 3", "turns: 1"),
        ("planted: [0.25, 0.5, 1.0]", "planted: [1.0]"),
        ("shift_gap_seconds: 40", "shift_gap_seconds: 20"),
        ('runs: ["1", "2", "3", "4"]', 'runs: ["1", "2", "3"]'),
        ('runs: ["5", "6", "7"]', 'runs: ["1", "2", "3"]'),
        ('sounds: ["1", "2", "3", "4", "5", "6", "7"]', 'sounds: ["1", "2", "3"]'),
        ("counts: [1, 3, 8]", "counts: [1, 2]"),
        ("counts: [1, 3, 7]", "counts: [1]"),
        ("counts: [9, 15]", "counts: [3]"),
        ("groups: 8", "groups: 2"),
    ):
        assert old in text
        text = text.replace(old, new)
    path = tmp_path_factory.mktemp("settings") / "false-alarms.yml"
    path.write_text(text)
    return Settings.read(path)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return forrest(tmp_path_factory.mktemp("forrest"))


@pytest.fixture(scope="module")
def stage(tree: Path, settings: Settings) -> Stage:
    whole = recorded(Study.open(tree), PIPELINE, ["level"])
    return Stage.of("development", whole, settings.development, settings)


def test_no_run_has_its_own_sound_as_it_was() -> None:
    every = false_alarms.pairings(RUNS, RUNS, 1000, np.random.default_rng(0))
    assert len(every) == 2 * 8 + 1 and len(set(every)) == len(every)
    for pairing in every:
        assert all(source != run or backwards for run, (source, backwards) in zip(RUNS, pairing, strict=True))
    some = false_alarms.pairings(RUNS, [*RUNS, "4", "5"], 20, np.random.default_rng(0))
    assert len(some) == 20 and len(set(some)) == 20


def test_a_pairing_puts_the_sound_of_another_run_beside_the_brain() -> None:
    pieces = {"1": np.arange(4.0), "2": np.arange(10.0, 16)}
    made = false_alarms.paired(pieces, [(0, 4), (4, 10)], (("2", True), ("1", False)))
    assert made.tolist() == [15, 14, 13, 12, 0, 1, 2, 3, 0, 1]
    turned = false_alarms.paired(pieces, [(0, 4), (4, 10)], (("2", True), ("1", False)), 0.5)
    assert turned.tolist() == [13, 12, 15, 14, 3, 0, 1, 0, 1, 2]


def test_odd_listeners_and_their_runs_make_the_development(stage: Stage) -> None:
    assert stage.what.subjects == ["01", "05"] and stage.what.names == RUNS
    assert set(stage.groups) == {1, 2} and len(stage.groups[2]) == 1


def test_what_is_planted_is_found_and_what_is_not_is_not(stage: Stage, settings: Settings) -> None:
    rows = list(false_alarms.stage_rows(stage, PIPELINE, settings, 0.01, 1, lambda _: None))
    assert {row.test for row in rows} == set(false_alarms.CANDIDATES)
    for row in rows:
        assert 0 <= row.low <= row.rate <= row.high <= 1
        assert row.n_pairings == (6 if row.effect == 0 else 4)
        assert row.level == (0.01 if row.test == "corrected" else 0.05)
    found = {
        effect: np.mean([r.rate for r in rows if r.test == "turned" and r.effect == effect])
        for effect in (0, 1)
    }
    assert found[1] > 0.6 > found[0]


def test_the_rule_takes_most_power_among_those_that_keep_the_limit() -> None:
    row = AlarmRow("development", "turned", 0.0, 1, 4, 0.09, 0.05, 0.13, 9, 9, 0.05, 60.0)
    rows = [
        row,
        replace(row, effect=1.0, rate=0.99),
        replace(row, test="blocks", high=0.065),
        replace(row, test="blocks", effect=1.0, rate=0.5),
        replace(row, test="phases", high=0.06),
        replace(row, test="phases", effect=1.0, rate=0.6),
    ]
    assert false_alarms.choose(rows, 0.07) == "phases"
    assert false_alarms.choose(rows[:2], 0.07) is None


def test_both_stages_are_written_and_the_second_wants_the_first(
    tree: Path, settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import yaml

    (tmp_path / "s.yml").write_text(yaml.safe_dump(settings.model_dump()))
    (tmp_path / "p.yml").write_text("columns: 9\n")
    words = [
        "false-alarms",
        str(tree),
        "--settings",
        str(tmp_path / "s.yml"),
        "--pipeline",
        str(tmp_path / "p.yml"),
    ]
    words += ["--out", str(tmp_path / "table.csv")]
    assert program([*words, "--stage", "confirmation"]) == 1
    assert "run --stage development first" in capsys.readouterr().err
    assert program([*words, "--stage", "development"]) == 0
    assert "the rule takes" in capsys.readouterr().out
    assert program([*words, "--stage", "confirmation"]) == 0
    rows = false_alarms.read(tmp_path / "table.csv")
    assert {row.stage for row in rows} == {"development", "confirmation"}
    assert {row.n_subjects for row in rows if row.stage == "confirmation"} == {1, 3}


def test_a_setting_that_makes_no_sense_is_one_sentence(tmp_path: Path) -> None:
    text = (project_root() / false_alarms.SETTINGS).read_text().replace("turned,", "guessed,")
    (tmp_path / "s.yml").write_text(text)
    with pytest.raises(UserError, match="there is no test guessed"):
        Settings.read(tmp_path / "s.yml")
