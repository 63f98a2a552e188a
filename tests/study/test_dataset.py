"""Windows: sound and brain of the same moments."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from fmri_audio.study.dataset import StudyDataset, lagged

TR, RATE = Fraction(3, 2), Fraction(75)


def make(**changes: object) -> StudyDataset:
    frames, n_trs, voxels = 20 * 225 // 2, 20, 5
    arguments = {
        "codes": np.arange(8 * frames).reshape(8, frames), "trs": [2, 5], "window": 3, "lags": [2, 4], "shift": 3,
        "latents": np.arange(128.0 * frames, dtype=np.float32).reshape(128, frames), "tr": TR, "frame_rate": RATE,
        "bold": np.arange(float(n_trs * voxels), dtype=np.float32).reshape(n_trs, voxels),
        **changes,
    }  # fmt: skip
    return StudyDataset(**arguments)  # type: ignore[arg-type]


def test_a_window_holds_frames_and_volumes_of_its_trs() -> None:
    data = make()
    item = data[1]  # TRs 5, 6, 7: 7.5 s to 12 s, frames 562.5 to 900
    assert item["codes"].shape == (8, 338) and item["latents"].shape == (128, 338)
    assert item["codes"][0, 0] == 562 and item["codes"][0, -1] == 899
    assert item["bold"].shape == (3, 5) and (item["bold"][:, 0] / 5).tolist() == [5, 6, 7]
    assert item["lagged_bold"].shape == (3, 2, 5)
    assert (item["lagged_bold"][0, :, 0] / 5).tolist() == [4, 6]
    assert len(data) == 2 and item["tr"] == 5


def test_windows_outside_run_or_split_are_refused() -> None:
    with pytest.raises(ValueError, match="outside the run"):
        make(trs=[0])
    with pytest.raises(ValueError, match="outside the run"):
        make(trs=[17])
    bold = np.zeros((20, 5), np.float32)
    bold[9] = np.nan
    with pytest.raises(ValueError, match="no block"):
        make(trs=[6], bold=bold)


def test_lagged_puts_the_volumes_of_each_lag_side_by_side() -> None:
    bold = np.arange(20.0, dtype=np.float32).reshape(10, 2)
    rows = lagged(bold, np.array([4, 5]), [2, 5], 3)
    assert rows.tolist() == [[6, 7, 12, 13], [8, 9, 14, 15]]
    with pytest.raises(ValueError, match="outside"):
        lagged(bold, np.array([9]), [5], 3)
