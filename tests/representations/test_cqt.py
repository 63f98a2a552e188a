"""The constant-Q transform: how exact librosa's inverse is, and what is lost without phase."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import scipy.signal
import soundfile
import torch

from fmri_audio.base.errors import UserError
from fmri_audio.base.settings import project_root
from fmri_audio.representations.cqt import ComplexCqt, CqtGriffinLim
from fmri_audio.sound.metrics.estoi import estoi
from fmri_audio.sound.metrics.si_sdr import si_sdr_db
from fmri_audio.sound.metrics.snr import snr_db


@pytest.fixture(autouse=True)
def librosa(request: pytest.FixtureRequest) -> None:
    """Skip what needs the package, which the lock does not have."""
    if request.node.name != "test_without_librosa_there_is_one_sentence":
        pytest.importorskip("librosa")


@pytest.fixture(scope="module")
def play() -> torch.Tensor:
    """8 s of speech of the play, [1, 1, T]."""
    start = 36 * 24_000
    samples, rate = soundfile.read(
        project_root() / "stimulus" / "part1.ogg", start=start, stop=start + 192_000, dtype="float32"
    )
    assert rate == 24_000
    return torch.from_numpy(samples)[None, None]


@pytest.fixture(scope="module")
def noise() -> torch.Tensor:
    """6 s of white noise: as much between the highest bins as anywhere, [1, 1, T]."""
    return 0.1 * torch.randn(1, 1, 144_000, generator=torch.Generator().manual_seed(0))


def in_band(cqt: ComplexCqt, waveform: torch.Tensor) -> np.ndarray:
    """What lies a third of an octave or more within the lowest and highest bin, [T]."""
    edges = cqt.lowest * 1.26, cqt.highest / 1.26
    sections = scipy.signal.butter(8, edges, "bandpass", fs=cqt.sample_rate, output="sos")
    return np.asarray(scipy.signal.sosfiltfilt(sections, waveform[0, 0].double().numpy()))


INNER = slice(48_000, -48_000)
"""Without 2 s at either end: the lowest filter is 1.2 s long, and reaches beyond the sound."""


def snr_in_band(cqt: ComplexCqt, waveform: torch.Tensor, part: slice = INNER) -> float:
    return snr_db(in_band(cqt, waveform)[part], in_band(cqt, cqt.roundtrip(waveform))[part])


def test_with_phase_the_inverse_is_close_and_not_exact(play: torch.Tensor, noise: torch.Tensor) -> None:
    cqt = ComplexCqt()
    assert 40 < snr_in_band(cqt, play) < 55
    assert 28 < snr_in_band(cqt, noise) < 33
    for ends in (slice(24_000), slice(-24_000, None)):
        assert 20 < snr_in_band(cqt, noise, ends) < 27


def test_silence_around_a_sound_makes_its_ends_as_exact(play: torch.Tensor) -> None:
    cqt, around = ComplexCqt(), torch.nn.functional.pad(play, (48_000, 48_000))
    assert 40 < snr_in_band(cqt, around) < 55


def test_what_the_inverse_misses_is_in_the_features(play: torch.Tensor, noise: torch.Tensor) -> None:
    for waveform in (play, noise):
        found = [snr_in_band(ComplexCqt(refinements=rounds), waveform) for rounds in (0, 1, 3)]
        assert found[1] > found[0] + 12 and found[2] > 65


def test_what_lies_outside_the_band_is_lost() -> None:
    cqt = ComplexCqt()
    time = torch.arange(48_000) / 24_000
    for hz, least, most in ((20.0, -1, 3), (11_900.0, -1, 3), (1000.0, 20, 60)):
        tone = 0.1 * torch.sin(2 * torch.pi * hz * time)[None, None]
        middle = slice(12_000, 36_000)
        found = snr_db(tone[0, 0, middle].numpy(), cqt.roundtrip(tone)[0, 0, middle].numpy())
        assert least < found < most, hz


def test_a_hop_longer_than_the_highest_filters_leaves_gaps(noise: torch.Tensor) -> None:
    found = [snr_in_band(ComplexCqt(hop), noise) for hop in (64, 128, 256)]
    assert found[0] > found[1] + 5 > found[2] + 5 and found[2] < 6


def test_an_octave_that_is_not_whole_breaks_the_inverse(play: torch.Tensor) -> None:
    import librosa

    settings = {"sr": 24_000, "hop_length": 64, "fmin": 43.65, "bins_per_octave": 36}
    sound = play[0, 0].numpy()
    found = {}
    for n_bins in (288, 290):
        spectrum = librosa.cqt(sound, n_bins=n_bins, **settings)
        found[n_bins] = snr_db(sound, librosa.icqt(spectrum, length=sound.size, **settings))
    assert found[288] > 20 and found[290] < 0


def test_without_phase_the_words_stay_and_the_waveform_goes(play: torch.Tensor) -> None:
    sound = play[0, 0].numpy()
    alone = CqtGriffinLim(n_iter=8).roundtrip(play)[0, 0].numpy()
    with_phase = ComplexCqt().roundtrip(play)[0, 0].numpy()
    assert si_sdr_db(sound, alone) < -5 and si_sdr_db(sound, with_phase) > 20
    pair = [scipy.signal.resample_poly(one.astype(float), 2, 3) for one in (sound, alone)]
    assert estoi(*pair) > 0.85


def test_magnitudes_are_those_of_the_complex_transform(play: torch.Tensor) -> None:
    both, alone = ComplexCqt(), CqtGriffinLim()
    real, imaginary = both.analyse(play).chunk(2, dim=1)
    magnitude = torch.complex(real, imaginary).abs()
    torch.testing.assert_close(alone.analyse(play).exp().sqrt(), magnitude.clamp(min=1e-5))
    assert both.bits_per_second == 2 * alone.bits_per_second == 2 * 288 * 24_000 / 64 * 32


def test_the_seed_decides_the_phase(noise: torch.Tensor) -> None:
    first, again, other = (CqtGriffinLim(n_iter=1, seed=seed).roundtrip(noise) for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_any_length_comes_back(noise: torch.Tensor) -> None:
    for n_samples in (1, 63, 64, 30_001):
        wave = noise[..., :n_samples]
        assert ComplexCqt(refinements=1).roundtrip(wave).shape == wave.shape


def test_more_octaves_than_the_sound_holds_are_refused() -> None:
    with pytest.raises(
        ValueError, match="9 octaves from 43.6535 Hz reach 21924 Hz, which 24000 Hz do not hold"
    ):
        ComplexCqt(octaves=9)


def test_without_librosa_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "librosa", None)
    wave = torch.zeros(1, 1, 2400)
    for made in (ComplexCqt(), CqtGriffinLim()):
        for use in (
            lambda made=made: made.analyse(wave),
            lambda made=made: made.synthesise(torch.zeros(1, made.channels, 38), 2400),
        ):
            with pytest.raises(UserError, match=r"^librosa is not installed: run pip install '.\[bench\]'"):
                use()
