"""The level of the sound as BOLD would follow it, and the voxels that do."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fmri_audio.brain import cleaning
from fmri_audio.study.envelope import LEVEL_RATE, RANGE_DB, envelope_map, envelope_response, level_db

TR = Fraction(3, 2)
SAMPLE_RATE = 2_000


def beep(seconds: float, onset: float, length: float = 0.5) -> np.ndarray:
    wave = np.zeros(round(seconds * SAMPLE_RATE), np.float32)
    begin, end = round(onset * SAMPLE_RATE), round((onset + length) * SAMPLE_RATE)
    wave[begin:end] = 0.1 * np.sin(np.arange(end - begin) * 1.3)
    return wave


def noise(n_trs: int, seed: int = 0) -> np.ndarray:
    """Noise whose level changes at random from second to second."""
    rng = np.random.default_rng(seed)
    n = round(n_trs * 1.5 * SAMPLE_RATE)
    level = np.repeat(rng.uniform(-50, 0, n // SAMPLE_RATE + 1), SAMPLE_RATE)[:n]
    return (0.1 * 10 ** (level / 20) * rng.standard_normal(n)).astype(np.float32)


def test_level_is_in_db_above_silence() -> None:
    wave = np.concatenate([beep(1, 0, 1), beep(1, 0, 1) / 10, np.zeros(SAMPLE_RATE, np.float32)])
    level = level_db(wave, SAMPLE_RATE)
    assert len(level) == 3 * LEVEL_RATE
    assert_allclose(np.median(level.reshape(3, -1), axis=1), [RANGE_DB, RANGE_DB - 20, 0], atol=0.2)
    assert not level_db(np.zeros(SAMPLE_RATE), SAMPLE_RATE).any()


@pytest.mark.parametrize("shift", [0, 3])
def test_a_beep_is_answered_five_seconds_later_less_the_shift(shift: int) -> None:
    response = envelope_response(beep(60, 12), SAMPLE_RATE, [(0, 40)], TR, shift)
    assert response.argmax() == int((12.25 + 5) / 1.5) - shift


def test_runs_start_from_rest_and_end_in_it() -> None:
    wave = np.concatenate([beep(30, 28.5), beep(30, 15)])
    response = envelope_response(wave, SAMPLE_RATE, [(0, 20), (20, 40)], TR, 3)
    assert response[19] > 0.1 * response.max(), "the last volumes, acquired later, answer the run's end"
    assert_allclose(response[20:24], 0, atol=1e-6)
    alone = envelope_response(wave[30 * SAMPLE_RATE :], SAMPLE_RATE, [(0, 20)], TR, 3)
    assert_allclose(response[20:], alone, atol=1e-9)


def test_the_map_finds_the_voxels_that_follow_and_no_others() -> None:
    """Known truth: a quarter of the variance is the level's, so that the correlation is a half; the others are null."""
    runs, trs = [(0, 400), (400, 800)], 800
    wave = noise(trs)
    rng = np.random.default_rng(0)
    level = envelope_response(wave, SAMPLE_RATE, runs, TR, 3)
    level = cleaning.standardise_by_run(cleaning.clean_blocks(level[:, None], runs, TR), np.arange(trs), runs)
    own = rng.standard_normal((trs, 40))
    bold = np.concatenate([0.5 * level + np.sqrt(0.75) * own[:, :20], own[:, 20:]], axis=1)
    # Every run has its own scale and drift, and a subject may lack the end.
    bold[:400] = 500 + 3 * bold[:400]
    bold[400:] = 900 + 8 * bold[400:] + np.linspace(0, 50, 400)[:, None]
    bold[-30:] = np.nan
    found = envelope_map(wave, SAMPLE_RATE, bold.astype(np.float32), runs, TR, 3)
    assert found[:20].mean() == pytest.approx(0.5, abs=0.03)
    assert abs(found[20:].mean()) < 0.03 and np.abs(found[20:]).max() < 4 / np.sqrt(770)
    # The same brains on another sound find nothing.
    assert abs(envelope_map(noise(trs, seed=9), SAMPLE_RATE, bold, runs, TR, 3).mean()) < 0.06
