"""The table of what alignment buys, from tiny brains whose voxels do not match."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pandas as pd
import pytest

from fmri_audio.base.errors import UserError
from fmri_audio.decoding.group import Reading
from fmri_audio.experiments import aligned
from fmri_audio.experiments.aligned import Comparison, groups
from programs.__main__ import main as program
from tests.decoding.test_group import GAP, LAGS, N_TRS, RUNS, TR, K, brains
from tests.study.forrest import forrest

ASKED = Comparison(Reading(LAGS, 0, 3), ks=[K], counts=[1, 2, 4], n_groups=2, newcomers=[1, 4])


def test_groups_go_round_the_circle() -> None:
    assert groups("abcd", 3, 2) == [["a", "b", "c"], ["c", "d", "a"]]
    assert groups("abcd", 1, 9) == [["a"], ["b"], ["c"], ["d"]]
    assert groups("abcd", 4, 3) == [["a", "b", "c", "d"]]


def test_the_table_is_tidy_and_the_shared_response_leads_where_voxels_do_not_match() -> None:
    bold, target = brains(turned=True)
    table = aligned.aligned(bold, target, RUNS, ASKED, tr=TR, gap=GAP)
    assert tuple(table.columns) == aligned.COLUMNS
    counted = table.groupby(["method", "n_subjects"]).size().to_dict()
    sizes = {
        (name, count): 2 * (1 if count == 4 else 2)
        for name in ("bold", "components", "predictions", "shared")
        for count in (1, 2, 4)
    }
    assert counted == {**sizes, ("within", 1): 8, ("bold-new", 3): 4, ("shared-new", 3): 4}
    assert set(table["run"]) == {1, 2} and set(table["target"]) == {0} and table["r"].between(-1, 1).all()
    keyed = table.set_index([*aligned.COLUMNS[:4]])["r"]
    assert keyed.index.is_unique
    for run in (1, 2):
        assert keyed["bold", 1, 3, run] == keyed["predictions", 1, 3, run] == keyed["within", 1, 3, run]
    mean = table.groupby(["method", "n_subjects"])["r"].mean()
    assert mean["shared", 4] > mean["bold", 4] + 0.1
    assert mean["shared-new", 3] > mean["bold-new", 3] + 0.1


def test_methods_are_compared_group_by_group_and_run_by_run() -> None:
    found = pd.DataFrame(
        [
            (method, 2, subject, run, 0, r + 0.01 * run + (0.1 if subject == 2 else 0))
            for method, r in (("bold", 0.4), ("components", 0.4), ("shared", 0.5), ("within", 0.3))
            for subject in (1, 2)
            for run in (1, 2, 3)
        ],
        columns=[*aligned.COLUMNS],
    )
    null = pd.concat([found.assign(target=k, r=0.01 * k) for k in (1, 2, 3)])
    rows = {row.method: row for row in aligned.summarised(found, null, "abc")}
    assert rows["bold"].r == pytest.approx(0.47) and rows["bold"].difference is None
    shared = rows["shared"]
    assert (shared.less, shared.n_groups, shared.n_runs) == ("components", 2, 3)
    assert (shared.null, shared.null_low, shared.null_high) == pytest.approx((0.02, 0.01, 0.03))
    assert shared.difference == pytest.approx(0.1)
    # The same in every run: no spread, though the runs themselves differ.
    assert (shared.difference_low, shared.difference_high) == pytest.approx((0.1, 0.1))
    assert shared.low < shared.r < shared.high


def test_the_table_of_a_study_finds_what_was_planted_and_nothing_in_a_level_turned_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree, out = forrest(tmp_path / "study"), tmp_path / "aligned.csv"
    (tmp_path / "pipeline.yml").write_text(
        "columns: 3\nfolds: 3\nfixed_on: ['01']\nlog10_alphas: [1, 4, 4]\n"
    )
    monkeypatch.setattr(aligned, "GROUP_SIZES", (1,))
    words = ["aligned", str(tree), "--pipeline", str(tmp_path / "pipeline.yml"), "--out", str(out)]
    assert program(words) == 0
    rows = {(row.method, row.n_subjects): row for row in aligned.read(out)}
    assert {name for name, _ in rows} == {
        "within", "bold", "components", "predictions", "shared", "bold-new", "shared-new"
    }  # fmt: skip
    assert rows["within", 1].r > 0.4 and abs(rows["within", 1].null) < 0.25
    assert rows["shared", 2].less == "components" and rows["shared", 2].difference is not None
    assert {row.made_by for row in rows.values()} == {aligned.made_by()}


def test_the_table_is_that_of_this_code() -> None:
    rows = aligned.read()
    assert {row.made_by for row in rows} == {aligned.made_by()}, "stale: run `make aligned`"
    assert {(row.method, row.n_subjects) for row in rows} >= {
        ("bold", 11),
        ("shared", 11),
        ("shared-new", 10),
    }
    assert max(abs(row.null) for row in rows) < 0.1
    assert all(row.null_low < row.null < row.null_high < row.low for row in rows)


def test_what_does_not_fit_is_said_before_anything_is_fitted() -> None:
    bold, target = brains(turned=True, n_subjects=2)
    asked = dataclasses.replace(ASKED, counts=[1], newcomers=[])
    times = {"tr": TR, "gap": GAP}
    with pytest.raises(UserError, match="groups of 4 of 2 subjects are impossible; ask for 1 to 2"):
        aligned.aligned(bold, target, RUNS, dataclasses.replace(asked, counts=[1, 4]), **times)
    with pytest.raises(UserError, match="subject 4 has no BOLD .* name one of 1, 2"):
        aligned.aligned(bold, target, RUNS, dataclasses.replace(asked, newcomers=[4]), **times)
    with pytest.raises(UserError, match="a newcomer is decoded by others; give at least 2 subjects"):
        aligned.aligned({1: bold[1]}, target, RUNS, dataclasses.replace(asked, newcomers=[1]), **times)
    with pytest.raises(UserError, match="subject 2: fewer than the 150 TRs"):
        aligned.aligned({**bold, 2: bold[2][:-1]}, target, RUNS, asked, **times)
    with pytest.raises(UserError, match="the target: fewer than the 150 TRs"):
        aligned.aligned(bold, target[:-1], RUNS, asked, **times)
    with pytest.raises(UserError, match="at least 2 runs"):
        aligned.aligned(bold, target, [(0, N_TRS)], asked, **times)
