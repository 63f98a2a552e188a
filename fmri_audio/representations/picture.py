"""The log-mel spectrogram as a grey picture of 8 bits, written by WebP, AVIF or JPEG 2000 at a bit budget."""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from fmri_audio.base.errors import UserError
from fmri_audio.base.extras import from_extra
from fmri_audio.representations.base import registered
from fmri_audio.representations.mel import MelGriffinLim

if TYPE_CHECKING:
    from fmri_audio.codec.checkpoints import Checkpoint
    from fmri_audio.representations.mel_vocoder import MelVocoder

Pixels = NDArray[np.uint8]
"""A grey picture of shape [height, width]."""

LEAST_SECONDS = 10.0
"""Shortest stretch of sound that a picture stands for: with less, headers take too much of the bits."""

BRIGHTEST = 255
"""The highest level of a pixel."""


@dataclass(frozen=True)
class PictureFormat:
    """A format of picture files, and how finely it can be asked to write.

    Attributes
    ----------
    label : as a reader knows it
    pillow : as Pillow names it when it writes
    feature : as Pillow names what it needs for it
    finest : the highest quality; qualities are the integers from 0 to it, and files grow with them
    settings : what Pillow is given for a quality
    """

    label: str
    pillow: str
    feature: str
    finest: int
    settings: Callable[[int], dict[str, Any]]

    def write(self, pixels: Pixels, quality: int) -> bytes:
        """Return a picture [height, width] as a file.

        Raises
        ------
        UserError
            Pillow is not installed, or was built without the format.
        """
        with from_extra("book"):
            from PIL import Image, features
        if not features.check(self.feature):
            raise UserError(
                f"the installed Pillow cannot write {self.label}: run pip install --upgrade pillow for a build "
                "that can"
            )
        file = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(pixels)).save(file, self.pillow, **self.settings(quality))
        return file.getvalue()

    def fit(self, pixels: Pixels, n_bytes: int) -> bytes:
        """Return the finest file of a picture [height, width] with at most so many bytes, found by halving.

        Raises
        ------
        UserError
            The coarsest file is larger; or as :meth:`write`.
        """
        best = self.write(pixels, 0)
        if len(best) > n_bytes:
            raise UserError(
                f"{self.label} cannot write a picture of {pixels.shape[1]} frames in {n_bytes} bytes: its coarsest "
                f"has {len(best)}; give more kbps or take another format"
            )
        fits, too_large = 0, self.finest + 1
        while too_large - fits > 1:
            middle = (fits + too_large) // 2
            file = self.write(pixels, middle)
            if len(file) <= n_bytes:
                best, fits = file, middle
            else:
                too_large = middle
        return best


def read_picture(file: bytes) -> Pixels:
    """Return the grey picture [height, width] that a file holds."""
    with from_extra("book"):
        from PIL import Image
    with Image.open(io.BytesIO(file)) as picture:
        return np.asarray(picture.convert("L"))


def _webp(quality: int) -> dict[str, Any]:
    # The library takes the third root of a quality for its steps: with the cube, steps are even.
    return {"quality": 100 * (quality / 200) ** 3, "method": 6}


def _avif(quality: int) -> dict[str, Any]:
    # One thread, because files of several need not be the same twice.
    return {"quality": quality, "subsampling": "4:0:0", "speed": 6, "max_threads": 1}


def _jpeg2000(quality: int) -> dict[str, Any]:
    # The bare codestream: a JP2 file wraps the same in boxes of 85 bytes. From a thousandth of the raw picture to all.
    ratio = 10 ** (3 - quality / 100)
    return {"irreversible": True, "quality_mode": "rates", "quality_layers": [ratio], "no_jp2": True}


WEBP = PictureFormat("WebP", "WEBP", "webp", 200, _webp)
AVIF = PictureFormat("AVIF", "AVIF", "avif", 100, _avif)
JPEG2000 = PictureFormat("JPEG 2000", "JPEG2000", "jpg_2000", 300, _jpeg2000)


class MelPicture(MelGriffinLim):
    """A log-mel spectrogram as grey pictures that take no more bits than a codec at the same rate.

    Levels in dB become the 256 greys between ``range_db``: one row per band, the lowest at the bottom, one column per
    frame. The sound is cut into equal windows of at least ``window_seconds``, a shorter one is a window of its own,
    and each is one picture file. The quality of each file is the finest with which the whole file, header and all, has
    at most the bytes of ``kbps`` for as long as the window lasts. Features [B, n_mels, L] are the greys that are read
    from the files again, uint8. Back to sound: greys to dB, then as :class:`MelGriffinLim`, or by its vocoder.

    Parameters
    ----------
    kbps : bit budget
    window_seconds : of sound in a picture, at least 10
    way_back : MelVocoder, optional
        Makes sound of log-mel powers in place of Griffin-Lim.
    n_iter, seed : as for :class:`MelGriffinLim`
    range_db : levels of mel power in dB that are black and white
    """

    form: ClassVar[PictureFormat]

    def __init__(
        self,
        kbps: float,
        window_seconds: float = LEAST_SECONDS,
        way_back: MelVocoder | None = None,
        n_iter: int = 32,
        seed: int = 0,
        range_db: tuple[float, float] = (-40.0, 40.0),
    ) -> None:
        if window_seconds < LEAST_SECONDS:
            raise ValueError(
                f"a picture of {window_seconds:g} s is too short: take {LEAST_SECONDS:g} s or more"
            )
        super().__init__(n_iter=n_iter, seed=seed)
        self.kbps = kbps
        self.window_seconds = window_seconds
        self.way_back = way_back
        self.range_db = range_db

    @classmethod
    def usual(cls, checkpoint: Checkpoint) -> MelPicture:
        """Make one with as many bits as 6 kbps."""
        return cls(6.0)

    @property
    def bits_per_value(self) -> float:
        """Bits that one grey takes at most; the files say how many it takes."""
        return 1000 * self.kbps / self.values_per_second

    def analyse(self, waveform: torch.Tensor) -> torch.Tensor:
        """Return the greys [B, n_mels, L], uint8, that pictures of a waveform [B, 1, T] hold.

        Raises
        ------
        UserError
            The format cannot write a picture that small; or as :meth:`PictureFormat.write`.
        """
        return torch.stack([self.read(files) for files in self.files(waveform)]).to(waveform.device)

    def synthesise(self, features: torch.Tensor, n_samples: int) -> torch.Tensor:
        """Return the waveform [B, 1, n_samples] of greys [B, n_mels, L]."""
        low, high = self.range_db
        log_mel = (low + features.float() * ((high - low) / BRIGHTEST)) * (math.log(10) / 10)
        if self.way_back is not None:
            return self.way_back.synthesise(log_mel, n_samples)
        return super().synthesise(log_mel, n_samples)

    def files(self, waveform: torch.Tensor) -> list[list[bytes]]:
        """Return the picture files of every waveform of [B, 1, T], in their order: what would be sent.

        Raises
        ------
        UserError
            As in :meth:`analyse`.
        """
        pictures = self.greys(waveform).cpu().numpy()
        bounds = self.windows(waveform.shape[-1], pictures.shape[-1])
        return [
            [
                self.form.fit(picture[::-1, start:stop], self._allowed(start, stop, waveform.shape[-1]))
                for start, stop in bounds
            ]
            for picture in pictures
        ]

    def read(self, files: Sequence[bytes]) -> torch.Tensor:
        """Return the greys [n_mels, L] that the files of one waveform hold."""
        return torch.from_numpy(np.concatenate([read_picture(file)[::-1] for file in files], axis=1))

    def greys(self, waveform: torch.Tensor) -> torch.Tensor:
        """Return the greys [B, n_mels, L], uint8, of a waveform [B, 1, T] before any file is written."""
        level = super().analyse(waveform) * (10 / math.log(10))
        low, high = self.range_db
        return ((level - low) / (high - low) * BRIGHTEST).round().clamp(0, BRIGHTEST).to(torch.uint8)

    def windows(self, n_samples: int, n_frames: int) -> list[tuple[int, int]]:
        """Return first frames and ends of the windows: equally long, up to a frame, and as many as fit."""
        number = max(1, int(n_samples / self.sample_rate / self.window_seconds))
        edges = [round(index * n_frames / number) for index in range(number + 1)]
        return list(itertools.pairwise(edges))

    def _allowed(self, start: int, stop: int, n_samples: int) -> int:
        """Return the bytes that a window from one frame to another may take, of so many samples of sound."""
        samples = min(stop * self.hop_length, n_samples) - start * self.hop_length
        return int(samples / self.sample_rate * self.kbps * 1000 / 8)


@registered
class WebpPicture(MelPicture):
    """A mel spectrogram as WebP pictures: the lossy format, the key frame of the VP8 video codec."""

    name = "picture-webp"
    label = "mel as a WebP picture, at the bits of 6 kbps"
    place = 31
    form = WEBP


@registered
class AvifPicture(MelPicture):
    """A mel spectrogram as AVIF pictures: a key frame of the AV1 video codec, without colour."""

    name = "picture-avif"
    label = "mel as an AVIF picture, at the bits of 6 kbps"
    place = 32
    form = AVIF


@registered
class Jpeg2000Picture(MelPicture):
    """A mel spectrogram as JPEG 2000 pictures: wavelets, as a bare codestream with its main header."""

    name = "picture-jpeg2000"
    label = "mel as a JPEG 2000 picture, at the bits of 6 kbps"
    place = 33
    form = JPEG2000
