"""Mel spectrogram and vocoder: Griffin-Lim's features, another way back, and one sentence without weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fmri_audio.base.errors import UserError
from fmri_audio.codec import vocoder
from fmri_audio.codec.vocoder import Vocoder
from fmri_audio.representations import mel_vocoder
from fmri_audio.representations.mel import MelGriffinLim, QuantisedMel
from fmri_audio.representations.mel_vocoder import MelVocoder, QuantisedMelVocoder, open_vocoder


def wave(n: int = 30_001) -> torch.Tensor:
    return 0.1 * torch.randn(1, 1, n, generator=torch.Generator().manual_seed(0))


def test_the_features_are_griffin_lims_and_the_sound_is_the_networks() -> None:
    way = MelVocoder(open_vocoder())
    features = way.analyse(wave())
    assert torch.equal(features, MelGriffinLim().analyse(wave()))
    sound = way.synthesise(features, 30_001)
    whole = way.vocoder.network(features)  # one frame less than the sound needs
    torch.testing.assert_close(sound[0, :, : 70 * 360], whole[:, : 70 * 360], atol=1e-5, rtol=1e-4)


def test_more_sound_than_frames_is_refused() -> None:
    way = MelVocoder(open_vocoder())
    with pytest.raises(ValueError, match="84 frames make 30240 samples, 30241 were asked for"):
        way.synthesise(way.analyse(wave()), 30_241)


def test_at_a_bit_budget_the_vocoder_gets_what_the_levels_say() -> None:
    plain = MelVocoder(open_vocoder())
    way, levels = QuantisedMelVocoder(6.0, plain), QuantisedMel(6.0)
    features = way.analyse(wave())
    assert torch.equal(features, levels.analyse(wave())) and way.bits_per_second <= 6000
    known = plain.log_mel(levels.magnitude_of_levels(features, 30_001))
    assert known.shape == (1, 128, 84)
    assert torch.equal(way.synthesise(features, 30_001), plain.synthesise(known, 30_001))


def test_without_weights_there_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mel_vocoder, "vocoder_file", lambda: tmp_path / "mel-vocoder.safetensors")
    with pytest.raises(UserError, match=r"mel-vocoder.safetensors does not exist.*make vocoder"):
        open_vocoder()


@pytest.mark.parametrize(
    "changes",
    [{"channels": 80}, {"hop": 256}, {"padding": "same"}, {"bandwidths": [6.0]}],
    ids=lambda changes: next(iter(changes)),
)
def test_a_vocoder_of_something_else_is_refused(changes: dict[str, object], tmp_path: Path) -> None:
    config = {"channels": 128, "n_fft": 1440, "hop": 360, "padding": "center", "dim": 8, "layers": 1}
    file = vocoder.save(Vocoder({**config, **changes}), tmp_path / "other.safetensors", {})
    with pytest.raises(UserError, match="has not learned a mel spectrogram of 128 bands"):
        MelVocoder(open_vocoder(file))


def test_a_decoder_of_codes_is_no_mel_vocoder(tmp_path: Path) -> None:
    config = {"channels": 128, "n_fft": 1440, "hop": 360, "padding": "center", "dim": 8, "layers": 1}
    file = vocoder.save(Vocoder(config), tmp_path / "other.safetensors", {"codec": "demo-1"})
    with pytest.raises(UserError, match="has not learned a mel spectrogram"):
        MelVocoder(open_vocoder(file))
