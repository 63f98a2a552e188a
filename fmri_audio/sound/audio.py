"""Reading, resampling, loudness matching and writing sound.

Sound files are read with soundfile (WAV, FLAC, Ogg, Opus) and, where that cannot, with PyAV (MP3, the sound of MP4,
M4V and other containers): see :mod:`fmri_audio.sound.sources`. Both bring their libraries along, so nothing has to be
installed on the system.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO, TypeVar

import numpy as np
import pyloudnorm
import soundfile
from numpy.typing import NDArray

from fmri_audio.base.errors import UserError
from fmri_audio.base.files import refuse_unfetched, replacing
from fmri_audio.base.kinds import Waveform
from fmri_audio.sound import mixing
from fmri_audio.sound.mixing import ChannelNames
from fmri_audio.sound.sources import BLOCK, SoundSource, open_source

SAMPLE_RATE = 24_000
"""Sample rate of the stimulus in Hz: that of EnCodec's 24 kHz model."""

FRAME_RATE = Fraction(75)
"""Frames per second of that model, on whose grid runs are joined."""

SILENCE_DBFS = -80.0
"""Peak level at or under which a recording counts as silent."""


Kept = TypeVar("Kept")

LOUDEST = 100.0
"""Highest sample, of a full scale of 1, that is taken for sound: 40 dB over what can be played."""


@dataclass(frozen=True)
class Sound:
    """A sound as it was in its file.

    Attributes
    ----------
    samples : array of shape [channels, T], float32
    sample_rate : samples per second
    path : where it came from
    description : container and coding, such as "FLAC, PCM_16" or "M4V, AAC"
    layout : names of the channels, in their order; what so many channels usually are unless given
    steps : what was done to read it, one phrase each
    """

    samples: Waveform
    sample_rate: int
    path: Path
    description: str
    layout: ChannelNames = ()
    steps: Sequence[str] = ()

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return float(self.samples.shape[1] / self.sample_rate)


@dataclass(frozen=True)
class Mono:
    """The sound of a file, in one channel.

    Attributes
    ----------
    waveform : array of shape [T], float32
    steps : what was done to it, one phrase each; empty if nothing had to be
    seconds : duration of the file
    description : container and coding
    """

    waveform: Waveform
    steps: list[str]
    seconds: float
    description: str


def read_sound(path: Path | str) -> Sound:
    """Read a sound file, or the sound of a video file, with all its channels.

    Every sample stands at the time at which it is played, and the length is what is there, not what a header says;
    :attr:`Sound.steps` name what was filled, converted or missing.

    Raises
    ------
    UserError
        The path is missing, a folder, empty, not fetched, not sound, without an audio stream, or holds NaN, infinite
        or impossibly high samples.
    """
    source = _open(Path(path))
    level = _Level(Path(path), source.rate)
    samples = mixing.gathered(level.watched(source.blocks))
    if (scale := level.scale(source.steps)) != 1:
        samples *= np.float32(scale)
    return Sound(samples, source.rate, Path(path), source.description, source.layout, tuple(source.steps))


def read_mono(path: Path | str, sample_rate: int = SAMPLE_RATE) -> Mono:
    """Read a sound file block by block, mix it to one channel and bring it to a rate.

    The same as :func:`to_mono` of :func:`read_sound`, but nothing except the outcome is kept in memory.

    Raises
    ------
    UserError
        As in :func:`read_sound`.
    """
    source = _open(Path(path))
    waveform, scale, level, steps = _read_mono(Path(path), source, sample_rate, mixing.gathered)
    if scale != 1:
        waveform *= np.float32(scale)
    return Mono(waveform, steps, level.n_samples / source.rate, source.description)


@dataclass(frozen=True)
class Spooled:
    """The sound of a file in one channel, kept in another file: an hour of it is 345 MB at 24 kHz.

    Attributes
    ----------
    spool : file of float32 samples, as far as they have not been scaled
    n_samples : int
    scale : float
    steps : what was done to it, one phrase each; empty if nothing had to be
    """

    spool: IO[bytes]
    n_samples: int
    scale: float
    steps: list[str]

    def read(self, start: int, stop: int) -> Waveform:
        """Return the samples from ``start`` to ``stop``, float32."""
        self.spool.seek(4 * start)
        return np.frombuffer(self.spool.read(4 * (stop - start)), np.float32) * np.float32(self.scale)


def spool_mono(path: Path | str, sample_rate: int, spool: IO[bytes]) -> Spooled:
    """As :func:`read_mono`, but the outcome is written to an empty file that is open for writing and reading.

    Raises
    ------
    UserError
        As in :func:`read_sound`.
    """

    def written(blocks: Iterable[Waveform]) -> int:
        spool.seek(0)
        spool.truncate()
        return sum(spool.write(np.ascontiguousarray(block, np.float32).data) for block in blocks) // 4

    n_samples, scale, _, steps = _read_mono(Path(path), _open(Path(path)), sample_rate, written)
    return Spooled(spool, n_samples, scale, steps)


def _read_mono(
    path: Path, source: SoundSource, sample_rate: int, keep: Callable[[Iterable[Waveform]], Kept]
) -> tuple[Kept, float, _Level, list[str]]:
    """Read a file to one channel at a rate: what is kept of it, its scale, its level, and what was done."""
    level = _Level(path, source.rate)
    unread = [source.blocks]

    def blocks() -> Iterator[Waveform]:
        return level.watched(unread.pop()) if unread else _open(path).blocks

    kept, steps = _mixed(blocks, source.layout, source.rate, sample_rate, keep)
    scale = level.scale(source.steps)
    return kept, scale, level, [*source.steps, *steps]


def _open(path: Path) -> SoundSource:
    """Begin to read a file, or say in one sentence why that cannot be."""
    refuse_unfetched(path)
    if path.is_dir():
        raise UserError(f"{path} is a folder: give the path of a sound file")
    if not path.exists():
        raise UserError(f"{path} does not exist: give the path of a sound file")
    if not path.is_file():
        raise UserError(f"{path} is no ordinary file: give the path of a sound file")
    try:
        if path.stat().st_size == 0:
            raise UserError(f"{path} is empty (0 bytes): give a file with sound in it")
        return open_source(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error})") from None


class _Level:
    """Watches the samples of a file while they are read: whether they are numbers, and of a full scale of 1."""

    def __init__(self, path: Path, rate: int) -> None:
        self.path, self.rate = path, rate
        self.n_samples = self.n_bad = self.first_bad = 0
        self.peak, self.whole_numbers = 0.0, True

    def watched(self, blocks: Iterable[Waveform]) -> Iterator[Waveform]:
        """Hand blocks on; raise a UserError after the last if any holds what is no number."""
        for block in blocks:
            self._add(block)
            yield block
        if self.n_bad:
            raise UserError(
                f"{self.path} holds {self.n_bad} NaN or infinite samples (the first at "
                f"{self.first_bad / self.rate:.3f} s): export it again without them"
            )

    def _add(self, block: Waveform) -> None:
        high = float(np.abs(block).max(initial=0.0))
        if not math.isfinite(high):
            bad = ~np.isfinite(block).all(axis=0)
            self.first_bad = self.first_bad if self.n_bad else self.n_samples + int(bad.argmax())
            self.n_bad += int(bad.sum())
        self.peak = max(self.peak, high)
        if self.whole_numbers:
            self.whole_numbers = math.isfinite(high) and bool((block == np.rint(block)).all())
        self.n_samples += block.shape[1]

    def scale(self, steps: list[str]) -> float:
        """By what the samples have to be multiplied: 1, unless they are the whole numbers of a format of integers."""
        if self.peak >= 2 and self.whole_numbers:
            bits = next((bits for bits in (16, 24, 32) if self.peak <= 2 ** (bits - 1)), None)
            if bits is not None:
                full = 2 ** (bits - 1)
                steps.append(
                    f"its floating-point samples are whole numbers up to {self.peak:.0f}: divided by {full}, "
                    f"as {bits}-bit integers are"
                )
                return float(1 / full)
        if self.peak > LOUDEST:
            raise UserError(
                f"{self.path}: its samples reach {self.peak:.3g} times full scale; export it with samples up to 1"
            )
        return 1.0


def refuse_silence(waveform: NDArray[np.floating], name: Path | str) -> None:
    """Raise a UserError if a recording's peak is no higher than −80 dBFS."""
    if float(np.abs(waveform).max(initial=0.0)) <= 10 ** (SILENCE_DBFS / 20):
        raise UserError(f"{name} is silent (peak under {SILENCE_DBFS:g} dBFS): give a recording with sound")


def to_mono(sound: Sound, sample_rate: int = SAMPLE_RATE) -> tuple[Waveform, list[str]]:
    """Mix a sound to one channel at a given rate.

    Two channels are averaged, unless they would cancel or comb: then one of them is taken. Surround is mixed by
    ITU-R BS.775, which keeps the centre's level.

    Returns
    -------
    waveform : array of shape [T], float32
    steps : what was done from the file on, one phrase each; empty if nothing had to be
    """
    samples = sound.samples

    def blocks() -> Iterator[Waveform]:
        return (samples[:, first : first + BLOCK] for first in range(0, samples.shape[1], BLOCK))

    layout = sound.layout or mixing.by_number(samples.shape[0])
    waveform, steps = _mixed(blocks, layout, sound.sample_rate, sample_rate, mixing.gathered)
    return waveform, [*sound.steps, *steps]


def _mixed(
    blocks: Callable[[], Iterable[Waveform]],
    layout: ChannelNames,
    rate: int,
    sample_rate: int,
    keep: Callable[[Iterable[Waveform]], Kept],
) -> tuple[Kept, list[str]]:
    """Mix blocks, [channels, T], to one channel at a rate; with every call ``blocks`` and ``keep`` begin anew."""
    watch = mixing.ChannelWatch(layout, rate)
    verdict = mixing.Downmix()

    def averaged() -> Iterator[Waveform]:
        for block in blocks():
            mono = mixing.mixed(block, layout)
            if len(layout) > 1:
                watch.add(block, mono)
            yield mono

    with np.errstate(over="ignore", invalid="ignore"):  # levels that are no sound's are refused later
        kept = keep(mixing.resampled(averaged(), rate, sample_rate))
        if len(layout) > 1:
            verdict = watch.verdict()
    if verdict.channel is not None:
        alone = (block[verdict.channel] for block in blocks())
        kept = keep(mixing.resampled(alone, rate, sample_rate))
        steps = list(verdict.said)
    else:
        steps = [mixing.described(layout), *verdict.said] if len(layout) > 1 else []
    return kept, [*steps, *_resampling(rate, sample_rate)]


def _resampling(from_rate: int, to_rate: int) -> list[str]:
    return [f"resampled from {from_rate} to {to_rate} Hz"] if from_rate != to_rate else []


def to_stereo(sound: Sound, sample_rate: int) -> tuple[Waveform, list[str]]:
    """Bring a sound to two channels at a given rate.

    Returns
    -------
    waveform : array of shape [2, T], float32
        One channel is heard on both sides; more than two are mixed to one first.
    steps : what was done, one phrase each; empty if nothing had to be
    """
    if sound.samples.shape[0] != 2:
        mono, steps = to_mono(sound, sample_rate)
        return np.stack([mono, mono]), [*steps, "one channel on both sides"]
    steps = [*sound.steps, *_resampling(sound.sample_rate, sample_rate)]
    if sound.sample_rate == sample_rate:
        return sound.samples, steps
    return np.stack([resample(side, sound.sample_rate, sample_rate) for side in sound.samples]), steps


def resample(waveform: NDArray[np.floating], from_rate: int, to_rate: int) -> Waveform:
    """Change the sample rate by polyphase filtering (scipy's ``resample_poly``: Kaiser window, beta 5).

    Parameters
    ----------
    waveform : array of shape [T]
    from_rate, to_rate : Hz

    Returns
    -------
    array of shape [ceil(T · to_rate / from_rate)], float32
    """
    if from_rate == to_rate:
        return np.asarray(waveform, dtype=np.float32)
    whole = [np.asarray(waveform, np.float64)]
    return mixing.gathered(mixing.resampled(whole, from_rate, to_rate))  # type: ignore[arg-type]


def loudness(waveform: NDArray[np.floating], sample_rate: int) -> float:
    """Return the integrated loudness in LUFS (ITU-R BS.1770-4, gated); −inf for silence.

    Raises
    ------
    ValueError
        Shorter than the 0.4 s that the measure's gating block takes.
    """
    with np.errstate(divide="ignore"):
        value = pyloudnorm.Meter(sample_rate).integrated_loudness(np.asarray(waveform, np.float64))
    return float(value)


def match_loudness(
    waveform: NDArray[np.floating], reference: NDArray[np.floating], sample_rate: int, peak: float = 0.99
) -> Waveform:
    """Scale a sound to the loudness of another (ITU-R BS.1770-4), for listening side by side.

    Silence has no loudness: if either sound is silent (under the measure's gate of −70 LUFS) the waveform comes
    back as it was. The gain is held back where it would drive the highest sample over ``peak``, so a sound with
    far higher peaks than the reference stays quieter than it rather than clipping.

    Parameters
    ----------
    waveform, reference : arrays of shape [T], at least 0.4 s
    sample_rate : Hz, of both
    peak : highest absolute sample allowed

    Returns
    -------
    array of shape [T], float32
    """
    waveform = np.asarray(waveform, np.float32)
    have, want = loudness(waveform, sample_rate), loudness(reference, sample_rate)
    if not (math.isfinite(have) and math.isfinite(want)):
        return waveform
    gain = 10 ** ((want - have) / 20)
    highest = float(np.abs(waveform).max())
    return np.asarray(waveform * min(gain, peak / highest), np.float32)


def write_flac(path: Path | str, waveform: NDArray[np.floating], sample_rate: int = SAMPLE_RATE) -> None:
    """Write sound, [T] or [channels, T], as 16-bit FLAC, whole or not at all; samples beyond ±1 are clipped."""
    _write(path, waveform, sample_rate, "FLAC")


def write_wav(path: Path | str, waveform: NDArray[np.floating], sample_rate: int = SAMPLE_RATE) -> None:
    """Write sound, [T] or [channels, T], as 16-bit WAV, whole or not at all; samples beyond ±1 are clipped."""
    _write(path, waveform, sample_rate, "WAV")


def _write(path: Path | str, waveform: NDArray[np.floating], sample_rate: int, container: str) -> None:
    if not np.isfinite(waveform).all():
        raise ValueError(f"{path}: the waveform holds NaN or infinite samples")
    with replacing(path) as temporary:
        soundfile.write(
            temporary,
            np.clip(np.asarray(waveform, np.float32), -1, 1).T,
            sample_rate,
            format=container,
            subtype="PCM_16",
        )
