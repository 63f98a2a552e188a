"""What the headers of sound files promise, read without trusting them: lengths, and recordings that follow each other.

Nothing here decodes anything or believes a size that it has not compared with the file's own.
"""

from __future__ import annotations

import mmap
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

_UNKNOWN = (range(0x7FFF_F000, 0x8000_0001), range(0xFFFF_F000, 0x1_0000_0000))
"""Lengths that programs write which cannot go back to correct them: those of pipes, and of 32 bits all set."""

_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))

_OGG_FIRST, _OGG_LAST = 2, 4
"""Flags of the first and the last page of a stream."""

Order = Literal["little", "big"]

_ID3_BYTES = 10

_MOST_BEFORE = 4096
"""Bytes of filling that may stand between a tag and the first frame."""

_LEAST_SOUND = 64
"""Fewer bytes than these after a WAV's samples are filling."""


@dataclass(frozen=True)
class DataChunk:
    """The chunk of a WAV or AIFF file that holds its samples.

    Attributes
    ----------
    declared : int
        Bytes that its header promises.
    present : int
        Bytes from its beginning to the end of the file.
    open_ended : bool
        Whether the header does not know the length, or is wrong about it: samples go on to the end of the file.
    """

    declared: int
    present: int
    open_ended: bool


@dataclass(frozen=True)
class Chunk:
    """Recordings that were joined end to end in one file: the bytes of one of them.

    Attributes
    ----------
    first, last : int
        Bytes ``first <= k < last``.
    whole : bool
        Ogg: its last page says that it ends there. MP3: a header says how long it is.
    damaged : bool
        Ogg: pages are missing, or their checksums are wrong.
    """

    first: int
    last: int
    whole: bool
    damaged: bool = False


def data_chunk(path: Path) -> DataChunk | None:
    """Find the samples of a WAV (RIFF, RIFX, RF64, BW64) or AIFF file; None if it is neither or has none."""
    size = path.stat().st_size
    with open(path, "rb") as stream:
        form = stream.read(4)
        if form not in (b"RIFF", b"RIFX", b"RF64", b"BW64", b"FORM"):
            return None
        order: Order = "big" if form in (b"RIFX", b"FORM") else "little"
        long_size = 0
        for at, name, declared in _chunks(stream, 12, size, order):
            if name == b"ds64":
                stream.seek(at + 16)
                long_size = int.from_bytes(stream.read(8), "little")
            if name == (b"SSND" if form == b"FORM" else b"data"):
                if declared == 0xFFFF_FFFF and long_size:
                    declared = long_size
                present = size - at - 8
                unknown = declared > present and any(declared in values for values in _UNKNOWN)
                short = declared < present and not _only_chunks(stream, at + 8 + declared, size, order)
                return DataChunk(declared, present, unknown or short)
    return None


def _chunks(stream: BinaryIO, at: int, size: int, order: Order) -> Iterator[tuple[int, bytes, int]]:
    """Every chunk from a place on: where it begins, its name, and the bytes that it declares."""
    while at + 8 <= size:
        stream.seek(at)
        head = stream.read(8)
        declared = int.from_bytes(head[4:], order)
        yield at, head[:4], declared
        at += 8 + declared + declared % 2


def _only_chunks(stream: BinaryIO, at: int, size: int, order: Order) -> bool:
    """Whether what follows the samples is chunks, or too little to be sound."""
    for begins, name, _ in _chunks(stream, at + at % 2, size, order):
        if not re.fullmatch(rb"[ -~]{4}", name):
            return size - begins < _LEAST_SOUND
    return True


def flac_samples(path: Path) -> int | None:
    """Samples of every channel that the header of a FLAC file promises; None if it is none or does not say."""
    with open(path, "rb") as stream:
        begins = stream.read(26)
    if begins[:4] != b"fLaC" or len(begins) < 26:
        return None
    return int.from_bytes(begins[21:26], "big") & (1 << 36) - 1 or None


def mp3_parts(path: Path) -> list[Chunk]:
    """The MP3s that one file is made of, told apart by the headers that encoders put before each (Xing, Info)."""
    with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        headers = [
            found for mark in re.finditer(rb"Xing|Info", data) if (found := _mp3_header(data, mark.start()))
        ]
        leads = _ID3_BYTES + _tag_size(data, 0) if data[:3] == b"ID3" else 0
        cuts: list[tuple[int, bool]] = []
        for start, says_length in headers:
            tag = data.rfind(b"ID3", 0, start)
            tagged = tag >= 0 and 0 <= start - (tag + _ID3_BYTES + _tag_size(data, tag)) < _MOST_BEFORE
            cuts.append((tag if tagged else start, says_length))
        if not cuts or headers[0][0] > leads + _MOST_BEFORE:
            cuts.insert(0, (0, False))
        firsts = [0, *(cut for cut, _ in cuts[1:])]
        lasts = [*firsts[1:], len(data)]
        return [
            Chunk(first, last, says)
            for first, last, (_, says) in zip(firsts, lasts, cuts, strict=True)
            if last > first
        ]


def _tag_size(data: mmap.mmap, at: int) -> int:
    """Bytes of an ID3v2 tag after its header; seven bits of every byte count."""
    size = 0
    for byte in data[at + 6 : at + 10]:
        size = size << 7 | byte & 0x7F
    return size


def _mp3_header(data: mmap.mmap, mark: int) -> tuple[int, bool] | None:
    """Where the frame of a Xing or Info header begins, and whether it counts the frames; None if it is none."""
    for offset, kinds in ((36, {(1, 2)}), (21, {(1, 1), (0, 2)}), (13, {(0, 1)})):
        start = mark - offset
        if start < 0 or data[start] != 0xFF or data[start + 1] & 0xE6 != 0xE2:
            continue
        second, third, fourth = data[start + 1 : start + 4]
        version, channels = second >> 3 & 3, 1 if fourth >> 6 == 3 else 2
        usable = version != 1 and third >> 4 not in (0, 15) and third >> 2 & 3 != 3
        if usable and (int(version == 3), channels) in kinds:
            return start, bool(int.from_bytes(data[mark + 4 : mark + 8], "big") & 1)
    return None


def ogg_parts(path: Path) -> list[Chunk]:
    """The links of an Ogg file: recordings that follow each other, each with its own headers (RFC 3533)."""
    parts: list[Chunk] = []
    numbers: dict[bytes, int] = {}
    first, end, ended, damaged, only_headers = 0, 0, False, False, True
    with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for at, end, flags, sound in _ogg_pages(data):  # noqa: B007 - the last is looked at below
            begins = bool(flags & _OGG_FIRST)
            if begins and not only_headers:
                parts.append(Chunk(first, at, ended, damaged))
                first, ended, damaged, numbers = at, False, False, {}
            only_headers = begins
            serial, number = data[at + 14 : at + 18], int.from_bytes(data[at + 18 : at + 22], "little")
            damaged |= not sound or number != numbers.get(serial, number)
            numbers[serial] = number + 1
            ended |= bool(flags & _OGG_LAST)
        cut_off = data[end : end + 4] == b"OggS"
        return [*parts, Chunk(first, len(data), ended and not cut_off, damaged)]


def _ogg_pages(data: mmap.mmap) -> Iterator[tuple[int, int, int, bool]]:
    """Every whole page: where it begins and ends, its flags, and whether it follows the last and its checksum fits."""
    at = 0
    while (found := data.find(b"OggS", at)) >= 0 and found + 27 <= len(data):
        n_segments = data[found + 26]
        end = found + 27 + n_segments + sum(data[found + 27 : found + 27 + n_segments])
        if end > len(data):
            if data.find(b"OggS", found + 4) < 0:
                return  # cut off within its last page
            at = found + 4
            continue
        fits = _ogg_checksum(data[found:end]) == int.from_bytes(data[found + 22 : found + 26], "little")
        if not fits and data[end : end + 4] not in (b"OggS", b""):
            at = found + 4  # no page, or one whose size is wrong
            continue
        yield found, end, data[found + 5], fits and found == at
        at = end


def _ogg_checksum(page: bytes) -> int:
    """CRC of a page, its own field taken for zeros: zlib's polynomial, but with the bits of every byte turned round."""
    blank = (page[:22] + bytes(4) + page[26:]).translate(_MIRRORED)
    mirrored = zlib.crc32(blank, 0xFFFF_FFFF) ^ 0xFFFF_FFFF
    return int(f"{mirrored:032b}"[::-1], 2)
