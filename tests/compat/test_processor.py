"""Sound to rows of features and back, as users of giblet-responses call it."""

from __future__ import annotations

import inspect
import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from fmri_audio.base.errors import UserError
from fmri_audio.codec import checkpoints
from fmri_audio.codec.checkpoints import Checkpoint
from fmri_audio.compat import AudioProcessor
from fmri_audio.representations.encodec import EncodecCodes, EncodecLatents
from fmri_audio.sound import audio
from tests.compat.conftest import N_TRS, TR, as_they_cut, stream_of_codes

CODEBOOKS = {1.5: 2, 3.0: 4, 6.0: 8, 12.0: 16, 24.0: 32}


def whole(recording: Path) -> torch.Tensor:
    return torch.from_numpy(audio.read_mono(recording).waveform)[None, None]


def heard(path: Path) -> np.ndarray:
    sound, rate = soundfile.read(path, dtype="float32")
    assert rate == 24_000 and sound.ndim == 1
    return sound


def test_names_and_order_of_arguments_are_those_of_giblet_responses() -> None:
    def names(function: object) -> list[str]:
        return list(inspect.signature(function).parameters)  # type: ignore[arg-type]

    assert names(AudioProcessor)[:8] == [
        "use_encodec", "encodec_bandwidth", "sample_rate", "n_mels", "n_fft", "hop_length", "tr", "device",
    ]  # fmt: skip
    assert names(AudioProcessor.audio_to_features)[1:] == [
        "audio_source",
        "max_trs",
        "from_video",
        "tr_length",
    ]
    assert names(AudioProcessor.features_to_audio)[1:5] == [
        "features", "output_path", "n_codebooks", "frames_per_tr",
    ]  # fmt: skip
    assert names(AudioProcessor.get_audio_info)[1:] == ["audio_source", "from_video"]


@pytest.mark.parametrize(("bandwidth", "n_codebooks"), CODEBOOKS.items())
def test_codes_have_the_codebooks_of_their_bandwidth_and_113_frames(
    tiny_checkpoint: Checkpoint, recording: Path, bandwidth: float, n_codebooks: int
) -> None:
    processor = AudioProcessor(encodec_bandwidth=bandwidth, tr=TR, checkpoint=tiny_checkpoint)
    features, table = processor.audio_to_features(recording, max_trs=2, from_video=False)
    assert features.shape == (2, n_codebooks * 113) and features.dtype == np.int64
    assert processor.n_codebooks == n_codebooks and set(table["n_codebooks"]) == {n_codebooks}
    assert set(table["encoding_mode"]) == {"encodec"} and set(table["n_frames"]) == {113}
    codes = EncodecCodes(tiny_checkpoint, bandwidth).analyse(whole(recording))[0].numpy()
    assert np.array_equal(features[0].reshape(n_codebooks, 113), codes[:, :113])
    assert np.array_equal(features[1].reshape(n_codebooks, 113), codes[:, 112:225])


def test_a_round_trip_is_the_codecs_own(
    tmp_path: Path, processor: AudioProcessor, tiny_checkpoint: Checkpoint, recording: Path
) -> None:
    features, table = processor.audio_to_features(recording)
    assert len(features) == len(table) == N_TRS
    assert list(table["start_time"]) == [0, 1.5, 3, 4.5, 6] and table["end_time"].iloc[-1] == 7.5
    codec, n_samples = EncodecCodes(tiny_checkpoint, 3.0), 36_000 * N_TRS
    expected = codec.synthesise(codec.analyse(whole(recording)), n_samples)[0, 0].numpy()
    ways = {"a.wav": features, "b.flac": features.reshape(N_TRS, 4, 113)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, rows in ways.items():
            processor.features_to_audio(rows, tmp_path / "new" / name, n_codebooks=4, frames_per_tr=113)
            found = heard(tmp_path / "new" / name)
            assert found.shape == (n_samples,)
            np.testing.assert_allclose(found, expected.clip(-1, 1), atol=1 / 32_000)


def test_rows_do_not_depend_on_how_many_are_asked_for(processor: AudioProcessor, recording: Path) -> None:
    features, table = processor.audio_to_features(recording)
    for n_trs in (1, 2, 3, N_TRS, 100):
        some, rows = processor.audio_to_features(recording, max_trs=n_trs)
        assert np.array_equal(some, features[:n_trs])
        assert rows.equals(table.iloc[:n_trs])


def test_rows_from_the_middle_begin_with_their_own_tr(
    tmp_path: Path, processor: AudioProcessor, tiny_checkpoint: Checkpoint, recording: Path
) -> None:
    features, _ = processor.audio_to_features(recording)
    processor.features_to_audio(features[1:4], tmp_path / "middle.wav", first_tr=1)
    codec = EncodecCodes(tiny_checkpoint, 3.0)
    codes = codec.analyse(whole(recording))[..., 112:450]
    expected = codec.synthesise(codes, 338 * 320)[0, 0, 160 : 160 + 3 * 36_000].numpy()
    found = heard(tmp_path / "middle.wav")
    assert found.shape == (3 * 36_000,)
    np.testing.assert_allclose(found, expected.clip(-1, 1), atol=1 / 32_000)


def test_920_trs_last_as_long_as_920_trs(
    tmp_path: Path, processor: AudioProcessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = stream_of_codes(920, 4)
    seen = []

    def synthesise(self: EncodecCodes, features: torch.Tensor, n_samples: int) -> torch.Tensor:
        seen.append((features[0].numpy(), n_samples))
        return torch.zeros(1, 1, 10)

    monkeypatch.setattr(EncodecCodes, "synthesise", synthesise)
    starts = [225 * tr // 2 for tr in range(920)]
    exact = np.stack([codes[:, start : start + 113] for start in starts]).reshape(920, -1)
    processor.features_to_audio(exact, tmp_path / "exact.wav")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        processor.features_to_audio(as_they_cut(codes, 920, 8), tmp_path / "theirs.wav", 8, 112)
    assert [("zeros" in str(one.message), "6.13 s short" in str(one.message)) for one in said] == [
        (True, False), (False, True),
    ]  # fmt: skip
    assert {one.filename for one in said} == {__file__}
    assert [n_samples for _, n_samples in seen] == [920 * 36_000] * 2
    assert np.array_equal(seen[0][0], codes)
    kept = np.arange(103_500) % 225 != 224
    assert np.array_equal(seen[1][0][:, kept], codes[:, kept])


def test_a_tr_of_its_own_for_one_call(tmp_path: Path, processor: AudioProcessor, recording: Path) -> None:
    features, table = processor.audio_to_features(recording, tr_length=2.0)
    assert features.shape == (4, 4 * 150) and list(table["first_frame"]) == [0, 150, 300, 450]
    processor.features_to_audio(features, tmp_path / "two.wav", tr_length=2.0)
    assert heard(tmp_path / "two.wav").shape == (4 * 48_000,)
    with pytest.raises(UserError, match="no codes have the shape"):
        processor.features_to_audio(features, tmp_path / "wrong.wav")
    assert not (tmp_path / "wrong.wav").exists()


def test_latents_are_rows_that_a_regression_may_be_fitted_to(
    tmp_path: Path, processor: AudioProcessor, tiny_checkpoint: Checkpoint, recording: Path
) -> None:
    latents, table = processor.audio_to_latents(recording)
    assert latents.shape == (N_TRS, 128, 113) and latents.dtype == np.float32
    assert set(table["encoding_mode"]) == {"encodec_latents"}
    codec = EncodecLatents(tiny_checkpoint)
    expected = codec.roundtrip(whole(recording))[0, 0, : 36_000 * N_TRS].numpy()
    processor.latents_to_audio(latents, tmp_path / "latents.wav")
    np.testing.assert_allclose(heard(tmp_path / "latents.wav"), expected.clip(-1, 1), atol=1 / 32_000)
    with pytest.raises(UserError, match=r"^latents should be of shape \[TRs, 128, 113\] for a TR of 1.5 s"):
        processor.latents_to_audio(latents[..., :112], tmp_path / "short.wav")
    with pytest.raises(UserError, match="^latents: codes are names"):
        processor.latents_to_audio(np.ones((2, 128, 113), np.int64), tmp_path / "codes.wav")


def test_predicted_codes_are_refused(tmp_path: Path, processor: AudioProcessor, recording: Path) -> None:
    features, _ = processor.audio_to_features(recording)
    with pytest.raises(UserError, match=r"these are float64, and codes are names .*; regress on the latents"):
        processor.features_to_audio(features + 0.25, tmp_path / "regressed.wav")
    assert not (tmp_path / "regressed.wav").exists()


def test_mel_rows_come_back_as_sound(tmp_path: Path, recording: Path) -> None:
    settings = {"sample_rate": 22_050, "n_mels": 40, "n_fft": 1024, "hop_length": 256}
    processor = AudioProcessor(use_encodec=False, tr=TR, **settings)  # type: ignore[arg-type]
    features, table = processor.audio_to_features(recording)
    assert features.dtype == np.float32 and features.shape == (N_TRS, 40, 131)  # 129.2 frames per TR
    assert set(table["encoding_mode"]) == {"mel_spectrogram"} and "n_codebooks" not in table
    some, _ = processor.audio_to_features(recording, max_trs=2)
    np.testing.assert_array_equal(some, features[:2])
    processor.features_to_audio(features, tmp_path / "mel.wav")
    sound, rate = soundfile.read(tmp_path / "mel.wav")
    original = audio.read_mono(recording, rate).waveform[: len(sound)]
    assert (rate, len(sound)) == (22_050, round(N_TRS * TR * 22_050))
    assert (
        np.corrcoef(*(np.add.reduceat(x**2, np.arange(0, len(x), 441)) for x in (sound, original)))[0, 1]
        > 0.8
    )
    with pytest.raises(UserError, match="^features: codes are names"):
        processor.features_to_audio(np.ones((2, 452), np.int64), tmp_path / "codes.wav")
    with pytest.raises(UserError, match="latents are EnCodec's"):
        processor.audio_to_latents(recording)


def test_info_is_at_the_rate_of_the_features(processor: AudioProcessor, recording: Path) -> None:
    n_samples = round((N_TRS * TR + 0.7) * 24_000)
    expected = {"sample_rate": 24_000, "duration": n_samples / 24_000, "samples": n_samples, "n_trs": N_TRS}
    assert processor.get_audio_info(recording, from_video=False) == expected
    assert AudioProcessor(use_encodec=False).get_audio_info(recording)["sample_rate"] == 22_050


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            {"encodec_bandwidth": 5.0},
            r"bandwidth 5 kbps: tiny-\w+ does not have it; choose from 1.5, 3, 6, 12, 24",
        ),
        ({"tr": 0}, "tr: 0 is no repetition time"),
        ({"device": "abacus"}, "device: 'abacus' cannot be used .*; give 'cpu'"),
        ({"checkpoint": "no-such.safetensors"}, "no-such.safetensors: no such checkpoint"),
        ({"use_encodec": False, "n_fft": 256}, "hop_length 512 should be less than n_fft 256: correct it"),
    ],
)
def test_a_wrong_setting_is_one_sentence(
    tiny_checkpoint: Checkpoint, arguments: dict[str, object], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        AudioProcessor(**{"checkpoint": tiny_checkpoint, **arguments})  # type: ignore[arg-type]


def test_a_codec_of_segments_is_one_sentence(stereo_release: Path) -> None:
    codec = checkpoints.load("released-48khz", cache=stereo_release.parent)
    with pytest.raises(UserError, match="works in segments, which do not fit TRs: take the codec of 24 kHz"):
        AudioProcessor(checkpoint=codec)


def test_a_wrong_sound_or_name_is_one_sentence(
    tmp_path: Path, processor: AudioProcessor, recording: Path
) -> None:
    soundfile.write(tmp_path / "short.wav", np.ones(24_000) / 9, 24_000)
    for path, sentence in (
        (tmp_path / "none.m4v", "does not exist: give the path of a sound file"),
        (tmp_path / "short.wav", r"short.wav lasts 1.00 s, less than a TR of 1.5 s: give a longer sound"),
    ):
        with pytest.raises(UserError, match=sentence):
            processor.audio_to_features(path)
    with pytest.raises(UserError, match="max_trs: 0 should be at least 1"):
        processor.audio_to_features(recording, max_trs=0)
    features, _ = processor.audio_to_features(recording, max_trs=1)
    with pytest.raises(UserError, match="first_tr: -1 should be at least 0"):
        processor.features_to_audio(features, tmp_path / "talk.wav", first_tr=-1)
    with pytest.raises(UserError, match="talk.mp3: sound is written as WAV or FLAC"):
        processor.features_to_audio(features, tmp_path / "talk.mp3")
