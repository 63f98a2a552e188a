"""Lags found at once and block by block are the same."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal

from fmri_audio.sound.lag import best_lag


@pytest.mark.parametrize("seed", range(40))
def test_blocks_find_what_one_transform_finds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, m, block = (int(x) for x in rng.integers([5, 5, 3], [400, 400, 80]))
    one, other = rng.standard_normal(n) + rng.normal(), rng.standard_normal(m) + rng.normal()
    means = one.mean(), other.mean()
    direct = scipy.signal.correlate(other - means[1], one - means[0], method="direct").argmax() - (n - 1)
    assert best_lag(one, other) == best_lag(one, other, at_once=0, block=block) == direct


def test_long_recordings_of_single_precision_keep_their_lag() -> None:
    sound = np.random.default_rng(0).standard_normal(300_000).astype(np.float32)
    assert best_lag(sound[:-70_000], sound[70_000:] + np.float32(3), at_once=0, block=1 << 15) == -70_000


@pytest.mark.parametrize("shape", [0, 7])
def test_what_never_moves_has_no_lag(shape: int) -> None:
    assert best_lag(np.full(shape, 0.5), np.arange(9.0)) == best_lag(np.arange(9.0), np.full(shape, 0.5)) == 0
