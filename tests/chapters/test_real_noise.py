"""Chapter 12, second part: the table of false alarms, what the rule takes, and what is said when it takes nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fmri_audio.base.errors import UserError
from fmri_audio.base.rows import write_rows
from fmri_audio.base.settings import project_root
from fmri_audio.chapters import real_noise
from fmri_audio.experiments import false_alarms
from fmri_audio.experiments.false_alarms import SETTINGS, AlarmRow, Settings

ROW = AlarmRow("development", "turned", 0.0, 1, 4, 0.09, 0.06, 0.12, 145, 3480, 0.05, 31.0)


@pytest.fixture(scope="module")
def settings() -> Settings:
    return Settings.read(project_root() / SETTINGS)


def rows() -> list[AlarmRow]:
    made = []
    for stage in ("development", "confirmation"):
        for test, rate, high in (("turned", 0.09, 0.12), ("refitted", 0.05, 0.065)):
            made.append(replace(ROW, stage=stage, test=test, rate=rate, high=high))
            made.append(replace(ROW, stage=stage, test=test, effect=0.5, rate=0.8))
    return made


def test_a_row_has_its_rate_and_its_power(settings: Settings) -> None:
    shown = real_noise.table(rows(), "development")
    assert shown["false alarms"].tolist() == [0.09, 0.05]
    assert shown["found, 0.5 of the effect"].tolist() == ["0.80", "0.80"]
    text = real_noise.caption(rows(), "development", settings)
    assert "145 pairings" in text and "4 runs" in text


def test_what_the_rule_takes_is_named_and_judged_once(settings: Settings) -> None:
    said = real_noise.said(rows(), settings)
    assert said["chosen"] == "sound turned round, fitted anew" and said["turned_worst"] == 0.09
    assert "it keeps the limit: 0.050" in str(said["confirmed_said"])
    worse = [replace(r, high=0.1) if (r.stage, r.test) == ("confirmation", "refitted") else r for r in rows()]
    assert "does not keep the limit" in str(real_noise.said(worse, settings)["confirmed_said"])


def test_where_nothing_keeps_the_limit_p_is_approximate(settings: Settings) -> None:
    said = real_noise.said([row for row in rows() if row.test == "turned"], settings)
    assert said["chosen"] == "none of them" and "approximate" in str(said["confirmed_said"])


def test_the_project_s_table_is_confirmed_and_one_that_is_not_is_refused(tmp_path: Path) -> None:
    found, _ = real_noise.gathered()
    assert {row.stage for row in found} == {"development", "confirmation"}
    (tmp_path / "results").mkdir()
    write_rows([ROW], tmp_path / false_alarms.TABLE)
    with pytest.raises(UserError, match="holds no confirmation; run `make false-alarms STAGE=confirmation`"):
        real_noise.gathered(tmp_path)
