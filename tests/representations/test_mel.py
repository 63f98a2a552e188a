"""Where a mel spectrogram loses quality: its bands, Griffin-Lim's phase, or its bits."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
import torch

from fmri_audio.representations.mel import (
    BitSplit,
    MelGriffinLim,
    QuantisedMel,
    split_budget,
)
from fmri_audio.sound.metrics.si_sdr import si_sdr_db

RATE = Fraction(24_000, 360)


@pytest.fixture(scope="module")
def waveform(speech: Callable[..., np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(speech(4.0))[None, None]


def si_sdr(reference: torch.Tensor, degraded: torch.Tensor) -> float:
    return si_sdr_db(reference[0, 0].double().numpy(), degraded[0, 0].double().numpy())


def spectral_error(mel: MelGriffinLim, reference: torch.Tensor, degraded: torch.Tensor) -> float:
    """Return the relative error of the STFT magnitude."""
    target, found = mel.spectrum(reference).abs(), mel.spectrum(degraded).abs()
    return float((target - found).norm() / target.norm())


def magnitude_by_phase(mel: MelGriffinLim, waveform: torch.Tensor) -> dict[tuple[str, str], torch.Tensor]:
    """What the mel bands lose and what Griffin-Lim loses, two by two: (magnitude, phase) → waveform [B, 1, T]."""
    spectrum = mel.spectrum(waveform)
    magnitudes = {
        "oracle": spectrum.abs(),
        "mel": mel.magnitude(mel.analyse(waveform)),
    }
    grid: dict[tuple[str, str], torch.Tensor] = {}
    for name, magnitude in magnitudes.items():
        grid[name, "true"] = mel.with_phase(magnitude, spectrum, waveform.shape[-1])
        grid[name, "griffin-lim"] = mel.griffin_lim(magnitude, waveform.shape[-1])
    return grid


def test_the_two_losses_separate(waveform: torch.Tensor) -> None:
    mel = MelGriffinLim()
    grid = magnitude_by_phase(mel, waveform)
    assert set(grid) == {(m, p) for m in ("oracle", "mel") for p in ("true", "griffin-lim")}
    assert si_sdr(waveform, grid["oracle", "true"]) > 80, "nothing is lost with both"
    assert 10 < si_sdr(waveform, grid["mel", "true"]) < 40, "the bands cost a little"
    for magnitude in ("oracle", "mel"):
        assert si_sdr(waveform, grid[magnitude, "griffin-lim"]) < 3, "the waveform is not found again"
    assert torch.equal(grid["mel", "griffin-lim"], mel.roundtrip(waveform))


def test_more_iterations_come_closer_to_the_magnitude(waveform: torch.Tensor) -> None:
    errors = []
    for n_iter in (0, 4, 32):
        mel = MelGriffinLim(n_iter=n_iter)
        magnitude = mel.spectrum(waveform).abs()
        errors.append(spectral_error(mel, waveform, mel.griffin_lim(magnitude, waveform.shape[-1])))
    assert errors[0] > 1.5 * errors[1] > 1.5 * errors[2]


def test_the_seed_decides_the_phase(waveform: torch.Tensor) -> None:
    first, second = (MelGriffinLim(n_iter=1, seed=seed).roundtrip(waveform) for seed in (0, 1))
    assert not torch.equal(first, second)


def test_features_are_log_powers(waveform: torch.Tensor) -> None:
    mel = MelGriffinLim()
    louder = mel.analyse(10 * waveform) - mel.analyse(waveform)
    loud = mel.analyse(waveform) > -5
    torch.testing.assert_close(louder[loud], torch.full_like(louder[loud], np.log(100)), atol=1e-3, rtol=0)


@pytest.mark.parametrize("kbps", [1.5, 3.0, 6.0, 12.0, 24.0])
def test_a_split_spends_the_budget_and_no_more(kbps: float) -> None:
    split = split_budget(kbps, RATE)
    assert 0.9 * kbps * 1000 <= split.bits_per_second(RATE) <= kbps * 1000
    mel = QuantisedMel(kbps)
    assert mel.bits_per_second == pytest.approx(float(split.bits_per_second(RATE)))
    assert mel.bits_per_second <= kbps * 1000


def test_a_budget_too_small_is_refused() -> None:
    with pytest.raises(ValueError, match="0.05 kbps is too little"):
        split_budget(0.05, RATE)


def test_levels_take_only_their_bits(waveform: torch.Tensor) -> None:
    mel = QuantisedMel(6.0, split=BitSplit(n_mels=32, pool=3, bits=3))
    levels = mel.analyse(waveform)
    assert levels.dtype == torch.int64
    assert levels.min() >= 0 and levels.max() <= 7 and levels.unique().numel() > 4


def test_fine_levels_are_nearly_the_plain_mel(waveform: torch.Tensor) -> None:
    plain = MelGriffinLim(n_mels=64)
    fine = QuantisedMel(500.0, split=BitSplit(n_mels=64, pool=1, bits=12))
    n = waveform.shape[-1]
    error = (
        fine.magnitude_of_levels(fine.analyse(waveform), n) - plain.magnitude(plain.analyse(waveform))
    ).norm()
    assert error < 0.02 * plain.magnitude(plain.analyse(waveform)).norm()


def test_fewer_bits_are_further_off(waveform: torch.Tensor) -> None:
    n = waveform.shape[-1]
    target = MelGriffinLim().spectrum(waveform).abs()
    errors = [
        float((mel.magnitude_of_levels(mel.analyse(waveform), n) - target).norm() / target.norm())
        for mel in (QuantisedMel(kbps) for kbps in (24.0, 6.0, 1.5))
    ]
    assert errors[0] < errors[1] < errors[2]
