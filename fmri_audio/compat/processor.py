"""Sound to features per TR and back, by the names that giblet-responses gives them."""

from __future__ import annotations

import math
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from fmri_audio.base.errors import UserError
from fmri_audio.base.timeline import trs_to_samples, whole_trs
from fmri_audio.codec import checkpoints
from fmri_audio.codec.checkpoints import Checkpoint
from fmri_audio.compat.codes import as_codes, refuse_regression
from fmri_audio.compat.grid import Grid, exact_tr
from fmri_audio.edition.edition import check_bandwidths
from fmri_audio.representations.base import Representation
from fmri_audio.representations.codec_stream import refuse_no_numbers
from fmri_audio.representations.encodec import EncodecCodes, EncodecLatents
from fmri_audio.representations.mel import MelGriffinLim
from fmri_audio.sound import audio

WRITERS = {".wav": audio.write_wav, ".flac": audio.write_flac}
"""Formats in which sound is written, by the name's ending."""

DECIBELS = 10 / math.log(10)
"""Decibels per unit of the natural logarithm of a power."""


class AudioProcessor:
    """Sound as EnCodec's codes, its latents, or a mel spectrogram, a row per TR, and back.

    It takes the place of giblet-responses' class of that name. The whole sound is encoded as one stream and then cut. A
    row has all frames that its TR touches: 113 for 1.5 s at 75 Hz, one of them shared with a neighbour, so that two
    TRs are 225 frames and no number of TRs drifts.

    Parameters
    ----------
    use_encodec : bool
        EnCodec's codes; else a mel spectrogram and Griffin-Lim.
    encodec_bandwidth : float
        kbps, one of the codec's: 1.5, 3, 6, 12 and 24 are 2, 4, 8, 16 and 32 codebooks.
    sample_rate, n_mels, n_fft, hop_length : int
        Of the mel spectrogram: Hz, bands, and samples of a window and between windows. EnCodec has its own.
    tr : float, str or Fraction
        Repetition time in seconds, taken as it is written.
    device : str
        Where the codec computes, such as "cpu" or "cuda".
    checkpoint : str or Checkpoint
        Weights of the codec, see :func:`fmri_audio.codec.checkpoints.load`: Meta's release unless given, which made
        the codes that giblet-responses has cached.

    Attributes
    ----------
    n_codebooks : int
        Codebooks of the bandwidth; 0 without EnCodec.
    encodec_sample_rate : int
        Hz; only with EnCodec.

    Raises
    ------
    UserError
        The codec has no such bandwidth or cannot be had, there is no such device, or a setting makes no sense.
    """

    encodec_sample_rate: int

    def __init__(
        self,
        use_encodec: bool = True,
        encodec_bandwidth: float = 3.0,
        sample_rate: int = 22_050,
        n_mels: int = 2_048,
        n_fft: int = 4_096,
        hop_length: int = 512,
        tr: float | str | Fraction = 1.5,
        device: str = "cpu",
        *,
        checkpoint: str | Checkpoint = "released",
    ) -> None:
        self.use_encodec, self.encodec_bandwidth, self.device = use_encodec, encodec_bandwidth, device
        self.sample_rate, self.n_mels, self.n_fft, self.hop_length = sample_rate, n_mels, n_fft, hop_length
        self.tr, self.n_codebooks = tr, 0
        exact_tr(tr, "tr")
        self._representation: Representation
        if use_encodec:
            self._codec = _opened(checkpoint, device)
            check_bandwidths([encodec_bandwidth], self._codec)
            self._representation = EncodecCodes(self._codec, encodec_bandwidth)
            self.n_codebooks = self._representation.channels
            self.encodec_sample_rate = self._representation.sample_rate
        else:
            try:
                self._representation = MelGriffinLim(n_fft, hop_length, n_mels, sample_rate=sample_rate)
            except ValueError as error:
                raise UserError(f"{error}: correct it") from None

    def audio_to_features(
        self,
        audio_source: Path | str,
        max_trs: int | None = None,
        from_video: bool = True,
        tr_length: float | str | Fraction | None = None,
    ) -> tuple[NDArray[Any], pd.DataFrame]:
        """Return the features of every whole TR of a sound.

        Parameters
        ----------
        audio_source : path
            A sound file, or a film's.
        max_trs : int, optional
            At most so many TRs, from the beginning.
        from_video : bool
            Of no consequence: sound and films are read alike.
        tr_length : float, str or Fraction, optional
            Repetition time in seconds, where it is another than ``tr``.

        Returns
        -------
        features : array
            Codes, int64, shape [n_trs, K · F], all F frames of the first codebook first; or with mel the levels,
            float32, shape [n_trs, n_mels, F], in dB of a full scale of 1.
        table : DataFrame
            A row per TR: ``tr_index``, ``start_time`` and ``end_time`` (s), ``n_frames`` (F), ``n_codebooks`` (K, for
            codes), ``encoding_mode``, and ``first_frame``, counted from the beginning of the sound.

        Raises
        ------
        UserError
            The sound cannot be read, is shorter than a TR, or the TR is none.
        """
        rows, grid = self._analysed(self._representation, audio_source, max_trs, tr_length)
        if self.use_encodec:
            table = grid.table(len(rows), n_codebooks=self.n_codebooks, encoding_mode="encodec")
            return rows.reshape(len(rows), -1), table
        return np.float32(DECIBELS) * rows, grid.table(len(rows), encoding_mode="mel_spectrogram")

    def features_to_audio(
        self,
        features: NDArray[Any],
        output_path: Path | str,
        n_codebooks: int | None = None,
        frames_per_tr: int | None = None,
        *,
        tr_length: float | str | Fraction | None = None,
        first_tr: int = 0,
    ) -> None:
        """Write the sound of features: as long as their TRs, mono, 16 bits.

        Parameters
        ----------
        features : array
            As :meth:`audio_to_features` returns them. Codes may also have the shape [n_trs, K, F], fewer codebooks than
            the bandwidth, or the 112 frames per TR that giblet-responses kept.
        output_path : path
            Ending in ``.wav`` or ``.flac``.
        n_codebooks, frames_per_tr : int, optional
            K and F of codes; found from the shape unless given.
        tr_length : float, str or Fraction, optional
            Repetition time in seconds, where it is another than ``tr``.
        first_tr : int
            TR of the first row, where rows were left out before it.

        Raises
        ------
        UserError
            The features are no codes (or, with mel, no levels) of that shape, or the file cannot be written.

        Warns
        -----
        UserWarning
            Codebooks are filled with zeros, or frames are missing, so that TRs put end to end drift.
        """
        values, grid = np.asarray(features), self._grid(self._representation, tr_length, first_tr)
        if self.use_encodec:
            quantiser = self._codec.model.quantizer
            codec = int(quantiser.n_q), int(quantiser.bins)
            rows: NDArray[Any] = as_codes(values, grid, n_codebooks, frames_per_tr, codec)
        else:
            refuse_regression(values)
            rows = _real(values, grid, self.n_mels) / np.float32(DECIBELS)
        self._write(self._representation, rows, grid, output_path)

    def audio_to_latents(
        self,
        audio_source: Path | str,
        max_trs: int | None = None,
        tr_length: float | str | Fraction | None = None,
    ) -> tuple[NDArray[np.float32], pd.DataFrame]:
        """Return the codec's latents of every whole TR of a sound: what a regression may be fitted to.

        Parameters
        ----------
        audio_source, max_trs, tr_length
            As for :meth:`audio_to_features`.

        Returns
        -------
        latents : array of float32, shape [n_trs, D, F]
            The encoder's output before it is quantised, 128 numbers per frame.
        table : DataFrame
            As of :meth:`audio_to_features`.

        Raises
        ------
        UserError
            As :meth:`audio_to_features`, or the processor does without EnCodec.
        """
        rows, grid = self._analysed(self._latents(), audio_source, max_trs, tr_length)
        return rows, grid.table(len(rows), encoding_mode="encodec_latents")

    def latents_to_audio(
        self,
        latents: NDArray[np.floating],
        output_path: Path | str,
        *,
        tr_length: float | str | Fraction | None = None,
        first_tr: int = 0,
    ) -> None:
        """Write the sound of latents [n_trs, D, F]; a frame that two TRs share is averaged.

        Parameters
        ----------
        latents : array, shape [n_trs, D, F]
        output_path, tr_length, first_tr
            As for :meth:`features_to_audio`.

        Raises
        ------
        UserError
            The latents are codes or of another shape, the file cannot be written, or the processor does without
            EnCodec.
        """
        representation, values = self._latents(), np.asarray(latents)
        refuse_regression(values, "latents")
        grid = self._grid(representation, tr_length, first_tr)
        rows = _real(values, grid, representation.channels, "latents")
        self._write(representation, rows, grid, output_path)

    def get_audio_info(self, audio_source: Path | str, from_video: bool = True) -> dict[str, Any]:
        """Return how long a sound is, at the rate at which its features are made.

        Parameters
        ----------
        audio_source : path
            A sound file, or a film's.
        from_video : bool
            Of no consequence: sound and films are read alike.

        Returns
        -------
        dict
            ``sample_rate`` (Hz), ``duration`` (s), ``samples``, and ``n_trs``, the whole TRs.

        Raises
        ------
        UserError
            The sound cannot be read.
        """
        rate = self._representation.sample_rate
        with tempfile.TemporaryFile() as spool:
            n_samples = audio.spool_mono(audio_source, rate, spool).n_samples
        n_trs = whole_trs(n_samples, rate, exact_tr(self.tr, "tr"))
        return {"sample_rate": rate, "duration": n_samples / rate, "samples": n_samples, "n_trs": n_trs}

    def _grid(
        self, representation: Representation, tr_length: float | str | Fraction | None, first_tr: int = 0
    ) -> Grid:
        tr = exact_tr(self.tr, "tr") if tr_length is None else exact_tr(tr_length, "tr_length")
        if first_tr < 0:
            raise UserError(f"first_tr: {first_tr} should be at least 0")
        return Grid(tr, representation.feature_rate, first_tr)

    def _latents(self) -> EncodecLatents:
        if not self.use_encodec:
            raise UserError("latents are EnCodec's: make the AudioProcessor with use_encodec=True")
        return EncodecLatents(self._codec)

    def _analysed(
        self,
        representation: Representation,
        path: Path | str,
        max_trs: int | None,
        tr_length: float | str | Fraction | None,
    ) -> tuple[NDArray[Any], Grid]:
        """Features [n_trs, C, F] of the whole TRs of a sound."""
        grid, rate = self._grid(representation, tr_length), representation.sample_rate
        waveform = audio.read_mono(path, rate).waveform
        n_trs = whole_trs(len(waveform), rate, grid.tr)
        if n_trs == 0:
            lasts = f"{len(waveform) / rate:.2f} s"
            raise UserError(
                f"{path} lasts {lasts}, less than a TR of {float(grid.tr):g} s: give a longer sound"
            )
        if max_trs is not None:
            if max_trs < 1:
                raise UserError(f"max_trs: {max_trs} should be at least 1")
            n_trs = min(n_trs, max_trs)
        n_frames = grid.n_frames(n_trs)
        # The window of a spectrogram's last frame reaches into what follows; the codec does not look ahead.
        reach = math.ceil(n_frames / grid.frame_rate * rate) + self.n_fft
        with torch.no_grad():
            frames = representation.analyse(torch.from_numpy(waveform[:reach].copy())[None, None])[0]
        return grid.cut(frames[:, :n_frames].cpu().numpy(), n_trs), grid

    def _write(
        self, representation: Representation, rows: NDArray[Any], grid: Grid, path: Path | str
    ) -> None:
        """Write the sound of features [n_trs, C, F]."""
        write = WRITERS.get(Path(path).suffix.lower())
        if write is None:
            raise UserError(f"{path}: sound is written as WAV or FLAC, give a name ending in .wav or .flac")
        rate, n_trs = representation.sample_rate, len(rows)
        # The first frame may begin before its TR does.
        early = grid.first_tr * grid.tr - Fraction(int(grid.first_frames(1)[0])) / grid.frame_rate
        first, frames = round(early * rate), np.ascontiguousarray(grid.join(rows))
        with torch.no_grad():
            sound = representation.synthesise(
                torch.from_numpy(frames)[None], first + trs_to_samples(n_trs, rate, grid.tr)
            )
        if self.use_encodec:
            refuse_no_numbers(sound, self._codec.id)
        write(path, sound[0, 0, first:].cpu().numpy(), rate)


def _opened(checkpoint: str | Checkpoint, device: str) -> Checkpoint:
    """Open a codec that works as one stream, and bring its model to a device.

    Raises
    ------
    UserError
        It cannot be had, works in segments, or there is no such device.
    """
    codec = checkpoints.load(checkpoint) if isinstance(checkpoint, str) else checkpoint
    if codec.model.segment is not None:
        raise UserError(f"{codec.id} works in segments, which do not fit TRs: take the codec of 24 kHz")
    try:
        codec.model.to(device)
    except (RuntimeError, AssertionError) as error:
        said = str(error).strip().splitlines()[0].rstrip(".")
        raise UserError(f"device: {device!r} cannot be used ({said}); give 'cpu'") from None
    return codec


def _real(features: NDArray[Any], grid: Grid, channels: int, name: str = "features") -> NDArray[np.float32]:
    """Return real features [n_trs, C, F] as float32 if that is their shape."""
    if features.ndim != 3 or features.shape[1:] != (channels, grid.width) or not len(features):
        raise UserError(
            f"{name} should be of shape [TRs, {channels}, {grid.width}] for a TR of {float(grid.tr):g} s, "
            f"not {list(features.shape)}"
        )
    return features.astype(np.float32)
