"""Editions of open data sets, from the files of a made one to the first decoded table.

The brains follow the sound on the scanner's clock, which is written here from what each data set's authors say and not
by the layout. So segments are told apart only where the layout puts sound and volumes on the same clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.signal
import soundfile
import torch
import yaml

from fmri_audio.base import timeline
from fmri_audio.base.settings import load_settings
from fmri_audio.chapters.evaluation import segments
from fmri_audio.decoding.identification import Identified
from fmri_audio.edition.edition import Edition
from fmri_audio.experiments.held_out import HeldOut
from fmri_audio.experiments.whole_study import WholeStudy
from fmri_audio.representations.mel import MelGriffinLim

from . import made, open_data

BANDS = ((200, 500), (500, 1200), (1200, 2800), (2800, 6000))
KNOT_SECONDS = 1.5
LAG_SECONDS = 5.0
"""By which the made brains follow the sound."""

LONGEST = 200.0


@cache
def levels(name: str) -> np.ndarray:
    """Levels in dB of the bands of a sound at its knots, [knots, bands]."""
    rng = np.random.default_rng(sum(name.encode()))
    return rng.uniform(-35, 0, (int(LONGEST / KNOT_SECONDS), len(BANDS)))


def level_at(name: str, seconds: np.ndarray) -> np.ndarray:
    """The same at moments, [moments, bands]."""
    knots = KNOT_SECONDS * np.arange(len(levels(name)))
    return np.stack([np.interp(seconds, knots, one) for one in levels(name).T], axis=1)


def sound(name: str, seconds: float) -> np.ndarray:
    """Noise in bands of these levels, [T]."""
    n = round(seconds * made.RATE)
    moments = np.arange(n) / made.RATE
    rng = np.random.default_rng(1)
    wave = np.zeros(n)
    for k, band in enumerate(BANDS):
        filtered = scipy.signal.butter(4, band, "bandpass", fs=made.RATE, output="sos")
        knots = KNOT_SECONDS * np.arange(len(levels(name)))
        wave += scipy.signal.sosfilt(filtered, rng.standard_normal(n)) * 10 ** (
            np.interp(moments, knots, levels(name)[:, k]) / 20
        )
    return np.asarray(0.1 * wave, np.float32)


@dataclass(frozen=True)
class DataSet:
    """A data set: how it is written, its TR, and what was heard at a moment of a scan."""

    write: Callable[..., Path]
    tr: float
    heard: Callable[[str, np.ndarray], np.ndarray]
    asked: dict[str, Any]

    def volumes(self, name: str, n_trs: int) -> np.ndarray:
        """Brains [TRs, 64]: the levels of the bands 5 s before the middle of a volume, mixed, and noise."""
        moments = self.tr * (np.arange(n_trs) + 0.5) - LAG_SECONDS
        followed = self.heard(name, moments) / 10
        rng = np.random.default_rng(sum(name.encode()))
        mixing = np.random.default_rng(7).standard_normal((len(BANDS), 64))
        return np.asarray(1000 + 10 * (followed @ mixing) + 8 * rng.standard_normal((n_trs, 64)), np.float32)


def of_film(name: str, moments: np.ndarray) -> np.ndarray:
    before = 6 if name.startswith("sub-04") else 20
    return level_at(name.rpartition("-")[2], moments - 1.5 * before)


def of_section(name: str, moments: np.ndarray) -> np.ndarray:
    first = {"EN057": (7, 8, 9, 10, 11, 12, 13, 14, 17), "EN059": tuple(range(6, 15))}[name[4:9]]
    return level_at(f"section-{first.index(int(name[-2:])) + 1}", moments)


def of_clips(name: str, moments: np.ndarray) -> np.ndarray:
    """Levels of the clips of a run, one after the other."""
    followed = np.zeros((len(moments), len(BANDS)))
    for onset, _, genre, track, start, _ in open_data.clips(int(name[-2:]), 8):
        now = (moments >= onset) & (moments < onset + 15)
        followed[now] = level_at(f"{genre[1:-1]}.{track:05d}", moments[now] - onset + start)
    return followed


DATA_SETS = {
    "sherlock-raw": DataSet(
        lambda folder, of: open_data.sherlock_raw(folder, parts=(126, 126), of=of),
        1.5,
        of_film,
        {"trs": None},
    ),
    "little-prince": DataSet(
        lambda folder, of: open_data.little_prince(folder, seconds=[62.5] * 9, of=of), 2.0, of_section, {}
    ),
    "smn4lang": DataSet(
        lambda folder, of: open_data.smn4lang(folder, seconds=(100, 110.3), of=of, spaces=["MNI"]),
        0.71,
        lambda name, moments: level_at(f"story_{name[-1]}", moments - 10.65),
        {},
    ),
    "smn4lang-cifti": DataSet(
        lambda folder, of: open_data.smn4lang(folder, seconds=(100, 110.3), of=of, spaces=["CIFTI"]),
        0.71,
        lambda name, moments: level_at(f"story_{name[-1]}", moments - 10.65),
        {"space": "CIFTI"},
    ),
    "music-genres": DataSet(
        lambda folder, of: open_data.music_genres(folder, n=8, of=of, sound=lambda name: sound(name, 30)),
        1.5,
        of_clips,
        {},
    ),
    "lebel": DataSet(
        lambda folder, of: open_data.lebel(
            folder, {"adollshouse": 105, "life": 110}, n_voxels=(64, 50), of=of
        ),
        2.0,
        lambda name, moments: level_at(name.partition("_")[2], moments + 10),
        {"space": "UTS01"},
    ),
}


def edition(name: str, folder: Path, codec: Path) -> Edition:
    """The edition of a data set in ``config/``, on a made one."""
    one = DATA_SETS[name]
    source = one.write(folder / "data", of=one.volumes)
    for path in (source / "stimuli").rglob("*.wav"):
        seconds = soundfile.info(path).duration
        label = path.stem.removeprefix("task-lppEN_")
        soundfile.write(path, sound(label, seconds), made.RATE, subtype="FLOAT")
    settings = yaml.safe_load(load_settings(name.removesuffix("-cifti")).model_dump_json())
    settings["study"] |= {"source": str(source), "mask": "all", **one.asked}
    settings |= {"codec": str(codec)}
    settings["training"] |= {"cv_folds": 2}
    path = folder / "edition.yml"
    path.write_text(yaml.safe_dump(settings))
    return Edition.open(path, build=folder / "build")


@pytest.mark.parametrize("name", DATA_SETS)
def test_an_edition_runs_from_the_data_sets_files_to_the_first_decoded_table(
    tmp_path: Path, tiny_checkpoint_file: Path, name: str
) -> None:
    if name == "lebel":
        pytest.importorskip("h5py", reason="needs the extra matrices")
    opened = edition(name, tmp_path, tiny_checkpoint_file)
    assert float(opened.stimulus.tr) == DATA_SETS[name].tr == float(opened.study.tr)
    found, shown = decoded(opened)
    print(
        f"{name}: {opened.stimulus.n_trs} TRs, {found.n_segments} segments, {found.per_subject[:, 0].round(3)}"
    )
    assert list(shown) and found.n_segments >= 20
    assert found.per_subject[:, 0].min() > 0.9, shown
    assert 0.4 < found.null.mean() < 0.6


def test_a_scan_that_is_cropped_wrongly_is_not_decoded(tmp_path: Path, tiny_checkpoint_file: Path) -> None:
    """What the tests above find, they find because of the clock."""
    opened = edition("sherlock-raw", tmp_path, tiny_checkpoint_file)
    readme = tmp_path / "data" / "README"
    readme.write_text(readme.read_text().replace("4    \t6", "4    \t0"))
    found, _ = decoded(Edition.open(tmp_path / "edition.yml", build=tmp_path / "again"))
    right, wrong = found.per_subject[:, 0]
    assert opened.study.subjects == ["03", "04"] and right > 0.9 > 0.65 > wrong


def decoded(opened: Edition) -> tuple[Identified, pd.DataFrame]:
    """Segments told apart by what is decoded from brains, and the chapter's table of that."""
    whole, stimulus = WholeStudy(HeldOut(opened)), opened.stimulus
    spectrogram = MelGriffinLim(512, 240, 16)
    mel = spectrogram.analyse(torch.from_numpy(stimulus.waveform)[None, None])[0].numpy()
    # A codec of random weights says little of a sound; a mel spectrum says what the made brains follow.
    whole.__dict__["latents"] = timeline.pooled(mel, stimulus.n_trs, stimulus.tr, spectrogram.feature_rate)
    found = whole.identify(matched=False)
    return found, segments.table(whole, segments.Comparisons({"pairs, any distractor": found}, {}, {})).frame
