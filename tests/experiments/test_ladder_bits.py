"""Bits of simulated brains: below their bound, growing with scans and voxels, and those of the code that is here."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from fmri_audio.base.settings import VOXELS
from fmri_audio.bottleneck.voxels import Channel, InSpace, InTime, ideal_map
from fmri_audio.experiments import ladder_bits
from fmri_audio.experiments.ladder import Ladder, Told
from programs.__main__ import main


@pytest.fixture(scope="module")
def rows() -> list[Told]:
    return list(ladder_bits.told([Fraction(3, 2)], seconds=60, n_numbers=64))


def test_bits_grow_with_scans_and_stay_below_the_bound(rows: list[Told]) -> None:
    assert len(rows) == len(VOXELS) * len(ladder_bits.SCANS) * len(ladder_bits.PARTS)
    for part in ladder_bits.PARTS:
        for name in VOXELS:
            own = [row.own for row in rows if (row.voxels, row.part) == (name, part)]
            assert own == sorted(own) and own[0] < own[-1] < 64 * own[0]
    for row in rows:
        assert 0 < row.own < row.bound and row.ideal is not None and 0 < row.ideal < row.bound
        assert 0 < row.own_error < 1 and row.exact is not None and row.exact < 1e-3


def test_twice_the_voxels_tell_more(rows: list[Told]) -> None:
    both, left = ([row for row in rows if row.part == part] for part in ladder_bits.PARTS)
    assert all(one.n_voxels > two.n_voxels and one.own > two.own for one, two in zip(both, left, strict=True))


def test_more_numbers_than_voxels_do_not_pass_an_ideal_map() -> None:
    found = list(ladder_bits.told([Fraction(3, 2)], seconds=30, n_numbers=600))
    left = [row for row in found if row.n_voxels < 600]
    assert left and all(row.ideal is row.exact is row.ideal_error is None and row.own > 0 for row in left)


def test_what_is_not_known_is_the_error_of_the_best_reader() -> None:
    space = InSpace(ideal_map(30, 8, np.full(30, 2.0), 0), np.eye(30))
    channel, rng = Channel(space, InTime.of(40, Fraction(3, 2), 0.3)), np.random.default_rng(1)
    sent = rng.standard_normal((60, 40, 8))
    errors = [np.mean((channel.passed(one, 2.0, rng)[0] - one) ** 2) for one in sent]
    assert np.mean(errors) == pytest.approx(ladder_bits.unknown(channel, 2.0), rel=0.03)


def test_the_table_is_of_this_code() -> None:
    told = Ladder.read().told
    assert {row.code for row in told} == {ladder_bits.code_hash()}, (
        "make it anew: python -m programs bottleneck-bits"
    )
    assert {row.tr for row in told} == {float(tr) for tr in ladder_bits.TRS}


def test_the_command_refuses_a_place_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file")
    assert main(["bottleneck-bits", "--out", str(tmp_path)]) == 1
