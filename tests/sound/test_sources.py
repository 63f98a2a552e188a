"""Sound comes in whole, at its time and at its level, or is refused in one sentence.

``FMRI_AUDIO_FUZZ=100`` feeds the reader a hundred times as many broken files.
"""

from __future__ import annotations

import os
import struct
import time
import tracemalloc
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile

from fmri_audio.base.errors import UserError
from fmri_audio.sound import audio, sources

RATE = 48_000
TIMES = int(os.environ.get("FMRI_AUDIO_FUZZ", "1"))
Speech = Callable[..., np.ndarray]


def noise(seconds: float, rate: int = RATE, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * rate)).astype(np.float32)


def lag(heard: np.ndarray, wave: np.ndarray) -> int:
    """Samples by which a sound is heard later than it should be."""
    n = 2 * max(len(heard), len(wave))
    found = int(np.fft.irfft(np.conj(np.fft.rfft(wave, n)) * np.fft.rfft(heard, n)).argmax())
    return found if found < n // 2 else found - n


def frames(wave: np.ndarray, rate: int, layout: str, size: int = 1024) -> Iterator[av.AudioFrame]:
    """Frames of a sound of as many equal channels, counted in samples."""
    n_channels = av.AudioLayout(layout).nb_channels
    for first in range(0, len(wave), size):
        part = np.repeat(wave[None, first : first + size], n_channels, axis=0)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(part), format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, first, Fraction(1, rate)
        yield frame


def write_film(
    path: Path,
    tracks: list[np.ndarray],
    keep: Callable[[float], bool] = lambda _: True,
    late: float = 0.0,
    languages: tuple[str, ...] = (),
    default: int | None = None,
    picture: bool = True,
    **options: str,
) -> Path:
    """Write a film whose sound leaves out the packets that begin at a second that is not kept."""
    with av.open(str(path), "w", options=options) as container:
        if picture:
            video = container.add_stream("mpeg4", rate=25)
            video.width = video.height = 32
        streams = []
        for k in range(len(tracks)):
            stream = container.add_stream("aac", rate=RATE)
            stream.layout = "stereo"
            if languages:
                stream.metadata["language"] = languages[k]
            if default is not None:
                stream.disposition = (
                    av.stream.Disposition.default if k == default else av.stream.Disposition(0)
                )
            streams.append(stream)
        packets: list[Any] = []
        if picture:
            for k in range(round(25 * (len(tracks[0]) / RATE + late))):
                image = av.VideoFrame.from_ndarray(np.full((32, 32, 3), k % 255, np.uint8), format="rgb24")
                packets += video.encode(image)
            packets += video.encode(None)
        for stream, wave in zip(streams, tracks, strict=True):
            own = [packet for frame in frames(wave, RATE, "stereo") for packet in stream.encode(frame)]
            for packet in [*own, *stream.encode(None)]:
                if packet.pts is None or not keep(float(packet.pts * packet.time_base)):
                    continue
                shift = round(late / packet.time_base)
                packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                packets.append(packet)
        for packet in packets:
            container.mux(packet)
    return path


@pytest.mark.parametrize("container", ["mkv", "mp4"])
def test_a_gap_is_silence_and_is_named(tmp_path: Path, container: str) -> None:
    wave = noise(6.0)
    film = write_film(tmp_path / f"film.{container}", [wave], lambda t: not 2.0 <= t < 3.2)
    sound = audio.read_mono(film, RATE)
    assert abs(sound.seconds - 6.0) < 0.05
    for first, last in ((0, 2), (3.3, 6)):
        part = slice(round(first * RATE), round(last * RATE))
        assert abs(lag(sound.waveform[part], wave[part])) <= RATE // 1000
    assert not sound.waveform[round(2.1 * RATE) : round(3.1 * RATE)].any()
    assert any("filled a gap of 1." in step and "at 2.0" in step for step in sound.steps)


@pytest.mark.parametrize("container", ["mkv", "mp4"])
def test_sound_that_starts_late_stays_late(tmp_path: Path, container: str) -> None:
    wave = noise(3.0)
    film = write_film(tmp_path / f"film.{container}", [wave], late=1.2)
    sound = audio.read_mono(film, RATE)
    assert abs(lag(sound.waveform, wave) - 1.2 * RATE) <= RATE // 1000
    assert any(step.startswith("put 1.") and "begins later than its picture" in step for step in sound.steps)


def test_time_stamps_that_round_to_milliseconds_leave_the_sound_whole(tmp_path: Path) -> None:
    wave = noise(5.0)
    film = write_film(tmp_path / "film.mkv", [wave], picture=False)
    sound = audio.read_mono(film, RATE)
    assert sound.steps == ["mixed 2 channels to mono (mean)"]
    assert abs(lag(sound.waveform, wave)) <= RATE // 1000
    assert (np.abs(sound.waveform[RATE : 4 * RATE]).reshape(-1, 480).max(axis=1) > 0).all()


@pytest.mark.parametrize(("default", "taken"), [(1, 1), (0, 0), (None, 0)])
def test_of_several_tracks_the_default_one_is_taken(tmp_path: Path, default: int | None, taken: int) -> None:
    waves = [noise(2.0, seed=1), noise(2.0, seed=2)]
    film = write_film(tmp_path / "film.mkv", waves, languages=("deu", "eng"), default=default)
    sound = audio.read_mono(film, RATE)
    likeness = [abs(np.corrcoef(sound.waveform[4800:90_000], wave[4800:90_000])[0, 1]) for wave in waves]
    assert int(np.argmax(likeness)) == taken and max(likeness) > 0.6 > 10 * min(likeness)
    assert any(f"took audio track {taken + 1} of 2 ({('deu', 'eng')[taken]})" in step for step in sound.steps)


def test_mp3s_joined_end_to_end_are_both_heard_in_time(tmp_path: Path) -> None:
    wave = noise(2.0, 44_100)
    for name, part in (("1.mp3", wave[:44_100]), ("2.mp3", wave[44_100:])):
        soundfile.write(tmp_path / name, part, 44_100)
    both = tmp_path / "both.mp3"
    both.write_bytes((tmp_path / "1.mp3").read_bytes() + (tmp_path / "2.mp3").read_bytes())
    sound = audio.read_mono(both, 44_100)
    assert sound.seconds == 2.0 and lag(sound.waveform[48_000:], wave[48_000:]) == 0
    assert sound.steps == ["joined the 2 recordings that follow each other in it"]


def test_mp3_of_variable_rate_without_a_header_is_read_to_its_end(tmp_path: Path) -> None:
    """Its first seconds are silent and small, from which a reader would estimate another length."""
    wave = np.concatenate([np.zeros(88_200, np.float32), noise(4.0, 44_100)])
    with soundfile.SoundFile(
        tmp_path / "a.mp3", "w", 44_100, 1, "MPEG_LAYER_III", bitrate_mode="VARIABLE", compression_level=0.5
    ) as out:
        out.write(wave)
    raw = (tmp_path / "a.mp3").read_bytes()
    mark = max(raw.find(b"Xing", 0, 500), raw.find(b"Info", 0, 500))
    second = raw.index(raw[mark - 21 : mark - 19] if mark < 30 else raw[:2], mark)
    (tmp_path / "a.mp3").write_bytes(raw[second:])
    assert abs(audio.read_mono(tmp_path / "a.mp3", 44_100).seconds - 6.0) < 0.1


@pytest.mark.parametrize("coding", ["VORBIS", "OPUS"])
def test_chained_ogg_is_read_to_its_end_at_one_rate(tmp_path: Path, coding: str) -> None:
    one, other = noise(1.5), noise(1.0, 24_000, seed=1)
    soundfile.write(tmp_path / "1.ogg", one, RATE, format="OGG", subtype=coding)
    soundfile.write(tmp_path / "2.ogg", other, 24_000, format="OGG", subtype=coding)
    chained = tmp_path / "both.ogg"
    chained.write_bytes((tmp_path / "1.ogg").read_bytes() + (tmp_path / "2.ogg").read_bytes())
    sound = audio.read_sound(chained)
    assert abs(sound.seconds - 2.5) < 0.001 and sound.sample_rate == RATE
    assert "joined the 2 recordings that follow each other in it" in sound.steps
    later = audio.resample(sound.samples[0, round(1.5 * RATE) :], RATE, 24_000)
    assert abs(lag(later, other)) <= 1
    assert "the sample rate changes to 24000 Hz at 1.50 s: resampled to 48000 Hz" in sound.steps


def test_a_change_of_channels_and_rate_is_converted_and_named(tmp_path: Path) -> None:
    raw, waves = b"", [noise(1.0), noise(1.0, seed=1), noise(1.0, 32_000, seed=2)]
    for wave, rate, layout in zip(waves, (RATE, RATE, 32_000), ("mono", "stereo", "stereo"), strict=True):
        with av.open(str(tmp_path / "one.aac"), "w", format="adts") as out:
            stream = out.add_stream("aac", rate=rate)
            stream.layout = layout
            for frame in frames(wave, rate, layout):
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
        raw += (tmp_path / "one.aac").read_bytes()
    (tmp_path / "all.aac").write_bytes(raw)
    sound = audio.read_sound(tmp_path / "all.aac")
    assert sound.samples.shape[0] == 1 and sound.sample_rate == RATE and abs(sound.seconds - 3) < 0.15
    said = "; ".join(sound.steps)
    assert "the number of channels changes to 2 at 1.0" in said
    assert "the sample rate changes to 32000 Hz at 2.0" in said
    third = audio.resample(sound.samples[0, round(2.2 * RATE) : round(2.8 * RATE)], RATE, 32_000)
    assert (
        np.abs(np.fft.irfft(np.fft.rfft(third, 65_536) * np.conj(np.fft.rfft(waves[2], 65_536)))).max() > 60
    )


@pytest.mark.parametrize(
    "lengths", [(0, 0), (0xFFFF_FFFF, 0xFFFF_FFFF), (48_036, 0), (0x7FFF_F024, 0x7FFF_F000)]
)
def test_wav_from_a_pipe_is_read_to_its_end(tmp_path: Path, lengths: tuple[int, int]) -> None:
    wave = noise(1.0)
    soundfile.write(tmp_path / "a.wav", wave, RATE)
    expected, _ = soundfile.read(tmp_path / "a.wav", dtype="float32")
    raw = bytearray((tmp_path / "a.wav").read_bytes())
    raw[4:8], raw[40:44] = (struct.pack("<I", length) for length in lengths)
    (tmp_path / "a.wav").write_bytes(raw)
    sound = audio.read_mono(tmp_path / "a.wav", RATE)
    np.testing.assert_array_equal(sound.waveform, expected)
    assert sound.steps == ["its header does not give its true length: read to the end of the file"]


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3", "a.ogg", "a.opus", "a.aiff", "6.wav"])
def test_what_is_cut_off_says_so(tmp_path: Path, name: str) -> None:
    path, wave = tmp_path / name, noise(3.0)
    channels = np.stack([wave] * 6, axis=1) if name == "6.wav" else wave
    kind = {"format": "OGG", "subtype": "OPUS"} if name == "a.opus" else {}
    soundfile.write(path, channels, RATE, **kind)
    assert not any("truncated" in step for step in audio.read_mono(path, RATE).steps)
    raw = path.read_bytes()
    path.write_bytes(raw[: 6 * len(raw) // 10])
    sound = audio.read_mono(path, RATE)
    [said] = [step for step in sound.steps if "truncated" in step]
    assert f"the sound is truncated: {sound.seconds:.2f} s" in said and 0.5 < sound.seconds < 2
    if "og" not in name and "opus" not in name:
        assert said.endswith("of the 3.00 s that its header promises")


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_film_that_is_cut_off_says_so(tmp_path: Path, name: str) -> None:
    film = write_film(tmp_path / name, [noise(6.0)], picture=False, movflags="faststart")
    assert not any("truncated" in step for step in audio.read_mono(film).steps)
    raw = film.read_bytes()
    film.write_bytes(raw[: len(raw) // 2])
    sound = audio.read_mono(film)
    assert any("the sound is truncated: " in step and "of the 6.0" in step for step in sound.steps), (
        sound.steps
    )


@pytest.mark.parametrize("samples", [(1 << 36) - 1, 0, 10_000_000])
def test_flac_that_declares_another_length_is_read_as_it_is(tmp_path: Path, samples: int) -> None:
    path, wave = tmp_path / "a.flac", noise(2.0)
    soundfile.write(path, wave, RATE)
    expected, _ = soundfile.read(path, dtype="float32")
    raw = bytearray(path.read_bytes())
    raw[21:26] = ((raw[21] & 0xF0) << 32 | samples).to_bytes(5, "big")
    path.write_bytes(raw)
    sound = audio.read_mono(path, RATE)
    np.testing.assert_array_equal(sound.waveform, expected)
    assert any("truncated: 2.00 s of the" in step for step in sound.steps) == (samples > 0)


def test_what_follows_a_damaged_stretch_stays_in_time(tmp_path: Path) -> None:
    for name in ("a.flac", "a.ogg"):
        path, wave = tmp_path / name, noise(6.0)
        soundfile.write(path, wave, RATE)
        raw = bytearray(path.read_bytes())
        raw[len(raw) // 2 : len(raw) // 2 + 3000] = bytes(3000)
        path.write_bytes(raw)
        sound = audio.read_mono(path, RATE)
        assert abs(lag(sound.waveform[5 * RATE :], wave[5 * RATE :])) <= 1, name
        assert any("filled a gap" in step for step in sound.steps)


@pytest.mark.parametrize(("bits", "peak"), [(16, 20_000), (24, 5_000_000), (32, 2**30)])
def test_whole_numbers_in_a_float_file_are_recognised(tmp_path: Path, bits: int, peak: int) -> None:
    whole = np.round(noise(1.0) / np.abs(noise(1.0)).max() * peak)
    soundfile.write(tmp_path / "a.wav", whole, RATE, subtype="DOUBLE")
    for sound in (audio.read_mono(tmp_path / "a.wav", RATE), audio.read_sound(tmp_path / "a.wav")):
        wave = sound.waveform if isinstance(sound, audio.Mono) else sound.samples[0]
        np.testing.assert_allclose(wave, whole / 2 ** (bits - 1), rtol=1e-6)
        assert any(f"as {bits}-bit integers are" in step for step in sound.steps)


def test_impossible_levels_are_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", 20_000.5 * noise(1.0), RATE, subtype="FLOAT")
    with pytest.raises(UserError, match="times full scale; export it"):
        audio.read_mono(tmp_path / "a.wav")
    soundfile.write(tmp_path / "hot.wav", 20 * noise(1.0), RATE, subtype="FLOAT")
    assert audio.read_mono(tmp_path / "hot.wav", RATE).steps == []


@pytest.mark.parametrize("rate", [0, 1, 999, 2**31 - 1])
def test_impossible_rates_are_refused_at_once(tmp_path: Path, rate: int) -> None:
    soundfile.write(tmp_path / "a.wav", noise(1.0), RATE)
    raw = bytearray((tmp_path / "a.wav").read_bytes())
    raw[24:28] = struct.pack("<I", rate)
    (tmp_path / "a.wav").write_bytes(raw)
    begin = time.monotonic()
    with pytest.raises(UserError, match="sample rate|is not a sound file"):
        audio.read_mono(tmp_path / "a.wav")
    assert time.monotonic() - begin < 2


def test_a_clock_that_runs_away_is_refused(tmp_path: Path) -> None:
    piece = sources.Piece(np.zeros((1, 1024), np.float32), RATE, ("FC",))
    later = sources.Piece(piece.samples, RATE, ("FC",), at=1e9)
    with pytest.raises(UserError, match="over 12 hours"):
        list(sources._placed(tmp_path / "film.mkv", iter([piece, later]), []))


def test_pieces_that_overlap_are_heard_once_and_a_clock_may_be_set_back(tmp_path: Path) -> None:
    def piece(at: float) -> sources.Piece:
        return sources.Piece(np.ones((1, RATE), np.float32), RATE, ("FC",), at)

    steps: list[str] = []
    placed = list(sources._placed(tmp_path / "film.ts", iter([piece(0), piece(0.9), piece(-100)]), steps))
    assert sum(one.seconds for one in placed) == pytest.approx(2.9)
    assert steps == [
        "left out 0.10 s that overlap what comes before",
        "its clock is set back at 1.90 s: what follows comes directly after",
    ]


def test_what_was_not_fetched_is_named(tmp_path: Path) -> None:
    (tmp_path / "tale.wav").symlink_to(".git/annex/objects/xx/yy/SHA256E-s1--0.wav/SHA256E-s1--0.wav")
    with pytest.raises(UserError, match="has not been fetched .* datalad get tale.wav"):
        audio.read_mono(tmp_path / "tale.wav")


@pytest.mark.parametrize("kind", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_samples_are_soundfiles_to_the_last_bit(tmp_path: Path, kind: str, channels: int) -> None:
    samples = np.random.default_rng(0).uniform(-0.9, 0.9, (30_000, channels))
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype=kind)
    expected, _ = soundfile.read(tmp_path / "a.wav", dtype="float32", always_2d=True)
    np.testing.assert_array_equal(audio.read_sound(tmp_path / "a.wav").samples, expected.T)


def test_reading_to_mono_is_mixing_what_was_read(tmp_path: Path, speech: Speech) -> None:
    samples = np.stack([speech(8.0, 44_100, seed=k) for k in range(2)], axis=1)
    soundfile.write(tmp_path / "a.flac", samples, 44_100)
    sound = audio.read_mono(tmp_path / "a.flac")
    waveform, steps = audio.to_mono(audio.read_sound(tmp_path / "a.flac"))
    np.testing.assert_array_equal(sound.waveform, waveform)
    assert sound.steps == steps and sound.seconds == 8.0


@pytest.mark.parametrize(
    ("case", "name", "seconds", "said"),
    [
        ("aac-mono-then-stereo", "both.aac", 20.0, "number of channels changes"),
        ("mp3-joined-with-cat", "both.mp3", 20.0, "joined the 2 recordings"),
        ("mp3-vbr-without-header", "vbr.mp3", 20.0, ""),
        ("film-two-tracks", "film.mkv", 20.0, "track 2 of 2 (eng), the default one"),
        ("film-gap-in-sound", "film.mkv", 20.0, "filled a gap of 1.19 s at 5.01 s"),
        ("film-gap-in-sound", "film.mp4", 20.0, "filled a gap of 1.19 s at 5.01 s"),
        ("stereo-inverted-channel", "inverted.flac", 20.0, "cancel"),
        ("stereo-inverted-channel", "inverted_delayed.flac", 20.0, "comb"),
    ],
)
def test_cases(shared_data: Path, case: str, name: str, seconds: float, said: str) -> None:
    folder = shared_data / "cases" / case
    if not folder.is_dir():
        pytest.skip(f"needs {folder}")
    sound = audio.read_mono(folder / name)
    assert abs(sound.seconds - seconds) < 0.06 and said in "; ".join(sound.steps)
    for source in folder.glob("source*.flac"):
        wave = audio.read_mono(source).waveform
        late = lag(sound.waveform[200_000:440_000], wave[200_000:440_000])
        assert abs(late) <= (0.03 if "vbr" in name else 0.001) * audio.SAMPLE_RATE


SEEDS = (
    "a.wav",
    "f.wav",
    "6.wav",
    "a.flac",
    "a.ogg",
    "a.opus",
    "a.mp3",
    "a.aiff",
    "a.aac",
    "a.mp4",
    "a.mkv",
    "a.ts",
)


@pytest.fixture(scope="module")
def whole_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Half a second of sound in every container."""
    folder, wave = tmp_path_factory.mktemp("whole"), noise(0.5)
    for name in SEEDS[:8]:
        kind = {"f.wav": {"subtype": "FLOAT"}, "a.opus": {"format": "OGG", "subtype": "OPUS"}}.get(name, {})
        soundfile.write(
            folder / name, np.stack([wave] * 6, axis=1) if name == "6.wav" else wave, RATE, **kind
        )
    for name in SEEDS[8:]:
        write_film(folder / name, [wave], picture=name == "a.mkv")
    return {name: (folder / name).read_bytes() for name in SEEDS}


def broken(rng: np.random.Generator, whole: dict[str, bytes], name: str) -> bytes:
    """A file with some of its bits flipped, numbers made extreme, bytes cut, doubled or blanked, or another joined."""
    data = bytearray(whole[name])
    extremes = (bytes(4), b"\xff" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x01\0\0\0", b"\0\0\0\x01")
    for _ in range(rng.integers(1, 4)):
        size = max(8, len(data))
        at = int(rng.integers(min(size, 200) if rng.random() < 0.6 else size))
        n = int(rng.integers(1, 2000))
        match int(rng.integers(7)):
            case 0:
                data[at : at + 1] = bytes([int(rng.integers(256))])
            case 1:
                data[at : at + 4] = extremes[int(rng.integers(len(extremes)))]
            case 2:
                del data[int(rng.integers(size)) :]
            case 3:
                data[at : at + n // 32] = rng.bytes(n // 32)
            case 4:
                data[at:at] = data[n : 2 * n]
            case 5:
                data[at : at + n] = bytes(n)
            case _:
                data += whole[SEEDS[int(rng.integers(len(SEEDS)))]]
    return bytes(data)


def test_whatever_comes_in_is_a_sound_or_a_sentence(tmp_path: Path, whole_files: dict[str, bytes]) -> None:
    sounds, said = 0, []
    for seed in range(120 * TIMES):
        name = SEEDS[seed % len(SEEDS)]
        path = tmp_path / name
        path.write_bytes(broken(np.random.default_rng(seed), whole_files, name))
        begin = time.monotonic()
        try:
            sound = audio.read_mono(path)
        except UserError as error:
            said.append(str(error))
        else:
            assert np.isfinite(sound.waveform).all() and len(sound.waveform), seed
            sounds += 1
        assert time.monotonic() - begin < 10, seed
    assert sounds and said
    assert [one for one in said if not one.startswith(str(tmp_path)) or "\n" in one] == []


def test_a_long_sound_is_never_in_memory_more_than_once(tmp_path: Path) -> None:
    """Two minutes in six channels are 138 MB; in one channel, at the rate wanted, 12 MB."""
    path = tmp_path / "long.flac"
    quiet = np.zeros((RATE, 6), np.int16)
    quiet[::100] = 1000
    with soundfile.SoundFile(path, "w", RATE, 6) as out:
        for _ in range(120):
            out.write(quiet)
    tracemalloc.start()
    try:
        assert audio.read_mono(path).seconds == 120.0
        assert tracemalloc.get_traced_memory()[1] < 70e6
    finally:
        tracemalloc.stop()
