"""What headers promise, and where one recording ends and the next begins."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from fmri_audio.sound import headers
from fmri_audio.sound.headers import Chunk, DataChunk

NOISE = np.random.default_rng(0).normal(0, 0.1, 24_000)


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "a.wav", NOISE, 24_000)
    return tmp_path / "a.wav"


def with_lengths(path: Path, riff: int, data: int) -> Path:
    raw = bytearray(path.read_bytes())
    raw[4:8], raw[40:44] = struct.pack("<I", riff), struct.pack("<I", data)
    path.write_bytes(raw)
    return path


@pytest.mark.parametrize("name", ["a.wav", "a.rf64", "a.aiff"])
def test_a_whole_file_has_what_it_declares(tmp_path: Path, name: str) -> None:
    soundfile.write(tmp_path / name, NOISE, 24_000, format=None if name != "a.rf64" else "RF64")
    chunk = headers.data_chunk(tmp_path / name)
    assert chunk is not None and chunk.declared == chunk.present and not chunk.open_ended
    assert 48_000 <= chunk.declared <= 48_008


@pytest.mark.parametrize("length", [0, 0xFFFF_FFFF, 0xFFFF_FFDB, 0x7FFF_F000, 0x8000_0000])
def test_lengths_of_pipes_are_none(wav: Path, length: int) -> None:
    assert headers.data_chunk(with_lengths(wav, length, length)) == DataChunk(length, 48_000, True)


def test_a_length_that_is_wrong_is_none(wav: Path) -> None:
    """A recorder that died leaves a length that is too short; a list of tags after the samples does not."""
    assert headers.data_chunk(with_lengths(wav, 1036, 1000)) == DataChunk(1000, 48_000, True)
    tagged = with_lengths(wav, 48_000 + 36 + 12, 48_000)
    tagged.write_bytes(tagged.read_bytes() + b"LIST" + struct.pack("<I", 4) + b"INFO")
    assert headers.data_chunk(tagged) == DataChunk(48_000, 48_012, False)


def test_what_is_cut_off_declares_more(wav: Path) -> None:
    wav.write_bytes(wav.read_bytes()[:-8000])
    assert headers.data_chunk(wav) == DataChunk(48_000, 40_000, False)


def test_flac_says_its_samples(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.flac", NOISE, 24_000)
    assert headers.flac_samples(tmp_path / "a.flac") == 24_000
    raw = bytearray((tmp_path / "a.flac").read_bytes())
    raw[21] &= 0xF0
    raw[22:26] = bytes(4)
    (tmp_path / "a.flac").write_bytes(raw)
    assert headers.flac_samples(tmp_path / "a.flac") is None


def test_mp3s_end_to_end_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    soundfile.write(path, NOISE, 24_000)
    one = path.read_bytes()
    tag = b"ID3\x04\x00\x00\x00\x00\x01\x00" + bytes(128)
    assert headers.mp3_parts(path) == [Chunk(0, len(one), True)]
    path.write_bytes(tag + one + tag + one)
    n = len(tag) + len(one)
    assert headers.mp3_parts(path) == [Chunk(0, n, True), Chunk(n, 2 * n, True)]


@pytest.mark.parametrize("coding", ["VORBIS", "OPUS"])
def test_links_of_ogg_are_told_apart(tmp_path: Path, coding: str) -> None:
    path = tmp_path / "a.ogg"
    soundfile.write(path, NOISE, 24_000, format="OGG", subtype=coding)
    one = path.read_bytes()
    assert headers.ogg_parts(path) == [Chunk(0, len(one), True)]
    path.write_bytes(one + one)
    assert headers.ogg_parts(path) == [Chunk(0, len(one), True), Chunk(len(one), 2 * len(one), True)]
    path.write_bytes(one[:-100])
    assert headers.ogg_parts(path) == [Chunk(0, len(one) - 100, False)]
    flipped = bytearray(one)
    flipped[-50] ^= 1
    path.write_bytes(flipped)
    assert headers.ogg_parts(path) == [Chunk(0, len(one), True, True)]
