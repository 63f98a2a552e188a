"""Long recordings are cut in pauses, and into pieces that hold few utterances."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from fmri_audio.sound import pieces

RATE = 16_000


def bursts(count: int, on: float, off: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    silence = np.zeros(round(off * RATE))
    return np.concatenate([np.r_[rng.standard_normal(round(on * RATE)), silence] for _ in range(count)])


def test_a_short_recording_is_one_piece() -> None:
    assert pieces.pieces(np.ones(30 * RATE), RATE, hold=False) == [slice(0, 30 * RATE)]
    assert pieces.pieces(bursts(10, 1.0, 1.9), RATE, hold=True) == [slice(0, 29 * RATE)]


def test_pieces_follow_each_other_and_end_in_pauses() -> None:
    sound = np.random.default_rng(0).standard_normal(100 * RATE)
    for pause in (33, 52, 71):
        sound[pause * RATE : pause * RATE + RATE // 2] = 0
    found = pieces.pieces(sound, RATE, hold=True)
    assert found[0].start == 0 and found[-1].stop == len(sound)
    assert all(one.stop == other.start for one, other in itertools.pairwise(found))
    assert all(piece.stop - piece.start <= pieces.LONGEST * RATE for piece in found)
    assert any(not np.any(sound[piece.stop - 100 : piece.stop + 100]) for piece in found)


@pytest.mark.parametrize("count", [20, 44, 70])
def test_utterances_are_counted(count: int) -> None:
    assert pieces.utterances(bursts(count, 0.21, 0.21), RATE) == count


def test_a_piece_with_too_many_utterances_is_cut_until_it_holds() -> None:
    found = pieces.pieces(bursts(70, 0.21, 0.21), RATE, hold=True)
    assert len(found) == 2 and all(piece.stop - piece.start <= pieces.ALWAYS_HOLDS * RATE for piece in found)


def test_what_always_holds_is_too_short_for_fifty_utterances() -> None:
    # widened by 2 steps at both ends: 50 steps of an utterance, and 51 of a pause less 4, from one to the next
    steps = pieces.ALWAYS_HOLDS / 0.004 + 2 * 75
    assert (steps + 47) / (50 + 47) < 49
