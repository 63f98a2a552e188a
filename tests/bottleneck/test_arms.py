"""Every arm: what passes a wide bottleneck, what may move, and that sound comes out as long as its TRs."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from fmri_audio.base.errors import UserError
from fmri_audio.base.settings import MelSettings
from fmri_audio.bottleneck.arms import ARM_LABELS, ARMS, base
from fmri_audio.bottleneck.arms.base import Arm, Material, features_of_block
from fmri_audio.bottleneck.arms.codes import CodesArm
from fmri_audio.bottleneck.arms.complex_stft import ComplexStftArm
from fmri_audio.bottleneck.arms.latents import FineTuned, FrozenLatents
from fmri_audio.bottleneck.arms.mel import MelArm
from fmri_audio.bottleneck.layers import BoldSpace, TRGrid, TrProjection
from fmri_audio.bottleneck.store import build, features_of
from fmri_audio.bottleneck.training import Windows
from fmri_audio.representations.stft import ComplexStft
from fmri_audio.study.splits import Split
from tests.materials import LAGS, N_TRS, N_UNITS, RANK, MakeMaterial, split_into
from tests.study.conftest import SAMPLE_RATE, noise_bursts

SPLIT = split_into((0, 14), (18, 23))
FRAME = Fraction(1, 75)
"""A TR as long as one of the codec's frames, so that few units are wide enough for everything."""


def started(name: str, material: Material, split: Split = SPLIT) -> tuple[Arm, torch.Tensor]:
    model = build(name, material)
    features = features_of(model, material)
    model.start(features, split, seed=0)
    return model, features


@pytest.fixture
def no_response(monkeypatch: pytest.MonkeyPatch) -> None:
    """Voxels that answer at once and forget at once: what is left is the bottleneck's width."""
    monkeypatch.setattr(
        base, "response_matrix", lambda runs, tr, shift: np.eye(sum(n for _, n in runs), dtype=np.float32)
    )


def test_every_arm_has_a_name_and_a_label() -> None:
    assert list(ARMS) == list(ARM_LABELS) == [kind.name for kind in ARMS.values()]


@pytest.mark.parametrize("name", ARMS)
def test_a_code_becomes_sound_of_exactly_its_trs(name: str, material: Material) -> None:
    model, features = started(name, material)
    code = model.code(features).numpy()
    assert code.shape == (N_TRS, RANK) and np.isfinite(code).all()
    assert model.volumes().shape == (N_TRS, N_UNITS)
    for first in (4, 5):  # an odd TR begins within a frame of the codec
        wave = model.sound_of_code(code[first : first + 3], first)
        assert wave.shape == (108_000,) and wave.dtype == np.float32
        assert np.isfinite(wave).all() and np.ptp(wave) > 0


@pytest.mark.parametrize("name", ARMS)
def test_all_arms_have_the_same_rank_and_about_the_same_bottleneck(
    name: str, make_material: MakeMaterial
) -> None:
    model = build(name, make_material(mel=MelSettings()))
    counts = model.parameter_counts()
    frozen = 2 * RANK * 128 * 113 + RANK + 128 * 113 + RANK * N_UNITS * (1 + len(LAGS)) + RANK
    assert (model.space.n_units, model.projection.rank) == (N_UNITS, RANK)
    assert 0.85 * frozen < counts.bottleneck < 1.15 * frozen
    assert (counts.codec_trained > 0) == model.codec_moves
    assert (counts.own > 0) == (name in ("codes", "complex-stft"))
    if name in ("frozen", "finetuned"):
        assert counts.bottleneck == frozen


@pytest.mark.parametrize("name", ARMS)
def test_gradients_reach_the_codec_only_where_it_may_move(name: str, material: Material) -> None:
    model, features = started(name, material)
    windows = Windows(material, features, model.grid, [2], 2)
    window = {name: value[None] for name, value in windows[0].items()}
    heard, error = model.window_losses(window, 2)
    (heard + error).backward()
    moved = [p.grad is not None and bool(p.grad.abs().sum() > 0) for p in model.codec_parameters()]
    assert (any(moved), all(moved) and bool(moved)) == (model.codec_moves, model.codec_moves)
    assert all(p.grad is not None for part in (model.projection, model.space) for p in part.parameters())
    assert all(p.grad is None and not p.requires_grad for p in material.checkpoint.model.parameters())


def test_frozen_and_fine_tuned_start_from_the_same_sound_and_differ_in_what_moves(material: Material) -> None:
    (frozen, features), (tuned, _) = started("frozen", material), started("finetuned", material)
    assert isinstance(frozen, FrozenLatents) and isinstance(tuned, FineTuned)
    assert all(torch.equal(a, b) for a, b in zip(frozen.parameters(), tuned.parameters(), strict=True))
    code = frozen.code(features).numpy()
    np.testing.assert_array_equal(frozen.sound_of_code(code[:4], 0), tuned.sound_of_code(code[:4], 0))
    assert [p.requires_grad for p in frozen.codec_parameters()] == [False] * len(
        list(tuned.codec_parameters())
    )


@pytest.mark.parametrize("name", ["mel", "frozen", "codes"])
@pytest.mark.usefixtures("no_response")
def test_what_fits_through_the_bottleneck_comes_back(name: str, make_material: MakeMaterial) -> None:
    mel = MelSettings(n_fft=128, hop_length=80, n_mels=8)
    material = make_material(
        noise_bursts(4),
        tr=FRAME,
        runs=((0, 300),),
        n_units=140,
        rank=32 if name == "mel" else 128,
        mel=mel,
        lags=(0,),
        shift=0,
    )
    model, features = started(name, material, split_into((0, 200), (210, 300), (0,), 0))
    features = features[:, : model.grid.n_frames(300)]
    with torch.no_grad():
        back = model.through((0, 300))[None]
        assert_close(back, model.embed(features[None]), atol=1e-2, rtol=1e-2)
        if isinstance(model, CodesArm):
            found, true = (
                sum(entries[one] for entries, one in zip(model.entries, codes, strict=True))
                for codes in (model.codes_of(back)[0], features)
            )
            assert (found - true).square().mean() < 0.02 * (true - true.mean(0)).square().mean()


def test_a_wide_complex_arm_starts_as_the_identity() -> None:
    stft = ComplexStft(n_fft=64, hop_length=32, sample_rate=SAMPLE_RATE)
    grid = TRGrid(FRAME, stft.feature_rate, 33)
    space = BoldSpace(660, 660, np.eye(40, dtype=np.float32), [0], 0)
    model = ComplexStftArm(stft, TrProjection(grid, 660, complex_valued=True), space).eval()
    wave = torch.from_numpy(noise_bursts(1)[: 320 * 40])[None, None]
    features = model.analyse(wave)[0, :, : grid.n_frames(40)]
    assert model.start(features, split_into((0, 40), (40, 40), (0,), 0), seed=0) == pytest.approx(1, abs=1e-4)
    back = model.sound_of_code(model.code(features)[8:20].numpy(), 8)
    assert_close(torch.from_numpy(back), wave[0, 0, 320 * 8 : 320 * 20], atol=2e-4, rtol=1e-3)


def test_decoding_latents_from_units_is_the_package_s_decoder(material: Material) -> None:
    model, _ = started("frozen", material)
    latents = torch.from_numpy(features_of_block(material.latents, (4, 8), model.grid))
    whole = model.sound_of(latents, (4, 8))
    with torch.inference_mode():
        direct = material.checkpoint.model.decoder(latents[None])[0, 0, :144_000].numpy()
    np.testing.assert_allclose(whole, direct, atol=1e-6)


@pytest.mark.parametrize("name", ["finetuned", "mel", "complex-stft", "codes"])
def test_every_run_starts_afresh(name: str, make_material: MakeMaterial) -> None:
    half, wave = N_TRS // 4 * 2, noise_bursts(N_TRS)
    joined = make_material(wave, runs=((0, half), (half, N_TRS - half)))
    alone = make_material(wave[half * 36_000 :], runs=((0, N_TRS - half),))
    model, _ = started(name, joined)
    border = int(half * model.grid.tr * model.grid.frame_rate)
    assert_close(model.stimulus_features(joined.sound)[:, border:], model.stimulus_features(alone.sound))


def test_the_codes_arm_analyses_as_the_codec_does(material: Material) -> None:
    model, features = started("codes", material)
    found = model.stimulus_features(material.sound)
    assert (found == features).float().mean() > 0.999  # a relative difference of 1e-6 may flip an argmin


def test_mel_levels_beyond_what_training_had_are_held_at_its_edge(material: Material) -> None:
    model, features = started("mel", material)
    assert isinstance(model, MelArm)
    wild = torch.full((len(model.highest), model.grid.n_frames(2)), 80.0)
    edge = model.highest.expand(-1, wild.shape[1])
    np.testing.assert_array_equal(model.sound_of(wild, (0, 2)), model.sound_of(edge, (0, 2)))
    assert torch.equal(model.highest[:, 0], features[:, : model.grid.n_frames(14)].amax(1))


def codes_material(make_material: MakeMaterial, structured: bool) -> Material:
    """Codes of 64 sorts: the same for a whole TR of ten frames and of four sorts only, or drawn frame by frame."""
    rng = np.random.default_rng(0)
    sorts = rng.integers(0, 1024, (64, 2))
    if structured:
        codes = np.repeat(sorts[rng.integers(0, 4, 90)], 10, axis=0).T
    else:
        codes = np.stack([sorts[rng.integers(0, 64, 900), k] for k in range(2)])
    material = make_material(
        noise_bursts(8), tr=Fraction(2, 15), runs=((0, 90),), n_units=N_UNITS, rank=RANK, lags=(0,), shift=0
    )
    return Material(**{**vars(material), "codes": np.ascontiguousarray(codes)})


@pytest.mark.usefixtures("no_response")
def test_codes_beat_the_unigram_where_there_is_structure_and_only_there(make_material: MakeMaterial) -> None:
    for structured in (True, False):
        material = codes_material(make_material, structured)
        model, codes = started("codes", material, split_into((0, 60), (60, 90), (0,), 0))
        assert isinstance(model, CodesArm)
        with torch.no_grad():
            bits = model.bits(model.through((60, 90))[None], codes[None, :, 600:])
            unigram = model.unigram_bits(codes[None, :, 600:])
        assert bits.shape == unigram.shape == (2,)
        if structured:
            assert (bits < 0.5 * unigram).all()
        else:
            assert (bits > 0.98 * unigram).all()


def test_finer_codebooks_know_the_coarser_codes(material: Material) -> None:
    model, codes = started("codes", material)
    assert isinstance(model, CodesArm)
    other = codes.clone()
    other[0] = (other[0] + 1) % 1024
    with torch.no_grad():
        restored = model.projection.from_code(model.code(codes)[None])
        ours, theirs = (torch.stack(list(model.logits(restored, one[None]))) for one in (codes, other))
    assert torch.equal(ours[0], theirs[0])  # the coarsest sees no code
    assert not torch.equal(ours[1], theirs[1])


def test_the_mel_goes_through_the_vocoder_and_is_learned_as_ever(
    material: Material, make_material: MakeMaterial
) -> None:
    (mel, features), (vocoded, same) = (started(name, material) for name in ("mel", "mel-vocoder"))
    assert torch.equal(features, same)
    state = mel.state_dict()
    assert state.keys() == vocoded.state_dict().keys()  # the vocoder is not stored with it
    vocoded.load_state_dict(state)
    code = mel.code(features).numpy()[:3]
    sounds = [model.sound_of_code(code, 0) for model in (mel, vocoded)]
    assert sounds[0].shape == sounds[1].shape and not np.allclose(*sounds)
    with pytest.raises(UserError, match="mel: the arm mel-vocoder knows n_fft 1024"):
        build("mel-vocoder", make_material(mel=MelSettings(n_mels=64)))
