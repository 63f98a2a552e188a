"""Where the quality of mel + Griffin-Lim goes: magnitude or phase, setting by setting, and at what price in bits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from fmri_audio.representations import Representation
from fmri_audio.representations.mel import Magnitude, MelGriffinLim, Phase, QuantisedMel
from fmri_audio.results import Record
from fmri_audio.scoring import METRICS, Waveform, cut, score_pair, to_records

if TYPE_CHECKING:
    from fmri_audio.segments import Window
    from fmri_audio.settings import MelSettings, ProblemSettings

CELLS: tuple[tuple[Magnitude, Phase], ...] = (
    ("oracle", "true"),
    ("mel", "true"),
    ("oracle", "griffin-lim"),
    ("mel", "griffin-lim"),
)
"""Magnitude × phase: who supplies each half of the spectrogram that is turned back into sound."""

CELL_NAMES = {
    ("oracle", "true"): "own magnitude, own phase",
    ("mel", "true"): "mel magnitude, own phase",
    ("oracle", "griffin-lim"): "own magnitude, Griffin-Lim phase",
    ("mel", "griffin-lim"): "mel magnitude, Griffin-Lim phase",
}
"""The cells in a reader's words; the last one is the pipeline of the brief."""

INTELLIGIBLE_STOI = 0.8
"""What the brief itself calls intelligible."""

AXES = ("n_fft", "hop_length", "n_mels", "n_iter")
"""The settings that the chapter varies, one at a time."""

SWEPT = ("snr_db", "si_sdr_db", "pesq_wb", "stoi", "mel_distance_db")
"""Metrics of the sweep: narrow-band PESQ would double its time and says the same."""


@dataclass(frozen=True)
class MelSetting:
    """One setting of the mel spectrogram and its inversion (see ``settings.MelSettings``)."""

    n_fft: int
    hop_length: int
    n_mels: int
    n_iter: int

    @classmethod
    def of(cls, mel: MelSettings) -> MelSetting:
        """Return the edition's own setting."""
        return cls(mel.n_fft, mel.hop_length, mel.n_mels, mel.n_iter)

    def build(self, sample_rate: int, seed: int) -> MelGriffinLim:
        """Return the representation."""
        return MelGriffinLim(self.n_fft, self.hop_length, self.n_mels, self.n_iter, sample_rate, seed)

    def matters_to(self, magnitude: Magnitude, phase: Phase) -> tuple[int, ...]:
        """Return the part of the setting that can change one cell: bands only matter to the mel's magnitude."""
        shared: tuple[int, ...] = (self.n_fft, self.hop_length)
        shared += (self.n_mels,) if magnitude == "mel" else ()
        return shared + ((self.n_iter,) if phase == "griffin-lim" else ())


def one_at_a_time(base: MelSetting, problem: ProblemSettings) -> list[tuple[str, MelSetting]]:
    """Return (axis, setting) for every value of every axis, the other three as in ``base``, ascending.

    A window shorter than two hops cannot be inverted, so there the hop is half the window; the setting says so.
    """
    found = []
    for axis in AXES:
        for value in sorted({*getattr(problem, axis), getattr(base, axis)}):
            setting = replace(base, **{axis: value})
            found.append((axis, replace(setting, hop_length=min(setting.hop_length, setting.n_fft // 2))))
    return found


def at_setting(scores: pd.DataFrame, setting: MelSetting) -> pd.DataFrame:
    """Return the means over windows of the four cells (index: magnitude, phase) at one setting of a sweep."""
    same = (scores[list(AXES)] == pd.Series(vars(setting))).all(axis=1)
    once = scores[same].drop_duplicates(["magnitude", "phase", "window"])
    return once.groupby(["magnitude", "phase"])[list(SWEPT)].mean().loc[list(CELLS)]


def ends(base: MelSetting, problem: ProblemSettings, axis: str) -> dict[str, MelSetting]:
    """Return the lowest and the highest setting of an axis under names that say what they are."""
    unit = {
        "n_fft": "samples window",
        "hop_length": "samples hop",
        "n_mels": "mel bands",
        "n_iter": "iterations",
    }
    settings = [setting for name, setting in one_at_a_time(base, problem) if name == axis]
    return {f"{getattr(setting, axis)} {unit[axis]}": setting for setting in (settings[0], settings[-1])}


def listen(
    setting: MelSetting, wave: Waveform, sample_rate: int, cell: tuple[Magnitude, Phase], seed: int
) -> Waveform:
    """Return a sound [T] put together from one magnitude and one phase."""
    mel = setting.build(sample_rate, seed)
    sound = torch.from_numpy(np.ascontiguousarray(wave))[None, None]
    spectrum = mel.spectrum(sound)
    magnitude = spectrum.abs() if cell[0] == "oracle" else mel.magnitude(mel.analyse(sound))
    if cell[1] == "true":
        made = mel.with_phase(magnitude, spectrum, len(wave))
    else:
        made = mel.griffin_lim(magnitude, len(wave))
    return np.asarray(made[0, 0].numpy(), dtype=np.float32)


def sweep(
    base: MelSetting,
    problem: ProblemSettings,
    wave: Waveform,
    sample_rate: int,
    windows: Sequence[Window],
    seed: int,
) -> pd.DataFrame:
    """Score all four cells at every setting; a cell that a setting cannot change is scored once.

    Returns
    -------
    DataFrame
        One row per axis, value, cell and window: ``axis, value, magnitude, phase``, the four settings,
        ``window`` and the metrics.
    """
    scored: dict[tuple[object, ...], dict[str, float]] = {}
    rows = []
    for axis, setting in one_at_a_time(base, problem):
        for magnitude, phase in CELLS:
            for window in windows:
                key = (magnitude, phase, setting.matters_to(magnitude, phase), window.name)
                if key not in scored:
                    part = cut(wave, sample_rate, window.onset, window.offset)
                    made = listen(setting, part, sample_rate, (magnitude, phase), seed)
                    scored[key] = score_pair(part, made, sample_rate, window.kind, SWEPT)
                rows.append({"axis": axis, "value": getattr(setting, axis), "magnitude": magnitude, "phase": phase,
                             **vars(setting), "window": window.name, "kind": window.kind, **scored[key]})  # fmt: skip
    return pd.DataFrame(rows)


def sweep_records(scores: pd.DataFrame, base: MelSetting, sample_rate: int, **columns: Any) -> list[Record]:
    """Return a sweep as results: settings in the name of the representation, the cell as the control.

    ``control`` is "none" for the pipeline itself, and names what came from the original otherwise.
    """
    controls = {("mel", "griffin-lim"): "none", ("mel", "true"): "own-phase",
                ("oracle", "griffin-lim"): "own-magnitude", ("oracle", "true"): "own-magnitude-and-phase"}  # fmt: skip
    made = []
    for _, group in scores.groupby([*AXES, "magnitude", "phase"], sort=False):
        first = group.iloc[0]
        setting = MelSetting(*(int(first[axis]) for axis in AXES))
        name = (
            "mel"
            if setting == base
            else "mel[{}]".format(",".join(f"{k}={v}" for k, v in vars(setting).items()))
        )
        made += to_records(
            group.drop_duplicates("window"), wanted=SWEPT, representation=name,
            control=controls[first["magnitude"], first["phase"]],
            bandwidth_kbps=setting.build(sample_rate, 0).bits_per_second / 1000, **columns,
        )  # fmt: skip
    return made


def squeeze_records(scores: pd.DataFrame, **columns: Any) -> list[Record]:
    """Return the scores behind linear bottlenecks as results: ``units`` wide, with Griffin-Lim's or the own phase."""
    made = []
    for _, group in scores.groupby(["units", "phase"], sort=False):
        units, phase = int(group["units"].iloc[0]), group["phase"].iloc[0]
        control = "none" if phase == "griffin-lim" else "own-phase"
        made += to_records(
            group, wanted=SWEPT, representation="mel", units=units, rank=units, control=control,
            **{**columns, "condition": "noise-free"},
        )  # fmt: skip
    return made


def at_bits(kbps: float, base: MelSetting, sample_rate: int, seed: int) -> QuantisedMel:
    """Return a mel spectrogram that takes no more than ``kbps``, its window, hop and iterations as in ``base``."""
    return QuantisedMel(kbps, base.n_fft, base.hop_length, base.n_iter, sample_rate, seed)


@torch.no_grad()
def through(representation: Representation, wave: Waveform) -> Waveform:
    """Return a sound [T] after analysis and synthesis by a representation."""
    sound = torch.from_numpy(np.ascontiguousarray(wave))[None, None]
    return np.asarray(representation.roundtrip(sound)[0, 0].numpy(), dtype=np.float32)


def score_through(
    representation: Representation, wave: Waveform, sample_rate: int, windows: Sequence[Window]
) -> pd.DataFrame:
    """Send every window through a representation by itself and score it (see ``scoring.score_windows``)."""
    rows = []
    for window in windows:
        part = cut(wave, sample_rate, window.onset, window.offset)
        scores = score_pair(part, through(representation, part), sample_rate, window.kind)
        rows.append({"window": window.name, "kind": window.kind, **scores})
    return pd.DataFrame(rows, columns=["window", "kind", *METRICS])


@dataclass(frozen=True)
class LinearBottleneck:
    """The best linear squeeze of one TR of log-mel to a few numbers: principal components.

    Attributes
    ----------
    mean : array of shape [n_mels · frames]
    components : array of shape [units, n_mels · frames]
    frames : mel frames per TR
    """

    mean: np.ndarray
    components: np.ndarray
    frames: int

    @classmethod
    def fit(cls, features: np.ndarray, frames: int, units: int, keep: np.ndarray) -> LinearBottleneck:
        """Fit to log-mel features [n_mels, L], on those TRs only that the mask ``keep`` [TRs] names."""
        pieces = _pieces(features, frames)[keep[: features.shape[1] // frames]]
        mean = pieces.mean(axis=0)
        _, _, components = np.linalg.svd(pieces - mean, full_matrices=False)
        return cls(mean, components[: min(units, len(components))], frames)

    def apply(self, features: np.ndarray) -> np.ndarray:
        """Return features [n_mels, L] after the squeeze; the last TR is filled up with its last frame."""
        n_mels, length = features.shape
        padded = np.pad(features, ((0, 0), (0, -length % self.frames)), mode="edge")
        pieces = _pieces(padded, self.frames) - self.mean
        back = pieces @ self.components.T @ self.components + self.mean
        joined = back.reshape(-1, n_mels, self.frames).transpose(1, 0, 2).reshape(n_mels, -1)
        return np.asarray(joined[:, :length], dtype=np.float32)


def _pieces(features: np.ndarray, frames: int) -> np.ndarray:
    """Cut features [n_mels, L] into TRs [L // frames, n_mels · frames]."""
    n_mels, length = features.shape
    count = length // frames
    return features[:, : count * frames].reshape(n_mels, count, frames).transpose(1, 0, 2).reshape(count, -1)


def squeeze(
    base: MelSetting, wave: Waveform, sample_rate: int, tr: Fraction, windows: Sequence[Window],
    units: Sequence[int], seed: int,
) -> tuple[pd.DataFrame, dict[int, LinearBottleneck]]:  # fmt: skip
    """Score the mel after a linear bottleneck per TR, with Griffin-Lim's phase and with the true one.

    The bottleneck is fitted on the TRs of the recording that no scoring window touches.

    Returns
    -------
    scores : DataFrame with ``units``, ``phase``, ``window``, ``kind`` and the metrics
    bottlenecks : the fitted squeeze for each number of units
    """
    mel = base.build(sample_rate, seed)
    frames = round(tr * mel.feature_rate)
    features = _log_mel(mel, wave)
    keep = _untouched(features.shape[1] // frames, float(tr), windows)
    rows, fitted = [], {}
    for wanted in sorted(units):
        bottleneck = LinearBottleneck.fit(features, frames, wanted, keep)
        number = len(bottleneck.components)  # fewer than wanted where there are too few TRs to fit more
        if number in fitted:
            continue
        fitted[number] = bottleneck
        for window in windows:
            part = cut(wave, sample_rate, window.onset, window.offset)
            for phase, made in squeezed(mel, part, bottleneck).items():
                rows.append({"units": number, "phase": phase, "window": window.name, "kind": window.kind,
                             **score_pair(part, made, sample_rate, window.kind, SWEPT)})  # fmt: skip
    return pd.DataFrame(rows, columns=["units", "phase", "window", "kind", *METRICS]), fitted


def squeezed(mel: MelGriffinLim, wave: Waveform, bottleneck: LinearBottleneck) -> dict[Phase, Waveform]:
    """Return the sound [T] behind a bottleneck, with either phase."""
    sound = torch.from_numpy(np.ascontiguousarray(wave))[None, None]
    features = torch.from_numpy(bottleneck.apply(_log_mel(mel, wave)))[None]
    magnitude = mel.magnitude(features)
    made: dict[Phase, torch.Tensor] = {
        "true": mel.with_phase(magnitude, mel.spectrum(sound), len(wave)),
        "griffin-lim": mel.griffin_lim(magnitude, len(wave)),
    }
    return {phase: np.asarray(sounds[0, 0].numpy(), dtype=np.float32) for phase, sounds in made.items()}


def _log_mel(mel: MelGriffinLim, wave: Waveform) -> np.ndarray:
    return np.asarray(mel.analyse(torch.from_numpy(np.ascontiguousarray(wave))[None, None])[0].numpy())


def _untouched(count: int, tr: float, windows: Sequence[Window]) -> np.ndarray:
    """Return a mask over TRs: those that no window overlaps."""
    starts = np.arange(count) * tr
    return np.array([all(start + tr <= w.onset or start >= w.offset for w in windows) for start in starts])


def price(representation: Representation, tr: Fraction) -> dict[str, float]:
    """Return what one TR costs in a representation: values, bits and bytes."""
    seconds = float(tr)
    bits = representation.bits_per_second * seconds
    return {"values": representation.values_per_second * seconds, "bits": bits, "bytes": bits / 8}


def says(value: float, bar: float, above: str, below: str, undefined: str = "cannot be judged here") -> str:
    """Return the wording that a number decides: ``above`` from the bar on, ``below`` under it."""
    if math.isnan(value):
        return undefined
    return above if value >= bar else below
