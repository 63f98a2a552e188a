"""Reading, resampling, loudness matching and writing sound.

Sound files are read with soundfile (WAV, FLAC, Ogg, Opus, MP3) and, where that cannot, with PyAV (the sound
of MP4, M4V and other containers). Both bring their libraries along, so nothing has to be installed on the system.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyloudnorm
import scipy.signal
import soundfile
from numpy.typing import NDArray

from fmri_audio.errors import UserError
from fmri_audio.files import replacing

SAMPLE_RATE = 24_000
"""Sample rate of the stimulus in Hz: that of EnCodec's 24 kHz model."""

FRAME_RATE = Fraction(75)
"""Frames per second of that model, on whose grid runs are joined."""

SILENCE_DBFS = -80.0
"""Peak level at or under which a recording counts as silent."""

Waveform = NDArray[np.float32]


@dataclass(frozen=True)
class Sound:
    """A sound as it was in its file.

    Attributes
    ----------
    samples : array of shape [channels, T], float32
    sample_rate : samples per second
    path : where it came from
    description : container and coding, such as "FLAC, PCM_16" or "M4V, AAC"
    """

    samples: Waveform
    sample_rate: int
    path: Path
    description: str

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return float(self.samples.shape[1] / self.sample_rate)


def read_sound(path: Path | str) -> Sound:
    """Read a sound file, or the sound of a video file.

    Raises
    ------
    UserError
        The path is missing, a folder, empty, not sound, without an audio stream, or holds NaN or infinite
        samples.
    """
    path = Path(path)
    if path.is_dir():
        raise UserError(f"{path} is a folder: give the path of a sound file")
    if not path.exists():
        raise UserError(f"{path} does not exist: give the path of a sound file")
    try:
        if path.stat().st_size == 0:
            raise UserError(f"{path} is empty (0 bytes): give a file with sound in it")
        with open(path, "rb"):
            pass
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})") from None
    try:
        sound = _read_soundfile(path)
    except soundfile.LibsndfileError:
        sound = _read_container(path)
    if sound.samples.shape[1] == 0:
        raise UserError(f"{path} holds no samples: give a file with sound in it")
    bad = ~np.isfinite(sound.samples).all(axis=0)
    if bad.any():
        raise UserError(
            f"{path} holds {int(bad.sum())} NaN or infinite samples (the first at "
            f"{int(bad.argmax()) / sound.sample_rate:.3f} s): export it again without them"
        )
    return sound


def refuse_silence(waveform: NDArray[np.floating], name: Path | str) -> None:
    """Raise a UserError if a recording's peak is no higher than −80 dBFS."""
    if float(np.abs(waveform).max(initial=0.0)) <= 10 ** (SILENCE_DBFS / 20):
        raise UserError(f"{name} is silent (peak under {SILENCE_DBFS:g} dBFS): give a recording with sound")


def to_mono(sound: Sound, sample_rate: int = SAMPLE_RATE) -> tuple[Waveform, list[str]]:
    """Mix a sound to one channel at a given rate.

    Returns
    -------
    waveform : array of shape [T], float32
    steps : what was done, one phrase each; empty if nothing had to be
    """
    steps = []
    waveform = sound.samples[0]
    if sound.samples.shape[0] > 1:
        steps.append(f"mixed {sound.samples.shape[0]} channels to mono (mean)")
        waveform = sound.samples.mean(axis=0)
    if sound.sample_rate != sample_rate:
        steps.append(f"resampled from {sound.sample_rate} to {sample_rate} Hz")
        waveform = resample(waveform, sound.sample_rate, sample_rate)
    return waveform, steps


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
    if sound.sample_rate == sample_rate:
        return sound.samples, []
    sides = [resample(side, sound.sample_rate, sample_rate) for side in sound.samples]
    return np.stack(sides), [f"resampled from {sound.sample_rate} to {sample_rate} Hz"]


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
    common = math.gcd(from_rate, to_rate)
    return np.asarray(
        scipy.signal.resample_poly(np.asarray(waveform, np.float64), to_rate // common, from_rate // common),
        dtype=np.float32,
    )


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
            temporary, np.clip(np.asarray(waveform, np.float32), -1, 1).T, sample_rate,
            format=container, subtype="PCM_16",
        )  # fmt: skip


def _read_soundfile(path: Path) -> Sound:
    with soundfile.SoundFile(path) as stream:
        samples = stream.read(dtype="float32", always_2d=True).T
        return Sound(
            np.ascontiguousarray(samples), stream.samplerate, path, f"{stream.format}, {stream.subtype}"
        )


def _read_container(path: Path) -> Sound:
    import av  # heavy, and needed only for video containers

    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise UserError(
                    f"{path} has no sound ({container.format.long_name}): give a file with an audio stream"
                )
            stream = container.streams.audio[0]
            rate = stream.codec_context.sample_rate
            to_float = av.AudioResampler(format="fltp", rate=rate)
            decoded = (part for frame in container.decode(stream) for part in to_float.resample(frame))
            pieces = [frame.to_ndarray() for frame in decoded]
            pieces += [frame.to_ndarray() for frame in to_float.resample(None)]
            kind = path.suffix.removeprefix(".").upper() or container.format.name
            description = f"{kind}, {stream.codec_context.name.upper()}"
            # A film's sound may begin later than its picture: silence keeps both on one clock.
            unit = stream.time_base or Fraction(0)
            begins = (stream.start_time or 0) * unit - Fraction(container.start_time or 0, av.time_base)
    except (av.FFmpegError, ValueError):
        raise UserError(
            f"{path} is not a sound file that can be read: give WAV, FLAC, Ogg, Opus, MP3, or MP4/M4V with sound"
        ) from None
    samples = np.concatenate(pieces, axis=1) if pieces else np.empty((1, 0), np.float32)
    samples = np.pad(samples, ((0, 0), (max(0, round(begins * rate)), 0)))
    return Sound(np.ascontiguousarray(samples, np.float32), rate, path, description)
