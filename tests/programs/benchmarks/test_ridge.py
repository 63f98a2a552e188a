"""The ridge benchmark at a size that takes seconds: all ways choose and predict the same."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from fmri_audio.base.errors import UserError
from programs.benchmarks import ridge
from programs.benchmarks.table import write


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    path = tmp_path_factory.mktemp("ridge") / "bench.csv"
    said: list[str] = []
    write(path, ridge.measure(1, said.append, 300, 120))
    assert len(said) == len(ridge.CONTENDERS)
    return pd.read_csv(path)


def test_all_ways_are_timed_and_agree(table: pd.DataFrame) -> None:
    assert set(table["direction"]) == {"ridge 300"}
    assert (table["minutes"] == 3).all() and table["hardware"].str.len().gt(0).all()
    wide = table.pivot_table(index="contender", columns="metric", values="value")
    assert set(wide.index) == set(ridge.CONTENDERS)
    np.testing.assert_allclose(wide["times_ours"], wide["seconds"] / wide.loc["ours", "seconds"], rtol=1e-2)
    assert (wide["peak_megabytes"] > 0).all() and (wide["process_megabytes"] > wide["peak_megabytes"]).all()
    others = wide.drop(index="ours")
    assert (others["penalties_differing"] == 0).all() and (others["largest_difference"] < 1e-4).all()
    assert wide.loc["ours", "predictors"] == 1200 and wide.loc["ours", "penalties_chosen"] > 1


def test_disagreement_is_seen(tmp_path: Path) -> None:
    predicted, alphas = np.array([[1.0, -1.0]]), np.array([10.0, 100.0])
    for name in ridge.CONTENDERS:
        other = name == "scikit-learn"
        np.savez(tmp_path / f"{name}.npz", predicted=predicted + 0.5 * other, alphas=alphas * [1, 1 + other])
    rows = {(row.contender, row.metric): row.value for row in ridge._agreement("ridge 2", tmp_path)}
    assert rows["scikit-learn", "penalties_differing"] == 0.5
    assert rows["scikit-learn", "largest_difference"] == pytest.approx(0.5)
    assert rows["scikit-learn-kernel", "largest_difference"] == 0


def test_voxels_answer_at_the_lags_that_are_read(tmp_path: Path) -> None:
    """The held-out TRs of the target with the strongest traces are predicted; in time reversed they are not."""
    ridge.write_data(tmp_path, 300, 512, n_targets=8)
    bold, targets = np.load(tmp_path / "bold.npy"), np.load(tmp_path / "targets.npy")
    split = ridge.split_of(300)
    predicted, alphas = ridge.by_us(bold, targets, split)
    true = targets[split.test, 0]
    assert np.corrcoef(predicted[:, 0], true)[0, 1] > 0.8 > abs(np.corrcoef(predicted[::-1, 0], true)[0, 1])
    assert len(alphas) == 8 and alphas[0] < alphas[-1]


def test_without_memory_nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ridge.psutil, "virtual_memory", lambda: SimpleNamespace(available=1000))
    monkeypatch.setattr(ridge, "write_data", lambda *_: pytest.fail("there was no memory"))
    with pytest.raises(UserError, match="give fewer --voxels"):
        ridge.measure(1, print)
