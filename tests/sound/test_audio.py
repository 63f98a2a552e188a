"""Reading every container, refusing what is no sound, changing rate and loudness."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from fmri_audio.base.errors import UserError
from fmri_audio.sound import audio

Speech = Callable[..., np.ndarray]


def tone(seconds: float, rate: int, channels: int = 1, hz: float = 440.0) -> np.ndarray:
    """Return [T, channels]; every channel an octave above the one before."""
    t = np.arange(round(seconds * rate)) / rate
    return np.stack([0.3 * np.sin(2 * np.pi * hz * 2**c * t) for c in range(channels)], axis=1)


def write_container(path: Path, samples: np.ndarray | None, rate: int, coding: str = "aac") -> Path:
    """Write a video container with stereo sound, or with a picture only."""
    with av.open(str(path), "w") as container:
        if samples is None:
            video = container.add_stream("mpeg4", rate=25)
            video.width = video.height = 32
            for _ in range(3):
                picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
                container.mux(video.encode(picture))
            container.mux(video.encode(None))
            return path
        stream = container.add_stream(coding, rate=rate)
        stream.layout = "stereo"
        frame = av.AudioFrame.from_ndarray(
            samples.T.astype(np.float32).copy(), format="fltp", layout="stereo"
        )
        frame.sample_rate = rate
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [("a.wav", 1e-4), ("a.flac", 1e-4), ("a.ogg", 0.05), ("a.mp3", 0.05), ("a.aiff", 1e-4)],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_sound_files(tmp_path: Path, name: str, tolerance: float, channels: int) -> None:
    samples = tone(1.0, 44_100, channels)
    soundfile.write(tmp_path / name, samples, 44_100)
    sound = audio.read_sound(tmp_path / name)
    assert sound.samples.shape == (channels, 44_100) and sound.samples.dtype == np.float32
    assert sound.sample_rate == 44_100 and sound.seconds == 1.0
    # Lossy coding rings at the edges.
    assert np.abs(sound.samples.T - samples)[2000:-2000].max() < tolerance


@pytest.mark.parametrize("name", ["film.mp4", "film.m4v", "film.mov", "film.mkv", "film.m4a"])
@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_sound_of_video_containers(tmp_path: Path, name: str, rate: int) -> None:
    samples = tone(1.0, rate, 2)
    sound = audio.read_sound(write_container(tmp_path / name, samples, rate))
    assert sound.sample_rate == rate and sound.samples.shape[0] == 2
    assert abs(sound.seconds - 1.0) < 0.06
    assert sound.description == f"{Path(name).suffix[1:].upper()}, AAC"
    waveform, steps = audio.to_mono(sound)
    assert steps == ["mixed 2 channels to mono (mean)", f"resampled from {rate} to 24000 Hz"]
    spectrum = np.abs(np.fft.rfft(waveform[4000:16_000]))
    peaks = np.fft.rfftfreq(12_000, 1 / 24_000)[np.argsort(spectrum)[-2:]]
    assert sorted(peaks) == [440.0, 880.0], "both channels are in the mix"


def test_text_and_pictures_and_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("this is not sound\n" * 50)
    (tmp_path / "empty.wav").touch()
    (tmp_path / "folder.wav").mkdir()
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")
    write_container(tmp_path / "mute.mp4", None, 0)
    for name, sentence in {
        "text.wav": "is not a sound file that can be read",
        "empty.wav": "is empty",
        "folder.wav": "is a folder",
        "missing.wav": "does not exist",
        "mute.mp4": "has no sound",
        "pipe.wav": "is no ordinary file",
        "list.m3u8": "is not a sound file that can be read",
    }.items():
        with pytest.raises(UserError) as caught:
            audio.read_sound(tmp_path / name)
        message = str(caught.value)
        assert message.startswith(str(tmp_path / name)) and sentence in message and "\n" not in message


def test_header_without_samples_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "none.wav", np.empty((0, 1)), 24_000)
    with pytest.raises(UserError, match="holds no samples"):
        audio.read_sound(tmp_path / "none.wav")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers_are_refused(tmp_path: Path, bad: float) -> None:
    samples = tone(1.0, 24_000)
    samples[12_000] = bad
    soundfile.write(tmp_path / "bad.wav", samples, 24_000, subtype="FLOAT")
    with pytest.raises(UserError, match=r"holds 1 NaN or infinite samples \(the first at 0.500 s\)"):
        audio.read_sound(tmp_path / "bad.wav")


def test_mono_at_the_right_rate_is_left_alone() -> None:
    samples = tone(0.5, 24_000).T.astype(np.float32)
    waveform, steps = audio.to_mono(audio.Sound(samples, 24_000, Path("x"), ""))
    assert steps == []
    np.testing.assert_array_equal(waveform, samples[0])


@pytest.mark.parametrize(
    ("source", "target"), [(44_100, 24_000), (16_000, 24_000), (48_000, 16_000), (22_050, 16_000)]
)
def test_resampling_keeps_a_tone(source: int, target: int) -> None:
    out = audio.resample(tone(1.0, source)[:, 0], source, target)
    assert out.shape == (target,) and out.dtype == np.float32
    expected = tone(1.0, target)[:, 0]
    assert np.abs(out - expected)[500:-500].max() < 2e-3


def test_resampling_removes_what_would_alias() -> None:
    out = audio.resample(tone(1.0, 48_000, hz=10_000.0)[:, 0], 48_000, 16_000)
    assert np.sqrt(np.mean(out[500:-500] ** 2)) < 0.002


def test_loudness_is_matched(speech: Speech) -> None:
    reference = speech(5.0)
    quiet = audio.match_loudness(0.05 * reference, reference, 24_000)
    np.testing.assert_allclose(quiet, reference, atol=1e-4)
    noise = np.random.default_rng(0).standard_normal(120_000).astype(np.float32)
    matched = audio.match_loudness(noise, reference, 24_000)
    assert audio.loudness(matched, 24_000) == pytest.approx(audio.loudness(reference, 24_000), abs=0.01)


def test_loudness_never_clips_and_leaves_silence(speech: Speech) -> None:
    reference = speech(5.0)
    spiky = np.zeros(120_000, np.float32)
    spiky[::4000] = 1.0
    assert np.abs(audio.match_loudness(spiky, reference, 24_000)).max() <= 0.99 + 1e-6
    silence = np.zeros(120_000, np.float32)
    np.testing.assert_array_equal(audio.match_loudness(silence, reference, 24_000), silence)
    with pytest.raises(ValueError, match="(?i)block size"):
        audio.match_loudness(reference[:100], reference, 24_000)


def test_written_sound_is_read_back(tmp_path: Path, speech: Speech) -> None:
    waveform = speech(1.0)
    for name, write in (("a.flac", audio.write_flac), ("a.wav", audio.write_wav)):
        write(tmp_path / "new" / name, waveform, 24_000)
        sound = audio.read_sound(tmp_path / "new" / name)
        assert np.abs(sound.samples[0] - waveform).max() < 2 / 32768
    audio.write_flac(tmp_path / "loud.flac", 3 * np.ones(2400), 24_000)
    assert audio.read_sound(tmp_path / "loud.flac").samples.max() > 0.999
    with pytest.raises(ValueError, match="NaN"):
        audio.write_flac(tmp_path / "nan.flac", np.full(10, np.nan), 24_000)
    assert not (tmp_path / "nan.flac").exists()


def test_unwritable_targets_are_refused(tmp_path: Path, speech: Speech) -> None:
    waveform = speech(0.5)
    with pytest.raises(UserError, match="is a folder"):
        audio.write_flac(tmp_path, waveform)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        audio.write_flac(tmp_path / "file" / "a.flac", waveform)
    if os.geteuid() != 0:
        locked = tmp_path / "locked"
        locked.mkdir(mode=0o500)
        with pytest.raises(UserError, match="cannot be written"):
            audio.write_flac(locked / "a.flac", waveform)


@pytest.mark.parametrize("kind", ["stereo", "cancelling", "whole numbers", "other rate"])
def test_a_spooled_sound_is_the_one_that_is_read(tmp_path: Path, kind: str) -> None:
    one = np.random.default_rng(0).standard_normal(50_000).astype(np.float32) / 10
    samples = {
        "stereo": np.stack([one, one[::-1]], axis=1),
        "cancelling": np.stack([one, -one], axis=1),  # is mixed first, and then not
        "whole numbers": np.rint(32_767 * one),
        "other rate": one,
    }[kind]
    path, rate = tmp_path / "sound.wav", 44_100 if kind == "other rate" else 24_000
    soundfile.write(path, samples, rate, subtype="FLOAT")
    expected = audio.read_mono(path)
    with open(tmp_path / "spool", "w+b") as stream:
        spooled = audio.spool_mono(path, 24_000, stream)
        assert (spooled.n_samples, spooled.steps) == (len(expected.waveform), expected.steps)
        np.testing.assert_array_equal(spooled.read(0, spooled.n_samples), expected.waveform)
        np.testing.assert_array_equal(spooled.read(777, 1000), expected.waveform[777:1000])
