"""The bottleneck: exact joins, a start that keeps variance, and what may move in which arm."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from torch.testing import assert_close

from fmri_audio.base.timeline import join_trs
from fmri_audio.bottleneck.layers import BoldSpace, TRGrid, TrProjection, cut, join
from fmri_audio.brain.response import response_matrix

GRID = TRGrid(Fraction(3, 2), Fraction(75), 6)


@pytest.mark.parametrize("tr", ["1.5", "2", "0.72", "1.31"])
@pytest.mark.parametrize("first_tr", [0, 1, 7])
def test_cutting_and_joining_is_exact(tr: str, first_tr: int) -> None:
    grid = TRGrid(Fraction(tr), Fraction(75), 3)
    latents = torch.randn(2, 3, grid.n_frames(5, first_tr), generator=torch.Generator().manual_seed(0))
    pieces = cut(latents, grid, 5, first_tr)
    assert pieces.shape == (2, 5, 3, grid.width)
    assert_close(join(pieces, grid, first_tr), latents)


def test_joining_agrees_with_the_timeline_where_pieces_disagree() -> None:
    pieces = torch.randn(1, 4, 6, GRID.width, generator=torch.Generator().manual_seed(1))
    assert_close(join(pieces, GRID, 3)[0], join_trs(pieces[0], GRID.tr, GRID.frame_rate, 3))


def test_a_shared_frame_is_the_mean_of_both_trs() -> None:
    pieces = torch.zeros(1, 2, 1, 113)
    pieces[0, 0], pieces[0, 1] = 1.0, 3.0
    joined = join(pieces, TRGrid(Fraction(3, 2), Fraction(75), 1))
    assert joined.shape[-1] == 225
    assert joined[0, 0, 111:114].tolist() == [1.0, 2.0, 3.0]


def smooth_latents(trs: int, seed: int = 0) -> torch.Tensor:
    """Latents of which a few smooth components make up most, [6, L]."""
    rng = torch.Generator().manual_seed(seed)
    knots = torch.randn(1, 3, trs * 4, generator=rng)
    course = torch.nn.functional.interpolate(knots, size=GRID.n_frames(trs), mode="linear")[0]
    mixing = torch.randn(6, 3, generator=torch.Generator().manual_seed(9))
    return mixing @ course + 2.0


def test_the_start_keeps_the_variance_of_smooth_latents_on_unseen_trs() -> None:
    projection = TrProjection(GRID, rank=24)
    passed = projection.start_from(smooth_latents(60), [(0, 60)])
    assert passed > 0.8
    unseen = smooth_latents(20, seed=5)[None]
    code = projection.to_code(unseen, 20)
    back = projection.from_code(code)
    assert code.shape == (1, 20, 24)
    error = (back - unseen).var() / unseen.var()
    assert error < 0.25
    assert 0.5 < float(code.detach().std()) < 2


def test_a_full_rank_start_is_the_identity() -> None:
    grid = TRGrid(Fraction(2, 15), Fraction(75), 2)  # ten frames of two channels
    latents = torch.randn(2, grid.n_frames(200), generator=torch.Generator().manual_seed(2))
    projection = TrProjection(grid, rank=20)
    assert projection.start_from(latents, [(0, 200)]) == pytest.approx(1, abs=1e-5)
    assert_close(
        projection.from_code(projection.to_code(latents[None], 200))[0], latents, atol=1e-4, rtol=1e-4
    )


def test_the_start_reads_training_trs_alone() -> None:
    latents = smooth_latents(30)
    other = latents.clone()
    other[:, GRID.n_frames(21) :] += 100
    first, second = TrProjection(GRID, 8), TrProjection(GRID, 8)
    assert first.start_from(latents, [(0, 20)]) == second.start_from(other, [(0, 20)])
    for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_the_rank_is_the_real_width() -> None:
    projection = TrProjection(GRID, rank=5)
    projection.start_from(smooth_latents(40), [(0, 40)])
    code = projection.to_code(smooth_latents(40)[None], 40)[0]
    space = space_of(40, n_units=90, rank=5)
    space.start_from(code.detach(), torch.arange(30), torch.arange(34), seed=0)
    volumes = space.volumes(code[None])[0].detach()
    assert volumes.shape == (40, 90)
    assert int(torch.linalg.matrix_rank(volumes - volumes.mean(0), rtol=1e-4)) <= 5
    with pytest.raises(ValueError, match="does not fit"):
        space_of(40, n_units=4, rank=5)


def space_of(
    n_trs: int, n_units: int, rank: int, lags: tuple[int, ...] = (2, 3, 4, 5), shift: int = 3
) -> BoldSpace:
    return BoldSpace(n_units, rank, response_matrix([(0, n_trs)], Fraction(3, 2), shift), lags, shift)


def test_the_start_reads_a_slow_code_back_from_volumes_of_unseen_trs_and_a_fast_one_less_well() -> None:
    errors = {}
    for width in (1, 8):
        white = torch.randn(6, 1, 300, generator=torch.Generator().manual_seed(width))
        code = torch.nn.functional.avg_pool1d(white, width, stride=1)[:, 0, :240].T
        code = code / code.std()
        space = space_of(240, n_units=40, rank=6)
        space.start_from(code, torch.arange(180), torch.arange(182), seed=0)
        with torch.no_grad():
            volumes = space.volumes(code[None])[0]
            read = space.read(volumes[space.rows(torch.arange(200, 235))])
        errors[width] = float((read - code[200:235]).square().mean() / code[200:235].square().mean())
        assert volumes[:182].std(0).allclose(torch.ones(40), atol=1e-3)
    assert errors[8] < 0.2
    assert errors[8] < errors[1] < 1


def test_lags_count_in_stimulus_time() -> None:
    space = space_of(40, n_units=6, rank=2)
    assert space.rows(torch.tensor([10])).tolist() == [[9, 10, 11, 12]]


def test_complex_features_pass_a_wide_projection_and_give_real_units() -> None:
    grid = TRGrid(Fraction(2, 15), Fraction(75), 2)
    generator = torch.Generator().manual_seed(2)
    features = torch.randn(2, grid.n_frames(200), dtype=torch.complex64, generator=generator) + (1 - 2j)
    projection = TrProjection(grid, rank=40, complex_valued=True)
    assert projection.start_from(features, [(0, 200)]) == pytest.approx(1, abs=1e-5)
    code = projection.to_code(features[None], 200)
    assert code.shape == (1, 200, 40) and code.is_floating_point()
    assert_close(projection.from_code(code)[0], features, atol=1e-4, rtol=1e-4)
    with pytest.raises(ValueError, match="whole number of complex components"):
        TrProjection(grid, rank=3, complex_valued=True)


def test_more_components_than_features_are_refused() -> None:
    with pytest.raises(ValueError, match="20 features have no 21 components"):
        TrProjection(TRGrid(Fraction(2, 15), Fraction(75), 2), rank=21)
