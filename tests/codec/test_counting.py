"""What a codec costs, counted."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from fmri_audio.codec import checkpoints, counting


def test_full_width_has_the_parameters_of_metas_model() -> None:
    weights = counting.count_weights(checkpoints.build())
    assert (weights.encoder, weights.decoder) == (7_425_792, 7_426_018)
    assert weights.codebooks == 32 * 1024 * 128
    assert weights.megabytes == 4 * (14_851_810 + 4_194_304) / 1e6


def test_a_tr_of_codes_at_6_kbps(tiny_checkpoint) -> None:
    count = counting.count_codes(np.zeros((8, 7200), np.int64), tiny_checkpoint.model, Fraction(3, 2))
    assert (count.codebooks, count.frames_touched, count.frames) == (8, 113, Fraction(225, 2))
    assert (count.values, count.bits, count.packed_bytes) == (900, 9000, 1125)
    assert count.stored_bytes("int16") == 1800
    records = {
        record.metric: record.value
        for record in counting.to_records(count, counting.WeightCount(1, 2, 3), codec="x")
    }
    assert records["bits_per_tr"] == 9000 and records["decoder_parameters"] == 2
