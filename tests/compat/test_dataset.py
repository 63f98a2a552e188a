"""Items of sound and BOLD."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from fmri_audio.base.errors import UserError
from fmri_audio.compat import AudioFmriDataset

N_TRS, VOXELS = 6, 7


def codes() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 1024, (N_TRS, 2 * 113))


def bold(seed: int = 0, n_trs: int = N_TRS, voxels: int = VOXELS) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n_trs, voxels)).astype(np.float32)


def test_items_are_sound_and_bold_of_one_subject_in_one_tr() -> None:
    sound, brains = codes(), {1: bold(1), 5: bold(5)}
    dataset = AudioFmriDataset(sound, brains)
    assert len(dataset) == 2 * N_TRS
    assert set(dataset[0]) == {"audio", "fmri", "subject_id", "tr_index"}
    item = dataset[N_TRS + 2]
    assert (item["subject_id"], item["tr_index"]) == (5, 2)
    assert item["audio"].dtype == torch.int64 and item["fmri"].dtype == torch.float32
    assert np.array_equal(item["audio"].numpy(), sound[2]) and np.array_equal(
        item["fmri"].numpy(), brains[5][2]
    )
    item["fmri"].zero_()
    assert brains[5][2].any()


def test_items_make_batches() -> None:
    [batch] = DataLoader(AudioFmriDataset(codes(), {1: bold(1), 5: bold(5)}), batch_size=12)
    assert batch["audio"].shape == (12, 226) and batch["fmri"].shape == (12, VOXELS)
    assert batch["subject_id"].tolist() == [1] * N_TRS + [5] * N_TRS
    assert batch["tr_index"].tolist() == [*range(N_TRS)] * 2


def test_filler_has_no_item_and_trs_can_be_chosen() -> None:
    filled = bold(5)
    filled[4:] = np.nan
    dataset = AudioFmriDataset(codes(), {"01": bold(1), "05": filled}, trs=np.array([1, 3, 5]))
    found = [(item["subject_id"], item["tr_index"]) for item in (dataset[k] for k in range(len(dataset)))]
    assert found == [("01", 1), ("01", 3), ("01", 5), ("05", 1), ("05", 3)]


def test_a_regression_gets_real_features_and_no_codes() -> None:
    latents = np.random.default_rng(0).standard_normal((N_TRS, 128, 113)).astype(np.float32)
    brains = {1: bold(1), 2: bold(2)}
    x, y = AudioFmriDataset(latents, brains, trs=[0, 4]).regression_arrays()
    assert np.array_equal(x, np.stack([brains[1][0], brains[1][4], brains[2][0], brains[2][4]]))
    assert y.shape == (4, 128 * 113) and np.array_equal(y[3], latents[4].ravel())
    with pytest.raises(UserError, match=r"^audio: codes are names .* regress on the latents"):
        AudioFmriDataset(codes(), brains).regression_arrays()


@pytest.mark.parametrize(
    ("fmri", "trs", "sentence"),
    [
        ({1: bold(n_trs=9)}, None, "fmri of subject 1 has 9 TRs and the sound 6: give both of the same TRs"),
        ({1: bold()[0]}, None, r"fmri of subject 1 should be \[TRs, voxels\], not \[7\]"),
        ({1: bold(), 2: bold(voxels=8)}, None, "different numbers of voxels; mask all with one mask"),
        ({1: bold()}, [0, 6], "trs: there are TRs 0 to 5, found 0 to 6"),
        ({1: bold()}, [], "there is no subject with a TR whose BOLD is finite"),
        ({}, None, "there is no subject with a TR whose BOLD is finite"),
    ],
)
def test_what_does_not_fit_is_one_sentence(
    fmri: dict[int | str, np.ndarray], trs: list[int] | None, sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        AudioFmriDataset(codes(), fmri, trs)
