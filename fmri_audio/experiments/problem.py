"""Where the quality of mel + Griffin-Lim goes: magnitude or phase, setting by setting, and at what price in bits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from fmri_audio.base.errors import UserError
from fmri_audio.base.kinds import Waveform
from fmri_audio.base.results import Record
from fmri_audio.bottleneck.block_code import BlockCode
from fmri_audio.representations.base import Representation
from fmri_audio.representations.mel import MelGriffinLim, QuantisedMel
from fmri_audio.sound.scoring import METRIC_NAMES, cut, score_pair, to_records

if TYPE_CHECKING:
    from fmri_audio.base.settings import MelSettings, ProblemSettings
    from fmri_audio.sound.segments import Window

CELLS: tuple[tuple[Magnitude, Phase], ...] = (
    ("oracle", "true"),
    ("mel", "true"),
    ("oracle", "griffin-lim"),
    ("mel", "griffin-lim"),
)
"""Magnitude × phase: who supplies each half of the spectrogram that is turned back into sound."""

Magnitude = Literal["oracle", "mel"]
"""The sound's own, or what is left of it after the mel bands."""

Phase = Literal["true", "griffin-lim"]
"""The sound's own, or found from the magnitude."""

CELL_NAMES = {
    ("oracle", "true"): "own magnitude, own phase",
    ("mel", "true"): "mel magnitude, own phase",
    ("oracle", "griffin-lim"): "own magnitude, Griffin-Lim phase",
    ("mel", "griffin-lim"): "mel magnitude, Griffin-Lim phase",
}
"""The cells in a reader's words; the last one is the pipeline of the brief."""

CELL_CONTROLS = {
    ("mel", "griffin-lim"): "none",
    ("mel", "true"): "own-phase",
    ("oracle", "griffin-lim"): "own-magnitude",
    ("oracle", "true"): "own-magnitude-and-phase",
}
"""What the column ``control`` says of each cell: "none" for the pipeline, else what came from the original."""

INTELLIGIBLE_STOI = 0.8
"""What the brief itself calls intelligible."""

AXES = ("n_fft", "hop_length", "n_mels", "n_iter")
"""The settings that the chapter varies, one at a time."""

SWEPT = ("snr_db", "si_sdr_db", "pesq_wb", "stoi", "estoi", "mel_distance_db")
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
                rows.append(
                    {
                        "axis": axis,
                        "value": getattr(setting, axis),
                        "magnitude": magnitude,
                        "phase": phase,
                        **vars(setting),
                        "window": window.name,
                        "kind": window.kind,
                        **scored[key],
                    }
                )
    return pd.DataFrame(rows)


def sweep_records(scores: pd.DataFrame, base: MelSetting, sample_rate: int, **columns: Any) -> list[Record]:
    """Return a sweep as results: the setting names the representation (:func:`named`), the cell the control."""
    made = []
    for _, group in scores.groupby([*AXES, "magnitude", "phase"], sort=False):
        first = group.iloc[0]
        setting = MelSetting(*(int(first[axis]) for axis in AXES))
        made += to_records(
            group.drop_duplicates("window"),
            wanted=SWEPT,
            representation=named(setting, base),
            control=CELL_CONTROLS[first["magnitude"], first["phase"]],
            bandwidth_kbps=setting.build(sample_rate, 0).bits_per_second / 1000,
            **columns,
        )
    return made


def named(setting: MelSetting, base: MelSetting) -> str:
    """Name a mel spectrogram for the table of results: with its settings unless they are the edition's own."""
    if setting == base:
        return "mel"
    return "mel[{}]".format(",".join(f"{k}={v}" for k, v in vars(setting).items()))


def squeeze_records(scores: pd.DataFrame, **columns: Any) -> list[Record]:
    """Return the scores behind linear bottlenecks as results: ``units`` wide, with Griffin-Lim's or the own phase."""
    made = []
    for _, group in scores.groupby(["units", "phase"], sort=False):
        units, phase = int(group["units"].iloc[0]), group["phase"].iloc[0]
        control = "none" if phase == "griffin-lim" else "own-phase"
        made += to_records(
            group,
            wanted=SWEPT,
            representation="mel",
            units=units,
            rank=units,
            control=control,
            **{**columns, "condition": "noise-free"},
        )
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
    return pd.DataFrame(rows, columns=["window", "kind", *METRIC_NAMES])


def squeeze(
    base: MelSetting,
    wave: Waveform,
    sample_rate: int,
    tr: Fraction,
    windows: Sequence[Window],
    units: Sequence[int],
    seed: int,
    unseen: Sequence[Window] = (),
) -> tuple[pd.DataFrame, dict[int, BlockCode]]:
    """Score the mel after a linear code of so many numbers per TR, with Griffin-Lim's phase and with the true one.

    The code is fitted on the stretches of the recording that neither a scoring window touches nor one of ``unseen``.

    Returns
    -------
    scores : DataFrame with ``units``, ``phase``, ``window``, ``kind`` and the metrics
    codes : the fitted code for each number of units, which is what it really has per TR, to the nearest whole number

    Raises
    ------
    UserError
        The windows leave no stretch of the recording to fit to.
    """
    mel = base.build(sample_rate, seed)
    stretches = _untouched(_log_mel(mel, wave), mel.feature_rate, [*windows, *unseen])
    rows, fitted = [], {}
    for wanted in sorted(units):
        try:
            code = BlockCode.fit(stretches, mel.feature_rate, wanted, tr, seed)
        except ValueError as error:
            raise UserError(
                f"windows: they leave too little sound to fit a linear code to ({error}); use fewer windows or more TRs"
            ) from None
        number = round(code.per_tr(tr))
        if number in fitted:
            continue
        fitted[number] = code
        for window in windows:
            part = cut(wave, sample_rate, window.onset, window.offset)
            for phase, made in squeezed(mel, part, code).items():
                rows.append(
                    {
                        "units": number,
                        "phase": phase,
                        "window": window.name,
                        "kind": window.kind,
                        **score_pair(part, made, sample_rate, window.kind, SWEPT),
                    }
                )
    return pd.DataFrame(rows, columns=["units", "phase", "window", "kind", *METRIC_NAMES]), fitted


def squeezed(mel: MelGriffinLim, wave: Waveform, code: BlockCode) -> dict[Phase, Waveform]:
    """Return the sound [T] behind a linear code, with either phase."""
    sound = torch.from_numpy(np.ascontiguousarray(wave))[None, None]
    features = torch.from_numpy(code.restore(_log_mel(mel, wave)))[None]
    magnitude = mel.magnitude(features)
    made: dict[Phase, torch.Tensor] = {
        "true": mel.with_phase(magnitude, mel.spectrum(sound), len(wave)),
        "griffin-lim": mel.griffin_lim(magnitude, len(wave)),
    }
    return {phase: np.asarray(sounds[0, 0].numpy(), dtype=np.float32) for phase, sounds in made.items()}


def _log_mel(mel: MelGriffinLim, wave: Waveform) -> NDArray[np.float32]:
    return np.asarray(mel.analyse(torch.from_numpy(np.ascontiguousarray(wave))[None, None])[0].numpy())


def _untouched(
    features: NDArray[np.float32], frame_rate: Fraction, windows: Sequence[Window]
) -> list[NDArray[np.float32]]:
    """Return the stretches of features [C, L] that no window overlaps."""
    moments = np.arange(features.shape[1]) / float(frame_rate)
    free = np.ones(len(moments), bool)
    for window in windows:
        free &= (moments < window.onset) | (moments >= window.offset)
    edges = np.flatnonzero(np.diff(free.astype(int))) + 1
    parts = zip(np.split(features, edges, axis=1), np.split(free, edges), strict=True)
    return [part for part, kept in parts if kept[0]]


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
