"""Sound files read from the beginning to the end, block by block, every sample at the time at which it is played.

soundfile reads WAV, AIFF, FLAC, Ogg and Opus of one or two channels; PyAV reads all else, and takes over where
soundfile cannot go on. Lengths come from decoding: what a header promises is only compared with it.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import soundfile

from fmri_audio.base.errors import UserError
from fmri_audio.base.kinds import Waveform
from fmri_audio.sound import headers, mixing
from fmri_audio.sound.headers import Chunk
from fmri_audio.sound.mixing import ChannelNames

if TYPE_CHECKING:
    import av

RATES = (1_000, 768_000)
"""Lowest and highest sample rate in Hz that is taken for one."""

LONGEST = 12 * 3600
"""Seconds of sound that a file may hold: a small one can unfold to days, or claim that its next frame is years away."""

TOLERANCE = 0.005
"""Seconds by which a time stamp may be off before it counts: many containers count milliseconds, and round."""

REBASED = 1.0
"""Seconds from which on a clock that goes back is taken for one that was set anew."""

BLOCK = 1 << 17
"""Samples of every channel that are handed on at a time."""

_MISSING = 0.05
"""Seconds that a lossy file may fall short of its header: coders round to whole frames."""

_GENERIC_INDEX = 0x0100
"""FFmpeg's mark of formats whose clock is only counted, so that it says nothing (``AVFMT_GENERIC_INDEX``)."""

_WITH_GRANULES = ("flac", "ogg")
"""Those among them whose frames do say where they stand."""

_BOTH_READ = ("WAV", "WAVEX", "RF64", "W64", "FLAC", "OGG", "AIFF", "CAF", "AU")
"""soundfile's formats that PyAV reads too, and whose channels only it can name."""

_NO_SOUND = "is not a sound file that can be read: give WAV, FLAC, Ogg, Opus, MP3, or MP4/M4V with sound"


@dataclass(frozen=True)
class Piece:
    """A stretch of sound as it was decoded.

    Attributes
    ----------
    samples : array of float32, shape [channels, T]
    rate : int
        Hz.
    layout : tuple of str
        Names of the channels.
    at : float, optional
        Second at which it is played; right after the one before where that is not known.
    """

    samples: Waveform
    rate: int
    layout: ChannelNames
    at: float | None = None

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return float(self.samples.shape[1] / self.rate)


@dataclass(frozen=True)
class SoundSource:
    """A sound file that is being read.

    Attributes
    ----------
    rate : int
        Hz.
    layout : tuple of str
        Names of its channels; empty names where none is known.
    description : str
        Container and coding, such as "FLAC, PCM_16" or "M4V, AAC".
    blocks : iterator of arrays of float32, shape [channels, T]
        Raises UserError where it turns out not to be sound.
    steps : list of str
        What was done to it, one phrase each; complete once the blocks are exhausted.
    """

    rate: int
    layout: ChannelNames
    description: str
    blocks: Iterator[Waveform]
    steps: list[str]


def open_source(path: Path) -> SoundSource:
    """Begin to read a sound file, or the sound of a film.

    Raises
    ------
    UserError
        It is not sound, holds none, or its rate is impossible.
    """
    steps: list[str] = []
    description, pieces = _pieces(path, steps)
    first = next(pieces, None)
    if first is None:
        raise UserError(f"{path} holds no samples: give a file with sound in it")
    _check_rate(path, first.rate)
    blocks = _uniform(path, itertools.chain([first], pieces), first.rate, first.layout, steps)
    return SoundSource(first.rate, first.layout, description, blocks, steps)


def _check_rate(path: Path, rate: int) -> None:
    if not RATES[0] <= rate <= RATES[1]:
        raise UserError(
            f"{path} declares a sample rate of {rate} Hz, and sound has {RATES[0]} to {RATES[1]}: export it again"
        )


def _pieces(path: Path, steps: list[str]) -> tuple[str, Iterator[Piece]]:
    """Describe a file and return its pieces, one directly after the other; empty ones are left out."""
    with open(path, "rb") as stream:
        begins = stream.read(4)
    if begins == b"OggS":
        description, parts = _ogg(path, steps)
    elif begins[:3] == b"ID3" or begins[:1] == b"\xff" or path.suffix.lower() == ".mp3":
        # soundfile would trust an MP3's header, and print what it thinks of the rest.
        description, parts = _by_av(path, steps)
    else:
        description, parts = _by_soundfile(path, steps)
    if len(parts) > 1:
        steps.append(f"joined the {len(parts)} recordings that follow each other in it")
    placed = itertools.chain.from_iterable(_placed(path, part(), steps) for part in parts)
    return description, (piece for piece in placed if piece.samples.size)


Parts = list[Callable[[], Iterator[Piece]]]


def _by_soundfile(path: Path, steps: list[str]) -> tuple[str, Parts]:
    """Read with soundfile where it knows the file and its header knows the length."""
    try:
        with soundfile.SoundFile(path) as stream:
            kind, coding, channels = stream.format, stream.subtype, stream.channels
            _check_rate(path, stream.samplerate)
    except soundfile.LibsndfileError:
        return _by_av(path, steps)
    if "MP3" in kind or "MPEG" in coding:
        return _by_av(path, steps)
    description, chunk = f"{kind}, {coding}", headers.data_chunk(path)
    if chunk is not None and chunk.open_ended:
        steps.append("its header does not give its true length: read to the end of the file")
        return description, [lambda: _av_pieces(path, steps, open_ended=True)]
    if channels > 2 and kind in _BOTH_READ:
        share = chunk.declared / chunk.present if chunk and chunk.declared > chunk.present > 0 else None
        return description, [lambda: _av_pieces(path, steps, share=share)]
    return description, [lambda: _soundfile_pieces(path, steps, chunk)]


def _soundfile_pieces(path: Path, steps: list[str], chunk: headers.DataChunk | None) -> Iterator[Piece]:
    n = 0
    with soundfile.SoundFile(path) as stream:
        rate, layout = stream.samplerate, mixing.by_number(stream.channels)
        promised = stream.frames / rate
        try:
            while len(block := _read_block(stream)):
                n += len(block)
                yield Piece(block.T, rate, layout)
        except soundfile.LibsndfileError:
            # FLAC that breaks off, is damaged or does not say its length: PyAV decodes it to the same samples.
            yield from _without(_av_pieces(path, steps), n)
            return
    if chunk is not None and chunk.declared > chunk.present > 0:
        promised = n / rate * chunk.declared / chunk.present
    _say_truncated(steps, n / rate, promised, 1 / rate)


def _read_block(stream: soundfile.SoundFile) -> Waveform:
    """Read the next samples, [T, channels]."""
    return np.asarray(
        stream.read(max(1, BLOCK // stream.channels), dtype="float32", always_2d=True), np.float32
    )


def _without(pieces: Iterable[Piece], n: int) -> Iterator[Piece]:
    """Leave out the first ``n`` samples."""
    for piece in pieces:
        skipped = min(n, piece.samples.shape[1])
        n -= skipped
        at = None if piece.at is None else piece.at + skipped / piece.rate
        if skipped < piece.samples.shape[1]:
            yield replace(piece, samples=piece.samples[:, skipped:], at=at)


def _say_truncated(steps: list[str], seconds: float, promised: float | None, allowed: float) -> None:
    if promised is not None and seconds + allowed < promised:
        steps.append(
            f"the sound is truncated: {seconds:.2f} s of the {promised:.2f} s that its header promises"
        )


def _ogg(path: Path, steps: list[str]) -> tuple[str, Parts]:
    """Read every link of an Ogg file by itself, as each may have another rate."""
    links = headers.ogg_parts(path)
    try:
        with soundfile.SoundFile(path) as stream:
            description, many = f"{stream.format}, {stream.subtype}", stream.channels > 2
    except soundfile.LibsndfileError:
        return _by_av(path, steps)
    return description, [_ogg_link(path, link, len(links) == 1, many, steps) for link in links]


def _ogg_link(
    path: Path, link: Chunk, alone: bool, many: bool, steps: list[str]
) -> Callable[[], Iterator[Piece]]:
    def pieces() -> Iterator[Piece]:
        seconds = 0.0
        source = path if alone else _Slice(path, link)
        if many or link.damaged:
            decoded = _av_pieces(path, steps, part=None if alone else link)
        else:
            decoded = _ogg_by_soundfile(path, source)
        if link.damaged:
            steps.append("parts of it are damaged and left out")
        for piece in decoded:
            seconds += piece.seconds
            yield piece
        if not link.whole:
            steps.append(
                f"the sound is truncated: {seconds:.2f} s are there, and the page that ends it is not"
            )

    return pieces


def _ogg_by_soundfile(path: Path, source: Path | io.RawIOBase) -> Iterator[Piece]:
    try:
        with soundfile.SoundFile(source) as stream:
            _check_rate(path, stream.samplerate)
            layout = mixing.by_number(stream.channels)
            while len(block := _read_block(stream)):
                yield Piece(block.T, stream.samplerate, layout)
    except soundfile.LibsndfileError:
        raise UserError(f"{path} {_NO_SOUND}") from None


class _Slice(io.RawIOBase):
    """Some of a file's bytes, as a file."""

    def __init__(self, path: Path, part: Chunk) -> None:
        super().__init__()
        self._file: BinaryIO = open(path, "rb")  # noqa: SIM115 - closed with this
        self._first, self._size, self._at = part.first, part.last - part.first, 0
        self.name = str(path)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        wanted = max(0, min(len(buffer), self._size - self._at))
        self._file.seek(self._first + self._at)
        data = self._file.read(wanted)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


def _by_av(path: Path, steps: list[str]) -> tuple[str, Parts]:
    """Read with PyAV; MP3s that were joined end to end each by itself, so that the padding of each is cut."""
    import av

    with _opened(path, path) as container:
        name = container.format.name
        stream = _track(path, container, steps)
        try:
            coding = stream.codec_context.name.upper()
            _check_rate(path, stream.codec_context.sample_rate or RATES[0])
        except (AttributeError, av.FFmpegError):
            raise UserError(f"{path} {_NO_SOUND}") from None
    if name == "mp3":
        parts = headers.mp3_parts(path)
        return "MP3, MPEG_LAYER_III", [
            lambda part=part: _av_pieces(path, steps, part=part, counted=part.whole)  # type: ignore[misc]
            for part in parts
        ]
    kind = path.suffix.removeprefix(".").upper() or name
    return f"{kind}, {coding}", [lambda: _av_pieces(path, steps)]


def _opened(path: Path, source: Path | io.RawIOBase, **options: str) -> Any:
    """Open a container. Only files are read, even where it names addresses."""
    import av

    try:
        where = f"file:{source}" if isinstance(source, Path) else source
        container = av.open(
            where, options={"protocol_whitelist": "file", **options}, metadata_errors="replace"
        )
        if not container.streams.audio and not options:
            # Its sound may only begin after what is looked at first.
            container.close()
            return _opened(path, source, probesize="100000000", analyzeduration="600000000")
        return container
    except (av.FFmpegError, ValueError, IndexError, OverflowError):
        raise UserError(f"{path} {_NO_SOUND}") from None


def _track(path: Path, container: Any, steps: list[str] | None = None) -> Any:
    """Choose the audio track that players play, and say so where there are several."""
    import av

    tracks = list(container.streams.audio)
    if not tracks:
        raise UserError(
            f"{path} has no sound ({container.format.long_name}): give a file with an audio stream"
        )
    default = [track for track in tracks if track.disposition & av.stream.Disposition.default]
    chosen = (default or tracks)[0]
    if len(tracks) > 1 and steps is not None:
        named = ", ".join(filter(None, (chosen.metadata.get("title"), chosen.metadata.get("language"))))
        why = ", the default one" if default else ": none is marked as the default one"
        steps.append(
            f"took audio track {tracks.index(chosen) + 1} of {len(tracks)}{f' ({named})' if named else ''}{why}"
        )
    return chosen


def _av_pieces(
    path: Path,
    steps: list[str],
    part: Chunk | None = None,
    counted: bool = False,
    open_ended: bool = False,
    share: float | None = None,
) -> Iterator[Piece]:
    """Decode with PyAV, to the end of the file.

    Parameters
    ----------
    path : path
    steps : list of str
        Takes what was left out.
    part : Chunk, optional
        The bytes to read; all unless given.
    counted : bool
        Whether the header of an MP3 counts its frames, so that the container's length is a promise.
    open_ended : bool
        Whether to read a WAV to the end of the file, whatever its header says.
    share : float, optional
        How much more its header promises than the file has, if so.
    """
    source = path if part is None else _Slice(path, part)
    options = {"ignore_length": "1"} if open_ended else {}
    with _opened(path, source, **options) as container:
        stream = _track(path, container)
        reader = _Reader(path, container, stream)
        yield from reader
        promised = (
            container.duration / 1e6 if counted and container.duration else _promised(path, container, stream)
        )
        if share is not None:
            promised = reader.ends * share
        if not open_ended:
            _say_truncated(steps, reader.ends, promised, _MISSING)
        reader.say_damaged(steps)


def _promised(path: Path, container: Any, stream: Any) -> float | None:
    """Second at which a sound ends by its container's header; None where that is unknown or only estimated."""
    name = container.format.name
    if name == "flac":
        samples = headers.flac_samples(path)
        return samples / stream.codec_context.sample_rate if samples else None
    if name.startswith("mov,") and stream.duration:
        begins = float((stream.start_time or 0) * stream.time_base) - (container.start_time or 0) / 1e6
        return float(stream.duration * stream.time_base) + begins
    if name.startswith("matroska") and container.duration:
        whole = container.duration / 1e6
        hours, _, rest = stream.metadata.get("DURATION", "").partition(":")
        try:
            minutes, seconds = rest.split(":")
            return float(min(whole, int(hours) * 3600 + int(minutes) * 60 + float(seconds)))
        except ValueError:
            return float(whole) if len(container.streams) == 1 else None
    return None


class _Reader:
    """Goes through the packets of a track and decodes those that can be decoded."""

    def __init__(self, path: Path, container: Any, stream: Any) -> None:
        self.path, self.container, self.stream = path, container, stream
        generic = container.format.flags & _GENERIC_INDEX
        self.clocked = not generic or container.format.name in _WITH_GRANULES
        self.begins = (container.start_time or 0) / 1e6
        self.ends = self.lost = 0.0
        self.good = self.bad = 0

    def __iter__(self) -> Iterator[Piece]:
        import av

        last: Piece | None = None
        packets = self.container.demux(self.stream)
        while True:
            try:
                packet = next(packets, None)
            except (av.FFmpegError, ValueError):
                packet, self.bad = None, self.bad + 1
            if packet is None:
                return
            try:
                frames = packet.decode()
                self.good += 1
            except (av.FFmpegError, ValueError):
                self.bad += 1
                frames = []
                yield from self._instead(packet, last)
            for frame in frames:
                piece = self._piece(frame)
                self.ends = (self.ends if piece.at is None else piece.at) + piece.seconds
                last = piece
                yield piece

    def _piece(self, frame: av.AudioFrame) -> Piece:
        names = tuple(channel.name for channel in frame.layout.channels)
        n_channels = frame.layout.nb_channels
        unnamed = n_channels <= 2 or len(names) != n_channels or len(set(names)) < n_channels
        layout = mixing.by_number(n_channels) if unnamed else names
        if frame.sample_rate <= 0:
            raise UserError(f"{self.path} {_NO_SOUND}")
        at = None
        if self.clocked and frame.pts is not None and frame.time_base:
            at = float(frame.pts * frame.time_base) - self.begins
        return Piece(_floats(frame, n_channels), frame.sample_rate, layout, at)

    def _instead(self, packet: Any, last: Piece | None) -> Iterator[Piece]:
        """Silence in place of what cannot be decoded, where no clock says how much is missing."""
        if last is None or not packet.duration or not packet.time_base:
            return
        seconds = float(packet.duration * packet.time_base)
        self.lost += seconds
        if not self.clocked and seconds < 1:
            self.ends += seconds
            n = round(seconds * last.rate)
            yield Piece(np.zeros((len(last.layout), n), np.float32), last.rate, last.layout)

    def say_damaged(self, steps: list[str]) -> None:
        """Say how much could not be decoded; raise a UserError if it is more than could."""
        if self.bad > self.good:
            raise UserError(f"{self.path} is damaged: most of its sound cannot be decoded, give a whole copy")
        if self.lost:
            steps.append(f"{self.lost:.2f} s of it are damaged, and silent here")


def _floats(frame: av.AudioFrame, n_channels: int) -> Waveform:
    """Samples of a frame as numbers of up to 1, [channels, T]; the same as soundfile's."""
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, n_channels).T
    if samples.dtype == np.uint8:
        return np.asarray((samples.astype(np.float32) - 128) / 128, np.float32)
    if samples.dtype.kind == "i":
        return np.asarray(samples / 2.0 ** (8 * samples.dtype.itemsize - 1), np.float32)
    return np.asarray(samples, np.float32)


def _placed(path: Path, pieces: Iterable[Piece], steps: list[str]) -> Iterator[Piece]:
    """Put every piece at its time: silence where there is none, and what overlaps is heard once."""
    end = shift = 0.0
    gaps: list[tuple[float, float]] = []
    heard_twice = set_back = 0.0
    for piece in pieces:
        late = 0.0 if piece.at is None else piece.at + shift - end
        if late < -REBASED:
            shift, set_back, late = shift - late, set_back or end, 0.0
        if end + max(late, 0.0) + piece.seconds > LONGEST:
            raise UserError(
                f"{path} holds or claims over {LONGEST // 3600} hours of sound: give what was heard in one run"
            )
        if late > TOLERANCE:
            gaps.append((end, late))
            n = round(late * piece.rate)
            end += n / piece.rate
            yield from _silence(piece, n)
        elif late < -TOLERANCE:
            cut = min(round(-late * piece.rate), piece.samples.shape[1])
            heard_twice += cut / piece.rate
            piece = replace(piece, samples=piece.samples[:, cut:])
        end += piece.seconds
        yield piece
    _say_placed(steps, gaps, heard_twice, set_back)


def _silence(like: Piece, n: int) -> Iterator[Piece]:
    channels = len(like.layout)
    for first in range(0, n, BLOCK):
        yield Piece(np.zeros((channels, min(BLOCK, n - first)), np.float32), like.rate, like.layout)


def _say_placed(
    steps: list[str], gaps: list[tuple[float, float]], heard_twice: float, set_back: float
) -> None:
    if gaps and gaps[0][0] == 0:
        steps.append(
            f"put {gaps.pop(0)[1]:.2f} s of silence before it: its sound begins later than its picture"
        )
    if len(gaps) > 3:
        total = sum(seconds for _, seconds in gaps)
        steps.append(
            f"filled {len(gaps)} gaps, {total:.2f} s in all from {gaps[0][0]:.2f} s on, with silence"
        )
    else:
        steps.extend(f"filled a gap of {seconds:.2f} s at {at:.2f} s with silence" for at, seconds in gaps)
    if heard_twice:
        steps.append(f"left out {heard_twice:.2f} s that overlap what comes before")
    if set_back:
        steps.append(f"its clock is set back at {set_back:.2f} s: what follows comes directly after")


def _uniform(
    path: Path, pieces: Iterable[Piece], rate: int, layout: ChannelNames, steps: list[str]
) -> Iterator[Waveform]:
    """Convert pieces to one rate and layout and join them to blocks."""
    n, changes = 0, []
    for (own_rate, own_layout), group in itertools.groupby(pieces, lambda piece: (piece.rate, piece.layout)):
        _check_rate(path, own_rate)
        at = f"at {n / rate:.2f} s"
        if own_rate != rate:
            changes.append(f"the sample rate changes to {own_rate} Hz {at}: resampled to {rate} Hz")
        if len(own_layout) != len(layout):
            changes.append(
                f"the number of channels changes to {len(own_layout)} {at}: brought to {len(layout)}"
            )
        elif own_layout != layout:
            changes.append(f"the order of channels changes to {' '.join(own_layout)} {at}: brought to one")
        blocks = (mixing.converted(piece.samples, own_layout, layout) for piece in group)
        for block in mixing.resampled(_joined(blocks), own_rate, rate):
            n += block.shape[1]
            yield block
    steps.extend(changes[:3])
    if len(changes) > 3:
        steps.append(f"and {len(changes) - 3} more such changes")


def _joined(blocks: Iterable[Waveform]) -> Iterator[Waveform]:
    """Join small blocks to larger ones."""
    held: list[Waveform] = []
    n = 0
    for block in blocks:
        held.append(block)
        n += block.shape[1]
        if n >= BLOCK:
            yield held[0] if len(held) == 1 else np.concatenate(held, axis=1)
            held, n = [], 0
    if held:
        yield np.concatenate(held, axis=1)
