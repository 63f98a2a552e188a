"""Windows as one run through voxels: all comes back where nothing is lost, and nothing where nothing is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fmri_audio.bottleneck.coders import CODERS, Coder
from fmri_audio.codec.checkpoints import Checkpoint
from programs.bottleneck_training import rungs
from programs.bottleneck_training.rungs import Brains, Reel, from_nothing, read_from_brains, through_device
from programs.bottleneck_training.windows import Sounds
from tests.bottleneck.test_coders import sounds as voices

DIMENSIONS = 8


@pytest.fixture(scope="module")
def reel() -> Reel:
    lengths = np.random.default_rng(0).integers(40_000, 57_600, 44)
    waves = [one[0, :n].numpy() for one, n in zip(voices(44), lengths, strict=True)]
    return Reel.of(Sounds([], waves, []))


@pytest.fixture(scope="module")
def coder(tiny_checkpoint: Checkpoint) -> Coder:
    torch.manual_seed(0)
    made = CODERS["complex-stft"].build(tiny_checkpoint)
    made.start(voices(40))
    return made.eval()


@pytest.fixture(scope="module")
def brains(reel: Reel) -> Brains:
    return Brains(reel)


def test_windows_are_cut_as_they_were_joined(reel: Reel) -> None:
    assert len(reel.sound) == reel.n_trs * 36_000 and reel.n_trs > 60
    for start, cut, wave in zip(reel.starts, reel.cut(reel.sound), voices(44)[:, 0].numpy(), strict=True):
        assert start % 2880 == 0
        np.testing.assert_array_equal(cut, wave[: len(cut)])


def test_without_noise_an_ideal_map_is_the_code_itself(reel: Reel, coder: Coder, brains: Brains) -> None:
    passed = through_device(coder, DIMENSIONS, reel, brains, "between", 0.0, ideal=True)
    code = coder.encode(reel.sound)
    kept = np.arange(code.shape[1]) < DIMENSIONS
    whole = coder.decode(code * kept, kept.astype(np.float32), len(reel.sound))
    for cut, wave in zip(reel.cut(whole), passed, strict=True):
        np.testing.assert_allclose(wave, cut, atol=2e-3 * np.abs(whole).max())


def test_in_much_noise_every_decode_is_the_prior(reel: Reel, coder: Coder, brains: Brains) -> None:
    nothing = from_nothing(coder, DIMENSIONS, reel)
    lost = through_device(coder, DIMENSIONS, reel, brains, "between", 1e9, ideal=False)
    some = through_device(coder, DIMENSIONS, reel, brains, "between", 1.0, ideal=True)
    scale = np.abs(np.concatenate(nothing)).max()
    assert max(np.abs(a - b).max() for a, b in zip(nothing, lost, strict=True)) < 0.05 * scale
    assert max(np.abs(a - b).max() for a, b in zip(nothing, some, strict=True)) > 0.2 * scale


def test_another_segment_s_reading_is_another_sound(reel: Reel, coder: Coder, brains: Brains) -> None:
    own = through_device(coder, DIMENSIONS, reel, brains, "between", 0.25, ideal=True)
    other = through_device(coder, DIMENSIONS, reel, brains, "between", 0.25, ideal=True, known="other")
    assert [len(wave) for wave in own] == [len(wave) for wave in other] == reel.lengths
    assert np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(own, other, strict=True)]) < 0.9


def test_a_code_is_read_from_brains_that_owe_it_nothing(
    reel: Reel, coder: Coder, brains: Brains, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rungs, "LAGS", ((3, 4), (2, 3, 4, 5)))  # the run is short
    read = read_from_brains(coder, DIMENSIONS, reel, brains, "smooth", 2)
    assert [len(wave) for wave in read] == reel.lengths and all(np.isfinite(wave).all() for wave in read)
    prior = from_nothing(coder, DIMENSIONS, reel)
    assert any(not np.allclose(a, b) for a, b in zip(read, prior, strict=True))


def test_smoother_noise_leaves_an_ideal_device_more(reel: Reel, brains: Brains) -> None:
    bits = {name: brains.channel(40, name, True).bits(1.0) for name in ("smooth", "between", "fine")}
    assert bits["smooth"] > bits["between"] > bits["fine"] > 0
    assert brains.channel(40, "between", False).bits(1.0) < bits["between"]
    assert rungs.FOLDS >= 5
