"""Rates that missed are simulated again, with other seeds, and held to the rule that was written before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from fmri_audio.base.errors import UserError
from fmri_audio.base.rows import write_rows
from fmri_audio.experiments import calibration, confirmed_rates
from fmri_audio.experiments.calibration import CalibrationRow
from fmri_audio.experiments.confirmed_rates import Rule
from programs.__main__ import main as program

RULE = Rule(studies=4000, first_seed=200000, limit=0.07)
GOOD = CalibrationRow(
    "null", "rejection_rate", 0.05, 0.03, 0.07, 1000, "the interval holds 0.05", True, 0, "abc"
)
MISSED = replace(GOOD, variant="null-shared", value=0.08, holds=False, subjects=17)
ONE = replace(GOOD, variant="null-one-excerpt", value=0.08, holds=False)
OTHERS = [
    replace(GOOD, voxels="all", holds=False),
    replace(GOOD, variant="matched", holds=False),
    replace(GOOD, quantity="pairwise_identification", holds=False),
]


def test_what_missed_is_a_single_rate_without_signal() -> None:
    assert confirmed_rates.missed([GOOD, MISSED, ONE, *OTHERS]) == [MISSED, ONE]


@pytest.mark.parametrize(
    ("hits", "holds"),
    [(200, True), (160, False), (235, True), (240, False), (280, False)],
)
def test_a_rate_holds_if_fresh_studies_hold_the_level_and_end_below_the_limit(hits: int, holds: bool) -> None:
    row = confirmed_rates.judged(MISSED, hits, RULE, "def")
    assert (row.holds, row.value, row.n, row.seed) == (holds, hits / 4000, 4000, 200000)
    assert confirmed_rates.key(row) == confirmed_rates.key(MISSED)


def test_the_same_null_is_simulated_with_the_seeds_of_the_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def study(sound: str, variant: str, seed: int, voxels: str, subjects: int) -> SimpleNamespace:
        asked.append((sound, variant, seed, voxels, subjects))
        return SimpleNamespace(p=0.04 if seed == 7 else 0.5)

    monkeypatch.setattr(calibration, "identify_drawn", study)
    monkeypatch.setattr(calibration, "identify_once", study)
    play = SimpleNamespace(excerpt=lambda first, n: f"{first} to {n}")
    rows = confirmed_rates.confirmed(
        [GOOD, MISSED, ONE],
        Rule(studies=4, first_seed=5, limit=0.07),
        play,  # type: ignore[arg-type]
        1,
        lambda line: None,
    )
    assert [row.value for row in rows] == [0.25, 0.25]
    assert asked == [
        *((play, "null-shared", seed, "between", 17) for seed in (5, 6, 7, 8)),
        *(("0 to 240", "null", seed, "between", 3) for seed in (5, 6, 7, 8)),
    ]


def test_no_table_is_left_where_every_rate_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, table = tmp_path / "confirmed.csv", tmp_path / "calibration.csv"
    out.write_text("of an older calibration")
    write_rows([GOOD], table)
    assert program(["confirm-rates", "--table", str(table), "--out", str(out)]) == 0
    assert not out.exists() and confirmed_rates.read(out) == []
    assert "nothing to confirm" in capsys.readouterr().out


def test_a_rule_that_makes_no_sense_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rule.yml"
    path.write_text("studies: 0\nfirst_seed: 1\nlimit: 0.07\n")
    with pytest.raises(UserError, match="rule.yml: studies: "):
        Rule.read(path)


def test_every_rate_that_missed_was_simulated_again_and_holds() -> None:
    rows, again, rule = calibration.read(), confirmed_rates.read(), Rule.read()
    missed = confirmed_rates.missed(rows)
    assert [confirmed_rates.key(row) for row in again] == [confirmed_rates.key(row) for row in missed]
    assert {row.made_by for row in again} <= {calibration.decided_by(confirmed_rates.MODULE)}, "stale"
    for row in again:
        hits = round(row.value * row.n)
        assert (row.n, row.seed) == (rule.studies, rule.first_seed)
        assert replace(row, ci_low=0.0, ci_high=1.0) == replace(
            confirmed_rates.judged(row, hits, rule, row.made_by), ci_low=0.0, ci_high=1.0
        )
        assert row.holds
