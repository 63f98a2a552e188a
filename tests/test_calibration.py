"""The calibration's own arithmetic, a short run of it, and whether its table belongs to this code."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from fmri_audio import calibration
from fmri_audio.errors import UserError
from fmri_audio.settings import project_root


def test_exact_intervals_hold_their_rate() -> None:
    assert calibration.exact_interval(0, 10) == (0.0, pytest.approx(1 - 0.005 ** (1 / 10)))
    assert calibration.exact_interval(10, 10) == (pytest.approx(0.005 ** (1 / 10)), 1.0)
    rng = np.random.default_rng(0)
    inside = [low <= 0.05 <= high for low, high in (
        calibration.exact_interval(int(hits), 500) for hits in rng.binomial(500, 0.05, 2000)
    )]  # fmt: skip
    assert np.mean(inside) >= 0.985
    assert not calibration.exact_interval(40, 500)[0] <= 0.05  # a rate of 8 % is told from 5 %


def test_mean_intervals_hold_their_mean() -> None:
    rng = np.random.default_rng(1)
    inside = []
    for _ in range(1000):
        low, high = calibration.mean_interval(rng.normal(2, 1, 8))
        inside.append(low <= 2 <= high)
    assert 0.975 <= np.mean(inside) <= 1


def test_too_few_repetitions_are_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="at least 500 are needed"):
        calibration.calibrate(100, 0, 1, lambda line: None)
    assert calibration.main(["--repetitions", "3", "--out", str(tmp_path / "table.csv")]) == 1
    assert capsys.readouterr().err == "error: --repetitions 3: at least 500 are needed to tell 5 % from 8 %\n"
    assert not (tmp_path / "table.csv").exists()


@pytest.fixture(scope="module")
def sound() -> calibration.Sound:
    return calibration.Sound.of(calibration.opening_of_the_play())


def test_brains_that_hear_are_told_from_brains_that_do_not(sound: calibration.Sound) -> None:
    strong = [calibration.identify_once(sound, "strong", seed) for seed in range(2)]
    null = [calibration.identify_once(sound, "null", seed) for seed in range(2)]
    assert min(one.accuracy for one in strong) > 0.65 > max(one.accuracy for one in null)
    assert all(one.p == one.smallest_p for one in strong)
    again = calibration.identify_once(sound, "strong", 0)
    np.testing.assert_array_equal(again.per_subject, strong[0].per_subject)


def test_what_is_attainable_is_reached_and_not_exceeded(sound: calibration.Sound) -> None:
    attainable, known, ridge = np.array([calibration.recover_once(sound, seed) for seed in range(3)]).T
    np.testing.assert_allclose(known, attainable, rtol=0.02)
    assert (ridge > 0.8 * attainable).all() and (ridge < 1.02 * attainable).all()


def test_a_leaky_pipeline_is_flagged_and_the_books_is_not(sound: calibration.Sound) -> None:
    rows = calibration.leaks(calibration.opening_of_the_play(), sound, 0, "now")
    assert {row.quantity: row.value for row in rows} == {"pipeline_flagged": 0.0, "leaky_pipeline_flagged": 1.0}
    assert all(row.holds for row in rows)


def test_the_table_is_that_of_this_code() -> None:
    rows = calibration.read(project_root() / calibration.TABLE)
    assert {row["made_by"] for row in rows} == {calibration.code_hash()}, "stale: run `make calibrate`"
    nulls = [row for row in rows if row["quantity"] == "rejection_rate" and row["variant"].startswith("null")]
    assert [row["variant"] for row in nulls] == ["null", "null-shared"]
    for row in nulls:
        assert int(row["n"]) >= 500
        assert calibration.exact_interval(round(float(row["value"]) * int(row["n"])), int(row["n"])) == pytest.approx(
            (float(row["ci_low"]), float(row["ci_high"])), abs=1e-5
        )
        assert float(row["ci_low"]) <= 0.05 <= float(row["ci_high"])
    # How often segments are told apart where nothing can be found is reported, and what exceeds one half is discussed;
    # whether the test keeps its level is demanded above.
    reported = ("pairwise_identification", ("null", "null-shared"))
    demanded = [row for row in rows if row["quantity"] != reported[0] or row["variant"] not in reported[1]]
    assert [row["quantity"] for row in demanded if row["holds"] != "True"] == []


def test_a_table_is_written_as_it_is_read(tmp_path: Path) -> None:
    row = calibration.Row("null", "rejection_rate", 0.05, 0.03, 0.08, 500, "the interval holds 0.05", True, 0, "abc")
    calibration.write([row], tmp_path / "t.csv")
    [found] = calibration.read(tmp_path / "t.csv")
    assert found == {name: str(value) for name, value in asdict(row).items()}
    with pytest.raises(UserError, match="make it with `make calibrate`"):
        calibration.read(tmp_path / "none.csv")
