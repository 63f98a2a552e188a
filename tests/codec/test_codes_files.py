"""Files of codes are read, or refused before they ask for memory.

``FMRI_AUDIO_FUZZ=100`` feeds the reader a hundred times as many broken files.
"""

from __future__ import annotations

import io
import os
import resource
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fmri_audio.base.errors import UserError
from fmri_audio.codec.codes_files import KEYS, SEGMENT_KEYS, read_codes

TIMES = int(os.environ.get("FMRI_AUDIO_FUZZ", "1"))

GOOD: dict[str, Any] = {
    "codes": np.arange(12, dtype=np.int16).reshape(2, 6),
    "bandwidth_kbps": 1.5,
    "checkpoint": "demo-0",
    "checkpoint_spec": "demo",
    "checkpoint_sha256": "0" * 64,
    "sample_rate": 24_000,
    "n_samples": 1900,
}


def archive(path: Path, compression: int = zipfile.ZIP_DEFLATED, **raw: bytes) -> Path:
    """Write an archive of the good arrays, some of them replaced by bytes."""
    with zipfile.ZipFile(path, "w", compression) as made:
        for key, value in GOOD.items():
            content = io.BytesIO()
            np.save(content, value)
            made.writestr(f"{key}.npy", raw.get(key, content.getvalue()))
    return path


def header(shape: str, descr: str, extra: bytes = b"") -> bytes:
    """An array's header that says whatever it is told to, and some bytes behind it."""
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + extra


def refused(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_codes(path)
    sentence = str(caught.value)
    assert sentence.startswith(str(path)) and "\n" not in sentence
    return sentence


def test_good_archives_come_back_whole(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", **GOOD, segment_frames=[3, 3], scales=np.ones(2))
    np.savez(tmp_path / "b.npz", **{**GOOD, "codes": np.asfortranarray(GOOD["codes"].astype(">i8"))})
    found = read_codes(tmp_path / "a.npz")
    assert list(found) == [*KEYS, *SEGMENT_KEYS] and str(found["checkpoint_spec"]) == "demo"
    for one in (found, read_codes(tmp_path / "b.npz")):
        np.testing.assert_array_equal(one["codes"], GOOD["codes"])
        assert int(one["n_samples"]) == 1900 and float(one["bandwidth_kbps"]) == 1.5


@pytest.mark.parametrize(
    ("key", "content", "sentence"),
    [
        ("codes", header("(14000000000000,)", "'|i1'"), "of shape [K, T]"),
        ("codes", header("(8, 1750000000000)", "'|i1'"), "would take 14,000,000.0 MB"),
        ("codes", header("(2, 6)", "'<i2'", b"x" * 23), "not as long as its header says"),
        ("codes", header("(-2, -6)", "'<i2'", b"x" * 24), "is damaged"),
        ("codes", header("(2, 6)", "'<c16'", b"x" * 192), "should be whole numbers"),
        ("codes", header("(2, 6)", "'<M8[s]'", b"x" * 96), "should be whole numbers"),
        ("codes", header("(2, 6)", "'|O'", b"cos\nsystem\n(S'true'\ntR."), "should be whole numbers"),
        ("codes", header("(2, 0)", "'<i2'"), "of shape [K, T]"),
        ("n_samples", header("()", "'<f8'", b"x" * 8), "n_samples should be a whole number"),
        ("n_samples", header("(3,)", "'<i8'", b"x" * 24), "n_samples should be a whole number"),
        ("checkpoint_spec", header("()", "'<U100000000'"), "checkpoint_spec would take 400.0 MB"),
        ("checkpoint_spec", header("()", "'|O'", b"x" * 8), "checkpoint_spec should be a text"),
        ("codes", header("\xdf)", "'|i1'"), "is damaged"),
        ("codes", b"", "is damaged"),
        ("codes", b"\x93NUMPY\x09\x00" + b"x" * 90, "is damaged"),
    ],
)
def test_arrays_that_no_codes_are_refused(tmp_path: Path, key: str, content: bytes, sentence: str) -> None:
    assert sentence in refused(archive(tmp_path / "bad.npz", zipfile.ZIP_DEFLATED, **{key: content}))


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    # 400 MB of zeros in 400 kB, under a header that asks for a few bytes
    path = archive(tmp_path / "bomb.npz", codes=header("(2, 6)", "'<i2'", bytes(400_000_000)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "not as long as its header says" in refused(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


def test_encrypted_doubled_and_incomplete_archives_are_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "secret.npz")
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + offset] |= 1  # the flag of an encrypted part
    path.write_bytes(content)
    assert "is damaged" in refused(path)
    with (
        pytest.warns(UserWarning, match="Duplicate"),
        zipfile.ZipFile(archive(tmp_path / "two.npz"), "a") as made,
    ):
        made.writestr("codes.npy", b"")
    assert "twice" in refused(tmp_path / "two.npz")
    np.savez(tmp_path / "few.npz", codes=GOOD["codes"])
    assert "bandwidth_kbps is missing" in refused(tmp_path / "few.npz")


def test_damaged_bytes_end_in_a_value_or_a_sentence(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / "fuzz.npz"
    originals = [archive(path, kind).read_bytes() for kind in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)]
    told = []
    for number in range(300 * TIMES):
        content = bytearray(originals[number % 2])
        if rng.random() < 0.2:
            del content[rng.integers(len(content)) :]
        for place in rng.integers(len(content) or 1, size=rng.integers(1, 6)) if content else ():
            content[place] = rng.integers(256)
        path.write_bytes(content)
        try:
            assert read_codes(path)["codes"].ndim == 2
        except UserError as error:
            told.append(str(error))
    assert len(told) > 100 * TIMES and all(sentence.startswith(str(path)) for sentence in told)
