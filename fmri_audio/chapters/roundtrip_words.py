"""Chapters 2 and 3: the words of the edition's reel after every way there and back, and after none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from fmri_audio.base.kinds import Waveform
from fmri_audio.base.results import Record
from fmri_audio.bottleneck.block_code import BlockCode
from fmri_audio.chapters import spoken
from fmri_audio.chapters.roundtrip import columns, equal_mel, kbps_of, plain_mel, setting_of, vocoders
from fmri_audio.chapters.spoken import Spoken
from fmri_audio.edition import Edition
from fmri_audio.edition.reel import Reel, reel_of
from fmri_audio.experiments import problem
from fmri_audio.experiments.problem import CELL_CONTROLS, CELL_NAMES, CELLS, MelSetting, through
from fmri_audio.representations.encodec import EncodecCodes, EncodecLatents


@dataclass(frozen=True)
class Way:
    """A sound of the reel, or of its first words alone, and its columns in the table of results."""

    name: str
    sound: Waveform
    columns: Mapping[str, Any] = field(default_factory=dict)
    brief: bool = False


def hear(run: Edition, reel: Reel, ways: Iterable[Way]) -> tuple[Spoken, list[Record]]:
    """Have the words of all sounds read.

    Returns
    -------
    spoken : Spoken
    records : list of Record
    """
    listed = list(ways)
    heard = spoken.listen(
        run,
        reel,
        {way.name: way.sound for way in listed if not way.brief},
        {way.name: way.sound for way in listed if way.brief},
    )
    common = {**columns(run), "control": "none"}
    described = {spoken.ORIGINAL: {**common, "control": "original"}}
    described |= {way.name: {**common, **way.columns} for way in listed}
    return heard, spoken.records(heard, described, run)


def of_problem(run: Edition, codes: Mapping[int, BlockCode]) -> tuple[Spoken, list[Record]]:
    """Have the words read of all that chapter 2 plays: in full where they decide something, else the first of them."""
    reel = reel_of(run)
    few = reel.first(run.settings.words.few)
    ways = [*_pipeline(run, reel), *_halves_and_ends(run, few)]
    ways += _behind_codes(run, reel, few, codes)
    coded, equal = equal_names(run)
    ways += _at_equal_bits(run, reel, equal, coded)
    return hear(run, reel, ways)


def equal_names(run: Edition) -> tuple[str, str]:
    """Return what codec and mel spectrogram are called in chapter 2, where they have equal bits."""
    return f"EnCodec at {run.bandwidth:g} kbps", f"mel + Griffin-Lim at {run.bandwidth:g} kbps"


def behind(units: int) -> str:
    """Return what the sound behind a linear code is called."""
    return f"linear code of {units} numbers per TR"


def of_codec(run: Edition, coded: str, equal: str, plain: str) -> tuple[Spoken, list[Record]]:
    """Have the words read of chapter 3: of codec and mel at the run's bandwidth, and of what is the same at each.

    The latter are read at the first of them, and kept.

    Parameters
    ----------
    run : Edition
    coded, equal, plain : str
        What codec, mel of equal bits and uncompressed mel are called.
    """
    reel = reel_of(run)
    ways = [*_at_equal_bits(run, reel, equal, coded), *_pipeline(run, reel, plain)]
    return hear(run, reel, [*ways, *_vocoded(run, reel), *_floors(run, reel)])


def _pipeline(run: Edition, reel: Reel, name: str = CELL_NAMES[CELLS[-1]]) -> list[Way]:
    mel = plain_mel(run)
    own = {"representation": "mel", "bandwidth_kbps": mel.bits_per_second / 1000}
    return [Way(name, through(mel, reel.waveform), own)]


def _halves_and_ends(run: Edition, few: Reel) -> Iterator[Way]:
    own = setting_of(run)

    def way(name: str, setting: MelSetting, cell: tuple[problem.Magnitude, problem.Phase]) -> Way:
        made = problem.listen(setting, few.waveform, few.sample_rate, cell, run.settings.seed)
        described = {
            "representation": problem.named(setting, own),
            "control": CELL_CONTROLS[cell],
            "bandwidth_kbps": setting.build(few.sample_rate, 0).bits_per_second / 1000,
        }
        return Way(name, made, described, brief=True)

    for cell in CELLS[1:-1]:
        yield way(CELL_NAMES[cell], own, cell)
    for axis in problem.AXES:
        for name, setting in problem.ends(own, run.settings.problem, axis).items():
            if setting != own:
                yield way(name, setting, CELLS[-1])


def _behind_codes(run: Edition, reel: Reel, few: Reel, codes: Mapping[int, BlockCode]) -> Iterator[Way]:
    """The widest code in full, with either phase's sound of the magnitude; of the others the first words."""
    mel = plain_mel(run)
    for units, code in sorted(codes.items(), reverse=True):
        whole = units == max(codes)
        made = problem.squeezed(mel, (reel if whole else few).waveform, code)
        own = {"representation": "mel", "condition": "noise-free", "units": units, "rank": units}
        name = behind(units)
        yield Way(name, made["griffin-lim"], own, brief=not whole)
        if whole:
            start = few.waveform.shape[0]
            yield Way(f"{name}, own phase", made["true"][:start], {**own, "control": "own-phase"}, brief=True)


def _at_equal_bits(run: Edition, reel: Reel, equal: str, coded: str) -> list[Way]:
    codec = EncodecCodes(run.checkpoint, run.bandwidth, run.decoder)
    own = {"bandwidth_kbps": run.bandwidth}
    of_codec = {**own, "representation": "encodec-codes", "codec": run.checkpoint.id}
    return [
        Way(coded, through(codec, reel.waveform), of_codec),
        Way(equal, through(equal_mel(run), reel.waveform), {**own, "representation": "mel-quantised"}),
    ]


def _vocoded(run: Edition, reel: Reel) -> Iterator[Way]:
    for name, way in vocoders(run).items():
        own = {"representation": way.name, "bandwidth_kbps": kbps_of(way, run)}
        yield Way(name, through(way, reel.waveform), own)


def _floors(run: Edition, reel: Reel) -> Iterator[Way]:
    mean = _mean_latent(run, len(reel.waveform))
    for control, sound in spoken.floors(reel.waveform, reel.sample_rate, mean, run.settings.seed).items():
        yield Way(spoken.FLOORS[control], sound, {"control": control})


@torch.no_grad()
def _mean_latent(run: Edition, n_samples: int) -> Waveform:
    """The codec's sound where every frame is the mean of the edition's latents."""
    codec = EncodecLatents(run.checkpoint)
    frames = -(-n_samples // codec.hop_length)
    mean = torch.from_numpy(run.encoding.latents.mean(axis=1)).repeat(frames, 1).t()[None]
    return np.asarray(codec.synthesise(mean, n_samples)[0, 0].cpu().numpy(), np.float32)
