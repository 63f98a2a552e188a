"""Windows: sound and brain of the same moments."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from fmri_audio.base.timeline import trs_to_samples
from fmri_audio.representations.mel import MelGriffinLim
from fmri_audio.representations.stft import ComplexStft
from fmri_audio.study.dataset import GROUP_MEAN, StudyDataset, lagged, window_starts
from fmri_audio.study.tracks import SoundTracks, Track

from .conftest import SAMPLE_RATE, noise_bursts

TR, RATE = Fraction(3, 2), Fraction(75)
MEL, STFT = MelGriffinLim(n_fft=512, hop_length=256, n_mels=20), ComplexStft(n_fft=256, hop_length=120)


@pytest.fixture(scope="module")
def sound() -> SoundTracks:
    """Twenty TRs in two runs, the second of which begins within a mel frame."""
    frames = 20 * 225 // 2
    return SoundTracks.of_sound(
        noise_bursts(20), [(0, 9), (9, 20)], TR, codes=np.tile(np.arange(frames, dtype=np.int16), (8, 1)),
        latents=np.zeros((128, frames), np.float32), frame_rate=RATE, mel=MEL, stft=STFT,
    )  # fmt: skip


def make(**changes: object) -> StudyDataset:
    frames, n_trs, voxels = 20 * 225 // 2, 20, 5
    arguments = {
        "codes": np.arange(8 * frames).reshape(8, frames), "trs": [2, 5], "window": 3, "lags": [2, 4], "shift": 3,
        "latents": np.arange(128.0 * frames, dtype=np.float32).reshape(128, frames), "tr": TR, "frame_rate": RATE,
        "bold": np.arange(float(n_trs * voxels), dtype=np.float32).reshape(n_trs, voxels),
        **changes,
    }  # fmt: skip
    return StudyDataset(**arguments)  # type: ignore[arg-type]


def test_a_window_holds_frames_and_volumes_of_its_trs() -> None:
    data = make()
    item = data[1]  # TRs 5, 6, 7: 7.5 s to 12 s, frames 562.5 to 900
    assert item["codes"].shape == (8, 338) and item["latents"].shape == (128, 338)
    assert item["codes"][0, 0] == 562 and item["codes"][0, -1] == 899
    assert item["bold"].shape == (3, 5) and (item["bold"][:, 0] / 5).tolist() == [5, 6, 7]
    assert item["lagged_bold"].shape == (3, 2, 5)
    assert (item["lagged_bold"][0, :, 0] / 5).tolist() == [4, 6]
    assert len(data) == 2 and item["tr"] == 5


def test_windows_outside_run_or_split_are_refused() -> None:
    with pytest.raises(ValueError, match="outside the run"):
        make(trs=[0])
    with pytest.raises(ValueError, match="outside the run"):
        make(trs=[17])
    bold = np.zeros((20, 5), np.float32)
    bold[9] = np.nan
    with pytest.raises(ValueError, match="no block"):
        make(trs=[6], bold=bold)


def test_lagged_puts_the_volumes_of_each_lag_side_by_side() -> None:
    bold = np.arange(20.0, dtype=np.float32).reshape(10, 2)
    rows = lagged(bold, np.array([4, 5]), [2, 5], 3)
    assert rows.tolist() == [[6, 7, 12, 13], [8, 9, 14, 15]]
    with pytest.raises(ValueError, match="outside"):
        lagged(bold, np.array([9]), [5], 3)
    with pytest.raises(ValueError, match="no block"):
        lagged(np.full((10, 2), np.nan, np.float32), np.array([4]), [3], 3)


def test_a_window_s_own_volumes_have_to_be_there_too() -> None:
    """Nothing is made up: with lags that lead elsewhere, the volume at a window's own TR may be in no block."""
    bold = np.zeros((20, 5), np.float32)
    bold[:5] = np.nan
    with pytest.raises(ValueError, match="no block"):
        make(trs=[4], bold=bold, lags=[6], window=1)
    assert window_starts(bold, [(0, 16)], window=2, lags=[4, 6], shift=3) == [5, 7, 9, 11, 13]
    assert window_starts(bold, [(0, 16)], window=2, lags=[-2], shift=0, step=3) == [7, 10, 13]


def test_all_representations_are_of_the_same_sound(sound: SoundTracks) -> None:
    """A click in one TR is in that TR's window of every representation, and nowhere else."""
    waveform = np.zeros(len(noise_bursts(20)), np.float32)
    click = trs_to_samples(12, SAMPLE_RATE, TR) + SAMPLE_RATE // 2
    waveform[click] = 1
    with_click = SoundTracks.of_sound(
        waveform, [(0, 9), (9, 20)], TR, codes=sound.codes.values, latents=sound.latents.values, frame_rate=RATE,
        mel=MEL, stft=STFT,
    )  # fmt: skip
    bold = np.zeros((20, 4), np.float32)
    data = StudyDataset.of_subject(with_click, bold, 3, [(0, 20)], window=1, lags=[3], shift=3, tr=TR)
    assert data.trs == list(range(20))
    loud: dict[str, list[int]] = {}
    for name, rate in (("mel", MEL.feature_rate), ("stft", STFT.feature_rate)):
        energy = [item[name].abs() if name == "stft" else item[name].exp() for item in data]
        loud[name] = [k for k, one in enumerate(energy) if float(one.max()) > 2 * float(energy[0].max())]
        assert float(int(energy[12].sum(0).argmax()) / rate) == pytest.approx(0.5, abs=0.011), name
    assert loud == {"mel": [12], "stft": [12]}


def test_frames_and_shapes_of_every_representation(sound: SoundTracks) -> None:
    data = StudyDataset.of_subject(
        sound, np.zeros((20, 4), np.float32), 3, [(0, 9), (9, 20)], window=2, lags=[2, 3, 4], shift=3, tr=TR
    )
    assert data.trs == [1, 3, 5, 7, 9, 11, 13, 15, 17]
    item = data[0]
    assert item["codes"].dtype == torch.int64 and item["stft"].dtype == torch.complex64
    # Two TRs are 225 codec frames, but from an odd TR on they touch the halves of two more.
    assert item["codes"][0].tolist() == list(range(112, 338))
    shapes = {name: tuple(item[name].shape) for name in ("codes", "latents", "mel", "stft", "bold", "lagged_bold")}
    assert shapes == {
        "codes": (8, 226), "latents": (128, 226), "mel": (20, 283), "stft": (129, 600), "bold": (2, 4),
        "lagged_bold": (2, 3, 4),
    }  # fmt: skip
    even = StudyDataset.of_subject(
        sound, np.zeros((20, 4), np.float32), 3, [(2, 9), (10, 20)], window=2, lags=[3], shift=3, tr=TR
    )
    assert even.trs == [2, 4, 6, 10, 12, 14, 16, 18]
    assert {tuple(item["codes"].shape) for item in even} == {(8, 225)}, "two-TR windows are exactly 225 frames"
    assert sound.mel.values.shape[1] == 2813 and sound.codes.values.shape[1] == 2250


def test_windows_are_cut_where_the_grid_says_and_can_be_batched(sound: SoundTracks) -> None:
    data = StudyDataset.of_subject(
        sound, np.zeros((20, 4), np.float32), "12", [(0, 20)], window=1, lags=[3], shift=3, tr=TR
    )
    for first, item in zip(data.trs, data, strict=True):
        start, stop = sound.mel.span(first, 1, TR)
        assert start <= first * TR * sound.mel.frame_rate < start + 1
        assert stop - 1 < (first + 1) * TR * sound.mel.frame_rate <= stop
        mel = item["mel"].numpy()
        np.testing.assert_array_equal(mel[:, : stop - start], sound.mel.values[:, start:stop])
        assert mel.shape[1] == 142 and (mel[:, stop - start :] == mel[:, [stop - start - 1]]).all()
    batch = next(iter(DataLoader(data, batch_size=5)))
    assert batch["mel"].shape == (5, 20, 142) and batch["subject"] == ["12"] * 5


def test_frames_of_a_run_know_nothing_of_the_next(sound: SoundTracks) -> None:
    waveform = noise_bursts(20)
    waveform[trs_to_samples(9, SAMPLE_RATE, TR) :] = 0.5
    other = SoundTracks.of_sound(
        waveform, [(0, 9), (9, 20)], TR, codes=sound.codes.values, latents=sound.latents.values, frame_rate=RATE,
        mel=MEL, stft=STFT,
    )  # fmt: skip
    for name in ("mel", "stft"):
        before, after = (getattr(tracks, name) for tracks in (sound, other))
        stop = before.span(0, 9, TR)[1]
        np.testing.assert_array_equal(before.values[:, :stop], after.values[:, :stop])
        assert not np.array_equal(before.values[:, stop:], after.values[:, stop:])


def test_the_group_mean_is_its_own_labelled_dataset(sound: SoundTracks) -> None:
    rng = np.random.default_rng(0)
    bold = [rng.standard_normal((20, 4)).astype(np.float32) for _ in range(3)]
    bold[1][15:] = np.nan
    arguments = {"window": 2, "lags": [3], "shift": 3, "tr": TR}
    data = StudyDataset.of_group_mean(sound, bold, [(0, 20)], **arguments)
    assert {item["subject"] for item in data} == {GROUP_MEAN}
    assert data.trs == [0, 2, 4, 6, 8, 10, 12], "a volume that one subject lacks is missing from the mean"
    np.testing.assert_allclose(data[1]["bold"], np.mean(bold, axis=0)[2:4], rtol=1e-5)
    assert StudyDataset.of_subject(sound, bold[0], 2, [(0, 20)], **arguments)[0]["subject"] == "2"
    with pytest.raises(ValueError, match="subject 2 has no window"):
        StudyDataset.of_subject(sound, bold[1], 2, [(15, 20)], **arguments)


def test_a_track_counts_frames_exactly() -> None:
    track = Track(np.arange(4.0)[None], Fraction(2, 3))
    assert track.span(1, 1, TR) == (1, 2)
    assert track.cut(2, 2, TR, 3).tolist() == [[2, 3, 3]]
