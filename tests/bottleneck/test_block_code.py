"""The code that needs no training."""

from fractions import Fraction

import numpy as np
import pytest

from fmri_audio.bottleneck.block_code import BlockCode

RATE, TR = Fraction(50), Fraction(3, 2)


def low_rank(rank: int, seconds: int, seed: int = 0) -> np.ndarray:
    """Features [6, L] whose every block of ten frames is a mixture of ``rank`` patterns."""
    generator = np.random.default_rng(seed)
    patterns = np.random.default_rng(1).standard_normal((rank, 60))
    blocks = generator.standard_normal((5 * seconds, rank)) @ patterns
    return blocks.reshape(-1, 6, 10).transpose(1, 0, 2).reshape(6, -1).astype(np.float32)


def apart(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.square(a - b).mean() / np.square(b).mean())


def test_width_is_counted_per_tr_and_never_wider_than_asked():
    code = BlockCode.fit([low_rank(3, 60)], RATE, 31, TR, seed=0)
    assert code.frames == 10 and code.components.shape == (4, 60)  # 7.5 blocks a TR
    assert code.per_tr(TR) == 30.0


def test_more_numbers_keep_more_of_sound_that_was_never_seen():
    noise = [np.random.default_rng(seed).standard_normal((6, 3000)).astype(np.float32) for seed in (0, 1)]
    smooth = [np.cumsum(part, axis=1)[:, ::5] for part in noise]
    errors = [
        apart(BlockCode.fit(smooth[:1], RATE, n, TR, 0).restore(smooth[1]), smooth[1]) for n in (8, 45, 200)
    ]
    assert errors[0] > errors[1] > errors[2]


def test_what_has_few_patterns_comes_back_whole_and_keeps_its_length():
    seen = np.stack([np.roll(low_rank(2, 40)[:, 0:400], 10 * k, axis=1) for k in range(2)])
    code = BlockCode.fit(list(seen), RATE, 450, TR, seed=0)  # as many as a block has values
    heard = low_rank(2, 9, seed=3)[:, :87]
    back = code.restore(heard)
    assert back.shape == heard.shape
    assert apart(back[:, :80], heard[:, :80]) < 1e-6


def test_the_same_seed_gives_the_same_code_and_prefixes_are_narrower_codes():
    sound = [low_rank(5, 60)]
    wide, again = (BlockCode.fit(sound, RATE, 30, TR, seed=2) for _ in range(2))
    np.testing.assert_array_equal(wide.components, again.components)
    narrow = BlockCode.fit(sound, RATE, 15, TR, seed=2)
    np.testing.assert_allclose(np.abs(np.sum(narrow.components * wide.components[:2], axis=1)), 1, atol=1e-3)


def test_what_cannot_be_written_so_is_refused():
    with pytest.raises(ValueError, match="0 blocks"):
        BlockCode.fit([low_rank(1, 60)[:, :9]], RATE, 30, TR, seed=0)
    with pytest.raises(ValueError, match="7 numbers per TR"):
        BlockCode.fit([low_rank(1, 60)], RATE, 7, TR, seed=0)
