"""Caches of giblet-responses are read, or refused in one sentence."""

from __future__ import annotations

import contextlib
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

from fmri_audio.base.errors import UserError
from fmri_audio.compat import AudioProcessor, read_cache
from tests.compat.conftest import N_TRS, as_they_cut, stream_of_codes, write_cache


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """One of 3 kbps as giblet-responses wrote it: eight codebooks, four of them zeros, and 112 frames."""
    return write_cache(tmp_path / "film_encodec.npz", as_they_cut(stream_of_codes(6, 4), 6, 8), 112)


def test_a_cache_is_read_to_the_exact_grid_and_the_right_codebooks(cache: Path) -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        features, table = read_cache(cache)
    zeros, drift = (str(one.message) for one in said)
    assert zeros.startswith(f"{cache}: of 8 codebooks only the first 4 hold codes")
    assert drift.startswith(
        f"{cache}: 112 frames stand for 112.5, so that 6 TRs put end to end are 0.04 s short"
    )
    assert {one.filename for one in said} == {__file__}
    assert features.shape == (6, 4 * 113) and features.dtype == np.int64
    codes = stream_of_codes(6, 4)
    assert np.array_equal(features[2].reshape(4, 113)[:, :112], codes[:, 225 : 225 + 112])
    assert list(table.columns) == [
        "tr_index", "start_time", "end_time", "n_frames", "n_codebooks", "encoding_mode", "first_frame",
    ]  # fmt: skip
    assert set(table["n_codebooks"]) == {4} and set(table["n_frames"]) == {113}


def test_what_is_cached_now_is_read_as_it_was(
    tmp_path: Path, processor: AudioProcessor, recording: Path
) -> None:
    features, table = processor.audio_to_features(recording)
    path = tmp_path / "talk_encodec.npz"
    np.savez_compressed(
        path,
        features=features,
        tr_indices=table["tr_index"],
        start_times=table["start_time"],
        end_times=table["end_time"],
        n_frames=table["n_frames"],
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again, same = read_cache(path, tr=1.5)
    assert np.array_equal(again, features) and len(again) == N_TRS
    assert same.equals(table)


def test_a_cache_of_later_trs_keeps_their_numbers(tmp_path: Path) -> None:
    codes = stream_of_codes(10, 2)
    rows = as_they_cut(codes, 10, 2)[3:]
    indices = np.arange(3, 10)
    path = write_cache(
        tmp_path / "late_encodec.npz", rows, 112,
        tr_indices=indices, start_times=indices * 1.5, end_times=indices * 1.5 + 1.5,
    )  # fmt: skip
    with pytest.warns(UserWarning, match="7 TRs put end to end"):
        features, table = read_cache(path)
    assert list(table["tr_index"]) == list(indices) and table["first_frame"][0] == 337
    assert np.array_equal(features[1].reshape(2, 113)[:, :112], codes[:, 450:562])


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"features": None}, "is no cache of codes (features is missing)"),
        ({"n_frames": None}, "is no cache of codes (n_frames is missing)"),
        ({"features": np.ones((6, 896))}, "these are float64, and codes are names of codebook entries"),
        ({"tr_indices": np.arange(6.0)}, "tr_indices should be whole numbers, not float64"),
        ({"features": np.ones((6, 900), int)}, "no codes of 112 frames have the shape [6, 900]"),
        ({"features": np.ones((), int)}, "its arrays should have one row for each of 1 TRs"),
        ({"features": np.array([{}] * 6)}, "is no cache of codes, or is damaged"),
        ({"n_frames": np.array([112] * 5 + [111])}, "n_frames should be one positive number for all TRs"),
        ({"n_frames": np.array([112] * 5)}, "its arrays should have one row for each of 6 TRs"),
        ({"tr_indices": np.array([0, 1, 2, 4, 5, 6])}, "tr_indices should count up by one"),
        ({"start_times": np.arange(6) * 2.0, "end_times": np.arange(6) * 2.0 + 2}, "its first TR lasts 2 s"),
    ],
)  # fmt: skip
def test_a_wrong_cache_is_one_sentence(tmp_path: Path, changed: dict[str, object], sentence: str) -> None:
    rows = as_they_cut(stream_of_codes(6, 4), 6, 8)
    path = write_cache(tmp_path / "film_encodec.npz", rows, 112, **changed)
    with pytest.raises(UserError) as refused:
        read_cache(path)
    assert str(refused.value).startswith(str(path)) and sentence in str(refused.value)


def test_a_missing_or_foreign_file_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "film_encodec.npz"
    with pytest.raises(UserError, match="does not exist: give a file written by giblet-responses"):
        read_cache(path)
    for content in (b"", b"no archive", np.arange(3).tobytes()):
        path.write_bytes(content)
        with pytest.raises(UserError, match="is no cache of codes, or is damaged; encode the sound again"):
            read_cache(path)


def test_a_damaged_cache_is_read_or_one_sentence(cache: Path) -> None:
    whole, rng = cache.read_bytes(), np.random.default_rng(0)
    damaged = [whole[: len(whole) // 2], whole[:-30]]
    for position in rng.integers(0, len(whole), 150):
        flipped = bytearray(whole)
        flipped[position] ^= 1 << int(rng.integers(8))
        damaged.append(bytes(flipped))
    for content in damaged:
        cache.write_bytes(content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with contextlib.suppress(UserError):
                read_cache(cache)
    cache.write_bytes(damaged[0])
    with pytest.raises(UserError, match="is no cache of codes, or is damaged"):
        read_cache(cache)


@pytest.mark.parametrize("shape", [b"'shape': \xdf6,)", b"'shape': (-6,)", b"'shape': (6, 10**9)"])
def test_a_header_that_was_tampered_with_is_one_sentence(cache: Path, shape: bytes) -> None:
    with zipfile.ZipFile(cache) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(cache, "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, part.replace(b"'shape': (6,)", shape))
    with pytest.raises(UserError, match="is no cache of codes, or is damaged"):
        read_cache(cache)
